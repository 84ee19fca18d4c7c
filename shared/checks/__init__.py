"""Checks of the names, fields and queries in requests."""
