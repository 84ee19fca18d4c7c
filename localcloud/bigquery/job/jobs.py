"""Jobs: what is known of each, in the order they came, as BigQuery's Job resource.

https://cloud.google.com/bigquery/docs/reference/rest/v2/Job
"""

from __future__ import annotations

import json
import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import duckdb
import pyarrow as pa

from localcloud.bigquery.base.errors import NotFound, QueryError
from localcloud.bigquery.base.schema import Field

PENDING, RUNNING, DONE = "PENDING", "RUNNING", "DONE"
# Without a location a job is looked for in the multi-regions only:
# https://cloud.google.com/bigquery/docs/reference/rest/v2/jobs/get
DEFAULT_LOCATIONS = ("US", "EU")


def milliseconds(moment: datetime) -> int:
    """Return the moment as milliseconds since 1970."""
    return int(moment.timestamp() * 1000)


def canonical_location(location: str) -> str:
    """Return a location as BigQuery spells it: multi-regions in capitals, regions in small letters."""
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
    """What makes a job one: ids are unique within a project and location."""

    project: str
    location: str
    id: str

    def __str__(self) -> str:
        return f"{self.project}:{self.location}.{self.id}"


class Job:
    """One job and how far it has come.

    What changes is changed by one thread at a time under ``lock``; once ``state`` is DONE nothing changes any more.

    Attributes:
        result: The rows of a query, once there are some.
        written: How many rows it has written into tables, where that is known.
        scripted: Whether it is a script, which changes tables in more than one step.
        dialect_sql: The GoogleSQL of a query that was sent in legacy SQL.
        session_id: The session that the job opened.
        request: The ``requestId`` of the ``jobs.query`` that it came with, and what that asked for.
        upload: The file that came with a load job.
        stopped: Set when the job has to end; ``stop_error`` is then why.
        held: Whether its changes are being committed, or are: it is not stopped any more then.
        cursor: The DuckDB cursor that it runs on, while it runs.
        children: What a script ran, as jobs.
        number: Its place among all jobs.
    """

    def __init__(
        self, key: JobKey, configuration: dict[str, Any], *, user: str, created: datetime, parent: str | None = None
    ) -> None:
        self.key = key
        self.configuration = configuration
        self.user = user
        self.created = created
        self.parent = parent
        self.state = PENDING
        self.started: datetime | None = None
        self.ended: datetime | None = None
        self.error: QueryError | None = None
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
        self._waiters: list[Callable[[], None]] = []
        self._finished = threading.Event()
        self._written: dict[bool, bytes] = {}

    def begin(self, now: datetime) -> bool:
        """Go from PENDING to RUNNING; return False if the job was stopped before."""
        with self.lock:
            if self.state != PENDING or self.stop_error is not None:
                return False
            self.state, self.started = RUNNING, now
            return True

    def finish(
        self, now: datetime, error: QueryError | None = None, *, keep: Callable[[Job], None] | None = None
    ) -> None:
        """Go to DONE, with the error that ended the job, if one did. A job that has ended stays as it is.

        Args:
            now: When it ended.
            error: Why it failed.
            keep: Called before anybody can see that the job is DONE.
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
        """Let the job's changes be committed without a stop coming in between; return False if one has come before."""
        with self.lock:
            self.held = self.stop_error is None
            return self.held

    def release(self) -> None:
        """Let the job be stopped again, because nothing was committed, or because more is to come."""
        with self.lock:
            self.held = False
            if self.stop_error is not None:
                self.stopped.set()

    def when_done(self, waiter: Callable[[], None]) -> None:
        """Call ``waiter`` once the job is DONE, at once if it is."""
        with self.lock:
            if self.state != DONE:
                self._waiters.append(waiter)
                return
        waiter()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for DONE; return whether it came."""
        return self._finished.wait(seconds)

    def reference(self) -> dict[str, str]:
        """Return the REST ``JobReference``."""
        return {"projectId": self.key.project, "jobId": self.key.id, "location": self.key.location}

    def status(self) -> dict[str, Any]:
        """Return the REST ``JobStatus``."""
        status: dict[str, Any] = {"state": self.state}
        if self.state == DONE and self.error is not None:
            status["errorResult"] = self.error.error_proto()
            status["errors"] = [self.error.error_proto()]
        return status

    def resource(self, *, full: bool = True) -> dict[str, Any]:
        """Return the REST resource; in a list's minimal projection without configuration, status and user."""
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
        """Return the entry of a job list as JSON; kept once the job is DONE."""
        written = self._written.get(full)
        if written is None:
            item = self.resource(full=full) | {"state": self.state}
            if self.error is not None:
                item["errorResult"] = self.error.error_proto()
            written = json.dumps(item, separators=(",", ":")).encode()
            if item["state"] == DONE and self.state == DONE:
                self._written[full] = written
        return written


