"""The methods of rows: inserting them, and listing those of a table or a partition.

https://cloud.google.com/bigquery/docs/reference/rest/v2/tabledata
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
from bqemulator.catalog.models import TableMeta
from bqemulator.domain.events import TableDataChanged

from localcloud.bigquery.base.errors import NotFound, QueryError
from localcloud.bigquery.base.request_fields import check_request
from localcloud.bigquery.base.schema import (
    Field,
    arrow_schema_of,
    columns_of,
    field_of,
    quote,
)
from localcloud.bigquery.job.jobs import milliseconds
from localcloud.bigquery.rest.messages import Call, Response
from localcloud.bigquery.rest.rows import rest_rows
from localcloud.bigquery.rest.selected_fields import narrow_rows, selected
from localcloud.bigquery.rest.streamed_rows import Row, read_rows, tables_of
from localcloud.bigquery.running.service import page_token, position_of
from localcloud.bigquery.sql.reading.statement import TableName
from localcloud.bigquery.sql.tables.partition_clauses import layout_of
from localcloud.bigquery.sql.tables.pseudo_columns import PARTITION_TIME
from localcloud.bigquery.tables.files.loading import text_source
from localcloud.bigquery.tables.partitions import VISIBLE_COLUMNS, Partitions, split_decorator
from localcloud.bigquery.tables.results import AnonymousTables, RowsInMemory, RowsInTable, rows_in
from localcloud.bigquery.tables.row_access import check_all_rows
from localcloud.bigquery.tables.writing.destinations import Destinations
from localcloud.bigquery.tables.writing.dispositions import Disposition, Source

PARTITIONS_SUMMARY = "__PARTITIONS_SUMMARY__"
# https://cloud.google.com/bigquery/docs/streaming-data-into-bigquery#dataconsistency
_IDS_KEPT = timedelta(minutes=1)
# https://cloud.google.com/bigquery/docs/managing-partitioned-tables#get_partition_metadata
SUMMARY_COLUMNS = (
    ("project_id", "VARCHAR"),
    ("dataset_id", "VARCHAR"),
    ("table_id", "VARCHAR"),
    ("partition_id", "VARCHAR"),
    ("last_modified_time", "BIGINT"),
)


class RowMethods:
    """The methods of rows. They run on the calling thread."""

    def __init__(self, destinations: Destinations, anonymous: AnonymousTables) -> None:
        """Create the methods."""
        self._anonymous = anonymous
        self._destinations = destinations
        self._engine = destinations.engine
        self._catalog = destinations.context.catalog
        self._ids: dict[tuple[TableName, str], datetime] = {}
        self._ids_lock = threading.Lock()

    def check_list(self, table: TableName, user: str) -> None:
        """Raise ``QueryError`` if a table has no rows of its own, or row access policies hide some from ``user``.

        https://cloud.google.com/bigquery/docs/using-row-level-security-with-features#tabledata-list
        """
        name, _ = split_decorator(table)
        existing = self._destinations.get(name)
        if existing is not None and existing.table_type in ("EXTERNAL", "VIEW"):
            raise QueryError(f"Cannot list a table of type {existing.table_type}.", reason="invalid")
        check_all_rows(self._destinations.context, name, user)

    def insert_all(self, call: Call, names: dict[str, str]) -> Response:
        """Insert rows into a table.

        https://cloud.google.com/bigquery/docs/reference/rest/v2/tabledata/insertAll
        """
        name, partition = split_decorator(TableName(names["project"], names["dataset"], names["table"]))
        existing = self._destinations.get(name)
        if existing is None:
            raise NotFound(f"Not found: Table {name}")
        self._destinations.reject_external(name)
        time = None
        if partition is not None:
            partitions = partitions_of(self._destinations, name, partition)
            if not partitions.ingested:
                raise QueryError(
                    "Streaming to metadata partition of column based partitioning table is disallowed.",
                    reason="invalid",
                )
            time = partitions.time_of(partition)
        body = call.json()
        check_request("TableDataInsertAllRequest", body)
        given = body.get("rows") or []
        if not given:
            raise QueryError("No rows present in the request.", reason="invalid")
        if body.get("templateSuffix"):
            name = self._made_of_template(name, existing, str(body["templateSuffix"]))
        fields = self._destinations.fields(name)
        read = read_rows(
            fields, [row.get("json") or {} for row in given], ignore_unknown=bool(body.get("ignoreUnknownValues"))
        )
        if read.errors and not body.get("skipInvalidRows"):
            stopped = {"reason": "stopped", "location": "", "debugInfo": "", "message": ""}
            entries = [{"index": index, "errors": read.errors.get(index, [stopped])} for index in range(len(given))]
        else:
            entries = [{"index": index, "errors": found} for index, found in read.errors.items()]
            new = self._new_rows(name, {index: given[index].get("insertId") for index in read.rows})
            self._insert(name, fields, [read.rows[index] for index in new], time)
        response: dict[str, Any] = {"kind": "bigquery#tableDataInsertAllResponse"}
        if entries:
            response["insertErrors"] = entries
        return Response(200, response)

    def _made_of_template(self, template: TableName, existing: TableMeta, suffix: str) -> TableName:
        """Return the table with the suffix; create it like the template, unless it exists.

        https://cloud.google.com/bigquery/docs/streaming-data-into-bigquery#template-tables
        """
        name = TableName(template.project, template.dataset, template.table + suffix)
        name.check()
        with self._destinations.writing(name), self._engine.use(self._engine.cursor()):
            if self._destinations.get(name) is None:
                fields = self._destinations.fields(template)
                partitions = Partitions.of(existing)
                layout = layout_of(partitions.layout if partitions is not None else None)
                rows = Source(
                    f"SELECT {VISIBLE_COLUMNS} FROM {template.quoted} LIMIT 0",
                    None,
                    tuple(columns_of(fields)),
                    tuple(fields),
                )
                self._destinations.write(name, rows, Disposition(layout=layout), location=self._location(name))
        return name

    def _location(self, name: TableName) -> str:
        dataset = self._catalog.get_dataset(name.project, name.dataset)
        return dataset.location if dataset is not None else "US"

    def _new_rows(self, name: TableName, ids: Mapping[int, str | None]) -> list[int]:
        """Return the rows whose ``insertId`` was not used in the last minute, which is how long BigQuery remembers it."""
        now = self._destinations.context.clock.now()
        with self._ids_lock:
            self._ids = {key: used for key, used in self._ids.items() if now - used < _IDS_KEPT}
            new = []
            for index, insert_id in ids.items():
                if not insert_id or (name, insert_id) not in self._ids:
                    new.append(index)
                if insert_id:
                    self._ids[(name, insert_id)] = now
        return new

    def list_rows(self, call: Call, names: dict[str, str]) -> Response:
        """Return rows of a table, or of a partition such as ``table$20260101``.

        https://cloud.google.com/bigquery/docs/reference/rest/v2/tabledata/list
        """
        decorated = TableName(names["project"], names["dataset"], names["table"])
        name, partition = split_decorator(decorated)
        if partition == PARTITIONS_SUMMARY:
            return self._list_page(call, self._summary(name))
        if partition is not None:
            partitions_of(self._destinations, name, partition)
        elif name.dataset.startswith("_anonymous_"):
            self._anonymous.materialise(name)
        if self._destinations.get(name) is None:
            raise NotFound(f"Not found: Table {name}")
        return self._list_page(call, rows_in(self._destinations, decorated))

    def _summary(self, name: TableName) -> RowsInMemory:
        """Return the rows of ``table$__PARTITIONS_SUMMARY__``, which the client's ``list_partitions`` reads."""
        partitions_of(self._destinations, name)
        found = self._catalog.list_partitions(name.project, name.dataset, name.table)
        rows = [
            (name.project, name.dataset, name.table, each.partition_id, milliseconds(each.last_modified_time))
            for each in found
        ]
        fields = [field_of(column, kind) for column, kind in SUMMARY_COLUMNS]
        columns = list(zip(*rows, strict=True)) if rows else [()] * len(fields)
        schema = arrow_schema_of(fields)
        return RowsInMemory(
            fields, pa.table([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)
        )

    def _list_page(self, call: Call, found: RowsInTable | RowsInMemory) -> Response:
        """Return the page of rows that a call of ``tabledata.list`` asks for."""
        narrowed = selected(found.fields, call.query.get("selectedFields", ""))
        names = [f["name"] for f in narrowed]
        fields = [f for f in found.fields if f["name"] in names]
        if isinstance(found, RowsInTable):
            found = replace(found, fields=fields)
        elif names:
            found = RowsInMemory(fields, found.table.select(names))
        token, size = call.query.get("pageToken"), call.integer("maxResults")
        start = position_of(token) if token else call.integer("startIndex") or 0
        total = found.total
        page = found.page(start, 10_000 if size is None else min(size, 1_000_000))
        int64 = call.flag("formatOptions.useInt64Timestamp")
        rows = rest_rows(page, int64_timestamps=int64)
        narrow_rows(rows, fields, narrowed)
        body = {"kind": "bigquery#tableDataList", "totalRows": str(total), "rows": rows}
        if start + len(rows) < total and rows:
            body["pageToken"] = page_token(start + len(rows))
        return Response(200, body)

    def _insert(self, name: TableName, fields: list[Field], rows: list[Row], time: str | None) -> None:
        """Insert rows; ``time`` is DuckDB's expression of their partition by ingestion time, None for the default."""
        if not rows:
            return
        cursor = self._engine.cursor()
        with self._destinations.writing(name), self._engine.use(cursor), self._engine.transaction():
            for chosen, table in tables_of(fields, rows):
                cursor.register("streamed_rows", table)
                columns = ", ".join(quote(f["name"]) for f in chosen)
                select = text_source(chosen, "streamed_rows").sql
                if time is not None:
                    columns += f", {quote(PARTITION_TIME)}"
                    select = f"SELECT *, {time} FROM ({select})"
                self._engine.execute(f"INSERT INTO {name.quoted} ({columns}) {select}")
        note_change(self._destinations, name)


def partitions_of(destinations: Destinations, name: TableName, partition: str | None = None) -> Partitions:
    """Return the partitions of a table.

    Args:
        destinations: The tables.
        name: The table.
        partition: The id of a partition that the table must be able to have, or None.

    Raises:
        NotFound: The table does not exist.
        QueryError: It has no partitions, or cannot have this one.
    """
    existing = destinations.get(name)
    if existing is None:
        raise NotFound(f"Not found: Table {name}")
    partitions = Partitions.of(existing)
    if partitions is None:
        raise QueryError(
            f"Cannot read partition information from a table that is not partitioned: {name}", reason="invalid"
        )
    if partition is not None:
        partitions.check_id(name, partition)
    return partitions


def note_change(destinations: Destinations, name: TableName) -> None:
    """Drop what was kept of the rows before a change."""
    context = destinations.context
    context.snapshots.drop_snapshots_for_table(name.project, name.dataset, name.table, include_user=False)
    context.events.publish(TableDataChanged(name.project, name.dataset, name.table))
