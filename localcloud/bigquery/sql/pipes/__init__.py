"""Pipe syntax, written as SELECT statements."""
