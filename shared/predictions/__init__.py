"""Predictions: the message, the work that it becomes, and the SQL that writes its rows."""
