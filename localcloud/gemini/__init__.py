"""Backends that answer requests to Gemini, and the requests and responses that they share."""
