"""Buckets and objects, and the rules for their changes, independent of an API."""
