"""Gemini batches: the request, the work that it becomes, and the SQL that builds its requests."""
