"""Runs jobs in threads, and stops jobs that are cancelled or time out."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta

import duckdb

from localcloud.base.background import Trouble, repeat
from localcloud.base.clock import Clock, monotonic
from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.job.jobs import DONE, PENDING, Job
from localcloud.bigquery.sql.errors.failures import query_error
from localcloud.bigquery.tables.engine import Engine
from localcloud.bigquery.tables.sessions import Sessions

# As many jobs as interactive queries that BigQuery runs at once in a small project. Further jobs are PENDING.
WORKERS = 128
# DuckDB loses an interrupt between two statements, so the interrupt is repeated at this interval.
# BigQuery looks at its jobs from time to time: one with a timeout of 1 ms, which takes longer, succeeds.
SHORTEST_TIMEOUT_MS = 1000
INTERRUPT_SECONDS = 0.02
STOP_SECONDS = 5.0


class Runner:
    """A pool of threads, each of which runs one job on its own cursor."""

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        sessions: Sessions,
        work: Callable[[Job], None],
        keep: Callable[[Job], None],
    ) -> None:
        """Create the pool.

        Args:
            engine: The database engine.
            clock: The clock for start and end times and timeouts.
            sessions: The sessions that jobs may run in.
            work: Does the work of a job; an exception becomes the job's error.
            keep: Called with an ended job before its state is DONE; not for jobs that ``stop`` ended.
        """
        self._engine = engine
        self._clock = clock
        self._sessions = sessions
        self._work = work
        self._keep = keep
        self._shutdown_error = QueryError("Job execution was cancelled: BigQuery was stopped", reason="stopped")
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="bigquery-job")
        self._watched: dict[Job, float | None] = {}
        self._unfinished: set[Job] = set()
        self._changed = threading.Condition()
        self._ended = threading.Event()
        self._trouble = Trouble(logging.getLogger(__name__), "the end of a BigQuery job")
        self._watcher = threading.Thread(target=self._watch, name="bigquery-job-watcher", daemon=True)

    def start(self) -> None:
        """Start to watch for timeouts and cancellations."""
        self._watcher.start()

    def stop(self) -> None:
        """End all jobs and threads. Jobs that end here are not kept, so after a restart their ids can be used again."""
        with self._changed:
            jobs = list(self._unfinished)
        for job in jobs:
            self._stop(job, self._shutdown_error)
        deadline = monotonic() + STOP_SECONDS
        for job in jobs:
            job.wait(max(0.0, deadline - monotonic()))
        with self._changed:
            self._ended.set()
            self._changed.notify_all()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def submit(self, job: Job, *, timeout_ms: int | None) -> None:
        """Run the job when a thread is free, until ``timeout_ms`` after its creation at most."""
        with self._changed:
            self._unfinished.add(job)
        if timeout_ms:
            self._watch_for(job, timeout_ms)
        self._pool.submit(self._run, job)

    def cancel(self, job: Job) -> None:
        """Stop the job. A PENDING job is DONE immediately, a RUNNING job soon after."""
        self._stop(job, QueryError("Job execution was cancelled: User requested cancellation", reason="stopped"))

    def _stop(self, job: Job, error: QueryError) -> None:
        with job.lock:
            if job.state == DONE or job.stop_error is not None:
                return
            job.stop_error = error
            if job.held:
                return
            pending = job.state == PENDING
        job.stopped.set()
        if pending:
            self._finish(job, error)
            return
        self._interrupt(job)
        self._watch_for(job, None)

    def _run(self, job: Job) -> None:
        if not job.begin(self._clock.now()):
            with self._changed:
                self._unfinished.discard(job)
            return
        # The cursor is dropped, never closed: closing it would also close the cursors created from it, and remove
        # functions that other jobs use.
        session = self._sessions.get(job.session_id)
        error: QueryError | None = None
        try:
            with session.lock:
                job.cursor = session.cursor
                with self._engine.use(session.cursor, job):
                    self._work(job)
        except BaseException as failure:  # every failure has to end the job
            error = job.stop_error or query_error(failure)
            # The error lives as long as the job; the frames of its traceback would keep the cursor alive.
            error.__traceback__ = error.__cause__ = error.__context__ = None
        finally:
            job.cursor = None
            self._finish(job, error)
            job.list_item(full=True)  # cached here, so that listing a thousand jobs does not block other requests
            with self._changed:
                self._watched.pop(job, None)
                self._unfinished.discard(job)
        self._engine.checkpoint()

    def _finish(self, job: Job, error: QueryError | None) -> None:
        job.finish(self._clock.now(), error, keep=None if error is self._shutdown_error else self._keep_if_possible)

    def _keep_if_possible(self, job: Job) -> None:
        try:
            self._keep(job)
        except Exception as failure:  # a job must end
            self._trouble.report(failure)

    def _watch_for(self, job: Job, timeout_ms: int | None) -> None:
        with self._changed:
            self._watched[job] = timeout_ms
            self._changed.notify_all()

    def _watch(self) -> None:
        repeat(self._watch_once, trouble=self._trouble, stopped=self._ended)

    def _watch_once(self) -> None:
        with self._changed:
            if self._ended.is_set():
                return
            self._changed.wait(INTERRUPT_SECONDS if self._watched else None)
            watched = list(self._watched.items())
        for job, timeout_ms in watched:
            if job.state == DONE:
                with self._changed:
                    self._watched.pop(job, None)
            elif job.stopped.is_set():
                self._interrupt(job)
            elif timeout_ms and self._clock.now() >= job.created + timedelta(
                milliseconds=max(timeout_ms, SHORTEST_TIMEOUT_MS)
            ):
                self._stop(job, QueryError(f"Job timed out after {timeout_ms} ms.", reason="timeout"))

    @staticmethod
    def _interrupt(job: Job) -> None:
        with job.lock:
            cursor = None if job.held else job.cursor
            if cursor is not None:
                with suppress(duckdb.ConnectionException):  # closed a moment ago
                    cursor.interrupt()
