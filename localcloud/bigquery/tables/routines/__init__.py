"""Routines: their macros in DuckDB, and the types of their parameters."""
