"""Writes rows in REST's format: ``{"f": [{"v": "1"}, {"v": "text"}]}``.

https://cloud.google.com/bigquery/docs/reference/rest/v2/tabledata/list
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from bqemulator.storage import arrow_bridge
from bqemulator.storage.arrow_bridge import arrow_table_to_bq_rows

from localcloud.bigquery.base.intervals import written
from localcloud.bigquery.base.schema import Field, field_of
from localcloud.bigquery.sql.functions.json.ordering import in_order

# Columns of these types are converted as a whole, which is faster. bqemulator converts the others value by value.
_WHOLE: tuple[tuple[Callable[[pa.DataType], bool], Callable[[pa.ChunkedArray], list[Any]]], ...] = (
    (pa.types.is_integer, lambda column: pc.cast(column, pa.string()).to_pylist()),
    (pa.types.is_boolean, lambda column: pc.cast(column, pa.string()).to_pylist()),
    (pa.types.is_string, lambda column: column.to_pylist()),
    (pa.types.is_large_string, lambda column: column.to_pylist()),
    (pa.types.is_floating, lambda column: [_float(value) for value in column.to_pylist()]),
    (pa.types.is_decimal, lambda column: [None if value is None else _decimal(value) for value in column.to_pylist()]),
)
# The engine writes POINT (1 2) for POINT(1 2).
_SPACE_IN_SHAPE = re.compile(r"(?<=[A-Z]) (?=\()")
# The types in DuckDB whose cells bqemulator does not write as BigQuery does, alone or within other types.
_REWRITTEN = re.compile(r'GEOMETRY|JSON|"start"|WITH TIME ZONE')
_NAMES_OF_FLOATS = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def rest_rows(table: pa.Table, *, int64_timestamps: bool = True) -> list[dict[str, Any]]:
    """Return the REST rows of ``table``.

    Args:
        table: The rows.
        int64_timestamps: Whether a TIMESTAMP is in microseconds (``formatOptions.useInt64Timestamp``), not in seconds.
    """
    if not table.num_columns:
        return []
    columns = [_cells(table.select([index]), int64_timestamps) for index in range(table.num_columns)]
    return [{"f": [{"v": value} for value in row]} for row in zip(*columns, strict=True)]


def _cells(table: pa.Table, int64_timestamps: bool) -> list[Any]:
    column = table.schema.field(0)
    stored = (column.metadata or {}).get(b"bqemu.duckdb_type", b"").decode()
    if stored == "JSON":
        return [None if text is None else in_order(text) for text in table.column(0).to_pylist()]
    for is_kind, write in _WHOLE:
        if is_kind(column.type):
            return write(table.column(0))
    cells = [row["f"][0]["v"] for row in arrow_table_to_bq_rows(table)]
    write_cell = _cell_writer(field_of(column.name, stored), int64_timestamps) if _REWRITTEN.search(stored) else None
    return cells if write_cell is None else [write_cell(cell) for cell in cells]


def _cell_writer(field: Field, int64_timestamps: bool) -> Callable[[Any], Any] | None:
    """Return what turns bqemulator's cell of a field into BigQuery's; None if both are the same."""
    if field["mode"] == "REPEATED":
        write = _cell_writer(field | {"mode": "NULLABLE"}, int64_timestamps)
        return None if write is None else lambda cell: [{"v": write(element["v"])} for element in cell]
    match field["type"]:
        case "RECORD":
            writers = [_cell_writer(each, int64_timestamps) for each in field["fields"]]
            return _or_none(lambda cell: _record(cell, writers)) if any(writers) else None
        case "JSON":
            return _or_none(in_order)
        case "GEOGRAPHY":
            return _or_none(lambda cell: _SPACE_IN_SHAPE.sub("", cell))
        case "RANGE":
            return _or_none(_range)
        case "TIMESTAMP" if not int64_timestamps:
            return _or_none(lambda cell: seconds(int(cell)))
    return None


def _or_none(write: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda cell: None if cell is None else write(cell)


def _record(cell: Any, writers: Sequence[Callable[[Any], Any] | None]) -> dict[str, Any]:
    return {
        "f": [
            each if write is None else {"v": write(each["v"])} for each, write in zip(cell["f"], writers, strict=True)
        ]
    }


def _range(cell: Any) -> str:
    """Return a RANGE as a text. bqemulator writes one within a STRUCT or in an array as a record."""
    if isinstance(cell, str):
        return cell
    start, end = ("UNBOUNDED" if bound["v"] is None else bound["v"] for bound in cell["f"])
    return f"[{start}, {end})"


def _float(value: float | None, *_: Any) -> str | None:
    if value is None:
        return None
    text = repr(value)
    return _NAMES_OF_FLOATS.get(text, text)


def _decimal(value: Decimal, *_: Any) -> str:
    """Return a NUMERIC without zeros at its end: ``1.5``."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def seconds(microseconds: int) -> str:
    """Return microseconds in BigQuery's default format of a TIMESTAMP: seconds in scientific notation."""
    sign = "-" if microseconds < 0 else ""
    digits = str(abs(microseconds))
    if len(digits) <= 6:
        return str(microseconds / 1e6)
    mantissa = f"{digits[0]}.{digits[1:].rstrip('0') or '0'}"
    return f"{sign}{mantissa}E{len(digits) - 7}"


# bqemulator writes the zeros at the end of a NUMERIC in a STRUCT or an ARRAY, small ones with an exponent, and nan for NaN.
_WITHIN: dict[object, Callable[..., Any]] = {pa.types.is_decimal: _decimal, pa.types.is_floating: _float}
arrow_bridge._BQ_TYPE_FORMATTERS = tuple(
    (is_kind, _WITHIN.get(is_kind, write)) for is_kind, write in arrow_bridge._BQ_TYPE_FORMATTERS
)
# bqemulator gives all parts of an interval the sign of one.
setattr(arrow_bridge, "format_bq_interval", written)  # noqa: B010  # an import of the module, which it does not export
