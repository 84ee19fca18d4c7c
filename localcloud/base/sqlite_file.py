"""The SQLite files in which services keep their state."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal


def open_database(path: Path, tables: str, *, synchronous: Literal["NORMAL", "OFF"] = "NORMAL") -> sqlite3.Connection:
    """Open or create the file ``path`` and create the missing ``tables``; each statement is a transaction.

    Any thread may use the connection, one at a time. With a write-ahead log, a killed process loses nothing and no commit
    waits for the disk. A power failure can lose the last transactions with ``NORMAL``, and the whole file with ``OFF``.
    https://www.sqlite.org/pragma.html#pragma_synchronous
    """
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute(f"PRAGMA synchronous = {synchronous}")
    database.executescript(tables)
    return database


@contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """Run the statements in the context as one transaction, and undo them if an exception leaves it."""
    database.execute("BEGIN")
    try:
        yield
    except BaseException:
        database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")
