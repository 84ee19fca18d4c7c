"""The functions of GoogleSQL whose results differ in DuckDB, one module for each subject."""
