"""Faults and quotas to order."""
