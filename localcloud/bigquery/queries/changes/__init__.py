"""INSERT, UPDATE and MERGE: completes them for DuckDB, and checks the types of their values."""
