"""Stores topics, subscriptions and unacknowledged messages on disk, so that they survive a restart."""

from __future__ import annotations

import contextlib
import json
import logging
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from localcloud.base.background import Trouble, in_words
from localcloud.base.sqlite_file import JournalFile
from localcloud.pubsub.broker.messages import Message
from localcloud.pubsub.errors import Unavailable

TABLES = """
CREATE TABLE IF NOT EXISTS resources (
    name TEXT PRIMARY KEY, resource TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS unacked (
    subscription TEXT NOT NULL, message_id INTEGER NOT NULL, data BLOB NOT NULL, attributes TEXT NOT NULL,
    ordering_key TEXT NOT NULL, published INTEGER NOT NULL, failures INTEGER NOT NULL,
    PRIMARY KEY (subscription, message_id)) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class KeptMessage:
    """A message that a subscription had not acknowledged when the service stopped."""

    subscription: str
    message: Message
    failures: int


class Journal(Protocol):
    """Stores the state of a broker. Names are full: ``projects/P/topics/T``."""

    def resources(self) -> dict[str, dict[str, Any]]:
        """Return the settings of all topics and subscriptions by name."""
        ...

    def messages(self) -> Iterator[KeptMessage]:
        """Yield the unacknowledged messages of every subscription in the order of publishing."""
        ...

    def save(self, name: str, resource: dict[str, Any]) -> None:
        """Store the settings of a topic or a subscription."""
        ...

    def forget(self, name: str) -> None:
        """Remove a topic or a subscription with its messages."""
        ...

    def add(self, subscriptions: Iterable[str], messages: Iterable[Message], *, now: bool) -> None:
        """Store ``messages`` for each of ``subscriptions``.

        Raises:
            Unavailable: They cannot be stored ``now``. Without ``now``, they are stored as soon as possible.
        """
        ...

    def remove(self, subscription: str, message_ids: Iterable[str]) -> None:
        """Remove messages that need no further delivery."""
        ...

    def count_failures(self, subscription: str, failures: Iterable[tuple[str, int]]) -> None:
        """Store the number of failed deliveries of each message id."""
        ...

    def catch_up(self) -> None:
        """Store the changes that the disk refused before."""
        ...

    def close(self) -> None:
        """Write pending data and close the journal."""
        ...


class NoJournal:
    """Stores nothing, for a broker that lives in memory."""

    def resources(self) -> dict[str, dict[str, Any]]:
        """Return nothing."""
        return {}

    def messages(self) -> Iterator[KeptMessage]:
        """Yield nothing."""
        return iter(())

    def save(self, name: str, resource: dict[str, Any]) -> None:
        """Do nothing."""

    def forget(self, name: str) -> None:
        """Do nothing."""

    def add(self, subscriptions: Iterable[str], messages: Iterable[Message], *, now: bool) -> None:
        """Do nothing."""

    def remove(self, subscription: str, message_ids: Iterable[str]) -> None:
        """Do nothing."""

    def count_failures(self, subscription: str, failures: Iterable[tuple[str, int]]) -> None:
        """Do nothing."""

    def catch_up(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class DiskJournal:
    """A SQLite file. Each call is one transaction; the broker's lock serializes the calls.

    A full disk does not stop deliveries: changes of messages that the broker has are stored once there is room again.
    """

    def __init__(self, directory: Path) -> None:
        """Open or create the file in ``directory``."""
        directory.mkdir(parents=True, exist_ok=True)
        trouble = Trouble(logging.getLogger(__name__), "the journal of Pub/Sub")
        self._file = JournalFile(directory / "pubsub.sqlite", TABLES, trouble=trouble)

    def resources(self) -> dict[str, dict[str, Any]]:
        """Return the settings of all topics and subscriptions by name."""
        rows = self._file.database.execute("SELECT name, resource FROM resources")
        return {name: json.loads(resource) for name, resource in rows}

    def messages(self) -> Iterator[KeptMessage]:
        """Yield the unacknowledged messages of every subscription in the order of publishing."""
        rows = self._file.database.execute(
            "SELECT subscription, message_id, data, attributes, ordering_key, published, failures"
            " FROM unacked ORDER BY message_id"
        )
        for subscription, message_id, data, attributes, ordering_key, published, failures in rows:
            moment = datetime.fromtimestamp(published // 1_000_000, UTC).replace(microsecond=published % 1_000_000)
            message = Message(str(message_id), data, json.loads(attributes), ordering_key, moment)
            yield KeptMessage(subscription, message, failures)

    def save(self, name: str, resource: dict[str, Any]) -> None:
        """Store the settings of a topic or a subscription."""
        row = (name, json.dumps(resource))
        self._file.write(lambda database: database.execute("INSERT OR REPLACE INTO resources VALUES (?, ?)", row))

    def forget(self, name: str) -> None:
        """Remove a topic or a subscription with its messages."""

        def change(database: sqlite3.Connection) -> None:
            database.execute("DELETE FROM resources WHERE name = ?", (name,))
            database.execute("DELETE FROM unacked WHERE subscription = ?", (name,))

        self._file.write(change)

    def add(self, subscriptions: Iterable[str], messages: Iterable[Message], *, now: bool) -> None:
        """Store ``messages`` for each of ``subscriptions``.

        Raises:
            Unavailable: They cannot be stored ``now``. Without ``now``, they are stored as soon as possible.
        """
        kept = [
            (
                int(message.id),
                message.data,
                json.dumps(dict(message.attributes)),
                message.ordering_key,
                int(message.published.timestamp()) * 1_000_000 + message.published.microsecond,
            )
            for message in messages
        ]
        rows = [(subscription, *columns, 0) for subscription in subscriptions for columns in kept]

        def change(database: sqlite3.Connection) -> None:
            database.executemany("INSERT OR REPLACE INTO unacked VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

        if not now:
            self._file.write(change)
            return
        try:
            self._file.write_now(change)
        except sqlite3.OperationalError as error:
            raise Unavailable(f"The message cannot be stored: {in_words(error)}.") from error

    def remove(self, subscription: str, message_ids: Iterable[str]) -> None:
        """Remove messages that need no further delivery."""
        rows = [(subscription, int(message_id)) for message_id in message_ids]
        sql = "DELETE FROM unacked WHERE subscription = ? AND message_id = ?"
        self._file.write(lambda database: database.executemany(sql, rows))

    def count_failures(self, subscription: str, failures: Iterable[tuple[str, int]]) -> None:
        """Store the number of failed deliveries of each message id."""
        rows = [(count, subscription, int(message_id)) for message_id, count in failures]
        sql = "UPDATE unacked SET failures = ? WHERE subscription = ? AND message_id = ?"
        self._file.write(lambda database: database.executemany(sql, rows))

    def catch_up(self) -> None:
        """Store the changes that the disk refused before."""
        with contextlib.suppress(sqlite3.OperationalError):  # reported before
            self._file.catch_up()

    def close(self) -> None:
        """Close the file."""
        self._file.close()
