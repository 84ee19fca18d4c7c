"""Writes a query's rows into a table in one transaction: dispositions, schema updates, the catalog entry.

https://cloud.google.com/bigquery/docs/reference/rest/v2/Job#JobConfigurationQuery (createDisposition, writeDisposition)
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
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
    columns_of,
    field_of,
    legacy_type,
    quote,
    stored_type,
)
from localcloud.bigquery.sql.pseudo_columns import PARTITION_TIME, check_column_name
from localcloud.bigquery.sql.statement import TableName
from localcloud.bigquery.tables.context import catalog_of, engine_of
from localcloud.bigquery.tables.engine import Engine
from localcloud.bigquery.tables.field_settings import rest_fields, schema_of, with_settings
from localcloud.bigquery.tables.partitions import (
    Partitions,
    layout_of_rest,
    new_layout,
    settle,
    split_decorator,
    visible_columns,
)

_LAYOUT = ("timePartitioning", "rangePartitioning", "clustering")
# Datasets of results, whose columns may have any name.
_OF_RESULTS = ("_anonymous_", "_session_")


@dataclass(frozen=True)
class Disposition:
    """How a job writes its table.

    Attributes:
        create: ``CREATE_IF_NEEDED`` or ``CREATE_NEVER``.
        write: ``WRITE_EMPTY``, ``WRITE_TRUNCATE``, ``WRITE_TRUNCATE_DATA`` or ``WRITE_APPEND``.
        updates: The ``schemaUpdateOptions``: ``ALLOW_FIELD_ADDITION``, ``ALLOW_FIELD_RELAXATION``.
        layout: ``timePartitioning``, ``rangePartitioning`` and ``clustering`` of a created table, as in the REST resource.
        redefines: Whether the layout replaces that of an existing table, as in CREATE OR REPLACE TABLE.
    """

    create: str = "CREATE_IF_NEEDED"
    write: str = "WRITE_EMPTY"
    updates: frozenset[str] = frozenset()
    layout: dict[str, Any] = field(default_factory=dict)
    redefines: bool = False

    @classmethod
    def of(cls, configuration: dict[str, Any], *, write: str = "WRITE_EMPTY") -> Disposition:
        """Return the disposition in a job's configuration.

        Args:
            configuration: The REST configuration of a query, load or copy job.
            write: The default of ``writeDisposition``.

        Raises:
            QueryError: A value is not valid, or ``schemaUpdateOptions`` are given without ``WRITE_APPEND``.
        """
        chosen = cls(
            configuration.get("createDisposition") or "CREATE_IF_NEEDED",
            configuration.get("writeDisposition") or write,
            frozenset(configuration.get("schemaUpdateOptions") or ()),
            {key: configuration[key] for key in _LAYOUT if configuration.get(key)},
        )
        if chosen.create not in ("CREATE_IF_NEEDED", "CREATE_NEVER"):
            raise QueryError(f"Invalid value for createDisposition: {chosen.create}", reason="invalid")
        if chosen.write not in ("WRITE_EMPTY", "WRITE_TRUNCATE", "WRITE_TRUNCATE_DATA", "WRITE_APPEND"):
            raise QueryError(f"Invalid value for writeDisposition: {chosen.write}", reason="invalid")
        of_partition = "$" in str((configuration.get("destinationTable") or {}).get("tableId"))
        if (
            chosen.updates
            and chosen.write != "WRITE_APPEND"
            and not (of_partition and chosen.write == "WRITE_TRUNCATE")
        ):
            raise QueryError(
                "Schema update options should only be specified with WRITE_APPEND disposition, or with WRITE_TRUNCATE "
                "disposition on a table partition.",
                reason="invalid",
            )
        return chosen


@dataclass(frozen=True)
class Source:
    """Rows to write.

    Attributes:
        sql: The DuckDB query of the rows.
        values: The values of its placeholders, or None.
        columns: The name and DuckDB type of each column.
        fields: The REST fields from a load job's schema; None derives them from ``columns``.
        once: Whether the query can run only once.
        stored: The DuckDB types of columns that differ from those of their REST types.
        check: Called when the query has run, before its rows are committed. An exception rolls them back.
        timed: Whether the query has one more column, the times of partitions by ingestion time.
    """

    sql: str
    values: list[Any] | None
    columns: tuple[tuple[str, str], ...]
    fields: tuple[Field, ...] | None = None
    once: bool = False
    stored: Mapping[str, str] = field(default_factory=dict)
    check: Callable[[], None] | None = None
    timed: bool = False

    def schema(self) -> list[Field]:
        """Return the REST fields of the rows."""
        return [dict(f) for f in self.fields] if self.fields else [field_of(*column) for column in self.columns]

    def select(self, time: str | None = None) -> str:
        """Return a query of the columns by position, each cast to the type that the table stores.

        Args:
            time: DuckDB's expression of the time of the rows' partition, or None for a table without such a column.
        """
        aliases = ", ".join(f"c{index}" for index in range(len(self.columns) + self.timed))
        declared = (dict(columns_of(self.fields)) if self.fields else {}) | dict(self.stored)
        parts = []
        for index, (name, kind) in enumerate(self.columns):
            parts.append(f"CAST(c{index} AS {declared.get(name) or stored_type(kind)}) AS {quote(name)}")
        if time is not None:
            parts.append(f"{f'c{len(self.columns)}' if self.timed else time} AS {quote(PARTITION_TIME)}")
        return f"SELECT {', '.join(parts)} FROM ({self.sql}) AS source({aliases})"


class Destinations:
    """Writes tables, with one writer at a time per table."""

    def __init__(self, context: AppContext) -> None:
        """Create the writer of the tables in ``context``."""
        self.context = context
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

    def fields(self, table: TableName) -> list[Field]:
        """Return the REST fields of a table; none if it does not exist."""
        existing = self.get(table)
        return [] if existing is None else rest_fields(existing)

    def set_columns(self, table: TableName, settings: Mapping[str, Mapping[str, object]]) -> None:
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
            new_layout(partition)
            return
        if existing.table_type != "TABLE":
            raise QueryError(
                f"{name} is not allowed for this operation because it is currently a {existing.table_type}.",
                reason="invalid",
            )
        if not disposition.redefines and existing.schema_.fields:
            _check_partitioning(name, partition, disposition, existing)
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
        row = self.engine.execute(
            f"CREATE OR REPLACE TABLE {table.quoted} AS {source.select(time)}", source.values
        ).fetchone()
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
        known = {f["name"].lower() for f in _table_to_rest(existing)["schema"]["fields"]}
        columns = [quote(name) for name, _ in source.columns]
        for name, kind in columns_of(fields):
            if name.lower() not in known:
                self.engine.execute(f"ALTER TABLE {table.quoted} ADD COLUMN {quote(name)} {kind}")
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

    def rename(self, table: TableName, name: str) -> None:
        """Give a table another name in its dataset.

        Raises:
            NotFound: The table does not exist.
            QueryError: It is not a table, or there is another one of that name.
        """
        target = TableName(table.project, table.dataset, name)
        target.check()
        with self.writing(table), self.writing(target):
            existing = self.get(table)
            if existing is None:
                raise NotFound(f"Not found: Table {table}")
            if existing.table_type != "TABLE":
                raise QueryError(
                    f"ALTER TABLE RENAME TO is not supported for {existing.table_type} {table}", reason="invalid"
                )
            if self.get(target) is not None:
                raise QueryError(f"Already Exists: Table {target}", reason="duplicate")
            self.engine.execute(f"ALTER TABLE {table.quoted} RENAME TO {quote(name)}")
            now = self.context.clock.now()
            changes = {
                "table_id": name,
                "last_modified_time": now,
                "etag": generate_etag(*target_parts(target), str(now)),
            }
            self.context.snapshots.drop_snapshots_for_table(*target_parts(table), include_user=False)
            self.context.catalog.create_table(existing.model_copy(update=changes))
            self.context.catalog.delete_table(*target_parts(table))

    def tidy(self, table: TableName) -> None:
        """Change a table that bqemulator created from SQL to our column types, and update its catalog entry."""
        existing = self.get(table)
        if existing is None or existing.table_type != "TABLE":
            return
        required = {f.name for f in existing.schema_.fields if f.mode == "REQUIRED"}
        fields = []
        for name, kind in visible_columns(self.engine, table):
            if str(duckdb.sqltype(stored_type(kind))) != kind:
                self.engine.execute(
                    f"ALTER TABLE {table.quoted} ALTER COLUMN {quote(name)} SET DATA TYPE {stored_type(kind)}"
                )
            fields.append(field_of(name, kind) | ({"mode": "REQUIRED"} if name in required else {}))
        self.register(table, fields, self.count(table), existing=existing)

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


def reject_duplicates(columns: Sequence[tuple[str, Any]]) -> None:
    """Reject a result with two columns of the same name. Raises ``QueryError``."""
    seen: set[str] = set()
    double = sorted({name for name, _ in columns if name.lower() in seen or seen.add(name.lower())})  # type: ignore[func-returns-value]
    if double:
        raise QueryError(
            f"Duplicate column names in the result are not supported when a destination table is present. Found "
            f"duplicate(s): {', '.join(double)}"
        )


def updated_schema(
    table: TableName, existing: list[Field], new: Sequence[Field], updates: frozenset[str], *, loaded: bool = True
) -> list[Field]:
    """Return the schema of a table after rows with the schema ``new`` are added.

    Args:
        table: The table, for error messages.
        existing: The fields of the table.
        new: The fields of the rows.
        updates: The ``schemaUpdateOptions`` of the job.
        loaded: Whether the rows are those of a load job, for error messages.

    Raises:
        QueryError: The rows do not fit. https://cloud.google.com/bigquery/docs/managing-table-schemas
    """
    by_name = {f["name"].lower(): f for f in new}
    fields = []
    for old in existing:
        other = by_name.pop(old["name"].lower(), None)
        mode = old.get("mode", "NULLABLE")
        if other is None:
            if mode == "REQUIRED":
                raise _mismatch(table, f"Field {old['name']} is missing in new schema")
        else:
            before, after = legacy_type(old["type"]), legacy_type(other["type"])
            if before != after:
                raise _mismatch(table, f"Field {old['name']} has changed type from {before} to {after}")
            changed = other.get("mode") or "NULLABLE"
            if changed != mode and not (mode == "NULLABLE" and changed == "REQUIRED"):
                relaxes = mode == "REQUIRED" and changed == "NULLABLE" and "ALLOW_FIELD_RELAXATION" in updates
                if not relaxes:
                    raise _mismatch(table, f"Field {old['name']} has changed mode from {mode} to {changed}")
                old = old | {"mode": "NULLABLE"}
        fields.append(old)
    for added in by_name.values():
        if "ALLOW_FIELD_ADDITION" not in updates:
            raise QueryError(
                f"Provided Schema does not match Table {table}. Cannot add fields (field: {added['name']})"
                if loaded
                else f"Invalid schema update. Cannot add fields (field: {added['name']})",
                reason="invalid",
            )
        fields.append(added | {"mode": "REPEATED" if added.get("mode") == "REPEATED" else "NULLABLE"})
    return fields


def _check_partitioning(table: TableName, partition: str | None, disposition: Disposition, existing: TableMeta) -> None:
    """Reject a job that expects another partitioning than the table has. Raises ``QueryError``."""
    partitions = Partitions.of(existing)
    given: str | None = None
    if disposition.layout.get("timePartitioning") or disposition.layout.get("rangePartitioning"):
        wanted = layout_of_rest(disposition.layout, None)
        given = Partitions(wanted["range_partitioning"] or wanted["time_partitioning"]).specification
    elif partition is not None and partitions is None:
        given = "interval(type:day)"
    expected = "none" if partitions is None else partitions.specification
    if given is not None and given.lower() != expected.lower():
        raise QueryError(
            f"Incompatible table partitioning specification. Expects partitioning specification {expected}, but input "
            f"partitioning specification is {given}",
            reason="invalid",
        )
    if partition is not None and partitions is not None:
        partitions.check_id(table, partition)


def check_layout(layout: dict[str, Any], fields: Sequence[Field]) -> None:
    """Reject a layout whose fields the schema does not have, or has with another type. Raises ``QueryError``."""
    known = {f["name"].lower() for f in fields}
    partition = (layout.get("timePartitioning") or layout.get("rangePartitioning") or {}).get("field")
    if partition and partition.lower() not in known:
        raise QueryError("The field specified for partitioning cannot be found in the schema.", reason="invalid")
    kind = next((str(f["type"]) for f in fields if partition and f["name"].lower() == partition.lower()), None)
    if kind is not None and layout.get("timePartitioning") and kind not in ("TIMESTAMP", "DATE", "DATETIME"):
        raise QueryError(
            "The field specified for time partitioning can only be of type TIMESTAMP, DATE or DATETIME. The type found is: "
            f"{kind}.",
            reason="invalid",
        )
    if kind is not None and layout.get("rangePartitioning") and kind not in ("INTEGER", "INT64"):
        raise QueryError(
            f"The field specified for range partitioning can only be of type INTEGER. The type found is: {kind}.",
            reason="invalid",
        )
    for name in (layout.get("clustering") or {}).get("fields") or ():
        if name.lower() not in known:
            raise QueryError(
                f"The field specified for clustering cannot be found in the schema. Invalid field: {name}",
                reason="invalid",
            )


def _mismatch(table: TableName, what: str) -> QueryError:
    return QueryError(f"Provided Schema does not match Table {table}. {what}", reason="invalid")
