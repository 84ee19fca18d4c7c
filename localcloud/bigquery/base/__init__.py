"""Errors, schemas, sessions and discovery: what all of the local BigQuery uses."""
