"""Opens the database and creates bqemulator's application context around it, as bqemulator's own server does."""

from __future__ import annotations

import asyncio
import ctypes
import re
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bqemulator.api.dependencies import AppContext
from bqemulator.catalog.duckdb_repository import DuckDBCatalogRepository
from bqemulator.catalog.memory_repository import MemoryCatalogRepository
from bqemulator.catalog.models import PartitionMeta, RoutineMeta, TableMeta
from bqemulator.config import PersistenceMode, Settings
from bqemulator.domain.events import EventBus
from bqemulator.observability.metrics import MetricsRegistry
from bqemulator.row_access.policy import RowAccessPolicyManager
from bqemulator.sql import inner_query
from bqemulator.sql.rewriter.row_access_filter import rewrite_for_row_access
from bqemulator.versioning.materialized_views import hydrate_subscriptions
from bqemulator.versioning.snapshots import SnapshotManager
from bqemulator.versioning.time_travel import rewrite_for_system_time
from duckdb_extensions import import_extension
from sqlglot import exp

from localcloud.base.clock import Clock
from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.javascript.functions import check_function
from localcloud.bigquery.sql.clauses.aliases import write_out_aliases
from localcloud.bigquery.sql.clauses.joined_columns import put_joined_columns_first
from localcloud.bigquery.sql.clauses.named_windows import write_out_windows
from localcloud.bigquery.sql.clauses.repeated_columns import leave_out_repeated
from localcloud.bigquery.sql.clauses.set_operations import match_columns_by_position
from localcloud.bigquery.sql.errors import function_errors
from localcloud.bigquery.sql.functions import adjustments, casts, encoders, networks, rewriting, type_names
from localcloud.bigquery.sql.functions.formats import cast_clause, printing
from localcloud.bigquery.sql.functions.json import changes as json_changes
from localcloud.bigquery.sql.functions.json import lax as json_lax
from localcloud.bigquery.sql.functions.json import output as json_output
from localcloud.bigquery.sql.functions.json import parsing as json_parsing
from localcloud.bigquery.sql.functions.json.texts import JSON_MACROS
from localcloud.bigquery.sql.functions.numbers import arithmetic, decimals, nan
from localcloud.bigquery.sql.functions.texts import byte_patterns, byte_strings, capitals, regular_expressions, sounds
from localcloud.bigquery.sql.functions.times import format_reading, intervals
from localcloud.bigquery.sql.functions.times import texts as time_texts
from localcloud.bigquery.sql.reading.draft import Draft
from localcloud.bigquery.sql.reading.statement import TableName
from localcloud.bigquery.sql.structs import alternatives, elements
from localcloud.bigquery.sql.structs.elements import rewrite_elements
from localcloud.bigquery.sql.structs.shapes import Shape, Shapes
from localcloud.bigquery.sql.structs.stars import with_stars
from localcloud.bigquery.sql.structs.subscripts import MACROS
from localcloud.bigquery.sql.tables import lengths
from localcloud.bigquery.sql.tables.pseudo_columns import Ingested, with_pseudo_columns, without_table_suffix
from localcloud.bigquery.tables.columns import null_elements
from localcloud.bigquery.tables.engine import LOCKED_SETTINGS, MEMORY, Engine
from localcloud.bigquery.tables.partitions import Partitions
from localcloud.bigquery.tables.routines import types as routine_types
from localcloud.bigquery.tables.routines.macros import Routines
from localcloud.bigquery.tables.routines.types import standard

_M_MMAP_THRESHOLD, _MMAP_THRESHOLD = -3, 128 * 1024
# A snapshot for time travel is a copy of the table, so only small tables have snapshots.
SNAPSHOT_ROWS = 10_000
SNAPSHOTS_KEPT = 20


NEVER = datetime.max.replace(tzinfo=UTC)
"""The time of expiration that stands for none, where None stands for the one that a table has."""
_ALTER = re.compile(r"\s*ALTER\b", re.IGNORECASE)


class EmulatorClock:
    """A clock with the methods that bqemulator expects."""

    def __init__(self, clock: Clock) -> None:
        """Wrap ``clock``."""
        self._clock = clock

    def now(self) -> datetime:
        """Return the current time in UTC."""
        return self._clock.now()

    def now_ms(self) -> int:
        """Return the current time in milliseconds since 1970."""
        return int(self.now().timestamp() * 1000)


