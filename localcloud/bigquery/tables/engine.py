"""bqemulator's DuckDB engine, made fit for threads: every thread has a cursor of its own.

bqemulator keeps one connection for the whole process and relies on one event loop to take turns on it. Here jobs run in
threads, so ``connection`` answers with the calling thread's cursor. DuckDB keeps the cursors apart by snapshots (MVCC);
where two transactions collide, the one that lost is run again.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import re
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import duckdb
from bqemulator.api.dependencies import AppContext
from bqemulator.catalog.duckdb_repository import DuckDBCatalogRepository
from bqemulator.catalog.memory_repository import MemoryCatalogRepository
from bqemulator.catalog.models import TableMeta
from bqemulator.config import PersistenceMode, Settings
from bqemulator.domain.events import EventBus
from bqemulator.observability.metrics import MetricsRegistry
from bqemulator.row_access.policy import RowAccessPolicyManager
from bqemulator.storage.engine import DuckDBEngine
from bqemulator.udf.runtime import UDFRegistry
from bqemulator.versioning.materialized_views import hydrate_subscriptions
from bqemulator.versioning.snapshots import SnapshotManager
from duckdb_extensions import import_extension

from localcloud.base.clock import Clock
from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.job.job_records import record_of
from localcloud.bigquery.job.jobs import Job
from localcloud.bigquery.sql.subscripts import MACROS

T = TypeVar("T")

CONFLICT_SECONDS = 120.0
_M_MMAP_THRESHOLD, _MMAP_THRESHOLD = -3, 128 * 1024
# What DuckDB keeps in memory, tables included; the rest lies in files, so that ten million rows take no more than 300 MB
# beyond what one million take.
MEMORY = "400MB"
# What one statement at a time may take that can't do with that.
MORE_MEMORY = "3GB"
# A snapshot for time travel is a copy of the table: only small ones are worth it.
SNAPSHOT_ROWS = 10_000
SNAPSHOTS_KEPT = 20
# Jobs whose changes are in the database: written in the transaction of the changes, so that it tells after a kill what
# became of a job that is not in the journal.
_MARKS = '"_localcloud"."changed_by"'
# A statement that changes rows of a dataset's table, as the translation writes it.
_CHANGES_ROWS = re.compile(
    r'\s*(?:INSERT\s+INTO|UPDATE|DELETE\s+FROM|MERGE\s+INTO|TRUNCATE(?:\s+TABLE)?)\s+"[^"]*__[^"]*"\.', re.IGNORECASE
)


class Cancelled(Exception):
    """Raised inside a job that was told to stop."""


def complete(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run one of bqemulator's coroutines to its end, here and now.

    They are declared ``async`` but wait for nothing except the write lock, and ours does not suspend: no event loop is
    needed. Raises ``RuntimeError`` should one ever wait for something else.
    """
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    coroutine.close()
    raise RuntimeError("a statement of the engine waited for an event loop")


class Engine(DuckDBEngine):
    """One DuckDB database, a cursor per thread."""

    def __init__(self, settings: Settings) -> None:
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
        """Make ``cursor`` the calling thread's own for a while, on behalf of ``job``.

        Nothing new is begun on it once the job is stopped, and what it changes is marked as the job's.
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
        """Run a statement on the calling thread's cursor, again if another transaction or lack of memory got in its way.

        Raises:
            Cancelled: The thread's job was told to stop.
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
        """Let DuckDB take more memory while what is inside runs, one at a time."""
        with self._scarce:
            self.connection.execute(f"SET GLOBAL memory_limit = '{MORE_MEMORY}'")
            try:
                yield
            finally:
                with suppress(
                    duckdb.OutOfMemoryException
                ):  # what is in use can't be taken back; the next one tries again
                    self.cursor().execute(f"SET GLOBAL memory_limit = '{MEMORY}'")

    def _execute(self, sql: str, parameters: list[Any] | None) -> duckdb.DuckDBPyConnection:
        return self.again(lambda: super(Engine, self).execute(sql, parameters))

    def _change(self, sql: str, parameters: list[Any] | None) -> duckdb.DuckDBPyConnection:
        """Run a statement that changes rows, in one transaction with its job's mark."""
        job = self._job
        assert job is not None
        before = job.written or 0

        def change() -> int:
            with self.transaction():
                row = self._execute(sql, parameters).fetchone()
                count = int(row[0]) if row else 0
                job.written = before + count
            return count

        # What the statement answered, in the place of what COMMIT did.
        return super().execute('SELECT CAST(? AS BIGINT) AS "Count"', [self.again(change)])

    def again(self, work: Callable[[], T]) -> T:
        """Return what ``work`` returns; where another transaction gets in the way of it, it is done again.

        Raises:
            Cancelled: The thread's job was told to stop.
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
        """Whether the calling thread has begun a transaction of its own, which is repeated as a whole or not at all."""
        return bool(getattr(self._threads, "transaction", False))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Run what is inside as one transaction: all of it, or on an exception nothing.

        A job that was stopped before the end of it changes nothing; from then on it is not stopped any more, and so
        never says that it was although its changes are there. Only a script goes on to a next step.

        Raises:
            Cancelled: The thread's job was told to stop.
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

    def wrote(self, rows: int) -> None:
        """Note how many rows the thread's job writes in this transaction."""
        if self._job is not None:
            self._job.written = rows

    def begin_marks(self) -> list[dict[str, Any]]:
        """Mark from now on what jobs change; return the marks of an earlier process, as the jobs' records."""
        self.execute('CREATE SCHEMA IF NOT EXISTS "_localcloud"')
        self.execute(f"CREATE TABLE IF NOT EXISTS {_MARKS} (record VARCHAR)")
        self._marking = True
        return [json.loads(record) for (record,) in self.execute(f"SELECT record FROM {_MARKS}").fetchall()]

    def clear_marks(self) -> None:
        """Forget the marks of an earlier process."""
        self.execute(f"DELETE FROM {_MARKS}")

    def _mark(self, job: Job) -> None:
        if self._marking:
            self.connection.execute(f"INSERT INTO {_MARKS} VALUES (?)", [json.dumps(record_of(job))])

    @asynccontextmanager
    async def write_lock(self) -> AsyncIterator[None]:
        """bqemulator's lock around short writes; between threads, so it never suspends a coroutine."""
        with self._writing:
            yield


