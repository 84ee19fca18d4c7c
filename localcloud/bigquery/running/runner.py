"""Runs jobs in threads, and stops those that are cancelled or out of time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta

import duckdb

from localcloud.base.clock import Clock
from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.job.jobs import DONE, PENDING, Job
from localcloud.bigquery.sql.failures import query_error
from localcloud.bigquery.tables.engine import Engine
from localcloud.bigquery.tables.sessions import Sessions

# BigQuery runs that many interactive queries at once in a small project; the rest waits as PENDING.
WORKERS = 128
# An interrupt that meets DuckDB between two statements is lost, so it is repeated.
INTERRUPT_SECONDS = 0.02
STOP_SECONDS = 5.0


class Runner:
    """A pool of threads, each running one job on a cursor of its own."""

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        sessions: Sessions,
        work: Callable[[Job], None],
        keep: Callable[[Job], None],
    ) -> None:
        """Make the pool.

        Args:
            engine: Gives the cursors.
            clock: Tells when jobs begin, end and are out of time.
            sessions: The sessions that jobs may run in.
            work: Does what the job is there for; an exception of it becomes the job's error.
            keep: Called with a job that has ended, before anybody can see that; not for jobs that ``stop`` ended.
        """
        self._engine = engine
        self._clock = clock
        self._sessions = sessions
        self._work = work
        self._keep = keep
        self._farewell = QueryError("Job execution was cancelled: BigQuery was stopped", reason="stopped")
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="bigquery-job")
        self._watched: dict[Job, float | None] = {}
        self._unfinished: set[Job] = set()
        self._changed = threading.Condition()
        self._ended = False
        self._watcher = threading.Thread(target=self._watch, name="bigquery-job-watcher", daemon=True)

    def start(self) -> None:
        """Begin to watch for time limits and cancellations."""
        self._watcher.start()

    def stop(self) -> None:
        """End all jobs and threads. A job that ends only by this was never there: its id may be used again."""
        with self._changed:
            jobs = list(self._unfinished)
        for job in jobs:
            self._stop(job, self._farewell)
        for job in jobs:
            job.wait(STOP_SECONDS)
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def submit(self, job: Job, *, timeout_ms: int | None) -> None:
        """Run the job as soon as a thread is free, for at most ``timeout_ms`` counted from its creation."""
        with self._changed:
            self._unfinished.add(job)
        if timeout_ms:
            self._watch_for(job, timeout_ms)
        self._pool.submit(self._run, job)

    def cancel(self, job: Job) -> None:
        """Ask the job to stop; it is DONE a moment later, at once if it has not begun."""
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
        # Its cursor is never closed, but let go of: closing it would close the cursors made from it, and with them take
        # away functions that other jobs use.
        session = self._sessions.get(job.session_id)
        error: QueryError | None = None
        try:
            with session.lock:
                job.cursor = session.cursor
                with self._engine.use(session.cursor, job):
                    self._work(job)
        except BaseException as failure:  # whatever it is, the job has to end
            error = job.stop_error or query_error(failure)
            # The frames behind it hold the cursor, and the job is kept long.
            error.__traceback__ = error.__cause__ = error.__context__ = None
        finally:
            job.cursor = None
            self._finish(job, error)
            job.list_item(full=True)  # written here, so that a list of a thousand keeps nobody waiting
            with self._changed:
                self._watched.pop(job, None)
                self._unfinished.discard(job)

    def _finish(self, job: Job, error: QueryError | None) -> None:
        job.finish(self._clock.now(), error, keep=None if error is self._farewell else self._keep)

    def _watch_for(self, job: Job, timeout_ms: int | None) -> None:
        with self._changed:
            self._watched[job] = timeout_ms
            self._changed.notify_all()

    def _watch(self) -> None:
        while True:
            with self._changed:
                if self._ended:
                    return
                if not self._watched:
                    self._changed.wait()
                else:
                    self._changed.wait(INTERRUPT_SECONDS)
                watched = list(self._watched.items())
            for job, timeout_ms in watched:
                if job.state == DONE:
                    with self._changed:
                        self._watched.pop(job, None)
                elif job.stopped.is_set():
                    self._interrupt(job)
                elif timeout_ms and self._clock.now() >= job.created + timedelta(milliseconds=timeout_ms):
                    self._stop(job, QueryError(f"Job timed out after {timeout_ms} ms.", reason="timeout"))

    @staticmethod
    def _interrupt(job: Job) -> None:
        with job.lock:
            cursor = None if job.held else job.cursor
            if cursor is not None:
                with suppress(duckdb.ConnectionException):  # closed a moment ago
                    cursor.interrupt()
