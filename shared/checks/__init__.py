"""Checks of names, fields and queries that come from outside."""
