"""Compares STRUCTs field by field, so that a NULL in them is unknown; DuckDB takes two NULLs in STRUCTs for equal.

https://cloud.google.com/bigquery/docs/reference/standard-sql/data-types#comparing_structs
"""

from __future__ import annotations

from sqlglot import exp

from localcloud.bigquery.sql.functions.nodes import call, number
from localcloud.bigquery.sql.structs.positions import fields_of

# Operands that may be computed once for each field.
_SIMPLE = (exp.Column, exp.Dot, exp.Struct, exp.Tuple)


def compare_fields(node: exp.EQ | exp.NEQ, kind: exp.DataType) -> bool:
    """Replace a comparison of two STRUCTs, in place; return False if it stays: an operand may cost much.

    Args:
        node: The comparison.
        kind: The type of one of its operands.
    """
    sides = [side.unnest() for side in (node.this, node.expression)]
    if kind.this != exp.DType.STRUCT or not all(isinstance(side, _SIMPLE) for side in sides):
        return False
    same = exp.and_(*_equal_fields(sides[0], sides[1], kind), copy=False)
    whole = exp.Paren(this=same)
    node.replace(whole if isinstance(node, exp.EQ) else exp.Not(this=whole))
    return True


def _equal_fields(left: exp.Expr, right: exp.Expr, kind: exp.DataType) -> list[exp.Expr]:
    found: list[exp.Expr] = []
    for place, (_, field) in enumerate(fields_of(kind)):
        sides = _part(left, place), _part(right, place)
        if field.this == exp.DType.STRUCT:
            found += _equal_fields(*sides, field)
        else:
            found.append(exp.EQ(this=sides[0], expression=sides[1]))
    return found


def _part(value: exp.Expr, place: int) -> exp.Expr:
    """Return a field of a STRUCT by its position."""
    value = value.unnest()
    if isinstance(value, (exp.Struct, exp.Tuple)) and place < len(value.expressions):
        written = value.expressions[place]
        part: exp.Expr = written.expression if isinstance(written, exp.PropertyEQ) else written.unalias()
        return part.copy()
    return call("struct_extract_at", value, number(place + 1))
