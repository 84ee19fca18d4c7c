"""Exports rows to objects in a bucket, for extract jobs and EXPORT DATA."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.tables.engine import Engine
from localcloud.bigquery.tables.files.avro_files import compress
from localcloud.bigquery.tables.files.exported_values import exported_columns
from localcloud.bigquery.tables.files.file_database import file_database, literal
from localcloud.storage.objects.store import ObjectStore

_CONTENT_TYPE = {
    "CSV": "text/csv",
    "NEWLINE_DELIMITED_JSON": "application/json",
    "PARQUET": "application/vnd.apache.parquet",
    "AVRO": "application/octet-stream",
}
# https://cloud.google.com/bigquery/docs/exporting-data#export_formats_and_compression_types
_COMPRESSION = {
    "CSV": ("GZIP",),
    "NEWLINE_DELIMITED_JSON": ("GZIP",),
    "PARQUET": ("SNAPPY", "GZIP", "ZSTD"),
    "AVRO": ("DEFLATE", "SNAPPY"),
}
# Lines of JSON are texts, which no character of a CSV file encloses or divides.
_WRITERS = {
    "CSV": "CSV",
    "NEWLINE_DELIMITED_JSON": "CSV, HEADER false, QUOTE '', ESCAPE '', DELIMITER '\x01'",
    "PARQUET": "PARQUET",
    "AVRO": "AVRO",
}
_BATCH_ROWS = 16_384


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

    @property
    def codec(self) -> str | None:
        """The compression in upper case; None for none."""
        name = (self.compression or "NONE").upper()
        return None if name == "NONE" else name

    def check(self) -> None:
        """Reject a format, compression or URI that BigQuery does not have. Raises ``QueryError``."""
        if self.format not in _CONTENT_TYPE:
            raise QueryError(f"Invalid value for destinationFormat: {self.format}", reason="invalid")
        if self.codec is not None and self.codec not in _COMPRESSION[self.format]:
            raise QueryError(
                f"Compression type {self.codec} is not supported for format {self.format}, which has "
                f"{', '.join(_COMPRESSION[self.format])}.",
                reason="invalid",
            )
        if self.uri.count("*") > 1:
            raise QueryError(f"Invalid extract destination URI {self.uri}. Only one '*' is allowed.", reason="invalid")


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
    target.check()
    columns = [(row[0], row[1]) for row in engine.execute(f"DESCRIBE {sql}", values).fetchall()]
    query = f"SELECT {exported_columns(columns, target.format)} FROM ({sql})"
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
        if target.format == "AVRO" and target.codec is not None:
            compress(path, target.codec)
        with path.open("rb") as content:
            store.write(bucket, name, content, content_type=_CONTENT_TYPE[target.format])
    return count


def _options(target: Export) -> str:
    options = [f"FORMAT {_WRITERS[target.format]}"]
    if target.format == "CSV":
        options += [f"HEADER {str(target.header).lower()}", f"DELIMITER {literal(target.delimiter)}"]
    if target.codec is not None and target.format != "AVRO":
        options.append(f"COMPRESSION {target.codec.lower()}")
    return ", ".join(options)
