"""Rejects names of a SELECT list that are read in the same list or in its WHERE and JOIN clauses. DuckDB reads the alias.

https://cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax#alias_visibility
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.sql.reading.columns import SourceColumns, source_columns
from localcloud.bigquery.sql.reading.sources import name_of, visible_sources
from localcloud.bigquery.sql.reading.tokens import position

# The clauses that read aliases.
_AFTER_THE_LIST = ("group", "having", "order", "qualify", "windows")


def reject_lateral_aliases(sql: str, tree: exp.Expr, columns_of: SourceColumns) -> None:
    """Raise ``QueryError`` if a name of a statement can only be an alias that is not visible there."""
    for column in tree.find_all(exp.Column):
        if column.table or column.is_star or not isinstance(column.this, exp.Identifier):
            continue
        name = column.name.lower()
        if name not in set(_hidden_aliases(column)) or _is_visible(column, name, columns_of):
            continue
        start = column.this.meta.get("start")
        place = f" at {position(sql, start)}" if start is not None else ""
        raise QueryError(f"Unrecognized name: {column.name}{place}", location="query")


def _hidden_aliases(column: exp.Column) -> Iterator[str]:
    """Yield the aliases of the queries around a column that it does not see, in lower case."""
    inside: exp.Expr = column
    while inside.parent is not None and not isinstance(inside, exp.CTE):
        query = inside.parent
        if isinstance(query, exp.Select):
            if inside.arg_key in _AFTER_THE_LIST:
                return
            yield from (each.alias.lower() for each in query.expressions if isinstance(each, exp.Alias))
        inside = query


def _is_visible(column: exp.Column, name: str, columns_of: SourceColumns) -> bool:
    """Return whether a source has a column of a name, or may have it."""
    for source in visible_sources(column):
        columns = source_columns(source, columns_of)
        if not columns or name == name_of(source) or name in {each.lower() for each in columns}:
            return True
    return False
