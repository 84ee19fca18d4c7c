"""SQLite files that services keep their state in: opened in one way, changed in whole transactions."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal


def open_database(path: Path, tables: str, *, synchronous: Literal["NORMAL", "OFF"] = "NORMAL") -> sqlite3.Connection:
    """Open or create the file ``path`` and make the ``tables`` that it lacks; each statement is a transaction.

    It may be used from any thread, one at a time. With a write-ahead log a killed process loses nothing, and no commit has
    to wait for the disk. A power cut may take the last transactions with ``NORMAL``, and the file with ``OFF``.
    https://www.sqlite.org/pragma.html#pragma_synchronous
    """
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute(f"PRAGMA synchronous = {synchronous}")
    database.executescript(tables)
    return database


@contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """Make what is executed in the context one transaction, which an exception undoes."""
    database.execute("BEGIN")
    try:
        yield
    except BaseException:
        database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")
