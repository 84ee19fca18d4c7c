"""Measurements, each as a ratio within one run: `python -m benchmarks [NAME ...]`, a table at the end."""
