"""Jobs: their state and their REST resource.

https://cloud.google.com/bigquery/docs/reference/rest/v2/Job
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import duckdb
import pyarrow as pa

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.base.schema import Field

PENDING, RUNNING, DONE = "PENDING", "RUNNING", "DONE"
# A call without a location finds jobs in the multi-regions only:
# https://cloud.google.com/bigquery/docs/reference/rest/v2/jobs/get
DEFAULT_LOCATIONS = ("US", "EU")


def milliseconds(moment: datetime) -> int:
    """Return the moment as milliseconds since 1970."""
    return int(moment.timestamp() * 1000)


def canonical_location(location: str) -> str:
    """Return a location as BigQuery spells it: multi-regions in upper case, regions in lower case."""
    return location.upper() if location.upper() in DEFAULT_LOCATIONS else location.lower()


class Rows(Protocol):
    """The rows of a query's result, wherever they are kept."""

    @property
    def fields(self) -> list[Field]:
        """The REST schema of the rows."""
        ...

    @property
    def total(self) -> int:
        """The number of rows."""
        ...

    @property
    def small(self) -> bool:
        """Whether a page takes so little time to write that other requests can wait for it."""
        ...

    def page(self, start: int, size: int) -> pa.Table:
        """Return up to ``size`` rows from row ``start`` on.

        Raises:
            NotFound: The rows are no longer kept.
        """
        ...


@dataclass(frozen=True)
class JobKey:
    """The identity of a job: ids are unique within a project and location."""

    project: str
    location: str
    id: str

    def __str__(self) -> str:
        return f"{self.project}:{self.location}.{self.id}"


