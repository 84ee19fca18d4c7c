"""The clauses of a query, written in the form that DuckDB has."""
