"""Faults and quotas that a test can turn on."""
