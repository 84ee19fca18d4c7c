"""Keeps topics, subscriptions and undelivered messages on disk, so that they survive a restart."""

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
    """What the broker tells whoever keeps its state. Names are full: ``projects/P/topics/T``."""

    def resources(self) -> dict[str, dict[str, Any]]:
        """Return the settings of all topics and subscriptions by name."""
        ...

    def messages(self) -> Iterator[KeptMessage]:
        """Yield the unacknowledged messages of every subscription in the order of publishing."""
        ...

    def save(self, name: str, resource: dict[str, Any]) -> None:
        """Keep a topic or a subscription."""
        ...

    def forget(self, name: str) -> None:
        """Remove a topic or a subscription with its messages."""
        ...

    def add(self, subscriptions: Iterable[str], messages: Iterable[Message]) -> None:
        """Keep ``messages`` for each of ``subscriptions``."""
        ...

    def remove(self, subscription: str, message_ids: Iterable[str]) -> None:
        """Forget messages that need no delivery any more."""
        ...

    def count_failures(self, subscription: str, failures: Iterable[tuple[str, int]]) -> None:
        """Keep the number of failed deliveries of each message id."""
        ...

    def close(self) -> None:
        """Write out what is left."""
        ...


class NoJournal:
    """Keeps nothing: a broker that lives in memory."""

    def resources(self) -> dict[str, dict[str, Any]]:
        return {}

    def messages(self) -> Iterator[KeptMessage]:
        return iter(())

    def save(self, name: str, resource: dict[str, Any]) -> None:
        pass

    def forget(self, name: str) -> None:
        pass

    def add(self, subscriptions: Iterable[str], messages: Iterable[Message]) -> None:
        pass

    def remove(self, subscription: str, message_ids: Iterable[str]) -> None:
        pass

    def count_failures(self, subscription: str, failures: Iterable[tuple[str, int]]) -> None:
        pass

    def close(self) -> None:
        pass


class DiskJournal:
    """A SQLite file; each call is one transaction. The broker's lock sees to it that calls come one by one."""

    def __init__(self, directory: Path) -> None:
        """Open or create the file in ``directory``."""
        directory.mkdir(parents=True, exist_ok=True)
        self._database = open_database(directory / "pubsub.sqlite", TABLES)

    def resources(self) -> dict[str, dict[str, Any]]:
        rows = self._database.execute("SELECT name, resource FROM resources")
        return {name: json.loads(resource) for name, resource in rows}

    def messages(self) -> Iterator[KeptMessage]:
        rows = self._database.execute(
            "SELECT subscription, message_id, data, attributes, ordering_key, published, failures"
            " FROM unacked ORDER BY message_id"
        )
        for subscription, message_id, data, attributes, ordering_key, published, failures in rows:
            moment = datetime.fromtimestamp(published // 1_000_000, UTC).replace(microsecond=published % 1_000_000)
            message = Message(str(message_id), data, json.loads(attributes), ordering_key, moment)
            yield KeptMessage(subscription, message, failures)

    def save(self, name: str, resource: dict[str, Any]) -> None:
        self._database.execute("INSERT OR REPLACE INTO resources VALUES (?, ?)", (name, json.dumps(resource)))

    def forget(self, name: str) -> None:
        with transaction(self._database):
            self._database.execute("DELETE FROM resources WHERE name = ?", (name,))
            self._database.execute("DELETE FROM unacked WHERE subscription = ?", (name,))

    def add(self, subscriptions: Iterable[str], messages: Iterable[Message]) -> None:
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
        rows = [(subscription, int(message_id)) for message_id in message_ids]
        with transaction(self._database):
            self._database.executemany("DELETE FROM unacked WHERE subscription = ? AND message_id = ?", rows)

    def count_failures(self, subscription: str, failures: Iterable[tuple[str, int]]) -> None:
        rows = [(count, subscription, int(message_id)) for message_id, count in failures]
        with transaction(self._database):
            self._database.executemany(
                "UPDATE unacked SET failures = ? WHERE subscription = ? AND message_id = ?", rows
            )

    def close(self) -> None:
        self._database.close()
