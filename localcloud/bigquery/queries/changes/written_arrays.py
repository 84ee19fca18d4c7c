"""Makes INSERT, UPDATE and MERGE fail for an array with NULL as an element, which a column of a table cannot have.

https://cloud.google.com/bigquery/docs/reference/standard-sql/data-types#array_nulls
"""

from __future__ import annotations

from collections.abc import Iterator

from bqemulator.catalog.models import TableFieldSchema
from sqlglot import exp

from localcloud.bigquery.sql.structs.positions import COERCION
from localcloud.bigquery.tables.columns.null_elements import ELEMENTS, FIELD, FIELDS, HAS_NULL, WITHOUT_NULLS

_WRITTEN_OUT = (
    exp.Array,
    exp.Boolean,
    exp.Cast,
    exp.DataType,
    exp.Identifier,
    exp.Literal,
    exp.Neg,
    exp.PropertyEQ,
    exp.Struct,
    exp.Tuple,
)


def has_arrays(column: TableFieldSchema | None) -> bool:
    """Return whether the values of a column are arrays, or have arrays in their fields."""
    return column is not None and (column.mode == "REPEATED" or any(map(has_arrays, column.fields)))


def whole_array(value: exp.Expr, column: TableFieldSchema | None) -> exp.Expr:
    """Return a value for a column that fails if an array in it has NULL as an element; ``value`` if none can have it."""
    if column is None or not has_arrays(column) or isinstance(value, exp.Null) or _is_whole(value):
        return value
    checked = value
    for name, has_null in _conditions(value, column):
        checked = _call(WITHOUT_NULLS, checked, has_null, exp.Literal.string(name))
    return checked


def _conditions(value: exp.Expr, column: TableFieldSchema, in_array: bool = False) -> Iterator[tuple[str, exp.Expr]]:
    """Yield the name of each column or field with arrays, and the condition that one of them has NULL as an element.

    Args:
        value: The value of the column or field, or an array of its values.
        column: The column or field.
        in_array: Whether it is in an array, so that there is an array of its values.
    """
    if column.mode == "REPEATED":
        yield column.name, _call(HAS_NULL, value)
        in_array = True
    for number, field in enumerate(column.fields, 1):
        if has_arrays(field):
            macro = FIELD if not in_array else ELEMENTS if field.mode == "REPEATED" else FIELDS
            yield from _conditions(_call(macro, value, exp.Literal.number(number)), field, in_array)


def _call(name: str, *arguments: exp.Expr) -> exp.Anonymous:
    return exp.Anonymous(this=name, expressions=[argument.copy() for argument in arguments])


def _is_whole(value: exp.Expr) -> bool:
    written = value.expressions[0] if isinstance(value, exp.Anonymous) and value.name == COERCION else value
    return all(isinstance(node, _WRITTEN_OUT) for node in written.walk())
