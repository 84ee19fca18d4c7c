"""The layer in front of every service: it names calls, identifies callers, applies faults and records."""
