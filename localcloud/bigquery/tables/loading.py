"""Builds the queries that read the files of a load job as BigQuery does.

https://cloud.google.com/bigquery/docs/reference/rest/v2/Job#JobConfigurationLoad
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.base.schema import (
    Field,
    columns_of,
    legacy_type,
    quote,
)
from localcloud.bigquery.tables.dispositions import Source
from localcloud.bigquery.tables.file_database import FileDatabase, FileRows, literal
from localcloud.bigquery.tables.text_rows import TextRows, encoding_of

_TIMES = frozenset({"DATE", "DATETIME", "TIME", "TIMESTAMP"})
_READ_AS_TEXT = _TIMES | {"BYTES", "GEOGRAPHY"}
# DuckDB's names of columns in CSV files without a header, and the beginning of BigQuery's.
_NAMELESS = re.compile(r"column\d+")
# What DuckDB detects for a time without a zone is a TIMESTAMP: https://cloud.google.com/bigquery/docs/schema-detect#date_and_time_values
_WITHOUT_ZONE = re.compile(r"\bTIMESTAMP\b(?! WITH)")
_DETECTED_KIND = {
    "BIGINT": "int64",
    "BOOLEAN": "bool",
    "DATE": "date",
    "DOUBLE": "double",
    "TIME": "time",
    "TIMESTAMP": "timestamp",
    "TIMESTAMP WITH TIME ZONE": "timestamp",
}
_MEBIBYTE = 1024 * 1024
# Four such rows have to fit into DuckDB's memory limit.
_LONGEST_ROW = 24 * _MEBIBYTE
# DuckDB reads a CSV file in parts of this size, which is its default; a row has to fit into one.
_CSV_BUFFER = 32 * _MEBIBYTE


@dataclass(frozen=True)
class Files:
    """The files of a load job and how to read them.

    Attributes:
        paths: The files.
        format: ``CSV``, ``NEWLINE_DELIMITED_JSON``, ``PARQUET`` or ``AVRO``.
        options: The REST ``JobConfigurationLoad``.
        fields: The schema of the rows; None detects it in the files.
    """

    paths: tuple[Path, ...]
    format: str
    options: dict[str, Any]
    fields: tuple[Field, ...] | None

    def rows(self, database: FileDatabase) -> FileRows:
        """Return the rows of the files, with the columns and types of the files.

        Raises:
            QueryError: The format is not supported, or a file has fields that the schema does not have.
            duckdb.Error: A file can't be read.
        """
        readers: dict[str, Callable[[FileDatabase], str]] = {
            "CSV": lambda database: self._csv(),
            "NEWLINE_DELIMITED_JSON": self._json,
            "PARQUET": lambda database: f"SELECT * FROM read_parquet({self._list()}, union_by_name = true)",
            "AVRO": lambda database: f"SELECT * FROM read_avro({self._list()})",
        }
        reader = readers.get(self.format)
        if reader is None:
            raise QueryError(f"Loading {self.format} is not supported by the local BigQuery.", reason="notImplemented")
        return FileRows(database, reader(database))

    def source(self, rows: FileRows, relation: str) -> Source:
        """Return the rows with the columns and types of the schema, as the database of the tables writes them.

        Args:
            rows: The rows of the files.
            relation: The name under which that database knows the rows.

        Raises:
            QueryError: A required column is missing.
        """
        if self.fields is None:
            columns = rows.columns
            if self.format == "CSV" and all(_NAMELESS.fullmatch(name) for name, _ in columns):
                columns = tuple((_detected_name(index, kind), kind) for index, (_, kind) in enumerate(columns))
            if self.format in ("CSV", "NEWLINE_DELIMITED_JSON"):
                columns = tuple((name, _WITHOUT_ZONE.sub("TIMESTAMP WITH TIME ZONE", kind)) for name, kind in columns)
            return Source(f"SELECT * FROM {relation}", None, columns)
        sql = self._arranged(relation, dict(rows.columns))
        return Source(sql, None, tuple(columns_of(self.fields)), self.fields)

    @property
    def need_text(self) -> bool:
        """Whether only ``TextRows`` can read the files as the options demand."""
        if self.fields is None or self.format not in ("CSV", "NEWLINE_DELIMITED_JSON"):
            return False
        options = self.options
        return (
            bool(int(options.get("maxBadRecords") or 0))
            or encoding_of(options) != encoding_of({})
            or (self.format == "CSV" and bool(options.get("ignoreUnknownValues")))
            or any(_needs_text(f) for f in self.fields)
        )

    @property
    def may_be_text(self) -> bool:
        """Whether ``TextRows`` can read the files."""
        return self.fields is not None and self.format in ("CSV", "NEWLINE_DELIMITED_JSON")

    def text_rows(self) -> TextRows:
        """Return the rows as text, for files that ``may_be_text``."""
        assert self.fields is not None
        return TextRows(self.paths, self.format, self.options, self.fields)

    def text_source(self, relation: str) -> Source:
        """Return the rows of ``text_rows``, which the database knows as ``relation``, in the types of the schema."""
        assert self.fields is not None
        columns = tuple(columns_of(self.fields))
        parts = [
            f"{_from_text(f, quote(name), kind)} AS {quote(name)}"
            for f, (name, kind) in zip(self.fields, columns, strict=True)
        ]
        return Source(f"SELECT {', '.join(parts)} FROM {relation}", None, columns, self.fields)

    def _list(self) -> str:
        return "[" + ", ".join(literal(str(path)) for path in self.paths) + "]"

    def _columns(self) -> str:
        """Return the ``columns`` argument of DuckDB's readers: the types in which they read the text of a file."""
        assert self.fields is not None
        read_as = [
            (name, _read_as(f, kind)) for f, (name, kind) in zip(self.fields, columns_of(self.fields), strict=True)
        ]
        return "{" + ", ".join(f"{literal(name)}: {literal(kind)}" for name, kind in read_as) + "}"

    def _csv(self) -> str:
        options = self.options
        arguments = [
            f"delim = {literal(_delimiter(options.get('fieldDelimiter')))}",
            f"quote = {literal(options['quote'])}" if options.get("quote") is not None else "quote = '\"'",
            "escape = '\"'",
            "strict_mode = false" if options.get("allowJaggedRows") else "strict_mode = true",
            f"null_padding = {'true' if options.get('allowJaggedRows') else 'false'}",
            f"max_line_size = {self._longest_object()}, buffer_size = {_CSV_BUFFER}",
        ]
        if options.get("nullMarker"):
            arguments.append(f"nullstr = {literal(options['nullMarker'])}")
        skipped = int(options.get("skipLeadingRows") or 0)
        if self.fields is None:
            header = "header = true" if skipped else "auto_detect = true"
            arguments.append(header)
            if skipped > 1:
                arguments.append(f"skip = {skipped - 1}")
        else:
            arguments += ["header = false", f"skip = {skipped}", f"columns = {self._columns()}", "auto_detect = false"]
            # A STRING in quotes is never NULL. `TextRows` reads a file with other values in quotes that are empty.
            arguments.append("allow_quoted_nulls = false")
        return f"SELECT * FROM read_csv({self._list()}, {', '.join(arguments)})"

    def _json(self, database: FileDatabase) -> str:
        arguments = f"format = 'newline_delimited', maximum_object_size = {self._longest_object()}"
        if self.fields is None:
            return f"SELECT * FROM read_json({self._list()}, {arguments}, sample_size = -1)"
        if not self.options.get("ignoreUnknownValues"):
            self._reject_unknown_fields(database)
        return f"SELECT * FROM read_json({self._list()}, {arguments}, columns = {self._columns()})"

    def _longest_object(self) -> int:
        """Return the maximum size of a row in bytes. DuckDB reserves a multiple of it, so it is no larger than needed.

        BigQuery accepts rows of up to 100 MB (https://cloud.google.com/bigquery/quotas#load_jobs), this one fewer.
        """
        longest = max(path.stat().st_size * (16 if path.suffix == ".gz" else 1) for path in self.paths)
        return min(_LONGEST_ROW, max(2 * _MEBIBYTE, longest))

    def _reject_unknown_fields(self, database: FileDatabase) -> None:
        assert self.fields is not None
        names = database.values(
            f"SELECT DISTINCT unnest(json_keys(json)) FROM read_ndjson_objects({self._list()}, "
            f"maximum_object_size = {self._longest_object()})"
        )
        known = {f["name"].lower() for f in self.fields}
        for name in names:
            if str(name).lower() not in known:
                raise QueryError(
                    "Error while reading data, error message: JSON parsing error in row starting at position 0: "
                    f"No such field: {name}.",
                    reason="invalid",
                )

    def _arranged(self, relation: str, columns: dict[str, str]) -> str:
        """Return a query of the relation with the columns in the order and types of the schema."""
        assert self.fields is not None
        present = {name.lower(): kind for name, kind in columns.items()}
        parts = []
        for f, (name, kind) in zip(self.fields, columns_of(self.fields), strict=True):
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


