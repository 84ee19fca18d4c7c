"""The jobs, and the thread that runs each when it is due."""

from __future__ import annotations

import copy
import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from localcloud.base.api_errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound
from localcloud.base.background import Trouble, repeat
from localcloud.base.clock import Clock, rfc3339
from localcloud.pubsub.broker.broker import Broker
from localcloud.scheduler.attempts import Attempts, Outcome
from localcloud.scheduler.job import Job, parse_job
from localcloud.scheduler.shape import check_path, check_shape

log = logging.getLogger(__name__)

IDLE_SECONDS = 3600.0


@dataclass(eq=False)
class _Entry:
    """A job and its state."""

    job: Job
    due: datetime
    updated: datetime
    paused: bool = False
    running: int = 0
    last_attempt: datetime | None = None
    last_outcome: Outcome | None = None

    def resource(self) -> dict[str, Any]:
        resource = {
            **self.job.resource,
            "userUpdateTime": rfc3339(self.updated),
            "state": "PAUSED" if self.paused else "ENABLED",
        }
        if not self.paused:
            resource["scheduleTime"] = rfc3339(self.due)
        if self.last_attempt is not None:
            resource["lastAttemptTime"] = rfc3339(self.last_attempt)
        if self.last_outcome is not None:
            resource["status"] = self.last_outcome.resource()
        return resource


