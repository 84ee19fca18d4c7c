"""Calls to Google's services, and the meaning of their errors and of their jobs' states."""
