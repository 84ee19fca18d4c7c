"""Object tables: their statements, their rows, and their names in other statements."""
