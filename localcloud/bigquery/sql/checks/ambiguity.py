"""Rejects a column whose name several columns of a subquery have. DuckDB takes the first of them.

https://cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax#ambiguous_aliases
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sqlglot import exp

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.sql.reading.sources import name_of, sources_of, visible_sources
from localcloud.bigquery.sql.reading.tokens import position

TableColumns = Callable[[exp.Table], Iterable[str]]
"""Returns the names of the columns of a table; none if it does not exist."""


def reject_ambiguous(sql: str, tree: exp.Expr, table_columns: TableColumns) -> None:
    """Raise ``QueryError`` if a column of a statement may be one of several columns of a source."""
    for column in tree.find_all(exp.Column):
        if column.is_star or _is_alias(column):
            continue
        name = column.name.lower()
        for source in visible_sources(column):
            if column.table and name_of(source) != column.table.lower():
                continue
            columns = _columns(source, table_columns)
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


def _columns(source: exp.Expr, table_columns: TableColumns) -> list[str]:
    """Return the known names of the columns of a source, in lower case."""
    if source.args.get("pivots"):
        return []
    match source:
        case exp.Subquery():
            return _of_query(source.this, table_columns)
        case exp.Table() if source.db:
            return [name.lower() for name in table_columns(source)]
        case exp.Table():
            named = (cte for cte in source.root().find_all(exp.CTE) if cte.alias.lower() == source.name.lower())
            cte = next(named, None)
            return [] if cte is None or source.find_ancestor(exp.CTE) is cte else _of_query(cte.this, table_columns)
    return []


def _of_query(query: exp.Expr, table_columns: TableColumns) -> list[str]:
    while isinstance(query, (exp.SetOperation, exp.Subquery)):
        query = query.this
    if not isinstance(query, exp.Select) or query.args.get("kind"):
        return []
    names: list[str] = []
    for projection in query.expressions:
        star = projection.this if isinstance(projection, exp.Column) and projection.is_star else projection
        if not isinstance(star, exp.Star):
            names.append(projection.alias_or_name.lower())
            continue
        left_out = {each.name.lower() for each in star.args.get("except_") or ()}
        table = projection.table.lower() if isinstance(projection, exp.Column) else ""
        names += [name for name in _all_columns(query, table, table_columns) if name not in left_out]
    return [name for name in names if name]


def _all_columns(query: exp.Select, table: str, table_columns: TableColumns) -> list[str]:
    """Return what ``*`` or ``table.*`` stands for. The columns of USING are there once."""
    names: list[str] = []
    for source in sources_of(query):
        if table in ("", name_of(source)):
            names += _columns(source, table_columns)
    joined = {each.name.lower() for join in query.find_all(exp.Join) for each in join.args.get("using") or ()}
    return [name for number, name in enumerate(names) if name not in joined or name not in names[:number]]
