"""Predictions: the message, its handler, and the SQL that writes the rows."""
