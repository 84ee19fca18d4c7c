"""The SQLite files in which services keep their state."""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from localcloud.base.background import Trouble

Change = Callable[[sqlite3.Connection], object]
"""Statements that belong together."""


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
    """Run the statements in the context as one transaction, and undo them if an exception leaves it or the end fails."""
    database.execute("BEGIN")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        # SQLite has rolled back itself after some errors, such as a full disk.
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise


class JournalFile:
    """A SQLite file that follows a state in memory, with each change in one transaction.

    A change that the disk refuses is kept in memory, and repeated before the next one. Its owner calls one method at a
    time.
    """

    def __init__(self, path: Path, tables: str, *, trouble: Trouble) -> None:
        """Open or create the file ``path`` with ``tables``; ``trouble`` reports changes that the disk refuses."""
        self.database = open_database(path, tables)
        self._trouble = trouble
        self._postponed: deque[Change] = deque()

    def write(self, change: Change) -> None:
        """Apply a change now, or later if the disk refuses it."""
        self._postponed.append(change)
        try:
            self.catch_up()
        except sqlite3.OperationalError as error:
            self._trouble.report(error)

    def write_now(self, change: Change) -> None:
        """Apply a change. Raises ``sqlite3.OperationalError`` if the disk refuses it; it is not applied later then."""
        try:
            self.catch_up()
            self._apply(change)
        except sqlite3.OperationalError as error:
            self._trouble.report(error)
            raise

    def catch_up(self) -> None:
        """Apply the postponed changes. Raises ``sqlite3.OperationalError`` if the disk still refuses them."""
        while self._postponed:
            change = self._postponed.popleft()
            try:
                self._apply(change)
            except sqlite3.OperationalError:
                self._postponed.appendleft(change)
                raise
            if not self._postponed:
                self._trouble.is_over()

    def close(self) -> None:
        """Apply the postponed changes if the disk lets them, and close the file."""
        try:
            self.catch_up()
        except sqlite3.OperationalError as error:
            self._trouble.report(error)
        self.database.close()

    def _apply(self, change: Change) -> None:
        with transaction(self.database):
            change(self.database)
