"""Writes the options of tables and views as in INFORMATION_SCHEMA.TABLE_OPTIONS and in statements.

https://cloud.google.com/bigquery/docs/information-schema-table-options
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from bqemulator.catalog.models import TableMeta

_DAY_MS = 24 * 60 * 60 * 1000


def options_of(table: TableMeta, *, pair: str = "STRUCT") -> Iterator[tuple[str, str, str]]:
    """Yield the name, type and value of each option that a table or view has.

    Args:
        table: The table.
        pair: What is written before a label, which is a STRUCT in TABLE_OPTIONS and a tuple in statements.
    """
    if table.expiration_time is not None:
        moment = table.expiration_time.strftime("%Y-%m-%dT%H:%M:%S")
        milliseconds = table.expiration_time.microsecond // 1000
        yield "expiration_timestamp", "TIMESTAMP", f'TIMESTAMP "{moment}.{milliseconds:03d}Z"'
    partitioning = table.time_partitioning
    if partitioning is not None and partitioning.expiration_ms is not None:
        yield "partition_expiration_days", "FLOAT64", str(partitioning.expiration_ms / _DAY_MS)
    if partitioning is not None and partitioning.require_partition_filter:
        yield "require_partition_filter", "BOOL", "true"
    for name, text in (("friendly_name", table.friendly_name), ("description", table.description)):
        if text is not None:
            yield name, "STRING", quoted(text)
    if table.labels:
        pairs = ", ".join(f"{pair}({quoted(key)}, {quoted(value)})" for key, value in table.labels.items())
        yield "labels", "ARRAY<STRUCT<STRING, STRING>>", f"[{pairs}]"


def quoted(text: str) -> str:
    """Return a text as a literal of GoogleSQL."""
    return json.dumps(text, ensure_ascii=False)
