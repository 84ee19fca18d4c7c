"""The tables for other local services: schemas, and rows as Python values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

import pyarrow as pa
from bqemulator.api.routes.tables import _table_to_rest

from localcloud.bigquery.base.errors import NotFound
from localcloud.bigquery.base.intervals import written
from localcloud.bigquery.base.schema import (
    Field,
    arrow_schema_of,
    batches_of,
    legacy_type,
    select_rows,
)
from localcloud.bigquery.sql.reading.statement import TableName
from localcloud.bigquery.tables.partitions import VISIBLE_COLUMNS
from localcloud.bigquery.tables.results import AnonymousTables
from localcloud.bigquery.tables.writing.destinations import Destinations
from localcloud.bigquery.tables.writing.dispositions import Disposition, Source

# A row may have megabytes.
_READ_ROWS = 64


def _name(table: str) -> TableName:
    parts = table.split(".")
    if len(parts) != 3:
        raise NotFound(f"Not found: Table {table} (a name is project.dataset.table)")
    return TableName(*parts)


class Tables:
    """The tables of the local BigQuery, by names of the form ``project.dataset.table``. Any thread can use it."""

    def __init__(self, destinations: Destinations, anonymous: AnonymousTables) -> None:
        """Create the facade."""
        self._destinations = destinations
        self._anonymous = anonymous
        self._engine = destinations.engine

    def schema(self, table: str) -> list[Field]:
        """Return the REST ``TableFieldSchema`` of each column of a table. Raises ``NotFound``."""
        name = _name(table)
        meta = self._destinations.get(name)
        if meta is None:
            raise NotFound(f"Not found: Table {name}")
        return list(_table_to_rest(meta).get("schema", {}).get("fields", []))

    def created(self, table: str) -> datetime | None:
        """Return when a table was created, or None if it does not exist."""
        meta = self._destinations.get(_name(table))
        return None if meta is None else meta.creation_time

    def count(self, table: str) -> int:
        """Return the number of rows of a table. Raises ``NotFound``."""
        self.schema(table)
        cursor = self._engine.cursor()
        try:
            row = cursor.execute(f"SELECT count(*) FROM {_name(table).quoted}").fetchone()
            return int(row[0]) if row else 0
        finally:
            cursor.close()

    def decimal_types(self, table: str) -> dict[str, str]:
        """Return the DuckDB type of each NUMERIC and BIGNUMERIC column of a table, for ``write``. Raises ``NotFound``."""
        self.schema(table)
        cursor = self._engine.cursor()
        try:
            columns = cursor.execute(f"DESCRIBE SELECT {VISIBLE_COLUMNS} FROM {_name(table).quoted}").fetchall()
        finally:
            cursor.close()
        return {str(name): str(kind) for name, kind, *_ in columns if str(kind).startswith("DECIMAL")}

    def read(self, table: str) -> Iterator[dict[str, Any]]:
        """Yield the rows that the table has when reading starts, with few of them in memory at a time.

        An INTERVAL is a string, as in BigQuery's REST API.

        Raises:
            NotFound: The table does not exist.
        """
        intervals = [field["name"] for field in self.schema(table) if field["type"] == "INTERVAL"]
        cursor = self._engine.cursor()
        try:
            reader = cursor.execute(f"SELECT {VISIBLE_COLUMNS} FROM {_name(table).quoted}").to_arrow_reader(_READ_ROWS)
            for batch in reader:
                for row in batch.to_pylist():
                    for name in intervals:
                        row[name] = None if row[name] is None else written(*row[name])
                    yield row
        finally:
            cursor.close()

    def write(
        self,
        table: str,
        schema: list[Field],
        rows: Iterable[dict[str, Any]],
        *,
        location: str = "US",
        decimals: Mapping[str, str] | None = None,
    ) -> int:
        """Create or replace a table, and its dataset if needed; return the number of rows.

        Args:
            table: The name of the table.
            schema: The REST ``TableFieldSchema`` of each column.
            rows: The rows: values by column name, as Python values or as strings like those of ``insertAll``.
            location: The location of a created dataset.
            decimals: The DuckDB types of columns, from ``decimal_types``, for values that must keep their digits.
        """
        decimals = decimals or {}
        name = _name(table)
        fields = [f | {"type": legacy_type(f["type"]), "mode": f.get("mode", "NULLABLE")} for f in schema]
        self._anonymous.ensure_dataset(name.project, name.dataset, location)
        # DuckDB reads no decimals of 256 bits from Arrow, so these values pass as text.
        carried = [f | {"type": "STRING"} if f["name"] in decimals else f for f in fields]
        reader = pa.RecordBatchReader.from_batches(arrow_schema_of(carried), batches_of(carried, rows))
        cursor = self._engine.cursor()
        try:
            cursor.register("table_rows", reader)
            with self._engine.use(cursor):
                sql = select_rows(carried, "table_rows")
                described = self._engine.execute(f"DESCRIBE {sql}").fetchall()
                source = Source(sql, None, tuple((row[0], row[1]) for row in described), tuple(fields), True, decimals)
                place = self.location(f"{name.project}.{name.dataset}")
                return self._destinations.write(name, source, Disposition(write="WRITE_TRUNCATE"), location=place)
        finally:
            cursor.close()

    def create_dataset(self, dataset: str, location: str) -> None:
        """Create a dataset (``project.dataset``) in a location, unless it exists."""
        project, _, name = dataset.partition(".")
        self._anonymous.ensure_dataset(project, name, location)

    def location(self, dataset: str) -> str:
        """Return the location of a dataset (``project.dataset``), such as ``US``. Raises ``NotFound``."""
        project, _, name = dataset.partition(".")
        meta = self._destinations.context.catalog.get_dataset(project, name)
        if meta is None:
            raise NotFound(f"Not found: Dataset {project}:{name}")
        return str(meta.location)
