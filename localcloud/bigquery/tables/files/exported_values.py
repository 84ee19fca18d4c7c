"""Builds the expressions of the values in exported files.

https://cloud.google.com/bigquery/docs/exporting-data#export_formats_and_compression_types
"""

from __future__ import annotations

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.base.schema import Field, field_of, quote
from localcloud.bigquery.tables.files.file_database import literal

_SECONDS = (
    "strftime({0}, '%Y-%m-%d{1}%H:%M:%S') || CASE WHEN microsecond({0}) % 1000000 = 0 THEN '' "
    "WHEN microsecond({0}) % 1000 = 0 THEN strftime({0}, '.%g') ELSE strftime({0}, '.%f') END"
)
# As in the responses of queries, such as ``1-2 3 4:5:6.7``.
_INTERVAL = (
    "CASE WHEN year({0}) < 0 OR month({0}) < 0 THEN '-' ELSE '' END || abs(year({0})) || '-' || abs(month({0})) || ' ' || "
    "day({0}) || ' ' || CASE WHEN hour({0}) < 0 OR minute({0}) < 0 OR microsecond({0}) < 0 THEN '-' ELSE '' END || "
    "abs(hour({0})) || ':' || abs(minute({0})) || ':' || "
    "regexp_replace(CAST(CAST(abs(microsecond({0})) / 1000000 AS DECIMAL(10, 6)) AS VARCHAR), '\\.?0+$', '')"
)


def exported_columns(columns: list[tuple[str, str]], file_format: str) -> str:
    """Return the list of expressions that a query of exported rows selects.

    Args:
        columns: The name and DuckDB type of each column.
        file_format: ``CSV``, ``NEWLINE_DELIMITED_JSON``, ``PARQUET`` or ``AVRO``.

    Raises:
        QueryError: The format can't hold a column.
    """
    fields = [field_of(*column) for column in columns]
    if file_format == "NEWLINE_DELIMITED_JSON":
        return f"{_object([(quote(f['name']), f) for f in fields])} AS line"
    return ", ".join(f"{_column(quote(f['name']), f, file_format)} AS {quote(f['name'])}" for f in fields)


def _column(value: str, f: Field, file_format: str) -> str:
    nested = f["mode"] == "REPEATED" or f["type"] == "RECORD"
    if file_format == "CSV":
        if nested:
            raise QueryError(f"Operation cannot be performed on a nested schema. Field: {f['name']}", reason="invalid")
        return _text(value, f)
    if nested:
        return value
    if f["type"] == "GEOGRAPHY":
        return f"ST_AsWKB({value})" if file_format == "PARQUET" else _text(value, f)
    as_text = ("DATETIME", "INTERVAL", "RANGE") if file_format == "AVRO" else ("INTERVAL", "RANGE")
    return _text(value, f) if f["type"] in as_text else value


def _text(value: str, f: Field) -> str:
    """Return the expression of a value's text; NULL for NULL."""
    match f["type"]:
        case "TIMESTAMP":
            return f"{_SECONDS.format(value, ' ')} || ' UTC'"
        case "DATETIME":
            return _SECONDS.format(value, "T")
        case "BYTES":
            return f"to_base64({value})"
        case "GEOGRAPHY":
            return f"regexp_replace(ST_AsText({value}), '([A-Z]) \\(', '\\1(', 'g')"
        case "NUMERIC" | "BIGNUMERIC":
            return f"regexp_replace(CAST({value} AS VARCHAR), '\\.?0+$', '')"
        case "RANGE":
            element = {"type": f["rangeElementType"]["type"], "mode": "NULLABLE"}
            start, end = (
                f"coalesce({_text(f'{value}.{quote(name)}', element)}, 'UNBOUNDED')" for name in ("start", "end")
            )
            return f"CASE WHEN {value} IS NULL THEN NULL ELSE '[' || {start} || ', ' || {end} || ')' END"
        case "INTERVAL":
            return _INTERVAL.format(value)
        case _:
            return f"CAST({value} AS VARCHAR)"


def _json(value: str, f: Field) -> str:
    """Return the expression of a value's JSON text; NULL for NULL."""
    if f["mode"] == "REPEATED":
        each = _json("item", f | {"mode": "NULLABLE"})
        items = f"array_to_string(list_transform(coalesce({value}, []), lambda item: {each}), ',')"
        return f"'[' || {items} || ']'"
    match f["type"]:
        case "RECORD":
            inner = _object([(f"{value}.{quote(child['name'])}", child) for child in f["fields"]])
            return f"CASE WHEN {value} IS NULL THEN NULL ELSE {inner} END"
        case "BOOLEAN" | "JSON":
            return f"CAST({value} AS VARCHAR)"
        case "FLOAT":
            text = f"CAST({value} AS VARCHAR)"
            named = (
                f"CASE WHEN isnan({value}) THEN '\"NaN\"' WHEN {value} > 0 THEN '\"Infinity\"' ELSE '\"-Infinity\"' END"
            )
            return f"CASE WHEN {value} IS NULL OR isfinite({value}) THEN {text} ELSE {named} END"
        case _:
            return f"CAST(to_json({_text(value, f)}) AS VARCHAR)"


def _object(members: list[tuple[str, Field]]) -> str:
    """Return the expression of an object's JSON text, which has no members for NULL."""
    parts = [f"{literal(f'{_name(f)}:')} || {_json(value, f)}" for value, f in members]
    return f"'{{' || concat_ws(',', {', '.join(parts)}) || '}}'"


def _name(f: Field) -> str:
    escaped = f["name"].replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
