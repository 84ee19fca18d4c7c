"""Sessions: jobs that run one after another on one cursor and share temporary tables.

https://cloud.google.com/bigquery/docs/sessions-intro
"""

from __future__ import annotations

import threading
import uuid
from dataclasses import dataclass, field
from typing import Any

import duckdb

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.tables.engine import Engine
from localcloud.bigquery.tables.transactions import Transactions


def dataset_of_session(session_id: str) -> str:
    """Return the hidden dataset of a session's temporary tables."""
    return f"_session_{session_id}"


@dataclass(frozen=True)
class OpenSession:
    """One session.

    Attributes:
        cursor: The cursor of the session's jobs.
        transactions: The transactions of the session, which may last longer than a job.
        lock: Held by the job that uses the cursor.
    """

    cursor: duckdb.DuckDBPyConnection
    transactions: Transactions = field(default_factory=lambda: Transactions(of_session=True))
    lock: threading.Lock = field(default_factory=threading.Lock)


class Sessions:
    """The open sessions."""

    def __init__(self, engine: Engine) -> None:
        """Start without sessions."""
        self._engine = engine
        self._lock = threading.Lock()
        self._open: dict[str, OpenSession] = {}

    def open_or_find(self, query: dict[str, Any]) -> str | None:
        """Return the id of the session that a job creates or runs in, or None.

        Args:
            query: The REST ``JobConfigurationQuery``.

        Raises:
            QueryError: The session of the configuration is not open.
        """
        if query.get("createSession"):
            session_id = uuid.uuid4().hex
            with self._lock:
                self._open[session_id] = OpenSession(self._engine.cursor())
            return session_id
        for given in query.get("connectionProperties") or ():
            if given.get("key") == "session_id" and given.get("value"):
                if given["value"] not in self._open:
                    raise QueryError("Invalid input session id.", reason="invalid")
                return str(given["value"])
        return None

    def get(self, session_id: str | None) -> OpenSession:
        """Return an open session; without an id, or if the session has ended since, return a new unshared one."""
        with self._lock:
            found = self._open.get(session_id) if session_id is not None else None
        return found or OpenSession(self._engine.cursor())

    def transactions(self, session_id: str | None) -> Transactions:
        """Return the transactions of an open session; without one, new ones of a single job."""
        with self._lock:
            found = self._open.get(session_id) if session_id is not None else None
        return found.transactions if found is not None else Transactions(of_session=False)

    def end(self, session_id: str | None) -> None:
        """End a session: roll back its transaction, and drop its temporary tables."""
        with self._lock:
            ended = self._open.pop(session_id or "", None)
        if ended is not None:
            ended.transactions.end()
