"""The errors of models and their files."""

from __future__ import annotations


class InvalidModel(Exception):
    """BigQuery can't import a model's files; the message says why."""
