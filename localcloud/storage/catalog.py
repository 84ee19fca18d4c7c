"""The buckets and objects: sorted in memory, and in a database file so that they survive a restart.

Locks and rules are in the store.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from sortedcontainers import SortedDict

from localcloud.base.sqlite_file import open_database
from localcloud.storage.resources import Bucket, StoredObject

_SCHEMA = """
CREATE TABLE IF NOT EXISTS buckets (name TEXT PRIMARY KEY, record TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS objects (
    bucket TEXT NOT NULL, name TEXT NOT NULL, record TEXT NOT NULL, PRIMARY KEY (bucket, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS generations (id INTEGER PRIMARY KEY CHECK (id = 1), reserved INTEGER NOT NULL);
INSERT OR IGNORE INTO generations VALUES (1, 0);
"""
# Generations are reserved in the file this far ahead, so that not every write has to save the last one.
_RESERVED_AHEAD = 10_000_000


class Catalog:
    """Buckets by name, and the objects of each sorted by name."""

    def __init__(self, path: Path) -> None:
        """Open the database file ``path``, which is created if it is missing."""
        # Data survives a killed process but not a power failure: enough here, and ten times faster.
        self._database = open_database(path, _SCHEMA, synchronous="OFF")
        self.buckets: SortedDict = SortedDict()
        self._objects: dict[str, SortedDict] = {}
        self._reserved: int = self._database.execute("SELECT reserved FROM generations").fetchone()[0]
        self._generation: int = self._reserved
        for name, record in self._database.execute("SELECT name, record FROM buckets"):
            self.buckets[name] = Bucket.from_record(record)
            self._objects[name] = SortedDict()
        for bucket, name, record in self._database.execute("SELECT bucket, name, record FROM objects"):
            self._objects[bucket][name] = StoredObject.from_record(record)

    def objects(self, bucket: str) -> SortedDict:
        """Return the live objects of ``bucket`` by name. Raises ``KeyError`` if there is no such bucket."""
        return self._objects[bucket]

    def every_object(self) -> Iterator[StoredObject]:
        """Yield the live objects of all buckets."""
        for objects in self._objects.values():
            yield from objects.values()

    def next_generation(self, now: datetime) -> int:
        """Return a generation above all earlier ones, equal to the microseconds of ``now`` where possible."""
        self._generation = max(int(now.timestamp() * 1_000_000), self._generation + 1)
        if self._generation > self._reserved:
            reserved = self._generation + _RESERVED_AHEAD
            self._database.execute("UPDATE generations SET reserved = ?", (reserved,))
            self._reserved = reserved
        return self._generation

    def put_bucket(self, bucket: Bucket) -> None:
        """Add ``bucket``, or replace the one with its name."""
        self._database.execute("INSERT OR REPLACE INTO buckets VALUES (?, ?)", (bucket.name, bucket.record()))
        self.buckets[bucket.name] = bucket
        self._objects.setdefault(bucket.name, SortedDict())

    def remove_bucket(self, name: str) -> None:
        """Remove an empty bucket."""
        self._database.execute("DELETE FROM buckets WHERE name = ?", (name,))
        del self.buckets[name]
        del self._objects[name]

    def put_object(self, stored: StoredObject) -> None:
        """Add ``stored``, or replace the one with its name."""
        row = (stored.bucket, stored.name, stored.record())
        self._database.execute("INSERT OR REPLACE INTO objects VALUES (?, ?, ?)", row)
        self._objects[stored.bucket][stored.name] = stored

    def remove_object(self, stored: StoredObject) -> None:
        """Remove a live object."""
        self._database.execute("DELETE FROM objects WHERE bucket = ? AND name = ?", (stored.bucket, stored.name))
        del self._objects[stored.bucket][stored.name]

    def close(self) -> None:
        """Close the database file."""
        self._database.close()
