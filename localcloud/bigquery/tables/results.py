"""The results of queries: small ones in memory, large ones and destination tables in DuckDB.

A query without a destination writes to an anonymous table in a hidden dataset, as in BigQuery
(https://cloud.google.com/bigquery/docs/cached-results). A small result becomes a table only when a client reads the
table; the rows of the job are read from memory.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa
from bqemulator.catalog.models import DatasetMeta

from localcloud.bigquery.base.errors import NotFound
from localcloud.bigquery.base.schema import (
    Field,
    columns_of,
    field_of,
    quote,
    unique_names,
)
from localcloud.bigquery.job.jobs import JobKey, Rows
from localcloud.bigquery.sql.reading.statement import TableName
from localcloud.bigquery.tables.columns.null_elements import reject_null_elements
from localcloud.bigquery.tables.engine import Engine
from localcloud.bigquery.tables.partitions import Partitions, split_decorator, visible_columns
from localcloud.bigquery.tables.writing.destinations import Destinations
from localcloud.bigquery.tables.writing.dispositions import Disposition, Source

# Results of up to this number of rows stay in memory.
ROWS_IN_MEMORY = 20_000
BYTES_KEPT = 256 * 1024 * 1024
RESULTS_KEPT = 2000
TABLES_KEPT = 500
# Results and the temporary tables of sessions, which do not survive a restart.
HIDDEN_DATASETS = ("_anonymous_", "_session_")
_BATCH = 32_768
_ANONYMOUS = re.compile(r"(_anonymous_\w+)`?\.`?(anon[0-9a-f]+)")


@dataclass(frozen=True)
class RowsInMemory:
    """A result in memory, as an Arrow table."""

    fields: list[Field]
    table: pa.Table

    @property
    def total(self) -> int:
        """The number of rows."""
        return int(self.table.num_rows)

    @property
    def small(self) -> bool:
        """Whether the result has at most 500 values."""
        return self.total * max(1, int(self.table.num_columns)) <= 500

    def page(self, start: int, size: int) -> pa.Table:
        """Return up to ``size`` rows from row ``start`` on."""
        return self.table.slice(start, size) if self.table.num_columns else self.table


@dataclass(frozen=True)
class RowsInTable:
    """A result in a DuckDB table.

    Attributes:
        fields: The REST schema of the rows.
        engine: The engine.
        name: The table.
        where: DuckDB's WHERE clause for the rows of one partition, or an empty string.
        small: Whether the result has few values.
    """

    fields: list[Field]
    engine: Engine
    name: TableName
    where: str = ""
    small: bool = False

    @property
    def total(self) -> int:
        """The number of rows that the table has now."""
        row = self.engine.execute(f"SELECT count(*) FROM {self.name.quoted}{self.where}").fetchone()
        return int(row[0]) if row else 0

    def page(self, start: int, size: int) -> pa.Table:
        """Return up to ``size`` rows from row ``start`` on."""
        columns = ", ".join(quote(f["name"]) for f in self.fields) or "*"
        return self.engine.fetch_arrow(
            f"SELECT {columns} FROM {self.name.quoted}{self.where} LIMIT {size} OFFSET {start}"
        )


@dataclass(frozen=True)
class KeptRows:
    """A small result of an anonymous table, which newer results may displace."""

    name: TableName
    keeper: AnonymousTables

    @property
    def rows(self) -> RowsInMemory:
        """The rows. Raises ``NotFound`` if newer results have displaced them."""
        return self.keeper.kept(self.name)

    @property
    def fields(self) -> list[Field]:
        """The REST schema of the rows."""
        return self.rows.fields

    @property
    def total(self) -> int:
        """The number of rows."""
        return self.rows.total

    @property
    def small(self) -> bool:
        """Whether the result has at most 500 values."""
        return self.rows.small

    def page(self, start: int, size: int) -> pa.Table:
        """Return up to ``size`` rows from row ``start`` on. Raises ``NotFound``."""
        return self.rows.page(start, size)


def rows_in(destinations: Destinations, name: TableName) -> RowsInTable:
    """Return the rows of a table, or of a partition such as ``table$20260101``."""
    table, partition = split_decorator(name)
    fields = [field_of(*column) for column in visible_columns(destinations.engine, table)]
    partitions = Partitions.of(destinations.get(table))
    where = "" if partition is None or partitions is None else f" WHERE {partitions.condition(partition)}"
    return RowsInTable(fields, destinations.engine, table, where)


NO_ROWS = RowsInMemory([], pa.table({}))


class AnonymousTables:
    """The hidden tables of queries without a destination. The oldest are dropped when there are too many."""

    def __init__(self, destinations: Destinations) -> None:
        """Start without results."""
        self._destinations = destinations
        self._engine = destinations.engine
        self._lock = threading.Lock()
        self._small: OrderedDict[TableName, RowsInMemory] = OrderedDict()
        self._locations: dict[str, str] = {}
        self._bytes = 0
        self._tables: OrderedDict[TableName, str] = OrderedDict()

    def clear(self) -> None:
        """Drop the anonymous tables and session tables of an earlier process."""
        context = self._destinations.context
        for dataset in context.catalog.list_all_datasets():
            if dataset.dataset_id.startswith(HIDDEN_DATASETS):
                self._engine.execute(f'DROP SCHEMA IF EXISTS "{dataset.project_id}__{dataset.dataset_id}" CASCADE')
                context.catalog.delete_dataset(dataset.project_id, dataset.dataset_id, delete_contents=True)

    def name_for(self, key: JobKey) -> TableName:
        """Return the name of a job's anonymous table."""
        dataset = "_anonymous_" + "".join(c if c.isalnum() else "_" for c in key.location.lower())
        self._locations[dataset] = key.location
        return TableName(key.project, dataset, "anon" + hashlib.sha256(str(key).encode()).hexdigest()[:40])

    def keep(self, name: TableName, sql: str, values: list[Any] | None, names: list[str] | None, location: str) -> Rows:
        """Run a query and keep its rows under ``name``.

        Args:
            name: The name of the anonymous table.
            sql: The query in DuckDB's SQL.
            values: The values of its placeholders, or None.
            names: The names of the columns; None for DuckDB's names.
            location: The location of the table.
        """
        try:
            return self._keep(name, sql, values, names, location)
        except (duckdb.OutOfMemoryException, OSError) as error:
            # The query runs while its rows are read, and Arrow passes its errors on as text.
            if "Out of Memory" not in str(error):
                raise
        with self._engine.more_memory():
            return self._keep(name, sql, values, names, location)

    def _keep(
        self, name: TableName, sql: str, values: list[Any] | None, names: list[str] | None, location: str
    ) -> Rows:
        cursor = self._engine.execute(sql, values)
        description = cursor.description or []
        found = unique_names(names or [str(column[0]) for column in description])
        columns = tuple((name, str(column[1])) for name, column in zip(found, description, strict=True))
        reader = cursor.to_arrow_reader(_BATCH)
        first: list[pa.RecordBatch] = []
        for batch in reader:
            reject_null_elements(batch, found)
            first.append(batch)
            if sum(seen.num_rows for seen in first) > ROWS_IN_MEMORY:
                return self._spill(name, columns, first, reader, location)
        table = pa.Table.from_batches(first, reader.schema)
        fields = [field_of(*column) for column in columns]
        return self.hold(name, RowsInMemory(fields, _annotated(table, columns)))

    def _spill(
        self,
        name: TableName,
        columns: tuple[tuple[str, str], ...],
        first: list[pa.RecordBatch],
        rest: pa.RecordBatchReader,
        location: str,
    ) -> Rows:
        """Write the first batches and the rest of the stream into a table while the query still runs."""

        def batches() -> Iterator[pa.RecordBatch]:
            yield from first
            first.clear()
            for batch in rest:
                reject_null_elements(batch, [name for name, _ in columns])
                yield batch

        reader = pa.RecordBatchReader.from_batches(rest.schema, batches())
        writer = self._engine.cursor()
        try:
            writer.register("query_result", reader)
            with self._engine.use(writer):
                self._write(name, Source("SELECT * FROM query_result", None, columns, once=True), location)
        finally:
            writer.close()
        return RowsInTable([field_of(*column) for column in columns], self._engine, name)

    def hold(self, name: TableName, rows: RowsInMemory) -> KeptRows:
        """Keep a small result in memory; displace the oldest results if there are too many."""
        with self._lock:
            self._small[name] = rows
            self._bytes += rows.table.nbytes
            while (self._bytes > BYTES_KEPT or len(self._small) > RESULTS_KEPT) and len(self._small) > 1:
                _, old = self._small.popitem(last=False)
                self._bytes -= old.table.nbytes
        return KeptRows(name, self)

    def kept(self, name: TableName) -> RowsInMemory:
        """Return a small result. Raises ``NotFound`` if newer results have displaced it."""
        with self._lock:
            rows = self._small.get(name)
        if rows is None:
            raise NotFound(f"Not found: Table {name}")
        return rows

    def materialise_mentioned(self, sql: str) -> None:
        """Create the tables of the small results that a statement reads."""
        if "_anonymous_" in sql:
            for dataset, table in set(_ANONYMOUS.findall(sql)):
                for name in [name for name in list(self._small) if (name.dataset, name.table) == (dataset, table)]:
                    self.materialise(name)

    def materialise(self, name: TableName) -> None:
        """Create the table of a small result, if ``name`` is one and its table does not exist."""
        with self._lock:
            rows = self._small.get(name)
            if rows is None or name in self._tables:
                return
        with self._destinations.writing(name):
            if self._destinations.get(name) is not None:
                return
            columns = tuple(zip(rows.table.column_names, (kind for _, kind in columns_of(rows.fields)), strict=True))
            cursor = self._engine.cursor()
            try:
                cursor.register("query_result", rows.table)
                select = ", ".join(quote(column) for column in rows.table.column_names)
                with self._engine.use(cursor):
                    location = self._locations.get(name.dataset, "US")
                    self._write(name, Source(f"SELECT {select} FROM query_result", None, columns), location)
            finally:
                cursor.close()

    def _write(self, name: TableName, source: Source, location: str) -> None:
        self.ensure_dataset(name.project, name.dataset, location)
        self._destinations.write(name, source, Disposition(write="WRITE_TRUNCATE"), location=location)
        with self._lock:
            self._tables[name] = location
            gone = [self._tables.popitem(last=False)[0] for _ in range(len(self._tables) - TABLES_KEPT)]
        for old in gone:
            self._engine.execute(f"DROP TABLE IF EXISTS {old.quoted}")
            self._destinations.context.catalog.delete_table(old.project, old.dataset, old.table, not_found_ok=True)

    def ensure_dataset(self, project: str, dataset: str, location: str) -> None:
        """Create a dataset, unless it exists."""
        context = self._destinations.context
        with self._lock:
            if context.catalog.get_dataset(project, dataset) is not None:
                return
            self._engine.execute(f'CREATE SCHEMA IF NOT EXISTS "{project}__{dataset}"')
            now = context.clock.now()
            context.catalog.create_dataset(
                DatasetMeta(
                    project_id=project,
                    dataset_id=dataset,
                    location=location,
                    creation_time=now,
                    last_modified_time=now,
                    etag=f"{project}-{dataset}",
                )
            )


def _annotated(table: pa.Table, columns: tuple[tuple[str, str], ...]) -> pa.Table:
    """Return the table with the columns' names, and DuckDB's types in the metadata from which bqemulator writes REST rows."""
    fields = [
        field.with_name(name).with_metadata((field.metadata or {}) | {b"bqemu.duckdb_type": kind.encode()})
        for field, (name, kind) in zip(table.schema, columns, strict=True)
    ]
    return pa.table(table.columns, schema=pa.schema(fields)) if fields else table
