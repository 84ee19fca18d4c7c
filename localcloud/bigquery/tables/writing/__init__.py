"""Writes rows into tables, and changes the columns and names of tables."""