@dataclass(frozen=True)
class JobFilter:
    """What ``jobs.list`` may ask for: https://cloud.google.com/bigquery/docs/reference/rest/v2/jobs/list"""

    user: str | None = None
    states: frozenset[str] = frozenset()
    created_from: int | None = None
    created_to: int | None = None
    parent: str | None = None

    def holds(self, job: Job) -> bool:
        """Return whether ``job`` is asked for."""
        if job.parent != self.parent:
            return False
        if self.user is not None and job.user != self.user:
            return False
        if self.states and job.state not in self.states:
            return False
        created = milliseconds(job.created)
        if self.created_from is not None and created < self.created_from:
            return False
        return self.created_to is None or created <= self.created_to


class JobHistory:
    """Every job of this BigQuery, newest last."""

    def __init__(self, kept: Iterable[Job] = ()) -> None:
        """Begin with ``kept``, the jobs of an earlier process in the order of their creation."""
        self._lock = threading.Lock()
        self._by_key: dict[JobKey, Job] = {}
        self._order: dict[str, list[Job]] = {}
        self._numbers = 0
        for job in kept:
            self.add(job)

    def add(self, job: Job) -> None:
        """Enter a new job.

        Raises:
            QueryError: Its id is taken, whatever became of that job (409 duplicate).
        """
        with self._lock:
            if job.key in self._by_key:
                raise QueryError(f"Already Exists: Job {job.key}", reason="duplicate")
            self._numbers += 1
            job.number = self._numbers
            self._by_key[job.key] = job
            self._order.setdefault(job.key.project, []).append(job)

    def get(self, project: str, job_id: str, location: str | None) -> Job:
        """Return a job. Raises ``NotFound``, also for a job that is in another location."""
        for place in (canonical_location(location),) if location else DEFAULT_LOCATIONS:
            job = self._by_key.get(JobKey(project, place, job_id))
            if job is not None:
                return job
        where = f"{location}." if location else ""
        raise NotFound(f"Not found: Job {project}:{where}{job_id}")

    def remove(self, job: Job) -> list[Job]:
        """Forget a job and its children, and return them. Their ids stay taken no longer."""
        with self._lock:
            order = self._order[job.key.project]
            gone = {id(job)} | {id(child) for child in order if child.parent == job.key.id}
            forgotten = [found for found in order if id(found) in gone]
            for found in forgotten:
                self._by_key.pop(found.key, None)
            order[:] = [kept for kept in order if id(kept) not in gone]
            return forgotten

    def page(self, project: str, wanted: JobFilter, *, size: int, before: int | None) -> tuple[list[Job], int | None]:
        """Return up to ``size`` jobs, newest first, and the number to go on from, if there are more.

        Args:
            project: Whose jobs.
            wanted: Which.
            size: How many at most.
            before: Only jobs with a number below it.
        """
        with self._lock:
            order = self._order.get(project, [])
            end = len(order) if before is None else bisect_left(order, before, key=lambda job: job.number)
            found: list[Job] = []
            for index in range(end - 1, -1, -1):
                job = order[index]
                if wanted.created_from is not None and milliseconds(job.created) < wanted.created_from:
                    if job.parent is None:
                        break  # created in this order, but for children, which come when all is done
                    continue
                if wanted.holds(job):
                    if len(found) == size:
                        return found, found[-1].number
                    found.append(job)
            return found, None

    def unfinished(self, project: str | None = None) -> list[Job]:
        """Return the jobs that are not DONE."""
        with self._lock:
            return [
                job
                for owner, order in self._order.items()
                if project is None or owner == project
                for job in order
                if job.state != DONE
            ]
