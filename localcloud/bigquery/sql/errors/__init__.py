"""Errors in BigQuery's words: of the syntax, of the engine, of functions."""
