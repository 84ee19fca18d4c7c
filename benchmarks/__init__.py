"""Measurements, each compared with another one of the same run: ``python -m benchmarks [NAME ...]``."""
