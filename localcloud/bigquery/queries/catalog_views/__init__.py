"""The views of INFORMATION_SCHEMA and the tables ``__TABLES__`` that show what the local BigQuery keeps."""
