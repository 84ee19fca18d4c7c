"""Stores batch prediction jobs on disk, so that they survive a restart."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any, Protocol

from localcloud.base.background import Trouble
from localcloud.base.sqlite_file import JournalFile

_TABLE = "CREATE TABLE IF NOT EXISTS jobs (name TEXT PRIMARY KEY, created INTEGER NOT NULL, record TEXT NOT NULL)"


class Journal(Protocol):
    """Stores the state of jobs. Names are full: ``projects/P/locations/L/batchPredictionJobs/N``."""

    def records(self) -> list[dict[str, Any]]:
        """Return the record of each job, in the order of creation."""
        ...

    def save(self, name: str, created: int, record: dict[str, Any]) -> None:
        """Store the record of a job; ``created`` is in microseconds since 1970."""
        ...

    def remove(self, name: str) -> None:
        """Remove a job."""
        ...

    def close(self) -> None:
        """Write pending data and close the journal."""
        ...


class NoJournal:
    """Stores nothing, for jobs that live in memory."""

    def records(self) -> list[dict[str, Any]]:
        """Return nothing."""
        return []

    def save(self, name: str, created: int, record: dict[str, Any]) -> None:
        """Do nothing."""

    def remove(self, name: str) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class DiskJournal:
    """A SQLite file. Each call is one transaction; the jobs' lock serializes the calls.

    A full disk does not stop the jobs: their records are stored once there is room again.
    """

    def __init__(self, directory: Path) -> None:
        """Open or create the file in ``directory``."""
        directory.mkdir(parents=True, exist_ok=True)
        trouble = Trouble(logging.getLogger(__name__), "the journal of Vertex AI")
        self._file = JournalFile(directory / "jobs.sqlite", _TABLE, trouble=trouble)

    def records(self) -> list[dict[str, Any]]:
        """Return the record of each job, in the order of creation."""
        rows = self._file.database.execute("SELECT record FROM jobs ORDER BY created")
        return [json.loads(record) for (record,) in rows]

    def save(self, name: str, created: int, record: dict[str, Any]) -> None:
        """Store the record of a job; ``created`` is in microseconds since 1970."""
        row = (name, created, json.dumps(record))
        self._file.write(lambda database: database.execute("INSERT OR REPLACE INTO jobs VALUES (?, ?, ?)", row))

    def remove(self, name: str) -> None:
        """Remove a job."""
        self._file.write(lambda database: database.execute("DELETE FROM jobs WHERE name = ?", (name,)))

    def close(self) -> None:
        """Close the file."""
        self._file.close()
