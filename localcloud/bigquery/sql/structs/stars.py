"""Replaces ``expression.*`` by the fields of the expression's STRUCT. DuckDB has this for columns only.

https://cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax#select_expression_star
"""

from __future__ import annotations

import re

from sqlglot import exp

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.sql.reading.tokens import parsed
from localcloud.bigquery.sql.structs.shapes import Shapes, TableShape

# A star after a bracket, or after a path of two names.
_STAR = re.compile(r"(?:[)\]]|[\w`]\s*\.\s*[\w`]+)\s*\.\s*\*")

# What the engine's name of a temporary function has before the function's own name.
_TEMPORARY = re.compile(r"\w+___bqemu_temp_[0-9a-f]{32}__")


def with_stars(sql: str, table_shape: TableShape) -> str:
    """Return one statement of GoogleSQL with the fields of expressions whose STRUCT it selects with a star.

    Args:
        sql: The statement.
        table_shape: Returns the columns of a table.

    Raises:
        QueryError: The fields of an expression are not known.
    """
    tree = parsed(sql) if _STAR.search(sql) is not None else None
    if tree is None:
        return sql
    shapes = Shapes(table_shape)
    changed = False
    for select in tree.find_all(exp.Select):
        projections: list[exp.Expr] = []
        for projection in select.expressions:
            value = _struct_of(projection)
            projections += [projection] if value is None else _fields_of(value, projection, shapes)
            changed = changed or value is not None
        select.set("expressions", projections)
    return tree.sql(dialect="bigquery") if changed else sql


def _struct_of(projection: exp.Expr) -> exp.Expr | None:
    """Return the expression before ``.*``; None for another projection, and for the name of a table or a column."""
    if isinstance(projection, exp.Dot) and isinstance(projection.expression, exp.Star):
        value: exp.Expr = projection.this
        return value
    if isinstance(projection, exp.Column) and isinstance(projection.this, exp.Star) and projection.args.get("db"):
        *tables, name = (exp.to_identifier(part.name, quoted=True) for part in projection.parts[:-1])
        return exp.column(name, *reversed(tables))
    return None


def _fields_of(value: exp.Expr, projection: exp.Expr, shapes: Shapes) -> list[exp.Expr]:
    shape, star = shapes.of_struct(value, projection), projection.find(exp.Star)
    if shape is None or shape.fields is None or star is None:
        shown = _TEMPORARY.sub("", value.sql(dialect="bigquery"))
        raise QueryError(
            f"The local BigQuery does not know the fields of {shown}.*; name them in their place",
            reason="notImplemented",
            location="query",
        )
    left_out = {each.name.lower() for each in star.args.get("except_") or ()}
    replaced = {each.alias.lower(): each.this for each in star.args.get("replace") or ()}
    return [
        exp.alias_(
            replaced.get(name.lower(), exp.Dot(this=value.copy(), expression=exp.to_identifier(name, quoted=True))),
            exp.to_identifier(name, quoted=True),
        )
        for name in shape.names
        if name.lower() not in left_out
    ]
