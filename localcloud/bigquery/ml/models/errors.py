"""The errors of models and their files."""

from __future__ import annotations


class InvalidModel(Exception):
    """BigQuery can't import a model's files; the message says why."""


class WorkerEnded(Exception):
    """The process that runs a model ended.

    Attributes:
        reason: How it ended; None if it was ordered to end, or ended because it was idle.
    """

    def __init__(self, reason: str | None) -> None:
        """Create the error."""
        super().__init__(reason or "ended as ordered")
        self.reason = reason
