"""Exports rows to objects in a bucket, for extract jobs and EXPORT DATA."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.base.schema import field_of, quote
from localcloud.bigquery.tables.engine import Engine
from localcloud.bigquery.tables.files.file_database import file_database, literal
from localcloud.storage.objects.store import ObjectStore

_CONTENT_TYPE = {
    "CSV": "text/csv",
    "NEWLINE_DELIMITED_JSON": "application/json",
    "PARQUET": "application/vnd.apache.parquet",
    "AVRO": "application/octet-stream",
}
_BATCH_ROWS = 16_384
_TEXT = {"CSV", "NEWLINE_DELIMITED_JSON"}


@dataclass(frozen=True)
class Export:
    """The destination and format of an export.

    Attributes:
        uri: ``gs://bucket/name``; a ``*`` in the name becomes the number of the file.
        format: ``CSV``, ``NEWLINE_DELIMITED_JSON``, ``PARQUET`` or ``AVRO``.
        compression: ``GZIP``, ``SNAPPY``, ``ZSTD``, ``DEFLATE`` or None.
        header: Whether a CSV file starts with the column names.
        delimiter: The separator of values in a CSV file.
        overwrite: Whether an object of the same name is replaced.
    """

    uri: str
    format: str = "CSV"
    compression: str | None = None
    header: bool = True
    delimiter: str = ","
    overwrite: bool = True


def split_uri(uri: str) -> tuple[str, str]:
    """Return the bucket and the object name of a ``gs://`` URI. Raises ``QueryError``."""
    bucket, _, name = uri.removeprefix("gs://").partition("/")
    if not uri.startswith("gs://") or not bucket or not name:
        raise QueryError(f"Invalid Cloud Storage URI: {uri}", reason="invalid")
    return bucket, name


def export(
    engine: Engine,
    store: ObjectStore,
    sql: str,
    values: list[Any] | None,
    target: Export,
    check: Callable[[], None] | None = None,
) -> int:
    """Write the rows of a DuckDB query to one object and return their number.

    Args:
        engine: The database.
        store: Cloud Storage.
        sql: The query.
        values: The values of its placeholders, or None.
        target: The object and its format.
        check: Called when the query has run, before the object is written. An exception prevents it.

    Raises:
        QueryError: The URI or format is not valid, or the format can't hold a column.
    """
    bucket, name = split_uri(target.uri)
    name = name.replace("*", "000000000000")
    if not target.overwrite and any(each.name == name for each in store.list(bucket, name)):
        raise QueryError(
            f"The object gs://{bucket}/{name} exists. Set the option overwrite = true to replace it.", reason="invalid"
        )
    if target.format not in _CONTENT_TYPE:
        raise QueryError(f"Invalid value for destinationFormat: {target.format}", reason="invalid")
    columns = [(row[0], row[1]) for row in engine.execute(f"DESCRIBE {sql}", values).fetchall()]
    selected = ", ".join(_exported(column, kind, target.format) for column, kind in columns)
    query = f"SELECT {selected} FROM ({sql})"
    written = [(row[0], row[1]) for row in engine.execute(f"DESCRIBE {query}", values).fetchall()]
    with tempfile.TemporaryDirectory(prefix="export-") as folder:
        path = Path(folder) / "rows"
        with file_database(folder=Path(folder), avro=target.format == "AVRO") as database:
            rows = engine.execute(query, values).to_arrow_reader(_BATCH_ROWS)
            try:
                count = database.write(rows, written, path, _options(target))
            except duckdb.Error:
                engine.reject_stopped()  # the other database reports an interruption as an error of its input
                raise
        if check is not None:
            check()
        with path.open("rb") as content:
            store.write(bucket, name, content, content_type=_CONTENT_TYPE[target.format])
    return count


def _options(target: Export) -> str:
    compression = (target.compression or "NONE").upper()
    options = [f"FORMAT {'JSON' if target.format == 'NEWLINE_DELIMITED_JSON' else target.format}"]
    if target.format == "CSV":
        options += [f"HEADER {str(target.header).lower()}", f"DELIMITER {literal(target.delimiter)}"]
    if compression != "NONE" and target.format != "AVRO":
        options.append(f"COMPRESSION {compression.lower()}")
    return ", ".join(options)


def _exported(column: str, kind: str, file_format: str) -> str:
    """Return the expression that exports a column.

    https://cloud.google.com/bigquery/docs/exporting-data#export_formats_and_compression_types
    """
    name = quote(column)
    field = field_of(column, kind)
    if field["type"] == "GEOGRAPHY" and field["mode"] != "REPEATED":
        return f"{'ST_AsWKB' if file_format == 'PARQUET' else 'ST_AsText'}({name}) AS {name}"
    if file_format not in _TEXT:
        return name
    if field["mode"] == "REPEATED" or field["type"] == "RECORD":
        if file_format == "CSV":
            raise QueryError("Operation cannot be performed on a nested schema. Field: " + column, reason="invalid")
        return name
    match field["type"]:
        case "TIMESTAMP":
            return f"strftime({name}, '%Y-%m-%d %H:%M:%S.%f') || ' UTC' AS {name}"
        case "BYTES":
            return f"to_base64({name}) AS {name}"
        case "INTEGER" if file_format != "CSV":
            return f"CAST({name} AS VARCHAR) AS {name}"
        case _:
            return name
