"""The tables for other local services: schemas, and rows as Python values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa
from bqemulator.api.routes.tables import _table_to_rest

from localcloud.bigquery.base.errors import NotFound
from localcloud.bigquery.base.schema import (
    Field,
    arrow_schema_of,
    batches_of,
    legacy_type,
    select_rows,
)
from localcloud.bigquery.sql.statement import TableName
from localcloud.bigquery.tables.destinations import Destinations, Disposition, Source
from localcloud.bigquery.tables.results import AnonymousTables

_READ_ROWS = 8192


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

    def read(self, table: str) -> Iterator[dict[str, Any]]:
        """Yield the rows that the table has when reading starts, with a few thousand rows in memory at a time.

        Raises:
            NotFound: The table does not exist.
        """
        self.schema(table)
        cursor = self._engine.cursor()
        try:
            reader = cursor.execute(f"SELECT * FROM {_name(table).quoted}").to_arrow_reader(_READ_ROWS)
            for batch in reader:
                yield from batch.to_pylist()
        finally:
            cursor.close()

    def write(self, table: str, schema: list[Field], rows: Iterable[dict[str, Any]], *, location: str = "US") -> int:
        """Create or replace a table, and its dataset if needed; return the number of rows.

        Args:
            table: The name of the table.
            schema: The REST ``TableFieldSchema`` of each column.
            rows: The rows: values by column name, as Python values or as strings like those of ``insertAll``.
            location: The location of a created dataset.
        """
        name = _name(table)
        fields = [f | {"type": legacy_type(f["type"]), "mode": f.get("mode", "NULLABLE")} for f in schema]
        self._anonymous.ensure_dataset(name.project, name.dataset, location)
        reader = pa.RecordBatchReader.from_batches(arrow_schema_of(fields), batches_of(fields, rows))
        cursor = self._engine.cursor()
        try:
            cursor.register("table_rows", reader)
            with self._engine.use(cursor):
                sql = select_rows(fields, "table_rows")
                described = self._engine.execute(f"DESCRIBE {sql}").fetchall()
                source = Source(sql, None, tuple((row[0], row[1]) for row in described), tuple(fields), once=True)
                place = self.location(f"{name.project}.{name.dataset}")
                return self._destinations.write(name, source, Disposition(write="WRITE_TRUNCATE"), location=place)
        finally:
            cursor.close()

    def location(self, dataset: str) -> str:
        """Return the location of a dataset (``project.dataset``), such as ``US``. Raises ``NotFound``."""
        project, _, name = dataset.partition(".")
        meta = self._destinations.context.catalog.get_dataset(project, name)
        if meta is None:
            raise NotFound(f"Not found: Dataset {project}:{name}")
        return str(meta.location)
