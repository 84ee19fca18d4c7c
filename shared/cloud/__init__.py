"""Calls to Google's services, and what their answers and states mean."""
