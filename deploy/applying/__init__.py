"""Carrying out a plan with gcloud: what is there, what differs, and what an error means."""
