"""Builds the queries by which the engine reads CSV and JSON files whose values have their plainest form.

The engine reads many times as fast as ``TextRows``, but it reads more than BigQuery does: 1.5 as an INT64, ``2020/01/05`` as
a DATE, fields that the schema does not have. So a query ends with an error at a value of another form, and ``TextRows`` then
reads the files and says what is wrong, if anything is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from localcloud.bigquery.base.schema import Field, columns_of, legacy_type, quote
from localcloud.bigquery.tables.files.csv_records import Dialect, delimiter_of, encoding_of
from localcloud.bigquery.tables.files.file_database import FileDatabase, literal

_MEBIBYTE = 1024 * 1024
# Four such rows have to fit into DuckDB's memory limit.
_LONGEST_ROW = 24 * _MEBIBYTE
# DuckDB reads a CSV file in parts of this size, which is its default; a row has to fit into one.
_CSV_BUFFER = 32 * _MEBIBYTE
_CLOCK = r"\d{2}:\d{2}:\d{2}(\.\d{1,6})?"
# The plainest form of a text, by the type of its column.
_PLAIN: Mapping[str, str] = {
    "INTEGER": r"-?\d{1,18}",
    "FLOAT": r"-?\d+(\.\d+)?",
    "BOOLEAN": r"true|false",
    "DATE": r"\d{4}-\d{2}-\d{2}",
    "TIME": _CLOCK,
    "DATETIME": rf"\d{{4}}-\d{{2}}-\d{{2}}[T ]{_CLOCK}",
    "TIMESTAMP": rf"\d{{4}}-\d{{2}}-\d{{2}}[T ]{_CLOCK}( UTC|Z|[-+]\d{{2}}:\d{{2}})?",
}
_TIMES = frozenset({"DATE", "TIME", "DATETIME", "TIMESTAMP"})
_NUL, _NUL_OR_BREAK = r"[\x00]", r"[\x00\n\r]"
_ODD = "error('a value of another form')"
# The structures that the engine reports for values of JSON files, by the type of their column.
_STRUCTURES: Mapping[str, frozenset[str]] = {
    "INTEGER": frozenset({"UBIGINT", "BIGINT"}),
    "FLOAT": frozenset({"UBIGINT", "BIGINT", "DOUBLE"}),
    "BOOLEAN": frozenset({"BOOLEAN"}),
} | dict.fromkeys(("STRING", *_TIMES), frozenset({"VARCHAR"}))
_FORMATS = ("dateFormat", "timeFormat", "datetimeFormat", "timestampFormat", "timeZone")
_ROW_BY_ROW = ("maxBadRecords", "nullMarkers", "allowJaggedRows", *_FORMATS)


def can_read_quickly(kind: str, fields: Sequence[Field], options: Mapping[str, Any]) -> bool:
    """Return whether the engine can read the files of a load job.

    Args:
        kind: ``CSV`` or ``NEWLINE_DELIMITED_JSON``.
        fields: The schema of the rows.
        options: The REST ``JobConfigurationLoad``.
    """
    if encoding_of(options) != encoding_of({}) or any(options.get(name) for name in _ROW_BY_ROW):
        return False
    if kind == "CSV":
        only_csv = ("ignoreUnknownValues", "preserveAsciiControlCharacters")
        return not any(options.get(name) for name in only_csv) and all(
            f.get("mode") != "REPEATED" and legacy_type(f["type"]) in {*_PLAIN, "STRING"} and not _limited(f)
            for f in fields
        )
    return all(_is_quick_json(f, nested=False) for f in fields)


def _limited(f: Field) -> bool:
    return bool(f.get("maxLength") or f.get("precision"))


def _is_quick_json(f: Field, *, nested: bool) -> bool:
    kind = legacy_type(f["type"])
    if nested and (f.get("mode") in ("REPEATED", "REQUIRED") or kind in _TIMES):
        return False
    if kind == "RECORD":
        return all(_is_quick_json(inner, nested=True) for inner in f.get("fields") or ())
    repeated_time = f.get("mode") == "REPEATED" and kind in _TIMES
    return (kind in _STRUCTURES or kind == "JSON") and not _limited(f) and not repeated_time


def longest_row(paths: Sequence[Path]) -> int:
    """Return the maximum size of a row in bytes. DuckDB reserves a multiple of it, so it is no larger than needed.

    BigQuery accepts rows of up to 100 MB (https://cloud.google.com/bigquery/quotas#load_jobs), this one fewer.
    """
    longest = max(path.stat().st_size * (16 if path.suffix == ".gz" else 1) for path in paths)
    return min(_LONGEST_ROW, max(2 * _MEBIBYTE, longest))


def csv_query(paths: Sequence[Path], fields: Sequence[Field], options: Mapping[str, Any]) -> str:
    """Return the query of the cells of CSV files, as texts."""
    dialect = Dialect.of(options, "CSV")
    columns = {f["name"]: "VARCHAR" for f in fields}
    arguments = [
        f"delim = {literal(delimiter_of(options) or ',')}",
        f"quote = {literal(dialect.quote)}, escape = {literal(dialect.quote)}, strict_mode = true",
        f"max_line_size = {longest_row(paths)}, buffer_size = {_CSV_BUFFER}",
        f"header = false, skip = {int(options.get('skipLeadingRows') or 0)}, auto_detect = false",
        f"columns = {_arguments(columns)}",
        "allow_quoted_nulls = false",
    ]
    if options.get("nullMarker"):
        arguments.append(f"nullstr = {literal(str(options['nullMarker']))}")
    return f"SELECT * FROM read_csv({_list(paths)}, {', '.join(arguments)})"


def json_query(paths: Sequence[Path], fields: Sequence[Field]) -> str:
    """Return the query of the values of JSON files."""
    columns = {
        name: "VARCHAR" if legacy_type(f["type"]) in _TIMES else kind
        for f, (name, kind) in zip(fields, columns_of(fields), strict=True)
    }
    arguments = f"format = 'newline_delimited', maximum_object_size = {longest_row(paths)}"
    return f"SELECT * FROM read_json({_list(paths)}, {arguments}, columns = {_arguments(columns)})"


def fits_structures(database: FileDatabase, paths: Sequence[Path], fields: Sequence[Field], *, unknown: bool) -> bool:
    """Return whether each object of JSON files has the fields of the schema, and values of their types.

    Args:
        database: A database with access to the files.
        paths: The files.
        fields: The schema of the rows.
        unknown: Whether objects may have other fields.

    Raises:
        duckdb.Error: A file is not JSON.
    """
    found = database.values(
        f"SELECT DISTINCT CAST(json_structure(json) AS VARCHAR) FROM read_ndjson_objects({_list(paths)}, "
        f"maximum_object_size = {longest_row(paths)})"
    )
    return all(_fits(json.loads(str(structure)), fields, unknown=unknown) for structure in found)


def _fits(structure: Any, fields: Sequence[Field], *, unknown: bool) -> bool:
    if not isinstance(structure, dict):
        return False
    by_name = {f["name"]: f for f in fields}
    lower = {name.lower() for name in by_name}
    for name, found in structure.items():
        f = by_name.get(name)
        if f is None:
            if not unknown or name.lower() in lower:
                return False
        elif not _fits_field(found, f, unknown=unknown):
            return False
    return True


def _fits_field(found: Any, f: Field, *, unknown: bool) -> bool:
    kind = legacy_type(f["type"])
    if kind == "JSON" or found == "NULL":
        return f.get("mode") != "REPEATED" or isinstance(found, list) or found == "NULL"
    if f.get("mode") == "REPEATED":
        return isinstance(found, list) and all(each != "NULL" and _fits_one(each, f, unknown=unknown) for each in found)
    return _fits_one(found, f, unknown=unknown)


def _fits_one(found: Any, f: Field, *, unknown: bool) -> bool:
    if legacy_type(f["type"]) == "RECORD":
        return _fits(found, f.get("fields") or (), unknown=unknown)
    return isinstance(found, str) and found in _STRUCTURES.get(legacy_type(f["type"]), ())


def plain_values(kind: str, fields: Sequence[Field], relation: str, *, newlines: bool) -> str:
    """Return the query that converts the rows of ``relation`` to the types of the schema, if they have the plainest form.

    Args:
        kind: ``CSV`` or ``NEWLINE_DELIMITED_JSON``.
        fields: The schema of the rows.
        relation: The rows of ``csv_query`` or ``json_query``.
        newlines: Whether texts may have line breaks.
    """
    parts = []
    for f, (name, stored) in zip(fields, columns_of(fields), strict=True):
        value, column = quote(name), legacy_type(f["type"])
        pattern = _PLAIN.get(column) if kind == "CSV" or column in _TIMES else None
        odd = []
        if pattern is not None:
            odd.append(f"NOT regexp_full_match({value}, {literal(pattern)})")
        elif kind == "CSV":
            odd.append(f"regexp_matches({value}, {literal(_NUL if newlines else _NUL_OR_BREAK)})")
        if f.get("mode") == "REPEATED":
            odd.append(f"len({value}) <> list_aggregate({value}, 'count')")
        if f.get("mode") == "REQUIRED":
            odd.append(f"{value} IS NULL")
        if odd:
            value = f"CASE WHEN {' OR '.join(odd)} THEN {_ODD} ELSE {value} END"
        parts.append(f"CAST({value} AS {stored}) AS {quote(name)}")
    return f"SELECT {', '.join(parts)} FROM {relation}"


def _list(paths: Sequence[Path]) -> str:
    return "[" + ", ".join(literal(str(path)) for path in paths) + "]"


def _arguments(columns: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"{literal(name)}: {literal(kind)}" for name, kind in columns.items()) + "}"
