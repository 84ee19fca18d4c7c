"""bqemulator's catalog for several threads: tables expire, and a routine is checked when it is created."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

from bqemulator.catalog.duckdb_repository import DuckDBCatalogRepository
from bqemulator.catalog.memory_repository import MemoryCatalogRepository
from bqemulator.catalog.models import PartitionMeta, RoutineMeta, TableMeta

from localcloud.base.clock import Clock
from localcloud.bigquery.javascript.functions import check_function
from localcloud.bigquery.sql.reading.statement import TableName
from localcloud.bigquery.sql.tables.pseudo_columns import Ingested
from localcloud.bigquery.tables.engine import Engine
from localcloud.bigquery.tables.partitions import Partitions
from localcloud.bigquery.tables.routines.types import standard

NEVER = datetime.max.replace(tzinfo=UTC)
"""As the expiration of a table's new entry, it takes away the one that the table has. None keeps that one."""


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
