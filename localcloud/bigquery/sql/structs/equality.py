"""Compares STRUCTs field by field, so that a NULL in them is unknown; DuckDB takes two NULLs in STRUCTs for equal.

https://cloud.google.com/bigquery/docs/reference/standard-sql/data-types#comparing_structs
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from localcloud.bigquery.sql.functions.nodes import call, number
from localcloud.bigquery.sql.structs.positions import fields_of

# Operands that may be computed once for each field.
_SIMPLE = (exp.Column, exp.Dot, exp.Struct, exp.Tuple)


def compare_fields(node: exp.EQ | exp.NEQ, types: Sequence[exp.DataType | None]) -> bool:
    """Replace a comparison of two STRUCTs, in place; return False if it stays: an operand may cost much.

    Args:
        node: The comparison.
        types: The types of its operands; None for one that is not a STRUCT, or whose type is not known.
    """
    sides = [side.unnest() for side in (node.this, node.expression)]
    fields = [_fields(side, kind) for side, kind in zip(sides, types, strict=True)]
    if not fields[0] or len(fields[0]) != len(fields[1]) or not all(isinstance(side, _SIMPLE) for side in sides):
        return False
    same = exp.and_(*_equal_fields(sides[0], sides[1], fields), copy=False)
    whole = exp.Paren(this=same)
    node.replace(whole if isinstance(node, exp.EQ) else exp.Not(this=whole))
    return True


def compare_each(node: exp.In, types: Sequence[exp.DataType | None]) -> bool:
    """Replace ``x IN (y, z)`` of STRUCTs by comparisons, in place; return False if it stays.

    Args:
        node: The operator with a list.
        types: The types of its operands, as for ``compare_fields``.
    """
    operands = [node.this, *node.expressions]
    fields = [_fields(side.unnest(), kind) for side, kind in zip(operands, types, strict=True)]
    same = len({len(each) for each in fields}) == 1 and len(fields) > 1 and bool(fields[0])
    if not same or not all(isinstance(side.unnest(), _SIMPLE) for side in operands):
        return False
    comparisons = [exp.EQ(this=node.this.copy(), expression=each.copy()) for each in node.expressions]
    node.replace(exp.Paren(this=exp.or_(*comparisons, copy=False)))
    for comparison, kind in zip(comparisons, types[1:], strict=True):
        compare_fields(comparison, (types[0], kind))
    return True


def _fields(value: exp.Expr, kind: exp.DataType | None) -> list[exp.DataType | None]:
    """Return the types of the fields of a STRUCT as far as they are known; none for another value."""
    if kind is not None:
        return [field for _, field in fields_of(kind)]
    return [None for _ in value.expressions] if isinstance(value, exp.Tuple) else []


def _equal_fields(left: exp.Expr, right: exp.Expr, types: Sequence[Sequence[exp.DataType | None]]) -> list[exp.Expr]:
    found: list[exp.Expr] = []
    for place, kinds in enumerate(zip(*types, strict=True)):
        sides = _part(left, place), _part(right, place)
        inner = [_fields(side.unnest(), kind) for side, kind in zip(sides, kinds, strict=True)]
        if inner[0] and len(inner[0]) == len(inner[1]):
            found += _equal_fields(*sides, inner)
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
