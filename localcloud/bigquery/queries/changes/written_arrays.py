"""Makes INSERT, UPDATE and MERGE fail for an array with NULL as an element, which a column of a table cannot have.

https://cloud.google.com/bigquery/docs/reference/standard-sql/data-types#array_nulls
"""

from __future__ import annotations

from bqemulator.catalog.models import TableFieldSchema
from sqlglot import exp

from localcloud.bigquery.tables.columns.null_elements import WITHOUT_NULLS

_WRITTEN_OUT = (exp.Literal, exp.Boolean, exp.Neg, exp.Cast, exp.Tuple, exp.Struct)


def has_arrays(column: TableFieldSchema | None) -> bool:
    """Return whether the values of a column are arrays."""
    return column is not None and column.mode == "REPEATED"


def whole_array(value: exp.Expr, column: TableFieldSchema | None) -> exp.Expr:
    """Return a value for a column that fails if it is an array with NULL as an element; ``value`` if it cannot be one."""
    if column is None or not has_arrays(column) or isinstance(value, exp.Null) or _is_whole(value):
        return value
    return exp.Anonymous(this=WITHOUT_NULLS, expressions=[value.copy(), exp.Literal.string(column.name)])


def _is_whole(value: exp.Expr) -> bool:
    elements = value.expressions if isinstance(value, exp.Array) else None
    return elements is not None and all(
        isinstance(each, _WRITTEN_OUT) and not isinstance(each.this, exp.Null) for each in elements
    )