class Jobs:
    """The jobs, kept in memory. Every method that takes a job's name raises ``NotFound`` if there is no such job."""

    def __init__(self, broker: Broker, *, clock: Clock) -> None:
        """Publish messages to ``broker``; nothing runs before ``start``."""
        self._clock = clock
        self._attempts = Attempts(broker)
        self._lock = threading.Lock()
        self._entries: dict[str, _Entry] = {}
        self._changed = threading.Event()
        self._stopped = threading.Event()

    def start(self) -> None:
        """Begin to run jobs that are due."""
        threading.Thread(target=self._keep_time, name="scheduler", daemon=True).start()

    def stop(self) -> None:
        """Start no more attempts; those in progress are not waited for."""
        self._stopped.set()
        self._changed.set()

    def create(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """Create the job that a REST resource describes and return its resource.

        Raises ``AlreadyExists``, ``InvalidArgument``.
        """
        parsed = parse_job(job)
        now = self._clock.now()
        with self._lock:
            if parsed.name in self._entries:
                raise AlreadyExists(f"Job {parsed.id} already exists.")
            entry = self._entries[parsed.name] = _Entry(parsed, parsed.next_after(now), now)
            self._changed.set()
            return entry.resource()

    def get(self, name: str) -> dict[str, Any]:
        """Return the resource of the job ``name``."""
        with self._lock:
            return self._entry(name).resource()

    def list_all(self, parent: str) -> list[dict[str, Any]]:
        """Return the resources of all jobs of ``parent`` (``projects/P/locations/L``), sorted by name."""
        prefix = f"{parent}/jobs/"
        with self._lock:
            return [entry.resource() for name, entry in sorted(self._entries.items()) if name.startswith(prefix)]

    def update(self, name: str, changes: Mapping[str, Any], fields: Sequence[str]) -> dict[str, Any]:
        """Replace ``fields`` of a job (such as ``schedule`` or ``httpTarget.uri``) by those of ``changes``.

        A field that is missing in ``changes`` is removed. Raises ``InvalidArgument``.
        """
        check_shape(changes)
        now = self._clock.now()
        with self._lock:
            entry = self._entry(name)
            resource: dict[str, Any] = copy.deepcopy(dict(entry.job.resource))
            for field_path in fields:
                check_path(field_path)
                _replace(resource, changes, field_path.split("."))
            entry.job = parse_job({**resource, "name": name})
            entry.due, entry.updated = entry.job.next_after(now), now
            self._changed.set()
            return entry.resource()

    def delete(self, name: str) -> None:
        """Delete a job."""
        with self._lock:
            self._entry(name)
            del self._entries[name]

    def pause(self, name: str) -> dict[str, Any]:
        """Suspend a job until it is resumed.

        Source: https://cloud.google.com/scheduler/docs/reference/rest/v1/projects.locations.jobs/pause
        """
        with self._lock:
            entry = self._entry(name)
            if entry.paused:
                raise FailedPrecondition(f"Job {entry.job.id} is paused already.")
            entry.paused = True
            return entry.resource()

    def resume(self, name: str) -> dict[str, Any]:
        """Resume a paused job at its next time; executions that it missed are not made up for."""
        with self._lock:
            entry = self._entry(name)
            if not entry.paused:
                raise FailedPrecondition(f"Job {entry.job.id} is not paused.")
            entry.paused = False
            entry.due = entry.job.next_after(self._clock.now())
            self._changed.set()
            return entry.resource()

    def run(self, name: str) -> dict[str, Any]:
        """Run a job now, outside its schedule, and return its resource without waiting for the outcome.

        The job runs even if it is already running:
        https://cloud.google.com/scheduler/docs/reference/rest/v1/projects.locations.jobs/run. The next scheduled execution
        waits for its end, as for that of a scheduled one. Google says so of executions in general.
        """
        with self._lock:
            entry = self._entry(name)
            self._launch(entry, self._clock.now())
            return entry.resource()

    def _entry(self, name: str) -> _Entry:
        if name not in self._entries:
            raise NotFound("Job not found.")
        return self._entries[name]

    def _keep_time(self) -> None:
        repeat(self._keep_time_once, trouble=Trouble(log, "the schedule"), stopped=self._stopped)

    def _keep_time_once(self) -> None:
        self._changed.clear()
        with self._lock:
            seconds = self._launch_due()
        self._clock.wait(self._changed, seconds)

    def _launch_due(self) -> float:
        """Launch the jobs that are due; return the seconds until the next one is."""
        now = self._clock.now()
        waiting: list[float] = []
        for entry in self._entries.values():
            # A job never overlaps itself: the end of its last execution sets `_changed`, and it is launched late.
            if entry.paused or (entry.running and entry.due <= now):
                continue
            if entry.due <= now:
                self._launch(entry, entry.due)
                entry.due = entry.job.next_after(now)
            waiting.append((entry.due - now).total_seconds())
        return min(waiting, default=IDLE_SECONDS)

    def _launch(self, entry: _Entry, scheduled: datetime) -> None:
        entry.running += 1
        threading.Thread(target=self._execute, args=(entry, scheduled), name=f"job {entry.job.id}", daemon=True).start()

    def _execute(self, entry: _Entry, scheduled: datetime) -> None:
        """Attempt a job until it succeeds or has no retries left. This is one execution, in a thread of its own."""
        job, began, failures = entry.job, self._clock.now(), 0
        try:
            while not self._stopped.is_set():
                with self._lock:
                    entry.last_attempt = self._clock.now()
                outcome = self._attempts.make(job, scheduled)
                with self._lock:
                    entry.last_outcome = outcome
                failures += 1
                elapsed = (self._clock.now() - began).total_seconds()
                if outcome.succeeded or not job.retry.allows(failures, elapsed):
                    return
                self._clock.wait(self._stopped, job.retry.backoff_seconds(failures))
        finally:
            with self._lock:
                entry.running -= 1
            self._changed.set()


def _replace(resource: dict[str, Any], changes: Mapping[str, Any], path: Sequence[str]) -> None:
    """Set the field at ``path`` in ``resource`` to its value in ``changes``, or remove it."""
    name, *rest = path
    if rest:
        inner = changes.get(name, {})
        if not isinstance(inner, Mapping):
            raise InvalidArgument(f"Invalid value at 'job.{name}': {inner!r}.")
        _replace(resource.setdefault(name, {}), inner, rest)
    elif name in changes:
        resource[name] = changes[name]
    else:
        resource.pop(name, None)
