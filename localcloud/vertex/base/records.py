"""Stores registered models, endpoints and operations on disk, so that they survive a restart."""

from __future__ import annotations

import json
import logging
import threading
from pathlib import Path
from typing import Any

from localcloud.base.background import Trouble
from localcloud.base.sqlite_file import JournalFile

_TABLE = """CREATE TABLE IF NOT EXISTS records
    (kind TEXT NOT NULL, name TEXT NOT NULL, record TEXT NOT NULL, PRIMARY KEY (kind, name))"""


class RecordJournal:
    """The records of resources, by kind (``model``, ``endpoint``, ``operation``) and resource name.

    A full disk does not stop the service: records are stored once there is room again.
    """

    def __init__(self, directory: Path | None) -> None:
        """Open or create the file in ``directory``; None stores nothing."""
        self._lock = threading.Lock()
        self._file: JournalFile | None = None
        if directory is not None:
            directory.mkdir(parents=True, exist_ok=True)
            trouble = Trouble(logging.getLogger(__name__), "the journal of the model registry")
            self._file = JournalFile(directory / "registry.sqlite", _TABLE, trouble=trouble)

    def records(self, kind: str) -> dict[str, dict[str, Any]]:
        """Return the records of a kind by name."""
        with self._lock:
            if self._file is None:
                return {}
            rows = self._file.database.execute("SELECT name, record FROM records WHERE kind = ? ORDER BY name", (kind,))
            return {name: json.loads(record) for name, record in rows}

    def save(self, kind: str, name: str, record: dict[str, Any]) -> None:
        """Store a record."""
        if self._file is not None:
            row = (kind, name, json.dumps(record))
            with self._lock:
                self._file.write(
                    lambda database: database.execute("INSERT OR REPLACE INTO records VALUES (?, ?, ?)", row)
                )

    def remove(self, kind: str, name: str) -> None:
        """Remove a record; do nothing if there is none."""
        if self._file is not None:
            with self._lock:
                self._file.write(
                    lambda database: database.execute("DELETE FROM records WHERE kind = ? AND name = ?", (kind, name))
                )

    def close(self) -> None:
        """Write what is missing and close the file."""
        if self._file is not None:
            with self._lock:
                self._file.close()
