"""Rejects a column whose name several columns of a subquery have. DuckDB takes the first of them.

https://cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax#ambiguous_aliases
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sqlglot import exp

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.sql.reading.columns import source_columns
from localcloud.bigquery.sql.reading.sources import name_of, visible_sources
from localcloud.bigquery.sql.reading.tokens import position

TableColumns = Callable[[exp.Table], Iterable[str]]
"""Returns the names of the columns of a table; none if it does not exist."""


def reject_ambiguous(sql: str, tree: exp.Expr, table_columns: TableColumns) -> None:
    """Raise ``QueryError`` if a column of a statement may be one of several columns of a source."""

    def columns_of(source: exp.Expr) -> list[str]:
        return list(table_columns(source)) if isinstance(source, exp.Table) else []

    for column in tree.find_all(exp.Column):
        if column.is_star or _is_alias(column):
            continue
        name = column.name.lower()
        for source in visible_sources(column):
            if column.table and name_of(source) != column.table.lower():
                continue
            columns = [each.lower() for each in source_columns(source, columns_of)]
            if columns.count(name) > 1:
                place = (
                    f" at {position(sql, start)}" if (start := column.parts[0].meta.get("start")) is not None else ""
                )
                raise QueryError(f"Column name {column.name} is ambiguous{place}", location="query")
            if not columns or name in columns:
                break


def _is_alias(column: exp.Column) -> bool:
    """Return whether a column in GROUP BY, HAVING, ORDER BY or QUALIFY is the alias of its query."""
    clause = column.find_ancestor(exp.Group, exp.Having, exp.Order, exp.Qualify, exp.Select)
    query = clause.parent if clause is not None and not isinstance(clause, exp.Select) else None
    return isinstance(query, exp.Select) and column.name.lower() in map(str.lower, query.named_selects)
