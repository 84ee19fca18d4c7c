"""Gives the rows of SELECT AS STRUCT and SELECT AS VALUE their columns, where they are the rows of a query or of a table.

A STRUCT in such a row is not a value of one column: its fields are the columns. In an array or an expression it is a value.
https://cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax#value_tables
"""

from __future__ import annotations

import re

from sqlglot import exp

from localcloud.bigquery.sql.reading.draft import Draft
from localcloud.bigquery.sql.reading.types import type_of

_MAY_CONCERN = re.compile(r"\bSELECT\s+(?:ALL\s+|DISTINCT\s+)?AS\s+(?:STRUCT|VALUE)\b", re.IGNORECASE)
_VALUE = "_value"


def name_columns(draft: Draft) -> None:
    """Give the value tables of a statement of GoogleSQL columns.

    A query AS VALUE whose own rows the client gets is left as it is, unless it shows the fields: its value may be of any type.
    """
    tree = draft.tree if _MAY_CONCERN.search(draft.text) is not None else None
    if tree is None:
        return
    changed = False
    draft.mark_types()
    for select in reversed(list(tree.find_all(exp.Select))):
        if select.args.get("kind") and _is_table(select):
            changed = _show_fields(select) or changed
    if changed:
        draft.changed(tree)


def value_of(tree: exp.Expr | None) -> exp.Expr | None:
    """Return the value of a query AS VALUE that does not show its fields; None for another statement."""
    if not isinstance(tree, exp.Select) or tree.args.get("kind") != "VALUE" or len(tree.expressions) != 1:
        return None
    value: exp.Expr = tree.expressions[0].unalias()
    return None if isinstance(value, exp.Struct) else value


def expanded(select: exp.Select) -> exp.Select:
    """Return a query with the fields of the one STRUCT that a query AS VALUE returns."""
    inner = _plain(select)
    inner.set("expressions", [exp.alias_(inner.expressions[0].unalias(), _VALUE)])
    return exp.select(exp.Column(this=exp.Star(), table=exp.to_identifier(_VALUE))).from_(inner.subquery())


def unnamed(select: exp.Select) -> exp.Select:
    """Return a query for a query AS VALUE that returns no STRUCT, whose column has no name."""
    inner = _plain(select)
    inner.set("expressions", [exp.alias_(inner.expressions[0].unalias(), "f0_")])
    return inner


def _plain(select: exp.Select) -> exp.Select:
    inner = select.copy()
    inner.set("kind", None)
    return inner


def _is_table(select: exp.Select) -> bool:
    """Return whether the rows of a query are those of the statement, or of a table in it."""
    node: exp.Expr = select
    while isinstance(node.parent, (exp.SetOperation, exp.Subquery)):
        node = node.parent
    return node.parent is None or isinstance(node.parent, (exp.CTE, exp.Create, exp.From, exp.Insert, exp.Join))


def _show_fields(select: exp.Select) -> bool:
    value = value_of(select)
    if value is None:
        _show_written(select)
        return True
    if select.parent is None:
        return False
    if not _may_be_struct(value, select):
        return _name_value(select, value)
    select.replace(expanded(select))
    return True


def _name_value(select: exp.Select, value: exp.Expr) -> bool:
    """Name the one column of a table of values as the table, so that the name of the table is that of the value."""
    if not isinstance(select.parent, (exp.CTE, exp.Subquery)) or not select.parent.alias:
        return False
    name = exp.to_identifier(select.parent.alias, quoted=True)
    select.set("expressions", [exp.alias_(value.copy(), name)])
    select.set("kind", None)
    return True


def _show_written(select: exp.Select) -> None:
    """Make columns of the fields of AS STRUCT, and of a constructor after AS VALUE."""
    if select.args["kind"] == "VALUE":
        fields = []
        for each in select.expressions[0].unalias().expressions:
            named = isinstance(each, exp.PropertyEQ)
            fields.append(exp.alias_(each.expression, each.this.name, quoted=True) if named else each)
        select.set("expressions", fields)
    select.set("kind", None)


def _may_be_struct(value: exp.Expr, select: exp.Select) -> bool:
    """Return whether the value may be a STRUCT: a row, a column but not the element of an UNNEST, or one of several values."""
    if (kind := type_of(value)) not in (None, exp.DType.UNKNOWN):
        return kind == exp.DType.STRUCT
    if not isinstance(value, exp.Column):
        return isinstance(value, (exp.AnyValue, exp.Bracket, exp.Case, exp.Coalesce, exp.If))
    elements = [name for each in select.find_all(exp.Unnest) for name in (each.alias, *each.alias_column_names)]
    return value.name not in elements
