"""bqemulator's DuckDB engine for several threads: each thread has its own cursor.

bqemulator has one connection for the whole process and takes turns on it in one event loop. Here jobs run in threads, so
``connection`` is the calling thread's cursor. DuckDB isolates the cursors by snapshots (MVCC). If two transactions
conflict, the one that fails runs again.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import duckdb
from bqemulator.config import Settings
from bqemulator.storage.engine import DuckDBEngine

from localcloud.bigquery.job.job_records import record_of
from localcloud.bigquery.job.jobs import Job
from localcloud.bigquery.tables.long_rows import SmallBatches

T = TypeVar("T")

CONFLICT_SECONDS = 120.0
CHECKPOINT_BYTES = 16 << 20
"""The size of the log from which its changes are moved to the database file."""
# The memory limit of DuckDB, tables included. The rest is in files, so that ten million rows take at most 300 MB more
# than one million rows.
MEMORY = "400MB"
# The memory limit while a statement runs again that ran out of memory; one such statement runs at a time.
MORE_MEMORY = "3GB"
# Settings of a database that runs SQL of clients. External access covers files, extensions, and attached databases, and a
# locked configuration can't be changed back; ``more_memory`` changes two settings later.
# https://duckdb.org/docs/stable/operations_manual/securing_duckdb/overview
LOCKED_SETTINGS = (
    "python_enable_replacements = false",
    "autoinstall_known_extensions = false",
    "autoload_known_extensions = false",
    "allow_community_extensions = false",
    "allow_persistent_secrets = false",
    "enable_external_access = false",
    "allowed_configs = ['memory_limit', 'enable_caching_operators']",
    "lock_configuration = true",
)
# The records of jobs whose changes are in the database. A record is written in the transaction of the changes, so after
# a kill it shows which jobs that are missing in the journal have committed.
_MARKS = '"_localcloud"."changed_by"'
# A translated statement that changes rows of a table in a dataset.
_CHANGES_ROWS = re.compile(
    r'\s*(?:INSERT\s+INTO|UPDATE|DELETE\s+FROM|MERGE\s+INTO|TRUNCATE(?:\s+TABLE)?)\s+"[^"]*__[^"]*"\.', re.IGNORECASE
)


class Cancelled(Exception):
    """Raised inside a job that is stopped."""


def complete(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run one of bqemulator's coroutines to its end without an event loop.

    The coroutines wait for the write lock only, and ours (``Engine.write_lock``) does not suspend.

    Raises:
        RuntimeError: The coroutine waits for something else.
    """
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    coroutine.close()
    raise RuntimeError("a statement of the engine waited for an event loop")