class Job:
    """One job and its state.

    The state changes under ``lock``. Once it is DONE, nothing changes.

    Attributes:
        key: The identity of the job.
        configuration: The REST ``JobConfiguration``.
        user: The e-mail address of the account that created the job.
        created: When the job was created; ``started`` and ``ended`` follow.
        parent: The id of the script's job that this job is a child of, or None.
        state: PENDING, RUNNING or DONE.
        error: Why the job failed, or None.
        warnings: Errors that did not make the job fail, such as bad rows that it may leave out.
        statistics: The REST ``JobStatistics`` without the times.
        result: The rows of a query, or None.
        written: How many rows the job has written into tables, or None if that is not known.
        scripted: Whether the job is a script, which changes tables in more than one transaction.
        dialect_sql: The GoogleSQL of a query that was sent in legacy SQL.
        session_id: The session that the job created or runs in, or None.
        request: The ``requestId`` of the ``jobs.query`` call that created the job, and the body of that call.
        upload: The file that was uploaded with a load job.
        stopped: Set when the job has to end, for the reason in ``stop_error``.
        held: Whether the job can't be stopped, because its changes are being committed or are committed.
        cursor: The DuckDB cursor that the job runs on, or None while it does not run.
        children: The child jobs of a script.
        number: The position of the job in the history.
    """

    def __init__(
        self, key: JobKey, configuration: dict[str, Any], *, user: str, created: datetime, parent: str | None = None
    ) -> None:
        """Create a PENDING job."""
        self.key = key
        self.configuration = configuration
        self.user = user
        self.created = created
        self.parent = parent
        self.state = PENDING
        self.started: datetime | None = None
        self.ended: datetime | None = None
        self.error: QueryError | None = None
        self.warnings: list[dict[str, Any]] = []
        self.statistics: dict[str, Any] = {}
        self.result: Rows | None = None
        self.written: int | None = None
        self.scripted = False
        self.dialect_sql: str | None = None
        self.session_id: str | None = None
        self.request: tuple[str, str] | None = None
        self.upload: Path | None = None
        self.lock = threading.Lock()
        self.stopped = threading.Event()
        self.stop_error: QueryError | None = None
        self.held = False
        self.cursor: duckdb.DuckDBPyConnection | None = None
        self.children: list[Job] = []
        self.number = 0
        self._waiters: list[Callable[[], object]] = []
        self._finished = threading.Event()
        self._written: dict[bool, bytes] = {}

    def begin(self, now: datetime) -> bool:
        """Change the state from PENDING to RUNNING; return False if the job has been stopped."""
        with self.lock:
            if self.state != PENDING or self.stop_error is not None:
                return False
            self.state, self.started = RUNNING, now
            return True

    def finish(
        self, now: datetime, error: QueryError | None = None, *, keep: Callable[[Job], None] | None = None
    ) -> None:
        """Change the state to DONE. A job that has ended does not change.

        Args:
            now: When the job ended.
            error: Why the job failed, or None.
            keep: Called with the job before its state is DONE, so that the job is stored before a client sees its end.
        """
        with self.lock:
            if self.ended is not None:
                return
            self.started = self.started or now
            self.ended, self.error = now, error
        if keep is not None:
            keep(self)
        with self.lock:
            self.state = DONE
            waiters, self._waiters = self._waiters, []
        self._finished.set()
        for waiter in waiters:
            waiter()

    def hold(self) -> bool:
        """Keep the job from being stopped while its changes are committed; return False if it has been stopped."""
        with self.lock:
            self.held = self.stop_error is None
            return self.held

    def release(self) -> None:
        """Let the job be stopped again, because nothing was committed or because more statements follow."""
        with self.lock:
            self.held = False
            if self.stop_error is not None:
                self.stopped.set()

    def when_done(self, waiter: Callable[[], object]) -> None:
        """Call ``waiter`` when the job is DONE, immediately if it already is."""
        with self.lock:
            if self.state != DONE:
                self._waiters.append(waiter)
                return
        waiter()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until the job is DONE, for at most ``seconds``; return whether it is."""
        return self._finished.wait(seconds)

    def reference(self) -> dict[str, str]:
        """Return the REST ``JobReference``."""
        return {"projectId": self.key.project, "jobId": self.key.id, "location": self.key.location}

    def status(self) -> dict[str, Any]:
        """Return the REST ``JobStatus``."""
        status: dict[str, Any] = {"state": self.state}
        if self.state == DONE and self.error is not None:
            status["errorResult"] = self.error.error_proto()
            status["errors"] = [self.error.error_proto(), *self.error.causes]
        elif self.state == DONE and self.warnings:
            status["errors"] = self.warnings
        return status

    def resource(self, *, full: bool = True) -> dict[str, Any]:
        """Return the REST ``Job``; without ``full`` as in a list: no configuration, status and user."""
        statistics: dict[str, Any] = {"creationTime": str(milliseconds(self.created))}
        if self.started is not None:
            statistics["startTime"] = str(milliseconds(self.started))
        if self.state == DONE and self.ended is not None:
            statistics["endTime"] = str(milliseconds(self.ended))
            statistics["finalExecutionDurationMs"] = str(
                milliseconds(self.ended) - milliseconds(self.started or self.ended)
            )
        if self.parent is not None:
            statistics["parentJobId"] = self.parent
        if self.session_id is not None:
            statistics["sessionInfo"] = {"sessionId": self.session_id}
        resource: dict[str, Any] = {
            "kind": "bigquery#job",
            "id": str(self.key),
            "jobReference": self.reference(),
            "statistics": statistics | self.statistics,
        }
        if full:
            resource["status"] = self.status()
            resource["configuration"] = self.configuration
            resource["user_email"] = self.user
        return resource

    def list_item(self, *, full: bool) -> bytes:
        """Return the entry of a job list as JSON. It is cached when the job is DONE."""
        written = self._written.get(full)
        if written is None:
            item = self.resource(full=full) | {"state": self.state}
            if self.error is not None:
                item["errorResult"] = self.error.error_proto()
            written = json.dumps(item, separators=(",", ":")).encode()
            if item["state"] == DONE and self.state == DONE:
                self._written[full] = written
        return written
