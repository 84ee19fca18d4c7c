"""Keeps the types of columns that are NULL whatever the rows are.

DuckDB takes a call with a constant NULL among its arguments for a NULL without a type if the type of the call depends on
those of its arguments, as with decimals and arrays. Such a column would be an INT64 in results and in tables made from them.
"""

from __future__ import annotations

import re

from sqlglot import exp

from localcloud.bigquery.sql.reading.draft import Draft
from localcloud.bigquery.sql.reading.types import whole_type_of

_MAY_BE_NULL = re.compile(r"\bNULL\b|[@?]", re.IGNORECASE)
_NULLS = (exp.Null, exp.Parameter, exp.Placeholder)
# Expressions whose type DuckDB knows without looking at their operands.
_PLAIN = (
    *_NULLS,
    exp.Cast,
    exp.Column,
    exp.Literal,
    exp.Query,
    exp.Star,
    exp.Predicate,
    exp.Dot,
    exp.Window,
    exp.AggFunc,
)
# DuckDB knows the types of calls with other types of arguments.
_LOST = frozenset({exp.DType.DECIMAL, exp.DType.BIGDECIMAL, exp.DType.ARRAY})


def type_nulls(draft: Draft) -> None:
    """Cast the columns of one statement of GoogleSQL that may be a constant NULL to their types."""
    tree = draft.tree if _MAY_BE_NULL.search(draft.text) is not None else None
    columns = [
        value
        for select in (tree.find_all(exp.Select) if tree is not None else ())
        for column in select.expressions
        if not isinstance(value := column.unalias(), _PLAIN) and value.find(*_NULLS) is not None
    ]
    if tree is None or not columns or not draft.mark_types():
        return
    changed = False
    for value in columns:
        kind = whole_type_of(value)
        if kind is not None and kind.this in _LOST:
            value.replace(exp.Cast(this=value.copy(), to=kind.copy()))
            changed = True
    if changed:
        draft.changed(tree)