def is_conflict(error: Exception) -> bool:
    """Return whether a DuckDB error means that two transactions collided."""
    return isinstance(error, duckdb.TransactionException) and "onflict" in str(error)


class Snapshots(SnapshotManager):
    """Time travel over the last changes by DML of tables of up to ``SNAPSHOT_ROWS`` rows.

    Larger tables, and those that were written in another way since, are read as they are now.
    """

    def capture(self, project_id: str, dataset_id: str, table_id: str, *, kind: str = "AUTO") -> Any:
        if kind == "AUTO":
            count = self._engine.execute(f'SELECT count(*) FROM "{project_id}__{dataset_id}"."{table_id}"').fetchone()
            if count is not None and count[0] > SNAPSHOT_ROWS:
                self.drop_snapshots_for_table(project_id, dataset_id, table_id, include_user=False)
                return None
        captured = super().capture(project_id, dataset_id, table_id, kind=kind)
        kept = [s for s in self._catalog.list_snapshots_for_table(project_id, dataset_id, table_id) if s.kind == "AUTO"]
        for old in sorted(kept, key=lambda snapshot: snapshot.snapshot_time)[:-SNAPSHOTS_KEPT]:
            self.drop_snapshot(old)
        return captured


class Catalog:
    """bqemulator's catalog with one lock around every call, because it was made for one thread."""

    def __init__(self, repository: MemoryCatalogRepository | DuckDBCatalogRepository) -> None:
        self._repository = repository
        self._lock = threading.RLock()

    def write(self, table: TableMeta) -> None:
        """Write a table's entry to the disk alone, as a part of the caller's transaction.

        Nobody sees it before ``create_table`` or ``update_table``, which have to follow when that is committed.
        """
        if isinstance(self._repository, DuckDBCatalogRepository):
            self._repository._write_table(table)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._repository, name)

        def locked(*args: Any, **options: Any) -> Any:
            with self._lock:
                return method(*args, **options)

        self.__dict__[name] = locked
        return locked


def open_context(directory: Path | None, clock: Clock, project: str) -> AppContext:
    """Open the database and put bqemulator's parts together around it, as its own server does.

    Args:
        directory: Where the database lives; None keeps it in memory.
        clock: What tells the time to bqemulator.
        project: The project of names that leave it out.
    """
    _return_freed_blocks()
    for extension in ("spatial", "avro"):
        import_extension(extension)
    settings = Settings(
        rest_port=0,
        grpc_port=0,
        default_project_id=project,
        persistence_mode=PersistenceMode.EPHEMERAL if directory is None else PersistenceMode.PERSISTENT,
        data_dir=directory,
    )
    engine = Engine(settings)
    try:
        return _opened(engine, settings, directory, clock)
    except BaseException:
        engine.spill.cleanup()
        raise


def _opened(engine: Engine, settings: Settings, directory: Path | None, clock: Clock) -> AppContext:
    asyncio.run(engine.start())
    # Session settings are not handed on to cursors.
    engine.execute("SET GLOBAL TimeZone = 'UTC'")
    # Else a name that is no table's would be looked for among the variables of this program.
    engine.execute("SET GLOBAL python_enable_replacements = false")
    engine.execute(f"SET GLOBAL memory_limit = '{MEMORY}'")
    for macro in MACROS:
        engine.execute(macro)
    engine.execute("SET GLOBAL temp_directory = '{}'".format(engine.spill.name.replace("'", "''")))
    repository = MemoryCatalogRepository(engine) if directory is None else DuckDBCatalogRepository(engine)
    if isinstance(repository, DuckDBCatalogRepository):
        repository.ensure_ready()
    catalog: Any = Catalog(repository)
    events = EventBus()
    udf_registry = UDFRegistry(settings)
    context = AppContext(
        settings=settings,
        clock=clock,
        engine=engine,
        catalog=catalog,
        metrics=MetricsRegistry(),
        events=events,
        udf_registry=udf_registry,
        snapshots=Snapshots(engine, catalog, clock, events, retention_days=settings.time_travel_retention_days),
        row_access=RowAccessPolicyManager(catalog=catalog, clock=clock),
    )
    udf_registry.hydrate(repository, engine)  # looks inside the repository for the datasets
    hydrate_subscriptions(context)
    return context


def _return_freed_blocks() -> None:
    """Have the C library give DuckDB's blocks back to the system as they are freed.

    It learns from the first large block that is freed to keep such blocks, and their pieces add up to hundreds of
    megabytes while tables move between memory and files. With a threshold set it no longer learns:
    https://man7.org/linux/man-pages/man3/mallopt.3.html . Other systems' libraries have no such call, nor the habit.
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(_M_MMAP_THRESHOLD, _MMAP_THRESHOLD)


def close_context(context: AppContext) -> None:
    """Close the database."""
    try:
        asyncio.run(context.engine.stop())
    finally:
        engine_of(context).spill.cleanup()


def engine_of(context: AppContext) -> Engine:
    """Return the context's engine, which is always ours. Raises ``QueryError`` if it is not."""
    if not isinstance(context.engine, Engine):
        raise QueryError("the engine is not one for threads", reason="internalError")
    return context.engine
