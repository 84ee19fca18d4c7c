"""The buckets and objects: sorted in memory, and in a database file so that they survive a restart.

Locks and rules are in the store.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from sortedcontainers import SortedDict

from localcloud.base.sqlite_file import open_database, transaction
from localcloud.storage.rules.resources import Bucket, StoredObject

_SCHEMA = """
CREATE TABLE IF NOT EXISTS buckets (name TEXT PRIMARY KEY, record TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS objects (
    bucket TEXT NOT NULL, name TEXT NOT NULL, record TEXT NOT NULL, PRIMARY KEY (bucket, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS past (
    bucket TEXT NOT NULL, name TEXT NOT NULL, generation INTEGER NOT NULL, record TEXT NOT NULL,
    PRIMARY KEY (bucket, name, generation)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS generations (id INTEGER PRIMARY KEY CHECK (id = 1), reserved INTEGER NOT NULL);
INSERT OR IGNORE INTO generations VALUES (1, 0);
"""
_PUT_PAST = "INSERT OR REPLACE INTO past VALUES (?, ?, ?, ?)"
# Generations are reserved in the file this far ahead, so that not every write has to save the last one.
_RESERVED_AHEAD = 10_000_000


class Catalog:
    """Buckets by name, and the objects of each sorted by name: the live ones, and generations of the past."""

    def __init__(self, path: Path) -> None:
        """Open the database file ``path``, which is created if it is missing."""
        # Data survives a killed process but not a power failure: enough here, and ten times faster.
        self._database = open_database(path, _SCHEMA, synchronous="OFF")
        self.buckets: SortedDict = SortedDict()
        self._objects: dict[str, SortedDict] = {}
        self._past: dict[str, SortedDict] = {}
        # The soft-deleted generations by the time at which they end.
        self._ending: SortedDict = SortedDict()
        self._reserved: int = self._database.execute("SELECT reserved FROM generations").fetchone()[0]
        self._generation: int = self._reserved
        for name, record in self._database.execute("SELECT name, record FROM buckets"):
            self.buckets[name] = Bucket.from_record(record)
            self._objects[name] = SortedDict()
            self._past[name] = SortedDict()
        for bucket, name, record in self._database.execute("SELECT bucket, name, record FROM objects"):
            self._objects[bucket][name] = StoredObject.from_record(record)
        for (record,) in self._database.execute("SELECT record FROM past"):
            self._remember(StoredObject.from_record(record))

    def objects(self, bucket: str) -> SortedDict:
        """Return the live objects of ``bucket`` by name. Raises ``KeyError`` if there is no such bucket."""
        return self._objects[bucket]

    def past(self, bucket: str) -> SortedDict:
        """Return the noncurrent and the soft-deleted generations of ``bucket`` by name and generation."""
        return self._past[bucket]

    def ended(self, now: datetime) -> list[StoredObject]:
        """Return the soft-deleted generations that can no longer be restored at ``now``."""
        return list(self._ending.values()[: self._ending.bisect_left((now,))])

    def every_object(self) -> Iterator[StoredObject]:
        """Yield the objects of all buckets, with all their generations."""
        for objects in (*self._objects.values(), *self._past.values()):
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
        self._past.setdefault(bucket.name, SortedDict())

    def remove_bucket(self, name: str) -> None:
        """Remove a bucket without objects of any generation."""
        self._database.execute("DELETE FROM buckets WHERE name = ?", (name,))
        del self.buckets[name]
        del self._objects[name]
        del self._past[name]

    def put_object(self, stored: StoredObject, *, past: StoredObject | None = None) -> None:
        """Add ``stored``, or replace the one with its name, of which ``past`` remains."""
        row = (stored.bucket, stored.name, stored.record())
        self._execute("INSERT OR REPLACE INTO objects VALUES (?, ?, ?)", row, past)
        self._objects[stored.bucket][stored.name] = stored

    def remove_object(self, stored: StoredObject, *, past: StoredObject | None = None) -> None:
        """Remove a live object, of which ``past`` remains."""
        self._execute("DELETE FROM objects WHERE bucket = ? AND name = ?", (stored.bucket, stored.name), past)
        del self._objects[stored.bucket][stored.name]

    def _execute(self, statement: str, values: tuple[str, ...], past: StoredObject | None) -> None:
        """Execute a statement together with the change that adds ``past``: both are stored, or none."""
        if past is None:
            self._database.execute(statement, values)
            return
        with transaction(self._database):
            self._database.execute(statement, values)
            self._database.execute(_PUT_PAST, _past_row(past))
        self._remember(past)

    def put_past(self, stored: StoredObject) -> None:
        """Add a noncurrent or soft-deleted generation, or replace it."""
        self._database.execute(_PUT_PAST, _past_row(stored))
        self._forget(stored)
        self._remember(stored)

    def remove_past(self, stored: StoredObject) -> None:
        """Remove a noncurrent or soft-deleted generation."""
        self._database.execute(
            "DELETE FROM past WHERE bucket = ? AND name = ? AND generation = ?",
            (stored.bucket, stored.name, stored.generation),
        )
        self._forget(stored)

    def _remember(self, stored: StoredObject) -> None:
        self._past[stored.bucket][stored.name, stored.generation] = stored
        if stored.hard_deleted is not None:
            self._ending[stored.hard_deleted, stored.generation] = stored

    def _forget(self, stored: StoredObject) -> None:
        former = self._past[stored.bucket].pop((stored.name, stored.generation), None)
        if former is not None and former.hard_deleted is not None:
            del self._ending[former.hard_deleted, former.generation]

    def close(self) -> None:
        """Close the database file."""
        self._database.close()


def _past_row(stored: StoredObject) -> tuple[str, str, int, str]:
    return stored.bucket, stored.name, stored.generation, stored.record()
