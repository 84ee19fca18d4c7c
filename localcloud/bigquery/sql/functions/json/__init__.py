"""Functions over JSON: reading, changing and writing it."""
