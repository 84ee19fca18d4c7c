"""The order of the versions of a model."""

from __future__ import annotations


def version_order(version: str) -> tuple[int, int, str]:
    """Return the sort key of a version: numbers by value, above all others, which sort by code points."""
    return (1, int(version), "") if version.isascii() and version.isdigit() else (0, 0, version)
