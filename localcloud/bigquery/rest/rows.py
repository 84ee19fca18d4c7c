"""Writes rows in REST's format: ``{"f": [{"v": "1"}, {"v": "text"}]}``.

https://cloud.google.com/bigquery/docs/reference/rest/v2/tabledata/list
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from bqemulator.storage import arrow_bridge
from bqemulator.storage.arrow_bridge import arrow_table_to_bq_rows

from localcloud.bigquery.base.intervals import written
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
    kind = table.schema.field(0).type
    if (table.schema.field(0).metadata or {}).get(b"bqemu.duckdb_type") == b"JSON":
        return [None if text is None else in_order(text) for text in table.column(0).to_pylist()]
    for is_kind, write in _WHOLE:
        if is_kind(kind):
            return write(table.column(0))
    cells = [row["f"][0]["v"] for row in arrow_table_to_bq_rows(table)]
    if (table.schema.field(0).metadata or {}).get(b"bqemu.duckdb_type") == b"GEOMETRY":
        return [None if cell is None else _SPACE_IN_SHAPE.sub("", cell) for cell in cells]
    if pa.types.is_timestamp(kind) and kind.tz and not int64_timestamps:
        return [None if cell is None else seconds(int(cell)) for cell in cells]
    return cells


def _float(value: float | None) -> str | None:
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


# bqemulator writes the zeros at the end of a NUMERIC in a STRUCT or an ARRAY, and small ones with an exponent.
arrow_bridge._BQ_TYPE_FORMATTERS = tuple(
    (is_kind, _decimal if is_kind is pa.types.is_decimal else write)
    for is_kind, write in arrow_bridge._BQ_TYPE_FORMATTERS
)
# bqemulator gives all parts of an interval the sign of one.
setattr(arrow_bridge, "format_bq_interval", written)  # noqa: B010  # an import of the module, which it does not export
