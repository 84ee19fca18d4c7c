"""Lines of JSONL as rows of BigQuery: their columns, and the SQL that loads them and takes them apart."""
