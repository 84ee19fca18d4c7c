"""Dates, times and intervals: reading, writing and computing with them."""
