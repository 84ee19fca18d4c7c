"""Writes set operations that match columns by their names as ones that match them by position.

DuckDB has UNION BY NAME only, in which the queries may have different columns.
https://cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax#set_operators
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from sqlglot import exp

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.sql.reading.columns import SourceColumns, column_names
from localcloud.bigquery.sql.reading.draft import Draft
from localcloud.bigquery.sql.structs.shapes import Shapes, TableShape

_BY_NAME = re.compile(r"\b(?:BY\s+NAME|CORRESPONDING)\b", re.IGNORECASE)


def match_columns_by_position(draft: Draft, table_shape: TableShape) -> None:
    """Write BY NAME and CORRESPONDING of a statement of GoogleSQL as the columns of its queries.

    Args:
        draft: The statement.
        table_shape: Returns the columns of a table.

    Raises:
        QueryError: The columns of a query are not known, or the queries do not have the columns that they need.
    """
    tree = draft.tree if _BY_NAME.search(draft.text) is not None else None
    if tree is None:
        return
    shapes = Shapes(table_shape)

    def columns_of(source: exp.Expr) -> Sequence[str]:
        if isinstance(source, exp.Table):
            shape = table_shape(source)
            return () if shape is None else shape.names
        return _unnested(source, shapes) if isinstance(source, exp.Unnest) else ()

    for operation in reversed(list(tree.find_all(exp.SetOperation, bfs=False))):
        if operation.args.get("by_name"):
            _by_position(operation, [_names(side, columns_of) for side in (operation.this, operation.expression)])
    draft.changed(tree)


def _unnested(source: exp.Unnest, shapes: Shapes) -> list[str]:
    shape, offset = shapes.of_element(source), source.args.get("offset")
    alias = source.args.get("alias")
    names = [column.name for column in alias.columns] if isinstance(alias, exp.TableAlias) else []
    if shape is not None and shape.fields is not None:
        names = list(shape.names)
    return [*names, offset.name] if names and isinstance(offset, exp.Identifier) else names


def _names(query: exp.Expr, columns_of: SourceColumns) -> list[str]:
    names = column_names(query, columns_of)
    if not names:
        raise QueryError(
            "The local BigQuery does not know the columns of a query of BY NAME; name them in its SELECT clause",
            reason="notImplemented",
            location="query",
        )
    return names


def _by_position(operation: exp.SetOperation, sides: list[list[str]]) -> None:
    """Change an operation in place, whose queries have these columns."""
    for number, names in enumerate(sides, 1):
        _check_names(number, names)
    left, right = sides
    common = [name for name in left if name.lower() in {each.lower() for each in right}]
    mode = operation.args.get("side") or operation.args.get("kind") or ""
    mode = "FULL" if mode == "OUTER" else mode
    listed = [each.name for each in operation.args.get("on") or ()]
    if not mode and not listed and not len(left) == len(right) == len(common):
        raise QueryError(
            f"BY NAME requires all input queries to have identical column names, but query 1 has [{', '.join(left)}] and "
            f"query 2 has [{', '.join(right)}]",
            location="query",
        )
    if mode in ("INNER", "LEFT") and not common:
        raise QueryError("BY NAME requires at least one column name that both input queries have", location="query")
    chosen = {"INNER": common, "FULL": [*left, *(name for name in right if name.lower() not in map(str.lower, left))]}
    names = listed or chosen.get(mode, left)
    for number, side in enumerate(sides, 1) if listed and not mode else ():
        if {each.lower() for each in side} != {each.lower() for each in listed}:
            raise QueryError(
                f"Query {number} must share the same set of column names as the ON list when using BY NAME ON",
                location="query",
            )
    for key, side in (("this", left), ("expression", right)):
        operation.set(key, _selected(operation.args[key], names, side))
    for key in ("by_name", "side", "kind", "on"):
        operation.set(key, None)


def _check_names(number: int, names: list[str]) -> None:
    for place, name in enumerate(names, 1):
        if not name:
            raise QueryError(
                f"Anonymous columns are not allowed in set operations when BY NAME is used: query {number}, column {place}",
                location="query",
            )
        if name.lower() in map(str.lower, names[: place - 1]):
            raise QueryError(
                f"Duplicate column name {name} in query {number} of a set operation with BY NAME", location="query"
            )


def _selected(query: exp.Expr, names: list[str], side: list[str]) -> exp.Expr:
    """Return a query with these columns of a query, NULL for those that it does not have."""
    if names == side:
        return query
    known = {name.lower() for name in side}
    columns = [
        exp.alias_(exp.column(name, quoted=True) if name.lower() in known else exp.Null(), name, quoted=True)
        for name in names
    ]
    inner = query.this if isinstance(query, exp.Subquery) and not query.alias else query
    return exp.select(*columns).from_(exp.Subquery(this=inner))
