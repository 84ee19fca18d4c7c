"""Gives a table in DuckDB the fields that were added to its schema, and relaxes its columns."""

from __future__ import annotations

from collections.abc import Sequence

from localcloud.bigquery.base.schema import Field, columns_of, quote
from localcloud.bigquery.sql.reading.statement import TableName
from localcloud.bigquery.tables.engine import Engine


def widen(engine: Engine, table: TableName, before: Sequence[Field], after: Sequence[Field]) -> None:
    """Add columns to a table, and fields to its records; let columns be NULL that are not required any more.

    Args:
        engine: The engine.
        table: The table.
        before: The fields that the table has.
        after: Its fields from now on.
    """
    stored = {name.lower(): kind for name, kind in columns_of(before)}
    for name, kind in columns_of(after):
        known = stored.get(name.lower())
        if known is None:
            engine.execute(f"ALTER TABLE {table.quoted} ADD COLUMN {quote(name)} {kind}")
        elif kind.startswith("STRUCT(") and kind != known:
            engine.execute(f"ALTER TABLE {table.quoted} ALTER COLUMN {quote(name)} SET DATA TYPE {kind}")
    relaxed = {f["name"].lower() for f in after if f.get("mode") != "REQUIRED"}
    for f in before:
        if f.get("mode") == "REQUIRED" and f["name"].lower() in relaxed:
            engine.execute(f"ALTER TABLE {table.quoted} ALTER COLUMN {quote(f['name'])} DROP NOT NULL")
