"""Reads and writes the files of load and extract jobs."""
