"""Requests to manage a model."""
