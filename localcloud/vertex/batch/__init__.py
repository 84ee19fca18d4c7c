"""Batch prediction jobs: their requests, their states, and what a run reads and writes."""
