"""Stores topics, subscriptions and unacknowledged messages on disk, so that they survive a restart."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from localcloud.base.sqlite_file import open_database, transaction
from localcloud.pubsub.messages import Message

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

    def add(self, subscriptions: Iterable[str], messages: Iterable[Message]) -> None:
        """Store ``messages`` for each of ``subscriptions``."""
        ...

    def remove(self, subscription: str, message_ids: Iterable[str]) -> None:
        """Remove messages that need no further delivery."""
        ...

    def count_failures(self, subscription: str, failures: Iterable[tuple[str, int]]) -> None:
        """Store the number of failed deliveries of each message id."""
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

    def add(self, subscriptions: Iterable[str], messages: Iterable[Message]) -> None:
        """Do nothing."""

    def remove(self, subscription: str, message_ids: Iterable[str]) -> None:
        """Do nothing."""

    def count_failures(self, subscription: str, failures: Iterable[tuple[str, int]]) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class DiskJournal:
    """A SQLite file. Each call is one transaction; the broker's lock serializes the calls."""

    def __init__(self, directory: Path) -> None:
        """Open or create the file in ``directory``."""
        directory.mkdir(parents=True, exist_ok=True)
        self._database = open_database(directory / "pubsub.sqlite", TABLES)

    def resources(self) -> dict[str, dict[str, Any]]:
        """Return the settings of all topics and subscriptions by name."""
        rows = self._database.execute("SELECT name, resource FROM resources")
        return {name: json.loads(resource) for name, resource in rows}

    def messages(self) -> Iterator[KeptMessage]:
        """Yield the unacknowledged messages of every subscription in the order of publishing."""
        rows = self._database.execute(
            "SELECT subscription, message_id, data, attributes, ordering_key, published, failures"
            " FROM unacked ORDER BY message_id"
        )
        for subscription, message_id, data, attributes, ordering_key, published, failures in rows:
            moment = datetime.fromtimestamp(published // 1_000_000, UTC).replace(microsecond=published % 1_000_000)
            message = Message(str(message_id), data, json.loads(attributes), ordering_key, moment)
            yield KeptMessage(subscription, message, failures)

    def save(self, name: str, resource: dict[str, Any]) -> None:
        """Store the settings of a topic or a subscription."""
        self._database.execute("INSERT OR REPLACE INTO resources VALUES (?, ?)", (name, json.dumps(resource)))

    def forget(self, name: str) -> None:
        """Remove a topic or a subscription with its messages."""
        with transaction(self._database):
            self._database.execute("DELETE FROM resources WHERE name = ?", (name,))
            self._database.execute("DELETE FROM unacked WHERE subscription = ?", (name,))

    def add(self, subscriptions: Iterable[str], messages: Iterable[Message]) -> None:
        """Store ``messages`` for each of ``subscriptions``."""
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
        with transaction(self._database):
            self._database.executemany("INSERT OR REPLACE INTO unacked VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def remove(self, subscription: str, message_ids: Iterable[str]) -> None:
        """Remove messages that need no further delivery."""
        rows = [(subscription, int(message_id)) for message_id in message_ids]
        with transaction(self._database):
            self._database.executemany("DELETE FROM unacked WHERE subscription = ? AND message_id = ?", rows)

    def count_failures(self, subscription: str, failures: Iterable[tuple[str, int]]) -> None:
        """Store the number of failed deliveries of each message id."""
        rows = [(count, subscription, int(message_id)) for message_id, count in failures]
        with transaction(self._database):
            self._database.executemany(
                "UPDATE unacked SET failures = ? WHERE subscription = ? AND message_id = ?", rows
            )

    def close(self) -> None:
        """Close the file."""
        self._database.close()