class Snapshots(SnapshotManager):
    """Time travel over the last DML changes of tables of up to ``SNAPSHOT_ROWS`` rows.

    A query with time travel reads the current rows of larger tables, and of tables written in another way since.
    """

    def capture(self, project_id: str, dataset_id: str, table_id: str, *, kind: str = "AUTO") -> Any:
        """Capture a snapshot, unless the table is too large; drop the oldest automatic snapshots."""
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

    def resolve_time_travel(self, project_id: str, dataset_id: str, table_id: str, target: datetime) -> Any:
        """Return the automatic snapshot for a time, or None for the current rows. Those of users are tables of their own."""
        found = super().resolve_time_travel(project_id, dataset_id, table_id, target)
        if found is None or found.kind == "AUTO":
            return found
        taken = self._catalog.list_snapshots_for_table(project_id, dataset_id, table_id)
        before = [each for each in taken if each.kind == "AUTO" and each.snapshot_time <= found.snapshot_time]
        return max(before, key=lambda each: each.snapshot_time, default=None)


class Catalog:
    """bqemulator's catalog with one lock around each call, because bqemulator's own is for one thread."""

    def __init__(
        self, repository: MemoryCatalogRepository | DuckDBCatalogRepository, engine: Engine, clock: EmulatorClock
    ) -> None:
        """Wrap ``repository``; ``clock`` says which tables of ``engine`` have expired."""
        self._repository = repository
        self._engine = engine
        self._clock = clock
        self._lock = threading.RLock()

    def write(self, table: TableMeta) -> None:
        """Write a table's entry to the disk only, as a part of the caller's transaction.

        Readers see the entry after ``create_table`` or ``update_table``, which have to follow after the commit.
        """
        if isinstance(self._repository, DuckDBCatalogRepository):
            self._repository._write_table(table)

    def get_table(self, project: str, dataset: str, table: str) -> TableMeta | None:
        """Return a table's entry, or None. A table that has expired is dropped."""
        with self._lock:
            found: TableMeta | None = self._repository.get_table(project, dataset, table)
        return None if found is not None and self._expire(found) else found

    def list_tables(self, project: str, dataset: str) -> tuple[TableMeta, ...]:
        """Return the entries of a dataset's tables. Tables that have expired are dropped."""
        with self._lock:
            found = tuple(self._repository.list_tables(project, dataset))
        return tuple(table for table in found if not self._expire(table))

    def create_table(self, table: TableMeta) -> TableMeta:
        """Create a table's entry, which expires after the time of its dataset unless it has an own one."""
        with self._lock:
            created: TableMeta = self._repository.create_table(self._with_expiration(table))
            return created

    def update_table(self, table: TableMeta) -> TableMeta:
        """Replace a table's entry. It keeps its time of expiration if the new entry has none; ``NEVER`` removes it."""
        with self._lock:
            existing = self._repository.get_table(table.project_id, table.dataset_id, table.table_id)
            expires = table.expiration_time
            if expires is None and existing is not None:
                expires = existing.expiration_time
            table = table.model_copy(update={"expiration_time": None if expires == NEVER else expires})
            updated: TableMeta = self._repository.update_table(table)
            return updated

    def create_routine(self, routine: RoutineMeta) -> RoutineMeta:
        """Create a routine's entry. Raises ``QueryError`` if the routine can't be carried out."""
        check_function(routine)
        with self._lock:
            created: RoutineMeta = self._repository.create_routine(standard(routine))
            return created

    def update_routine(self, routine: RoutineMeta) -> RoutineMeta:
        """Replace a routine's entry. Raises ``QueryError`` if the routine can't be carried out."""
        check_function(routine)
        with self._lock:
            updated: RoutineMeta = self._repository.update_routine(standard(routine))
            return updated

    def list_partitions(self, project: str, dataset: str, table: str) -> tuple[PartitionMeta, ...]:
        """Return the partitions of a table that have rows, for ``INFORMATION_SCHEMA.PARTITIONS``."""
        found = self.get_table(project, dataset, table)
        partitions = Partitions.of(found)
        if found is None or partitions is None:
            return tuple(self._repository.list_partitions(project, dataset, table))
        name = TableName(project, dataset, table)
        rows = self._engine.execute(
            f"SELECT {partitions.id_sql()}, count(*) FROM {name.quoted} GROUP BY ALL ORDER BY ALL"
        ).fetchall()
        return tuple(
            PartitionMeta(
                table_catalog=project,
                table_schema=dataset,
                table_name=table,
                partition_id=partition,
                total_rows=count,
                last_modified_time=found.last_modified_time,
            )
            for partition, count in rows
        )

    def ingested_table(self, name: TableName) -> Ingested | None:
        """Return a table that is partitioned by ingestion time, and None for all other names."""
        table = self.get_table(name.project, name.dataset, name.table)
        partitions = Partitions.of(table)
        if table is None or partitions is None or not partitions.ingested:
            return None
        return Ingested(partitions.unit, tuple(f.name for f in table.schema_.fields))

    def _with_expiration(self, table: TableMeta) -> TableMeta:
        dataset = self._repository.get_dataset(table.project_id, table.dataset_id)
        lifetime = None if dataset is None else dataset.default_table_expiration_ms
        if not lifetime or table.expiration_time is not None or table.table_type not in ("TABLE", "CLONE"):
            return table
        moment = self._clock.now() + timedelta(milliseconds=int(lifetime))
        return table.model_copy(update={"expiration_time": moment})

    def _expire(self, table: TableMeta) -> bool:
        """Drop a table that has expired; return whether it has."""
        if table.expiration_time is None or table.expiration_time > self._clock.now():
            return False
        kind = "VIEW" if table.table_type == "VIEW" else "TABLE"
        name = f'"{table.project_id}__{table.dataset_id}"."{table.table_id}"'
        self._engine.cursor().execute(f"DROP {kind} IF EXISTS {name}")
        self.delete_table(table.project_id, table.dataset_id, table.table_id, not_found_ok=True)
        return True

    def delete_table(self, project: str, dataset: str, table: str, *, not_found_ok: bool = False) -> None:
        """Delete a table's entry and its row access policies, which a new table of the same name does not have."""
        with self._lock:
            for policy in self._repository.list_row_access_policies(project, dataset, table):
                self._repository.delete_row_access_policy(project, dataset, table, policy.policy_id)
            self._repository.delete_table(project, dataset, table, not_found_ok=not_found_ok)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._repository, name)

        def locked(*args: Any, **options: Any) -> Any:
            with self._lock:
                return method(*args, **options)

        self.__dict__[name] = locked
        return locked


