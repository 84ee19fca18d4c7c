"""Gemini batches: the request, its handler, and the SQL that builds requests from prompts."""