def _delimiter(name: str | None) -> str:
    return {None: ",", "": ",", "tab": "\t", "\\t": "\t"}.get(name, name or ",")


def _read_as(f: Field, kind: str) -> str:
    """Return the DuckDB type in which a value is read, before it is converted to the column's type."""
    many = "[]" if f.get("mode") == "REPEATED" else ""
    return f"VARCHAR{many}" if legacy_type(f["type"]) in _READ_AS_TEXT else kind


def _needs_text(f: Field) -> bool:
    """Return whether the engine can't read the values of a field, or reads some that are not valid as NULL."""
    kind = legacy_type(f["type"])
    if kind == "RECORD":
        return any(_needs_text(inner) or legacy_type(inner["type"]) in _TIMES for inner in f.get("fields") or ())
    return kind in ("BIGNUMERIC", "INTERVAL", "RANGE") or (kind in _TIMES and f.get("mode") == "REPEATED")


def _from_text(f: Field, value: str, kind: str) -> str:
    """Return the expression that converts the text of ``stored_text`` to the column's type ``kind``."""
    name, many = legacy_type(f["type"]), f.get("mode") == "REPEATED"
    converter = {"BYTES": "from_base64({})", "GEOGRAPHY": "ST_GeomFromText({})"}.get(name)
    if converter is not None:
        if many:
            return f"list_transform(CAST(CAST({value} AS JSON) AS VARCHAR[]), item -> {converter.format('item')})"
        return converter.format(value)
    nested = many or name in ("RECORD", "RANGE")
    return f"CAST({f'CAST({value} AS JSON)' if nested else value} AS {kind})"


def _detected_name(index: int, kind: str) -> str:
    """Return the name of a column of a CSV file without a header.

    https://cloud.google.com/bigquery/docs/schema-detect#csv_header
    """
    base = kind.partition("(")[0]
    return f"{_DETECTED_KIND.get(base, 'string')}_field_{index}"


def _converted(f: Field, value: str, present: str) -> str:
    """Return the expression that converts a value from the type ``present`` to the field's type."""
    if not present.startswith("VARCHAR"):
        return value
    converter = {"BYTES": "from_base64({})", "GEOGRAPHY": "ST_GeomFromText({})"}.get(legacy_type(f["type"]))
    if converter is None:
        return value
    if f.get("mode") == "REPEATED":
        return f"list_transform({value}, item -> {converter.format('item')})"
    return converter.format(value)


def schema_of(options: dict[str, Any]) -> Sequence[Field] | None:
    """Return the fields of the schema in a load job's configuration, or None."""
    fields = (options.get("schema") or {}).get("fields")
    if not fields:
        return None
    return [dict(f, type=legacy_type(f["type"]), mode=(f.get("mode") or "NULLABLE").upper()) for f in fields]
