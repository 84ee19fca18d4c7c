"""What BigQuery rejects and DuckDB would run."""
