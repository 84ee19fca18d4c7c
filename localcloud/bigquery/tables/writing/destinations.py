"""Writes a query's rows into a table in one transaction: dispositions, schema updates, the catalog entry.

https://cloud.google.com/bigquery/docs/reference/rest/v2/Job#JobConfigurationQuery (createDisposition, writeDisposition)
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import duckdb
from bqemulator.api.dependencies import AppContext
from bqemulator.api.routes.tables import (
    _parse_schema_fields,
    _rest_to_clustering,
    _table_to_rest,
)
from bqemulator.catalog.etag import generate_etag
from bqemulator.catalog.models import TableMeta, TableSchema
from bqemulator.domain.events import TableDataChanged

from localcloud.bigquery.base.errors import NotFound, QueryError
from localcloud.bigquery.base.schema import (
    Field,
    field_of,
    quote,
    stored_type,
)
from localcloud.bigquery.sql.reading.statement import TableName
from localcloud.bigquery.sql.tables.pseudo_columns import PARTITION_TIME, check_column_name
from localcloud.bigquery.tables.columns.field_settings import (
    definitions,
    has_settings,
    rest_fields,
    schema_of,
    with_kept_settings,
    with_settings,
)
from localcloud.bigquery.tables.context import catalog_of, engine_of
from localcloud.bigquery.tables.engine import Engine
from localcloud.bigquery.tables.partitions import (
    Partitions,
    layout_of_rest,
    new_layout,
    settle,
    split_decorator,
    visible_columns,
)
from localcloud.bigquery.tables.writing.dispositions import Disposition, Source
from localcloud.bigquery.tables.writing.schema_checks import (
    check_layout,
    check_partitioning,
    reject_duplicates,
    updated_schema,
)
from localcloud.bigquery.tables.writing.widening import widen

# Datasets of results, whose columns may have any name.
_OF_RESULTS = ("_anonymous_", "_session_")


class Destinations:
    """Writes tables, with one writer at a time per table."""

    def __init__(self, context: AppContext, is_model: Callable[[TableName], bool]) -> None:
        """Create the writer of the tables in ``context``; ``is_model`` returns whether a model has a name."""
        self.context = context
        self._is_model = is_model
        self.engine: Engine = engine_of(context)
        self._locks: defaultdict[TableName, threading.RLock] = defaultdict(threading.RLock)
        self._guard = threading.Lock()

    @contextmanager
    def writing(self, table: TableName | None) -> Iterator[None]:
        """Lock ``table`` against other writers inside the ``with`` block."""
        if table is None:
            yield
            return
        with self._guard:
            lock = self._locks[table]
        with lock:
            yield

    def get(self, table: TableName) -> TableMeta | None:
        """Return the table's metadata, or None."""
        return self.context.catalog.get_table(table.project, table.dataset, table.table)

    def reject_model(self, table: TableName) -> None:
        """Raise ``QueryError`` if a model has the name of a new table: no table of the dataset can have it."""
        if self._is_model(table):
            raise QueryError(f"Already Exists: Model {table}", reason="duplicate")

    def reject_external(self, table: TableName) -> None:
        """Raise ``QueryError`` if ``table`` is an external table, whose rows no job can write or copy."""
        existing = self.get(table)
        if existing is not None and existing.table_type == "EXTERNAL":
            raise QueryError(
                f"{table} is not allowed for this operation because it is currently an EXTERNAL table.",
                reason="invalid",
            )

    def fields(self, table: TableName) -> list[Field]:
        """Return the REST fields of a table; none if it does not exist."""
        existing = self.get(table)
        return [] if existing is None else rest_fields(existing)

    def set_columns(self, table: TableName, settings: Mapping[str, Mapping[str, Any]]) -> None:
        """Write settings of columns (see ``field_settings``) into the catalog, by the columns' names in lower case."""
        existing = self.get(table)
        if existing is not None and settings:
            self.context.catalog.update_table(with_settings(existing, settings))

    def check_target(self, table: TableName, disposition: Disposition, location: str) -> None:
        """Check before a query runs that its destination can be written.

        Args:
            table: The table, or a partition such as ``table$20260101``.
            disposition: How the job writes it.
            location: The location of the job.

        Raises:
            NotFound: The dataset does not exist in ``location``, or the table does not exist and must not be created.
            QueryError: The destination is a view, has another partitioning, is a partition that the table cannot have, or
                has rows and must be empty.
        """
        name, partition = split_decorator(table)
        dataset = self.context.catalog.get_dataset(name.project, name.dataset)
        if dataset is None:
            raise NotFound(f"Not found: Dataset {name.project}:{name.dataset}")
        if dataset.location.upper() != location.upper():
            raise NotFound(f"Not found: Dataset {name.project}:{name.dataset} was not found in location {location}")
        existing = self.get(name)
        if existing is None:
            if disposition.create == "CREATE_NEVER":
                raise NotFound(f"Not found: Table {name}")
            self.reject_model(name)
            new_layout(partition)
            return
        if existing.table_type not in (("EXTERNAL",) if disposition.external else ("TABLE", "CLONE")):
            raise QueryError(
                f"{name} is not allowed for this operation because it is currently a {existing.table_type}.",
                reason="invalid",
            )
        if not disposition.redefines and existing.schema_.fields:
            check_partitioning(name, partition, disposition, existing)
        if disposition.write == "WRITE_EMPTY" and self.count(name, partition):
            raise QueryError(f"Already Exists: Table {table}", reason="duplicate")

    def write(self, table: TableName, source: Source, disposition: Disposition, *, location: str) -> int:
        """Write the rows of ``source`` and return their number.

        Readers see all rows or none, and a failure leaves the table unchanged.

        Args:
            table: The table, or a partition such as ``table$20260101``.
            source: The rows.
            disposition: How to write them.
            location: The location of the job.

        Raises:
            QueryError: The destination can't be written (``check_target``), the schema of the rows does not fit, or a row
                belongs to another partition.
            duckdb.Error: The query failed.
        """
        reject_duplicates(source.columns)
        name, partition = split_decorator(table)
        if not name.dataset.startswith(_OF_RESULTS):
            for column, _ in source.columns:
                check_column_name(column)
        with self.writing(name):
            self.check_target(table, disposition, location)
            existing = self.get(name)
            entry, rows = self._write_rows(name, partition, source, disposition, existing)
            self._publish(entry, existing)
            return rows

    def _write_rows(
        self,
        table: TableName,
        partition: str | None,
        source: Source,
        disposition: Disposition,
        existing: TableMeta | None,
    ) -> tuple[TableMeta, int]:
        """Write the rows, and the table's entry on the disk; return the entry and the number of rows."""
        replaces = disposition.write == "WRITE_TRUNCATE" and partition is None

        def write() -> tuple[TableMeta, int]:
            with self.engine.transaction():
                if existing is None or not existing.schema_.fields or replaces:
                    entry, rows = self._replace(table, partition, source, disposition, existing)
                else:
                    entry, rows = self._insert(table, partition, source, disposition, existing)
                if source.check is not None:
                    source.check()
                catalog_of(self.context).write(entry)
                self.engine.note_written(rows)
            return entry, rows

        if source.once:
            return write()
        try:
            return self.engine.retry_conflicts(write)
        except duckdb.OutOfMemoryException:
            with self.engine.more_memory():
                return self.engine.retry_conflicts(write)

    def _replace(
        self,
        table: TableName,
        partition: str | None,
        source: Source,
        disposition: Disposition,
        existing: TableMeta | None,
    ) -> tuple[TableMeta, int]:
        layout = disposition.layout
        if existing is None and "timePartitioning" not in layout:
            layout = layout | new_layout(partition)
        check_layout(layout, source.schema())
        entry = self._entry(
            table, source.schema(), 0, layout=layout, existing=existing, redefined=disposition.redefines
        )
        partitions = Partitions.of(entry)
        ingested = partitions is not None and partitions.ingested
        time = partitions.time_of(partition) if partitions is not None and ingested else None
        if source.fields and has_settings(source.fields):
            self.engine.execute(f"CREATE OR REPLACE TABLE {table.quoted} ({definitions(source.fields)})")
            settle(self.engine, table, partitions)
            write = f"INSERT INTO {table.quoted} BY NAME"
        else:
            write = f"CREATE OR REPLACE TABLE {table.quoted} AS"
        row = self.engine.execute(f"{write} {source.select(time)}", source.values).fetchone()
        rows = int(row[0]) if row else 0
        if ingested:
            settle(self.engine, table, partitions)
        elif partition is not None:
            self._check_rows(table, partition, partitions, rows)
        return entry.model_copy(update={"num_rows": rows}), rows

    def _insert(
        self,
        table: TableName,
        partition: str | None,
        source: Source,
        disposition: Disposition,
        existing: TableMeta,
    ) -> tuple[TableMeta, int]:
        fields = [dict(f) for f in _table_to_rest(existing).get("schema", {}).get("fields", [])]
        fields = updated_schema(table, fields, source.schema(), disposition.updates, loaded=source.fields is not None)
        columns = [quote(name) for name, _ in source.columns]
        widen(self.engine, table, rest_fields(existing), fields)
        partitions = Partitions.of(existing)
        if disposition.write in ("WRITE_TRUNCATE", "WRITE_TRUNCATE_DATA"):
            self.engine.execute(f"DELETE FROM {table.quoted}{self._where(existing, partition)}")
        time = partitions.time_of(partition) if partitions is not None and partitions.ingested else None
        if time is not None:
            columns.append(quote(PARTITION_TIME))
        before = self.count(table, partition) if partition is not None else 0
        row = self.engine.execute(
            f"INSERT INTO {table.quoted} ({', '.join(columns)}) {source.select(time)}", source.values
        ).fetchone()
        rows = int(row[0]) if row else 0
        if partition is not None:
            self._check_rows(table, partition, partitions, before + rows)
        return self._entry(table, fields, self.count(table), existing=existing), rows

    def _check_rows(self, table: TableName, partition: str, partitions: Partitions | None, expected: int) -> None:
        """Reject rows that were written to a partition and belong to another one. Raises ``QueryError``."""
        if partitions is None or self.count(table, partition, partitions) != expected:
            raise QueryError(
                f"Some rows belong to different partitions rather than destination partition {partition}",
                reason="invalid",
            )

    def register(
        self,
        table: TableName,
        fields: Sequence[Field],
        rows: int,
        *,
        layout: dict[str, Any] | None = None,
        existing: TableMeta | None = None,
        description: str | None = None,
    ) -> None:
        """Create or update the catalog entry of a table that exists in DuckDB."""
        entry = self._entry(table, fields, rows, layout=layout, existing=existing, description=description)
        self._publish(entry, existing)

    def _entry(
        self,
        table: TableName,
        fields: Sequence[Field],
        rows: int,
        *,
        layout: dict[str, Any] | None = None,
        existing: TableMeta | None = None,
        description: str | None = None,
        redefined: bool = False,
    ) -> TableMeta:
        """Return a table's entry for the catalog."""
        now = self.context.clock.now()
        schema = schema_of(fields, existing)
        etag = generate_etag(table.project, table.dataset, table.table, str(now))
        if existing is not None:
            changes: dict[str, Any] = {"schema_": schema, "num_rows": rows, "last_modified_time": now, "etag": etag}
            if layout is not None:
                changes |= layout_of_rest(layout, None if redefined else existing)
                changes["clustering"] = _rest_to_clustering(layout.get("clustering"), None if redefined else existing)
            if redefined:
                changes |= {"table_type": "TABLE", "base_table": None, "snapshot_time": None}
            return existing.model_copy(update=changes)
        layout = layout or {}
        return TableMeta(
            project_id=table.project,
            dataset_id=table.dataset,
            table_id=table.table,
            table_type="TABLE",
            schema=schema,
            description=description,
            **layout_of_rest(layout, None),
            clustering=_rest_to_clustering(layout.get("clustering"), None),
            creation_time=now,
            last_modified_time=now,
            num_rows=rows,
            etag=etag,
        )

    def _publish(self, entry: TableMeta, existing: TableMeta | None) -> None:
        if existing is not None:
            self.context.catalog.update_table(entry)
        else:
            self.context.catalog.create_table(entry)
        # Otherwise time travel would read a snapshot that is older than the new rows.
        name = entry.project_id, entry.dataset_id, entry.table_id
        self.context.snapshots.drop_snapshots_for_table(*name, include_user=False)
        self.context.events.publish(TableDataChanged(*name))

    def tidy(self, table: TableName) -> None:
        """Change a table that bqemulator created from SQL to our column types, and update its catalog entry."""
        existing = self.get(table)
        if existing is None or existing.table_type not in ("TABLE", "CLONE"):
            return
        fields = []
        for name, kind in visible_columns(self.engine, table):
            if str(duckdb.sqltype(stored_type(kind))) != kind:
                self.engine.execute(
                    f"ALTER TABLE {table.quoted} ALTER COLUMN {quote(name)} SET DATA TYPE {stored_type(kind)}"
                )
            fields.append(field_of(name, kind))
        self.register(table, with_kept_settings(fields, existing), self.count(table), existing=existing)

    def describe_view(self, view: TableName, fields: Sequence[Field]) -> None:
        """Write a view's columns into the catalog."""
        existing = self.get(view)
        if existing is not None:
            schema = TableSchema(fields=_parse_schema_fields([dict(f) for f in fields]))
            self.context.catalog.update_table(existing.model_copy(update={"schema_": schema}))

    def set_layout(self, table: TableName, layout: Mapping[str, Any]) -> None:
        """Set the partitioning of an existing table in the catalog, and give or remove its hidden column.

        Args:
            table: The table.
            layout: The fields of its entry: ``time_partitioning`` and ``range_partitioning``.
        """
        existing = self.get(table)
        if existing is None:
            return
        entry = existing.model_copy(update=dict(layout))
        settle(self.engine, table, Partitions.of(entry))
        if entry != existing:
            self.context.catalog.update_table(entry)

    def count(self, table: TableName, partition: str | None = None, partitions: Partitions | None = None) -> int:
        """Return the number of rows of an existing table, or of one of its partitions.

        Args:
            table: The table.
            partition: The id of a partition, or None.
            partitions: The partitions of the table, if they differ from those in the catalog.
        """
        where = ""
        if partition is not None:
            where = (
                f" WHERE {partitions.condition(partition)}" if partitions else self._where(self.get(table), partition)
            )
        row = self.engine.execute(f"SELECT count(*) FROM {table.quoted}{where}").fetchone()
        return int(row[0]) if row else 0

    @staticmethod
    def _where(table: TableMeta | None, partition: str | None) -> str:
        partitions = Partitions.of(table)
        return "" if partition is None or partitions is None else f" WHERE {partitions.condition(partition)}"


def target_parts(table: TableName) -> tuple[str, str, str]:
    """Return the ids of a table's project, dataset and table."""
    return table.project, table.dataset, table.table
