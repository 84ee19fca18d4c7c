"""Rejects a name that several columns of a subquery or of a SELECT list have. DuckDB takes the first of them.

https://cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax#ambiguous_aliases
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sqlglot import exp

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.sql.reading.columns import SourceColumns, source_columns, star_columns
from localcloud.bigquery.sql.reading.sources import name_of, visible_sources
from localcloud.bigquery.sql.reading.tokens import position

TableColumns = Callable[[exp.Table], Iterable[str]]
"""Returns the names of the columns of a table; none if it does not exist."""
# The clauses that read aliases.
_OF_ALIASES = ("group", "having", "order", "qualify")


def reject_ambiguous(sql: str, tree: exp.Expr, table_columns: TableColumns) -> None:
    """Raise ``QueryError`` if a column of a statement may be one of several columns of a source."""
    columns_of = _names(table_columns)
    for column in tree.find_all(exp.Column):
        if column.is_star or column.arg_key == "except_" or _aliases_of(column):
            continue
        name = column.name.lower()
        for source in visible_sources(column):
            if column.table and name_of(source) != column.table.lower():
                continue
            columns = [each.lower() for each in source_columns(source, columns_of)]
            if columns.count(name) > 1:
                raise QueryError(f"Column name {column.name} is ambiguous{_place(sql, column)}", location="query")
            if not columns or name in columns:
                break


def reject_ambiguous_replacements(tree: exp.Expr, table_columns: TableColumns) -> None:
    """Raise ``QueryError`` if a name in ``SELECT * REPLACE`` is that of several columns of the star."""
    for star in tree.find_all(exp.Star):
        replaced = star.args.get("replace")
        select = star.find_ancestor(exp.Select)
        if not replaced or select is None:
            continue
        table = star.parent.table if isinstance(star.parent, exp.Column) else ""
        names = [name.lower() for name in star_columns(select, table.lower(), _names(table_columns))]
        for each in replaced:
            if names.count(each.alias.lower()) > 1:
                raise QueryError(f"Column {each.alias} in SELECT * REPLACE list is ambiguous", location="query")


def reject_hidden_columns(sql: str, tree: exp.Expr, table_columns: TableColumns) -> None:
    """Raise ``QueryError`` if a query names a column that has the name of its table. BigQuery takes it for the name of a row.

    https://cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax#range_variables
    """
    tables = {name_of(table) for table in tree.find_all(exp.Table, exp.Subquery)}
    for column in tree.find_all(exp.Column):
        name = column.name.lower()
        query = column.find_ancestor(exp.Query, exp.DML)
        if column.table or name not in tables or not isinstance(query, exp.Select) or _aliases_of(column):
            continue
        source = next((each for each in visible_sources(column) if name_of(each) == name), None)
        if not isinstance(source, (exp.Table, exp.Subquery)):
            continue
        columns = [each.lower() for each in source_columns(source, _names(table_columns))]
        # One column of the name in a subquery is that of a table of values, which is its row.
        if name in columns and (len(columns) > 1 or bool(isinstance(source, exp.Table) and source.db)):
            raise QueryError(
                f"The name {column.name} is that of a row of a table{_place(sql, column)}, which the local BigQuery does not "
                f"select where the table has a column of this name; the column is {column.name}.{column.name}",
                reason="notImplemented",
                location="query",
            )


def reject_ambiguous_aliases(sql: str, tree: exp.Expr) -> None:
    """Raise ``QueryError`` if a name in GROUP BY, HAVING, ORDER BY or QUALIFY is that of several columns of its SELECT list.

    The name of a column that is an aggregate cannot be grouped or aggregated either.
    """
    for column in tree.find_all(exp.Column):
        named = [] if column.table else _aliases_of(column)
        problem = _alias_problem(column, named) if named else None
        if problem is not None:
            raise QueryError(f"{problem}{_place(sql, column)}", location="query")


def _alias_problem(column: exp.Column, named: list[exp.Expr]) -> str | None:
    if column.find_ancestor(exp.Group, exp.Query) is not column.parent_select:
        if column.parent is not column.find_ancestor(exp.Group):
            return None
        if len(named) > 1:
            return f"Name {column.name} in GROUP BY clause is ambiguous; it may refer to multiple columns in the SELECT-list"
        aggregated = _aggregates(named[0])
        return (
            f"Column {column.name} contains an aggregation function, which is not allowed in GROUP BY"
            if aggregated
            else None
        )
    if len(named) > 1:
        return f"Column name {column.name} is ambiguous"
    around = column.find_ancestor(exp.AggFunc, exp.Query)
    aggregated = isinstance(around, exp.AggFunc) and not isinstance(around.parent, exp.Window) and _aggregates(named[0])
    return "Aggregations of aggregations are not allowed" if aggregated else None


def _aggregates(value: exp.Expr) -> bool:
    """Return whether a value of a SELECT list has an aggregate function that is not a window function."""
    found = value.find_all(exp.AggFunc)
    return any(each.find_ancestor(exp.Query, exp.Window) is value.find_ancestor(exp.Query) for each in found)


def _aliases_of(column: exp.Column) -> list[exp.Expr]:
    """Return the columns of a SELECT list with the name of a column in its GROUP BY, HAVING, ORDER BY or QUALIFY."""
    inside: exp.Expr = column
    while inside.parent is not None and not isinstance(inside.parent, exp.Query):
        inside = inside.parent
    query = inside.parent
    if not isinstance(query, exp.Select) or inside.arg_key not in _OF_ALIASES:
        return []
    return [each for each in query.expressions if each.alias_or_name.lower() == column.name.lower()]


def _names(table_columns: TableColumns) -> SourceColumns:
    return lambda source: list(table_columns(source)) if isinstance(source, exp.Table) else []


def _place(sql: str, column: exp.Column) -> str:
    start = column.parts[0].meta.get("start")
    return f" at {position(sql, start)}" if start is not None else ""
