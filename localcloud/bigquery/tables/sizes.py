"""Estimates how many bytes a query reads.

BigQuery counts the logical size of the columns that a query names (https://cloud.google.com/bigquery/pricing#data). This
module does the same, with one shortcut: the size of columns whose values differ in size (STRING, BYTES, arrays, structs)
is the average size in the first ``SAMPLE_ROWS`` rows times the number of rows.
"""

from __future__ import annotations

import threading

from bqemulator.api.dependencies import AppContext
from bqemulator.api.routes.tables import _table_to_rest
from bqemulator.catalog.models import TableMeta

from localcloud.bigquery.base.schema import quote, value_bytes
from localcloud.bigquery.sql.reading.statement import Statement, TableName
from localcloud.bigquery.tables.context import engine_of

SAMPLE_ROWS = 1000
_MEBIBYTE = 1024 * 1024
# https://cloud.google.com/bigquery/pricing#on_demand_pricing: at least 10 MB per table that a query refers to.
MINIMUM_BILLED = 10 * _MEBIBYTE


class Sizes:
    """Estimates of table and query sizes, in bytes."""

    def __init__(self, context: AppContext) -> None:
        """Create the estimates of the tables in ``context``."""
        self._context = context
        self._engine = engine_of(context)
        self._lock = threading.Lock()
        self._widths: dict[tuple[TableName, str], dict[str, float]] = {}

    def rows(self, name: TableName) -> int:
        """Return the number of rows of a table."""
        row = self._engine.execute(f"SELECT count(*) FROM {name.quoted}").fetchone()
        return int(row[0]) if row else 0

    def table(self, name: TableName, columns: frozenset[str] | None = None) -> int:
        """Return the bytes of a table, or of the given columns (lower-case names); 0 for a view."""
        meta = self._context.catalog.get_table(name.project, name.dataset, name.table)
        if meta is None or meta.table_type not in ("TABLE", "CLONE", "SNAPSHOT", "MATERIALIZED_VIEW"):
            return 0
        rows = self.rows(name)
        if not rows:
            return 0
        widths = self._width_of(name, meta)
        return round(rows * sum(width for column, width in widths.items() if columns is None or column in columns))

    def query(self, statement: Statement) -> int:
        """Return the estimated bytes that a statement reads."""
        return sum(self.table(name, statement.identifiers) for name in statement.tables)

    def _width_of(self, name: TableName, meta: TableMeta) -> dict[str, float]:
        key = (name, meta.etag)
        with self._lock:
            known = self._widths.get(key)
        if known is not None:
            return known
        fixed: dict[str, float] = {}
        measured: list[str] = []
        for field in _table_to_rest(meta).get("schema", {}).get("fields", []):
            size = value_bytes(field)
            if size is None:
                measured.append(field["name"])
            else:
                fixed[field["name"].lower()] = size
        if measured:
            averages = ", ".join(f"avg(strlen({quote(column)}::VARCHAR))" for column in measured)
            selected = ", ".join(map(quote, measured))
            row = self._engine.execute(
                f"SELECT {averages} FROM (SELECT {selected} FROM {name.quoted} LIMIT {SAMPLE_ROWS})"
            ).fetchone()
            for column, average in zip(measured, row or [None] * len(measured), strict=True):
                fixed[column.lower()] = 2 + float(average or 0)
        with self._lock:
            if len(self._widths) > 10_000:
                self._widths.clear()
            self._widths[key] = fixed
        return fixed


def billed(processed: int, tables: int) -> int:
    """Return the billed bytes of a query: whole MiB, and at least the minimum per table."""
    if not tables:
        return 0
    return max(MINIMUM_BILLED * tables, -(-processed // _MEBIBYTE) * _MEBIBYTE)
