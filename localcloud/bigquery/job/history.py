"""The history of all jobs: found by id, listed newest first.

https://cloud.google.com/bigquery/docs/reference/rest/v2/jobs/list
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass

from localcloud.bigquery.base.errors import NotFound, QueryError
from localcloud.bigquery.job.jobs import DEFAULT_LOCATIONS, DONE, Job, JobKey, canonical_location, milliseconds


@dataclass(frozen=True)
class JobFilter:
    """The filters of ``jobs.list``.

    https://cloud.google.com/bigquery/docs/reference/rest/v2/jobs/list

    Attributes:
        user: Only jobs of this user.
        states: Only jobs in these states; empty for all.
        created_from: Only jobs created at or after this time, in milliseconds since 1970.
        created_to: Only jobs created at or before this time, in milliseconds since 1970.
        parent: Only child jobs of this job; None for jobs without a parent.
    """

    user: str | None = None
    states: frozenset[str] = frozenset()
    created_from: int | None = None
    created_to: int | None = None
    parent: str | None = None

    def matches(self, job: Job) -> bool:
        """Return whether ``job`` passes the filters."""
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
        """Start with ``kept``, the jobs of an earlier process in the order of their creation."""
        self._lock = threading.Lock()
        self._by_key: dict[JobKey, Job] = {}
        self._order: dict[str, list[Job]] = {}
        self._numbers = 0
        for job in kept:
            self.add(job)

    def add(self, job: Job) -> None:
        """Add a new job.

        Raises:
            QueryError: A job with this id exists, in any state (409 duplicate).
        """
        with self._lock:
            if job.key in self._by_key:
                raise QueryError(f"Already Exists: Job {job.key}", reason="duplicate")
            self._numbers += 1
            job.number = self._numbers
            self._by_key[job.key] = job
            self._order.setdefault(job.key.project, []).append(job)

    def get(self, project: str, job_id: str, location: str | None) -> Job:
        """Return a job.

        Raises:
            NotFound: No job has this id, or it is in another location.
        """
        for place in (canonical_location(location),) if location else DEFAULT_LOCATIONS:
            job = self._by_key.get(JobKey(project, place, job_id))
            if job is not None:
                return job
        where = f"{location}." if location else ""
        raise NotFound(f"Not found: Job {project}:{where}{job_id}")

    def remove(self, job: Job) -> list[Job]:
        """Remove a job and its children, and return them. Their ids can be used again."""
        with self._lock:
            order = self._order[job.key.project]
            gone = {id(job)} | {id(child) for child in order if child.parent == job.key.id}
            forgotten = [found for found in order if id(found) in gone]
            for found in forgotten:
                self._by_key.pop(found.key, None)
            order[:] = [kept for kept in order if id(kept) not in gone]
            return forgotten

    def page(self, project: str, wanted: JobFilter, *, size: int, before: int | None) -> tuple[list[Job], int | None]:
        """Return up to ``size`` jobs, newest first, and the ``before`` of the next page, or None on the last page.

        Args:
            project: The project of the jobs.
            wanted: The filters.
            size: The maximum number of jobs.
            before: Only jobs with a smaller number; None for the first page.
        """
        with self._lock:
            order = self._order.get(project, [])
            end = len(order) if before is None else bisect_left(order, before, key=lambda job: job.number)
            found: list[Job] = []
            for index in range(end - 1, -1, -1):
                job = order[index]
                if wanted.created_from is not None and milliseconds(job.created) < wanted.created_from:
                    if job.parent is None:
                        break  # jobs are in order of creation, except children, which are added when their script is done
                    continue
                if wanted.matches(job):
                    if len(found) == size:
                        return found, found[-1].number
                    found.append(job)
            return found, None

    def all(self) -> list[Job]:
        """Return all jobs, each project's in the order of their creation."""
        with self._lock:
            return [job for order in self._order.values() for job in order]

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
