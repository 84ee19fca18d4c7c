"""Builds the queries that read the files of a load job as BigQuery does.

https://cloud.google.com/bigquery/docs/reference/rest/v2/Job#JobConfigurationLoad
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.base.schema import Field, columns_of, legacy_type, quote
from localcloud.bigquery.tables.files.columnar import columnar_query
from localcloud.bigquery.tables.files.file_database import FileDatabase, FileRows, literal
from localcloud.bigquery.tables.files.quick_rows import (
    can_read_quickly,
    csv_query,
    fits_structures,
    json_query,
    plain_values,
)
from localcloud.bigquery.tables.files.text_rows import TextRows
from localcloud.bigquery.tables.writing.dispositions import Source

TEXT_FORMATS = ("CSV", "NEWLINE_DELIMITED_JSON")
FORMATS = (*TEXT_FORMATS, "PARQUET", "AVRO", "ORC")
_CONVERTERS: Mapping[str, str] = {
    "BYTES": "from_base64({0})",
    "GEOGRAPHY": "CASE WHEN {0} LIKE '{{%' THEN ST_GeomFromGeoJSON({0}) WHEN regexp_full_match({0}, '[0-9A-Fa-f]+') "
    "THEN ST_GeomFromHEXWKB({0}) ELSE ST_GeomFromText({0}) END",
}


@dataclass(frozen=True)
class Files:
    """The files of a load job and how to read them.

    Attributes:
        paths: The files, and the URI of each; empty for an uploaded file.
        format: One of ``FORMATS``.
        options: The REST ``JobConfigurationLoad``.
        fields: The schema of the rows; None takes that of the files, which CSV and JSON files do not have.
    """

    paths: Mapping[Path, str]
    format: str
    options: dict[str, Any]
    fields: tuple[Field, ...] | None

    @property
    def quick(self) -> bool:
        """Whether the engine can read the files."""
        if self.fields is None or self.format not in TEXT_FORMATS:
            return True
        return not self._by_name and can_read_quickly(self.format, self.fields, self.options)

    @property
    def _by_name(self) -> bool:
        return self.format == "CSV" and self.options.get("sourceColumnMatch") == "NAME"

    def rows(self, database: FileDatabase) -> FileRows | None:
        """Return the rows of the files as the engine reads them; None if it would read some wrongly.

        Raises:
            QueryError: A file has another format, or a type that can't be read.
            duckdb.Error: A file can't be read.
        """
        paths = list(self.paths)
        if self.format not in TEXT_FORMATS:
            return FileRows(database, columnar_query(self.format, self.paths, self.options, database))
        assert self.fields is not None
        if self.format == "CSV":
            return FileRows(database, csv_query(paths, self.fields, self.options))
        unknown = bool(self.options.get("ignoreUnknownValues"))
        if not fits_structures(database, paths, self.fields, unknown=unknown):
            return None
        return FileRows(database, json_query(paths, self.fields))

    def source(self, rows: FileRows, relation: str) -> Source:
        """Return the rows with the columns and types of the schema, as the database of the tables writes them.

        Args:
            rows: The rows of the files.
            relation: The name under which that database knows the rows.

        Raises:
            QueryError: A required column is missing.
        """
        if self.fields is None:
            return Source(f"SELECT * FROM {relation}", None, rows.columns)
        if self.format in TEXT_FORMATS:
            newlines = self.format != "CSV" or bool(self.options.get("allowQuotedNewlines"))
            sql = plain_values(self.format, self.fields, relation, newlines=newlines)
        else:
            sql = _arranged(self.fields, relation, dict(rows.columns))
        return Source(sql, None, tuple(columns_of(self.fields)), self.fields)

    def text_rows(self) -> TextRows:
        """Return the rows of CSV or JSON files as text."""
        assert self.fields is not None
        return TextRows(self.paths, self.format, self.options, self.fields)

    def text_source(self, relation: str) -> Source:
        """Return the rows of ``text_rows``, which the database knows as ``relation``, in the types of the schema."""
        assert self.fields is not None
        return text_source(self.fields, relation)


def text_source(fields: Sequence[Field], relation: str) -> Source:
    """Return rows of the texts of ``stored_text``, which the database knows as ``relation``, in the types of the schema."""
    columns = tuple(columns_of(fields))
    parts = [
        f"{_from_text(f, quote(name), kind)} AS {quote(name)}" for f, (name, kind) in zip(fields, columns, strict=True)
    ]
    return Source(f"SELECT {', '.join(parts)} FROM {relation}", None, columns, tuple(fields))


def _from_text(f: Field, value: str, kind: str) -> str:
    """Return the expression that converts the text of ``stored_text`` to the column's type ``kind``."""
    name, many = legacy_type(f["type"]), f.get("mode") == "REPEATED"
    converter = _CONVERTERS.get(name)
    if converter is not None:
        if many:
            texts = f"CAST(CAST({value} AS JSON) AS VARCHAR[])"
            return f"list_transform({texts}, item -> {converter.format('item')})"
        return converter.format(value)
    nested = many or name in ("RECORD", "RANGE")
    return f"CAST({f'CAST({value} AS JSON)' if nested else value} AS {kind})"


def _arranged(fields: Sequence[Field], relation: str, columns: Mapping[str, str]) -> str:
    """Return a query of a relation with the columns in the order and types of the schema."""
    present = {name.lower(): kind for name, kind in columns.items()}
    parts = []
    for f, (name, kind) in zip(fields, columns_of(fields), strict=True):
        if name.lower() not in present:
            if f.get("mode") == "REQUIRED":
                raise QueryError(
                    f"Error while reading data, error message: Required field {name} is missing.", reason="invalid"
                )
            parts.append(f"CAST(NULL AS {kind}) AS {quote(name)}")
            continue
        value = _converted(f, quote(name), present[name.lower()])
        if f.get("mode") == "REQUIRED":
            problem = literal(f"Required field {name} cannot be null")
            value = f"CASE WHEN {quote(name)} IS NULL THEN error({problem}) ELSE {value} END"
        parts.append(f"CAST({value} AS {kind}) AS {quote(name)}")
    return f"SELECT {', '.join(parts)} FROM {relation}"


def _converted(f: Field, value: str, present: str) -> str:
    """Return the expression that converts a value from the type ``present`` to the field's type."""
    converter = _CONVERTERS.get(legacy_type(f["type"])) if present.startswith("VARCHAR") else None
    if converter is None:
        return f"ST_GeomFromWKB({value})" if f["type"] == "GEOGRAPHY" and present == "BLOB" else value
    if f.get("mode") == "REPEATED":
        return f"list_transform({value}, item -> {converter.format('item')})"
    return converter.format(value)


def schema_of(options: Mapping[str, Any]) -> Sequence[Field] | None:
    """Return the fields of the schema in a load job's configuration, or None."""
    fields = (options.get("schema") or {}).get("fields")
    if not fields:
        return None
    return [dict(f, type=legacy_type(f["type"]), mode=(f.get("mode") or "NULLABLE").upper()) for f in fields]
