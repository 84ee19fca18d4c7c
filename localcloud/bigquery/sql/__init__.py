"""GoogleSQL on its way to DuckDB: tokens, names, literals, translation and errors."""
