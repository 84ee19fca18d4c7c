"""Registered models, and the endpoints that they are deployed to."""
