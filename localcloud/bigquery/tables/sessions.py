"""Sessions: jobs that follow each other on one cursor and so share temporary tables.

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


@dataclass(frozen=True)
class OpenSession:
    """One session; whoever uses its cursor holds its lock."""

    cursor: duckdb.DuckDBPyConnection
    lock: threading.Lock = field(default_factory=threading.Lock)


class Sessions:
    """The sessions that are open."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._open: dict[str, OpenSession] = {}

    def of_job(self, query: dict[str, Any]) -> str | None:
        """Return the id of the session that a job opens or goes on with, None without one.

        Raises:
            QueryError: It names a session that is not open.
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
        """Return an open session; for no id, or one that was ended meanwhile, a new one that nobody shares."""
        with self._lock:
            found = self._open.get(session_id) if session_id is not None else None
        return found or OpenSession(self._engine.cursor())

    def end(self, session_id: str | None) -> None:
        """Let go of a session and its temporary tables."""
        with self._lock:
            self._open.pop(session_id or "", None)
