"""Batch prediction jobs: created, queued, run, cancelled, listed and deleted.

    QUEUED -> PENDING -> RUNNING -> SUCCEEDED | FAILED
    any of the first three -> CANCELLING -> CANCELLED, and QUEUED -> EXPIRED

The states: https://cloud.google.com/vertex-ai/docs/reference/rest/v1/JobState
"""

from __future__ import annotations

import logging
import secrets
import threading
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from localcloud.base.background import Trouble, in_words
from localcloud.base.clock import Clock
from localcloud.gemini.models import ModelTable
from localcloud.vertex.base.enums import JOB_STATES
from localcloud.vertex.base.errors import RequestError
from localcloud.vertex.base.filters import (
    EQUALITY,
    ORDER,
    WILDCARD,
    Field,
    compile_filter,
    parse_moment,
)
from localcloud.vertex.base.moments import UniqueMoments, rfc3339_micros, serial
from localcloud.vertex.base.operations import EMPTY, Operations
from localcloud.vertex.base.pages import page
from localcloud.vertex.batch.batches import BatchError, BatchRunner, Outcome
from localcloud.vertex.batch.job_models import check_model
from localcloud.vertex.batch.job_requests import JobRequest, parse_job
from localcloud.vertex.batch.journal import Journal
from localcloud.vertex.pace import Pace

FINAL_STATES = frozenset(
    f"JOB_STATE_{name}" for name in ("SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED", "PARTIALLY_SUCCEEDED")
)
INTERNAL = 13
"""The number of INTERNAL in google.rpc.Code."""
CANCELLED_ERROR: dict[str, Any] = {"code": 1, "message": "CANCELED"}
FORCED_ERRORS = {
    "JOB_STATE_FAILED": {"code": 13, "message": "INTERNAL"},
    "JOB_STATE_CANCELLED": CANCELLED_ERROR,
}


def parse_state(name: str) -> str:
    """Return the name of a state. Raises ``ValueError`` if there is no such state."""
    if name not in JOB_STATES:
        raise ValueError(f"{name} is not a job state")
    return name


FILTER_FIELDS = {
    "display_name": Field("displayName", WILDCARD),
    "model_display_name": Field("modelDisplayName", EQUALITY),
    "state": Field("state", EQUALITY, parse_state),
    "create_time": Field("createTime", ORDER, parse_moment),
}


_TIMES = ("created", "updated", "started", "ended")


@dataclass
class _Job:
    name: str
    request: JobRequest
    created: datetime
    updated: datetime
    state: str = "JOB_STATE_QUEUED"
    started: datetime | None = None
    ended: datetime | None = None
    error: dict[str, Any] | None = None
    outcome: Outcome | None = None
    stop: threading.Event = field(default_factory=threading.Event)
    # The number of the current run. A run that finds another number here was abandoned, and changes nothing.
    run: int = 0
    # Whether the job may have run before, and have written its output.
    again: bool = False

    @classmethod
    def of(cls, record: dict[str, Any]) -> _Job:
        """Return the job of a record."""
        parent = record["name"].partition("/batchPredictionJobs/")[0]
        times: dict[str, Any] = {name: record[name] and datetime.fromisoformat(record[name]) for name in _TIMES}
        outcome = Outcome(**record["outcome"]) if record["outcome"] else None
        request = parse_job(record["given"], parent)
        return cls(record["name"], request, state=record["state"], error=record["error"], outcome=outcome, **times)

    def record(self) -> dict[str, Any]:
        """Return the job as JSON for the journal."""
        times = {name: getattr(self, name) and getattr(self, name).isoformat() for name in _TIMES}
        outcome = asdict(self.outcome) if self.outcome else None
        known = {"name": self.name, "given": self.request.given, "state": self.state, "error": self.error}
        return {**known, "outcome": outcome, **times}

    def resource(self) -> dict[str, Any]:
        answer = {
            "name": self.name,
            **self.request.given,
            "modelVersionId": "1",
            "state": self.state,
            "createTime": rfc3339_micros(self.created),
            "updateTime": rfc3339_micros(self.updated),
        }
        if self.started:
            answer["startTime"] = rfc3339_micros(self.started)
        if self.ended:
            answer["endTime"] = rfc3339_micros(self.ended)
        if self.error:
            answer["error"] = self.error
        if self.outcome:
            answer["completionStats"] = self.outcome.statistics()
            answer["outputInfo"] = self.outcome.output
            if self.outcome.partial_failures:
                answer["partialFailures"] = self.outcome.partial_failures
        return answer