class Engine(DuckDBEngine):
    """One DuckDB database with one cursor per thread.

    Attributes:
        spill: The folder to which DuckDB writes what does not fit into memory.
    """

    def __init__(self, settings: Settings) -> None:
        """Create the engine; ``start`` opens the database."""
        super().__init__(settings)
        self.spill = tempfile.TemporaryDirectory(prefix="bigquery-")
        self._threads = threading.local()
        self._making = threading.Lock()
        self._writing = threading.RLock()
        self._scarce = threading.RLock()
        self._marking = False

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """The calling thread's cursor."""
        cursor = getattr(self._threads, "cursor", None)
        if cursor is None:
            cursor = self._threads.cursor = self.cursor()
        return cursor

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """Open another cursor on the database."""
        with self._making:
            return super().connection.cursor()

    @contextmanager
    def use(self, cursor: duckdb.DuckDBPyConnection, job: Job | None = None) -> Iterator[None]:
        """Make ``cursor`` the calling thread's cursor inside the ``with`` block.

        Args:
            cursor: The cursor.
            job: The job that uses it, or None. No statement starts after the job is stopped, and committed changes are
                marked with the job's record.
        """
        before = getattr(self._threads, "cursor", None), self._job
        self._threads.cursor, self._threads.job = cursor, job
        try:
            yield
        finally:
            self._threads.cursor, self._threads.job = before

    @property
    def _job(self) -> Job | None:
        return getattr(self._threads, "job", None)

    def execute(self, sql: str, parameters: list[Any] | None = None) -> duckdb.DuckDBPyConnection:
        """Run a statement on the calling thread's cursor; run it again after a conflict or a lack of memory.

        Raises:
            Cancelled: The thread's job is stopped.
            duckdb.Error: The statement failed.
        """
        marked = self._marking and self._job is not None and not self.in_transaction and _CHANGES_ROWS.match(sql)
        run = self._change if marked else self._execute
        try:
            return run(sql, parameters)
        except duckdb.OutOfMemoryException:
            if self.in_transaction:
                raise
        with self.more_memory():
            return run(sql, parameters)

    @contextmanager
    def more_memory(self) -> Iterator[None]:
        """Raise DuckDB's memory limit inside the ``with`` block, which one thread at a time can enter.

        The thread's statements read tables with long rows in small batches there.
        """
        with self._scarce:
            self.connection.execute(f"SET GLOBAL memory_limit = '{MORE_MEMORY}'")
            # These operators would collect small batches until they have 2,048 rows.
            self.connection.execute("SET enable_caching_operators = false")
            self._threads.batches = SmallBatches(self.connection, self.cursor)
            try:
                yield
            finally:
                self._threads.batches = None
                # DuckDB refuses a limit below the memory in use. The limit then stays until the next such block ends.
                with suppress(duckdb.OutOfMemoryException):
                    self.cursor().execute(f"SET GLOBAL memory_limit = '{MEMORY}'")

    def _execute(self, sql: str, parameters: list[Any] | None) -> duckdb.DuckDBPyConnection:
        batches: SmallBatches | None = getattr(self._threads, "batches", None)
        if batches is not None:
            sql = batches.rewritten(sql)
        return self.retry_conflicts(lambda: super(Engine, self).execute(sql, parameters))

    def _change(self, sql: str, parameters: list[Any] | None) -> duckdb.DuckDBPyConnection:
        """Run a statement that changes rows in one transaction with its job's mark."""
        job = self._job
        assert job is not None
        before = job.written or 0

        def change() -> int:
            with self.transaction():
                row = self._execute(sql, parameters).fetchone()
                count = int(row[0]) if row else 0
                job.written = before + count
            return count

        # The cursor now holds the result of COMMIT; callers read the number of changed rows.
        return super().execute('SELECT CAST(? AS BIGINT) AS "Count"', [self.retry_conflicts(change)])

    def retry_conflicts(self, work: Callable[[], T]) -> T:
        """Return the result of ``work``; call it again if it conflicts with another transaction.

        Raises:
            Cancelled: The thread's job is stopped.
        """
        deadline = time.monotonic() + CONFLICT_SECONDS
        pause = 0.002
        while True:
            job = self._job
            if job is not None and job.stopped.is_set():
                raise Cancelled
            try:
                return work()
            except (duckdb.TransactionException, duckdb.ConstraintException) as error:
                if not is_conflict(error) or time.monotonic() > deadline or self.in_transaction:
                    raise
            time.sleep(pause)
            pause = min(pause * 1.6, 0.25)

    @property
    def in_transaction(self) -> bool:
        """Whether the calling thread is inside ``transaction``, which is repeated as a whole or not at all."""
        return bool(getattr(self._threads, "transaction", False))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Run the ``with`` block as one transaction; an exception rolls it back.

        A job that is stopped before the commit changes nothing. During and after the commit it can't be stopped, so a
        job whose changes are in the database never ends as cancelled. A script can be stopped again after the commit.

        Raises:
            Cancelled: The thread's job is stopped.
        """
        self.execute("BEGIN")
        self._threads.transaction = True
        job = self._job
        try:
            yield
            if job is not None:
                if not job.hold():
                    raise Cancelled
                self._mark(job)
            self.connection.execute("COMMIT")
        except BaseException:
            with suppress(duckdb.TransactionException):  # a failed COMMIT has already rolled back
                self.connection.execute("ROLLBACK")
            if job is not None:
                job.release()
            raise
        finally:
            self._threads.transaction = False
        if job is not None and job.scripted:
            job.release()

    def reject_stopped(self) -> None:
        """Raise ``Cancelled`` if the thread's job is stopped."""
        if self._job is not None and self._job.stopped.is_set():
            raise Cancelled

    def note_written(self, rows: int) -> None:
        """Note the number of rows that the thread's job writes in this transaction."""
        if self._job is not None:
            self._job.written = rows

    def checkpoint(self) -> None:
        """Move the changes from the log file to the database file, if the log is long and the disk has room for that.

        DuckDB does so itself by default. But if the disk is full then, it accepts no statement until the next start.
        https://duckdb.org/docs/stable/sql/statements/checkpoint
        """
        log = Path(f"{self._resolve_path()}.wal")
        try:
            size = log.stat().st_size
            room = shutil.disk_usage(log.parent).free
        except OSError:  # there is no log, or no file at all
            return
        if size > CHECKPOINT_BYTES and room > 2 * size + CHECKPOINT_BYTES:
            with suppress(duckdb.TransactionException):  # another transaction is open; a later job tries again
                self.cursor().execute("CHECKPOINT")

    def start_marking(self) -> list[dict[str, Any]]:
        """Mark the changes of jobs from now on; return the marks of an earlier process, which are the jobs' records."""
        self.execute('CREATE SCHEMA IF NOT EXISTS "_localcloud"')
        self.execute(f"CREATE TABLE IF NOT EXISTS {_MARKS} (record VARCHAR)")
        self._marking = True
        return [json.loads(record) for (record,) in self.execute(f"SELECT record FROM {_MARKS}").fetchall()]

    def clear_marks(self) -> None:
        """Delete the marks of an earlier process."""
        self.execute(f"DELETE FROM {_MARKS}")

    def _mark(self, job: Job) -> None:
        if self._marking:
            self.connection.execute(f"INSERT INTO {_MARKS} VALUES (?)", [json.dumps(record_of(job))])

    @asynccontextmanager
    async def write_lock(self) -> AsyncIterator[None]:
        """Hold the lock that bqemulator takes around short writes. It locks threads, so it never suspends a coroutine."""
        with self._writing:
            yield


def is_conflict(error: Exception) -> bool:
    """Return whether a DuckDB error means that two transactions collided."""
    return isinstance(error, duckdb.TransactionException) and "onflict" in str(error)
