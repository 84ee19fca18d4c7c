"""Keeps batch prediction jobs on disk, so that they survive a restart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Protocol

from localcloud.base.sqlite_file import open_database

_TABLE = "CREATE TABLE IF NOT EXISTS jobs (name TEXT PRIMARY KEY, created INTEGER NOT NULL, record TEXT NOT NULL)"


class Journal(Protocol):
    """What the jobs tell whoever keeps them. Names are full: ``projects/P/locations/L/batchPredictionJobs/N``."""

    def records(self) -> list[dict[str, Any]]:
        """Return what was kept of each job, in the order of their creation."""
        ...

    def save(self, name: str, created: int, record: dict[str, Any]) -> None:
        """Keep a job as it is now."""
        ...

    def remove(self, name: str) -> None:
        """Forget a job."""
        ...

    def close(self) -> None:
        """Write out what is left."""
        ...


class NoJournal:
    """Keeps nothing: jobs that live in memory."""

    def records(self) -> list[dict[str, Any]]:
        return []

    def save(self, name: str, created: int, record: dict[str, Any]) -> None:
        pass

    def remove(self, name: str) -> None:
        pass

    def close(self) -> None:
        pass


class DiskJournal:
    """A SQLite file; each call is one transaction. The lock of the jobs sees to it that calls come one by one."""

    def __init__(self, directory: Path) -> None:
        """Open or create the file in ``directory``."""
        directory.mkdir(parents=True, exist_ok=True)
        self._database = open_database(directory / "jobs.sqlite", _TABLE)

    def records(self) -> list[dict[str, Any]]:
        rows = self._database.execute("SELECT record FROM jobs ORDER BY created")
        return [json.loads(record) for (record,) in rows]

    def save(self, name: str, created: int, record: dict[str, Any]) -> None:
        self._database.execute("INSERT OR REPLACE INTO jobs VALUES (?, ?, ?)", (name, created, json.dumps(record)))

    def remove(self, name: str) -> None:
        self._database.execute("DELETE FROM jobs WHERE name = ?", (name,))

    def close(self) -> None:
        self._database.close()