class Jobs:
    """The batch prediction jobs of the service; a limited number runs at a time, the others are queued."""

    def __init__(
        self,
        runner: BatchRunner,
        operations: Operations,
        journal: Journal,
        *,
        clock: Clock,
        models: ModelTable,
        moments: UniqueMoments,
        pace: Pace,
    ) -> None:
        """Restore the jobs in ``journal``: jobs that had not ended are queued to run from their start."""
        self._journal = journal
        self._runner = runner
        self._operations = operations
        self._clock = clock
        self._models = models
        self._moments = moments
        self._pace = pace
        self._jobs: dict[str, _Job] = {}
        self._queue: list[_Job] = []
        self._threads: set[threading.Thread] = set()
        self._trouble = Trouble(logging.getLogger(__name__), "a batch prediction job", after="the job has ended")
        self._started = False
        self._lock = threading.RLock()
        for job in map(_Job.of, journal.records()):
            self._jobs[job.name] = job
            if job.state == "JOB_STATE_CANCELLING":
                self._enter(job, "JOB_STATE_CANCELLED", CANCELLED_ERROR)
            elif job.state not in FINAL_STATES:
                self._begin_again(job)

    def start(self) -> None:
        """Start running jobs, including those that are already queued."""
        with self._lock:
            self._started = True
            self._admit()

    def stop(self) -> None:
        """Stop running jobs: running jobs are abandoned and write nothing, unless they are already done."""
        with self._lock:
            self._started = False
            for job in self._jobs.values():
                job.stop.set()
            threads = list(self._threads)
        for thread in threads:
            thread.join(timeout=10)
        with self._lock:
            for job in self._jobs.values():
                job.run = 0
            self._journal.close()

    def create(self, parent: str, body: dict[str, Any]) -> dict[str, Any]:
        """Create a job below ``projects/P/locations/L`` and return its resource.

        Raises:
            RequestError: INVALID_ARGUMENT.
            BackendError: 404 if the location does not serve the model.
        """
        request = parse_job(body, parent)
        check_model(request, self._models)
        with self._lock:
            created = self._moments.next()
            # As long as Vertex AI's ids; clients accept only digits.
            number = 10**18 + secrets.randbelow(9 * 10**18)
            job = _Job(f"{parent}/batchPredictionJobs/{number}", request, created, created)
            self._jobs[job.name] = job
            self._queue.append(job)
            self._save(job)
            self._admit()
            return job.resource()

    def get(self, name: str) -> dict[str, Any]:
        """Return a job's resource. Raises ``RequestError`` (NOT_FOUND)."""
        with self._lock:
            return self._find(name).resource()

    def list(self, parent: str, text: str = "", page_size: int = 0, page_token: str = "") -> dict[str, Any]:
        """Return a page of the jobs of a location that match a filter, newest first. Raises ``RequestError``."""
        passes = compile_filter(text, FILTER_FIELDS)
        with self._lock:
            self._expire()
            found = [
                (serial(job.created), job.resource())
                for name, job in self._jobs.items()
                if name.startswith(f"{parent}/")
            ]
        jobs, token = page((item for item in found if passes(item[1])), page_size, page_token)
        return {"batchPredictionJobs": jobs, **({"nextPageToken": token} if token else {})}

    def cancel(self, name: str) -> None:
        """Cancel a job; answers that exist already are written. A job that has ended is not changed.

        Raises:
            RequestError: NOT_FOUND.
        """
        with self._lock:
            job = self._find(name)
            if job.state in FINAL_STATES:
                return
            if job.run and not job.stop.is_set():
                self._enter(job, "JOB_STATE_CANCELLING")
                job.stop.set()
            elif not job.run:
                self._leave_queue(job)
                self._enter(job, "JOB_STATE_CANCELLED", CANCELLED_ERROR)

    def delete(self, name: str) -> dict[str, Any]:
        """Delete a job that has ended, and return the operation. The job's output stays.

        Raises:
            RequestError: NOT_FOUND, or FAILED_PRECONDITION for a job that has not ended.
        """
        with self._lock:
            job = self._find(name)
            if job.state not in FINAL_STATES:
                raise RequestError(
                    "FAILED_PRECONDITION",
                    f"The BatchPredictionJob {name} is in the state {job.state}; only a job that has ended can be "
                    "deleted. Cancel it first.",
                )
            del self._jobs[name]
            self._journal.remove(name)
            parent = name.partition("/batchPredictionJobs/")[0]
            return self._operations.begin(parent, "DeleteOperationMetadata", lambda: EMPTY)

    def force_state(self, name: str, state: str | None, error: dict[str, Any] | None = None) -> dict[str, Any]:
        """Set the state of a job, and return its resource. Vertex AI has no such method.

        The current run is abandoned. The job keeps the state until it is set again or cancelled. The state None queues
        the job to run from its start. ``error`` is the job's error: a code of google.rpc.Code, and a message.

        Raises:
            RequestError: NOT_FOUND, or INVALID_ARGUMENT if there is no such state.
        """
        if state is not None and state not in JOB_STATES:
            raise RequestError("INVALID_ARGUMENT", f"There is no job state {state!r}.")
        with self._lock:
            job = self._find(name)
            job.stop.set()
            job.run = 0
            self._leave_queue(job)
            if state is None:
                self._begin_again(job)
                self._admit()
            else:
                self._enter(job, state, error or FORCED_ERRORS.get(state))
            return job.resource()

    def _find(self, name: str) -> _Job:
        self._expire()
        if name not in self._jobs:
            raise RequestError("NOT_FOUND", f"The BatchPredictionJob {name} does not exist.")
        return self._jobs[name]

    def _begin_again(self, job: _Job) -> None:
        """Queue a job to run from its start."""
        job.outcome, job.started, job.again = None, None, True
        self._queue.append(job)
        self._enter(job, "JOB_STATE_QUEUED")

    def _leave_queue(self, job: _Job) -> None:
        if job in self._queue:
            self._queue.remove(job)

    def _expire(self) -> None:
        """Expire the jobs that have been queued too long; called before jobs are read or started."""
        oldest = self._clock.now() - timedelta(seconds=self._pace.longest_queue_seconds)
        for job in [job for job in self._queue if job.created <= oldest]:
            self._queue.remove(job)
            self._enter(job, "JOB_STATE_EXPIRED")

    def _admit(self) -> None:
        """Start as many queued jobs as may run, in the order of the queue."""
        self._expire()
        while self._started and self._queue and len(self._threads) < self._pace.concurrent_jobs:
            job = self._queue.pop(0)
            job.run = secrets.randbits(63) + 1
            job.stop = threading.Event()
            self._enter(job, "JOB_STATE_PENDING")
            thread = threading.Thread(
                target=self._work, args=(job, job.run, job.stop), name=f"batch-{serial(job.created)}", daemon=True
            )
            self._threads.add(thread)
            thread.start()

    def _enter(self, job: _Job, state: str, error: dict[str, Any] | None = None) -> None:
        job.state = state
        job.error = error
        job.updated = max(self._clock.now(), job.updated)
        job.ended = job.updated if state in FINAL_STATES else None
        self._save(job)

    def _save(self, job: _Job) -> None:
        self._journal.save(job.name, serial(job.created), job.record())

    def _work(self, job: _Job, run: int, stop: threading.Event) -> None:
        try:
            self._clock.wait(stop, self._pace.pending_seconds)
            self._run(job, run, stop)
        finally:
            with self._lock:
                self._threads.discard(threading.current_thread())
                self._admit()

    def _run(self, job: _Job, run: int, stop: threading.Event) -> None:
        with self._lock:
            if job.run != run or not self._started:
                return
            if stop.is_set():
                self._end(job, "JOB_STATE_CANCELLED", CANCELLED_ERROR)
                return
            self._enter(job, "JOB_STATE_RUNNING")
            job.started = job.updated
            deadline = job.started + timedelta(seconds=self._pace.longest_run_seconds)
        outcome: Outcome | None = None
        error: dict[str, Any] | None = None
        try:
            outcome = self._runner.run(
                job.request, job.created, lambda: self._should_stop(stop, deadline), again=job.again
            )
        except BatchError as failure:
            error = {"code": failure.code, "message": failure.message}
        except Exception as failure:  # every failure has to end the job
            self._trouble.report(failure)
            error = {"code": INTERNAL, "message": f"The job failed: {in_words(failure)}."}
        with self._lock:
            abandoned = not self._started and (outcome is None or outcome.incomplete)
            if job.run != run or abandoned:
                return
            job.outcome = outcome
            if outcome is None:
                self._end(job, "JOB_STATE_FAILED", error)
            elif outcome.incomplete:
                self._end(job, "JOB_STATE_CANCELLED", CANCELLED_ERROR)
            else:
                self._end(job, "JOB_STATE_SUCCEEDED")

    def _should_stop(self, stop: threading.Event, deadline: datetime) -> bool:
        """Return whether a run ends with the answers that it has. Raises ``BatchError`` if it must not write them."""
        if not self._started:
            raise BatchError(CANCELLED_ERROR["code"], "The service was stopped.")
        return stop.is_set() or self._clock.now() >= deadline

    def _end(self, job: _Job, state: str, error: dict[str, Any] | None = None) -> None:
        job.run = 0
        self._enter(job, state, error)