def _system_time(sql: str, project: str, snapshots: Snapshots, engine: Engine) -> str:
    """Give tables their pseudo columns before bqemulator replaces them by snapshots."""
    catalog: Any = snapshots._catalog
    return rewrite_for_system_time(
        with_pseudo_columns(sql, project, catalog.ingested_table), project, snapshots, engine
    )


def _row_access(sql: str, *, project_id: str, caller: Any, catalog: Catalog) -> str:
    """Give tables their pseudo columns that bqemulator reads in views, and UNNEST its meaning."""
    if _ALTER.match(sql) is None:  # it reads no rows, and bqemulator would put a query in place of the table
        sql = rewrite_for_row_access(sql, project_id=project_id, caller=caller, catalog=catalog)
    sql = without_table_suffix(with_pseudo_columns(sql, project_id, catalog.ingested_table))

    def shape(table: exp.Table) -> Shape | None:
        found = catalog.get_table(table.catalog or project_id, table.db, table.name)
        return None if found is None else Shape.of(tuple(found.schema_.fields))

    def columns(source: exp.Expr) -> tuple[str, ...]:
        if isinstance(source, exp.Unnest):
            found = Shapes(shape).of_element(source)
        else:
            found = shape(source) if isinstance(source, exp.Table) else None
        return () if found is None else found.names

    draft = Draft(with_stars(sql, shape))
    match_columns_by_position(draft, shape)
    write_out_aliases(draft, columns)
    put_joined_columns_first(draft)
    leave_out_repeated(draft, columns)
    write_out_windows(draft)
    rewrite_elements(draft, shape)
    return draft.text


