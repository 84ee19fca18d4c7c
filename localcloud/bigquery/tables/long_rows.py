"""Lets statements read tables with long rows in small batches.

DuckDB reads 2,048 rows at a time, and has several copies of them while it runs a query. Rows of 100 KB or more would fill the
memory, however large the table is. As an Arrow stream, a table is read in batches of few rows, and DuckDB keeps their size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any

import duckdb
import pyarrow as pa
import sqlglot
from sqlglot import exp

from localcloud.bigquery.base.schema import quote

# The batch in which the rows of such a table are read, and the average bytes of a row from which they are long.
BATCH_ROWS = 16
LONG_ROW_BYTES = 16_384
# The types that Arrow keeps; JSON passes as text. Tables with other types are read as usual.
_KEPT_TYPES = (
    "BIGINT",
    "BLOB",
    "BOOLEAN",
    "DATE",
    "DOUBLE",
    "JSON",
    "TIME",
    "TIMESTAMP",
    "TIMESTAMP WITH TIME ZONE",
    "VARCHAR",
)
_TEXTS = ("VARCHAR", "JSON")
_ROOTS = (exp.Query, exp.Create, exp.Insert, exp.Merge, exp.Update, exp.Delete)
_NAME, _numbers = "long_rows", count(1)

Columns = Sequence[tuple[str, str]]


class LongRows:
    """The rows of a table, which are read each time that DuckDB scans them (Arrow's PyCapsule interface)."""

    def __init__(self, cursors: Callable[[], duckdb.DuckDBPyConnection], table: str, columns: Columns) -> None:
        """Read the Arrow schema, but no rows yet.

        Args:
            cursors: Opens a cursor on the database.
            table: The quoted name of the table.
            columns: The name and DuckDB type of each column.
        """
        self._cursors = cursors
        names = ", ".join(
            f"CAST({quote(name)} AS VARCHAR) AS {quote(name)}" if kind == "JSON" else quote(name)
            for name, kind in columns
        )
        self._table = table
        self._sql = f"SELECT {names} FROM {table} WHERE rowid >= ? AND rowid < ?"
        self._schema: pa.Schema = cursors().execute(self._sql, [0, 0]).to_arrow_reader(BATCH_ROWS).schema

    def __arrow_c_schema__(self) -> object:
        return self._schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        reader = pa.RecordBatchReader.from_batches(self._schema, self._batches())
        return reader.__arrow_c_stream__(requested_schema)

    def _batches(self) -> Iterator[pa.RecordBatch]:
        cursor = self._cursors()
        try:
            # Row ids stay the same inside a transaction.
            cursor.execute("BEGIN TRANSACTION READ ONLY")
            row = cursor.execute(f"SELECT max(rowid) FROM {self._table}").fetchone()
            last = -1 if row is None or row[0] is None else int(row[0])
            for first in range(0, last + 1, BATCH_ROWS):
                yield from cursor.execute(self._sql, [first, first + BATCH_ROWS]).to_arrow_reader(BATCH_ROWS)
        finally:
            cursor.close()


class SmallBatches:
    """Replaces tables with long rows in statements that one connection runs."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, cursors: Callable[[], duckdb.DuckDBPyConnection]) -> None:
        """Rewrite statements for ``connection``; ``cursors`` opens further cursors on its database."""
        self._connection = connection
        self._cursors = cursors
        self._relations: dict[str, str | None] = {}

    def rewritten(self, sql: str) -> str:
        """Return a statement of DuckDB's that reads tables with long rows in small batches."""
        try:
            tree = sqlglot.parse_one(sql, read="duckdb")
        except sqlglot.errors.SqlglotError:
            return sql  # DuckDB knows more than sqlglot
        if not isinstance(tree, _ROOTS):
            return sql
        target = None if isinstance(tree, exp.Query) else tree.this
        for table in sorted(tree.find_all(exp.Table), key=_start, reverse=True):
            if (
                not table.db
                or table.catalog
                or (target is not None and table.find_ancestor(exp.Query) is None and _is_in(table, target))
            ):
                continue
            relation = self._relation(f"{quote(table.db)}.{quote(table.name)}")
            start, end = _start(table), int(table.parts[-1].meta.get("end", -1)) + 1
            if relation is not None and 0 <= start < end:
                alias = "" if table.alias else f" AS {quote(table.name)}"
                sql = f"{sql[:start]}{relation}{alias}{sql[end:]}"
        return sql

    def _relation(self, table: str) -> str | None:
        """Return the SQL of a table's rows in small batches; None if they are not long, or cannot be read so."""
        if table not in self._relations:
            columns = self._long_columns(table)
            # A result may still read the rows when the next statement runs.
            name = f"{_NAME}_{next(_numbers)}"
            self._relations[table] = None
            if columns is not None:
                self._connection.register(name, LongRows(self._cursors, table, columns))
                listed = ", ".join(f"CAST({quote(column)} AS {kind}) AS {quote(column)}" for column, kind in columns)
                self._relations[table] = f"(SELECT {listed} FROM {name})"
        return self._relations[table]

    def _long_columns(self, table: str) -> Columns | None:
        """Return the columns of a table whose first rows are long on average; None for other tables."""
        cursor = self._cursors()
        try:
            columns = [(str(row[0]), str(row[1])) for row in cursor.execute(f"DESCRIBE {table}").fetchall()]
            lengths = [f"coalesce(strlen({quote(name)}), 0)" for name, kind in columns if kind in _TEXTS]
            if not lengths or not all(kind in _KEPT_TYPES or kind.startswith("DECIMAL") for _, kind in columns):
                return None
            row: Any = cursor.execute(
                f"SELECT avg({' + '.join(lengths)}) FROM {table} WHERE rowid < {BATCH_ROWS}"
            ).fetchone()
        except duckdb.Error:  # not a table, but a view for example
            return None
        finally:
            cursor.close()
        return columns if row and row[0] is not None and row[0] >= LONG_ROW_BYTES else None


def _start(table: exp.Table) -> int:
    return int(table.parts[0].meta.get("start", -1)) if table.parts else -1


def _is_in(table: exp.Expr, node: exp.Expr) -> bool:
    return any(each is table for each in node.walk())
