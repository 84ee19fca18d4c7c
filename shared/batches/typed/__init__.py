"""Typed results: the columns that answers are taken apart into, and the SQL that does so."""