# The first of the functions through which each statement passes.
setattr(inner_query, "rewrite_for_system_time", _system_time)  # noqa: B010  # imports of the module, not its exports
setattr(inner_query, "rewrite_for_row_access", _row_access)  # noqa: B010
setattr(inner_query, "rewrite_unnest_offset", str)  # noqa: B010  # it misses offsets in views, in functions and behind `*`


def open_context(directory: Path | None, clock: Clock, project: str) -> AppContext:
    """Open the database and return its context.

    Args:
        directory: The folder of the database; None keeps it in memory.
        clock: The clock.
        project: The project of names without one.
    """
    _return_freed_blocks()
    import_extension("spatial")
    settings = Settings(
        rest_port=0,
        grpc_port=0,
        default_project_id=project,
        persistence_mode=PersistenceMode.EPHEMERAL if directory is None else PersistenceMode.PERSISTENT,
        data_dir=directory,
        enable_format_extensions=False,  # files are read by a database of their own (`file_database.py`)
    )
    engine = Engine(settings)
    try:
        return _context(engine, settings, directory, EmulatorClock(clock))
    except BaseException:
        engine.spill.cleanup()
        raise


def _context(engine: Engine, settings: Settings, directory: Path | None, clock: EmulatorClock) -> AppContext:
    asyncio.run(engine.start())
    # Cursors do not inherit session settings, so the settings are global.
    engine.execute("SET GLOBAL TimeZone = 'UTC'")
    engine.execute(f"SET GLOBAL memory_limit = '{MEMORY}'")
    # A checkpoint on a full disk ends the use of the database, so ``Engine.checkpoint`` looks for room first.
    engine.execute("SET GLOBAL checkpoint_threshold = '1TB'")
    for functions in (
        function_errors,
        intervals,
        byte_strings,
        byte_patterns,
        capitals,
        casts,
        decimals,
        regular_expressions,
        printing,
        cast_clause,
        format_reading,
        json_output,
        json_changes,
        json_lax,
        json_parsing,
        networks,
        sounds,
        type_names,
        time_texts,
    ):
        functions.register(engine.connection)
    modules = (
        null_elements,
        routine_types,
        alternatives,
        elements,
        encoders,
        nan,
        adjustments,
        arithmetic,
        lengths,
        intervals,
        rewriting,
    )
    for macro in (*MACROS, *JSON_MACROS, *(macro for module in modules for macro in module.MACROS)):
        engine.execute(macro)
    engine.execute("SET GLOBAL temp_directory = '{}'".format(engine.spill.name.replace("'", "''")))
    for setting in LOCKED_SETTINGS:
        engine.execute(f"SET GLOBAL {setting}")
    repository = MemoryCatalogRepository(engine) if directory is None else DuckDBCatalogRepository(engine)
    if isinstance(repository, DuckDBCatalogRepository):
        repository.ensure_ready()
    catalog: Any = Catalog(repository, engine, clock)
    events = EventBus()
    udf_registry = Routines(settings)
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
    udf_registry.hydrate(repository, engine)  # reads private attributes of the repository
    hydrate_subscriptions(context)
    return context


def _return_freed_blocks() -> None:
    """Have the C library return freed blocks of DuckDB to the system immediately.

    By default, glibc raises its threshold for such blocks when a large block is freed. The blocks that it then keeps add
    up to hundreds of megabytes while tables move between memory and files. A fixed threshold prevents this:
    https://man7.org/linux/man-pages/man3/mallopt.3.html . Other C libraries have neither the call nor the behaviour.
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(_M_MMAP_THRESHOLD, _MMAP_THRESHOLD)


def close_context(context: AppContext) -> None:
    """Close the database."""
    try:
        if isinstance(context.udf_registry, Routines):
            context.udf_registry.close()
        asyncio.run(context.engine.stop())
    finally:
        engine_of(context).spill.cleanup()


def engine_of(context: AppContext) -> Engine:
    """Return the context's engine. Raises ``QueryError`` if the context is not from ``open_context``."""
    if not isinstance(context.engine, Engine):
        raise QueryError("the engine is not for several threads", reason="internalError")
    return context.engine


def catalog_of(context: AppContext) -> Catalog:
    """Return the context's catalog. Raises ``QueryError`` if the context is not from ``open_context``."""
    catalog: Any = context.catalog
    if not isinstance(catalog, Catalog):
        raise QueryError("the catalog is not for several threads", reason="internalError")
    return catalog
