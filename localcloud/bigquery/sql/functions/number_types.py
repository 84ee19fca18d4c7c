"""Gives the operands of an expression the number type that GoogleSQL takes for them, where DuckDB takes another one.

Of several number types the widest is taken: INT64, NUMERIC, BIGNUMERIC, FLOAT64. DuckDB takes NUMERIC for a BIGNUMERIC beside
a NUMERIC, and bqemulator for every quotient with one.
https://cloud.google.com/bigquery/docs/reference/standard-sql/conversion_rules#supertypes
"""

from __future__ import annotations

import re

from sqlglot import exp

from localcloud.bigquery.sql.functions.nodes import columns_of
from localcloud.bigquery.sql.reading.draft import Draft
from localcloud.bigquery.sql.reading.types import keep_type, type_of

_CHOICES: tuple[type[exp.Expr], ...] = (exp.Array, exp.Case, exp.Coalesce, exp.Greatest, exp.If, exp.Least, exp.Nullif)
_QUOTIENTS: tuple[type[exp.Expr], ...] = (exp.Div, exp.SafeDivide)
_ROUNDED: tuple[type[exp.Expr], ...] = (exp.Round, exp.Trunc)
_KINDS: tuple[type[exp.Expr], ...] = (*_CHOICES, *_QUOTIENTS, *_ROUNDED, exp.SafeMultiply)
_INTEGERS = frozenset({exp.DType.BIGINT, exp.DType.INT})
_DECIMALS = frozenset({exp.DType.DECIMAL, exp.DType.BIGDECIMAL})
_NUMBERS = _INTEGERS | _DECIMALS | {exp.DType.DOUBLE}
_COLUMNS = frozenset({"NUMERIC", "BIGNUMERIC"})
_MAY_CONCERN = re.compile(r"NUMERIC|DECIMAL|\b(?:ROUND|TRUNC)\s*\(", re.IGNORECASE)


def widen_numbers(draft: Draft) -> None:
    """Give the numbers of one statement of GoogleSQL the types in DuckDB that they have in GoogleSQL."""
    if _MAY_CONCERN.search(draft.text) is None and not columns_of(draft.schema, _COLUMNS):
        return
    tree = draft.tree
    if tree is None or tree.find(*_KINDS) is None or not draft.mark_types():
        return
    changed = False
    for node in reversed(list(tree.find_all(*_KINDS))):
        changed = _change(node) or changed
    if changed:
        draft.changed(tree)


def _change(node: exp.Expr) -> bool:
    match node:
        case exp.Div() | exp.SafeDivide():
            return _divide(node)
        case exp.SafeMultiply() if type_of(node.this) == type_of(node.expression) == exp.DType.DECIMAL:
            return _cast_result(node, "NUMERIC", safe=True)
        case exp.Round() | exp.Trunc() if type_of(node.this) in _INTEGERS:
            return _cast(node.this, "FLOAT64")
        case exp.Round() | exp.Trunc() if type_of(node.this) == exp.DType.BIGDECIMAL:
            return _cast_result(node, "BIGNUMERIC")
        case exp.SafeMultiply() | exp.Round() | exp.Trunc():
            return False
    return _choose(_values(node))


def _divide(node: exp.Expr) -> bool:
    sides = [node.this, node.expression]
    kinds = {_kind_of(side) for side in sides if not _is_literal(side)}
    if not _DECIMALS & kinds or not kinds <= _NUMBERS:
        return False
    if exp.DType.DOUBLE not in kinds and exp.DType.BIGDECIMAL not in kinds:
        return _cast_result(node, "NUMERIC")
    for side in sides:
        _cast(side, "FLOAT64")
    return True if exp.DType.DOUBLE in kinds else _cast_result(node, "BIGNUMERIC")


def _choose(values: list[exp.Expr]) -> bool:
    """Convert the values of which one is taken to the widest of their types."""
    given = [value for value in values if not isinstance(value, exp.Null)]
    kinds = {_kind_of(value) for value in given if not _is_literal(value)}
    if not _DECIMALS & kinds or not kinds <= _NUMBERS:
        return False
    if exp.DType.DOUBLE in kinds:
        widest, wide = "FLOAT64", exp.DType.DOUBLE
    elif exp.DType.BIGDECIMAL in kinds:
        widest, wide = "BIGNUMERIC", exp.DType.BIGDECIMAL
    else:
        widest, wide = "NUMERIC", exp.DType.DECIMAL
    converted = [_cast(value, widest) for value in given if _is_literal(value) or _kind_of(value) != wide]
    return any(converted)


def _values(node: exp.Expr) -> list[exp.Expr]:
    match node:
        case exp.Array():
            return [each for each in node.expressions if not isinstance(each, exp.Query)]
        case exp.Case():
            values = [*(branch.args["true"] for branch in node.args["ifs"]), node.args.get("default")]
        case exp.If():
            values = [] if isinstance(node.parent, exp.Case) else [node.args["true"], node.args.get("false")]
        case _:
            values = [node.this, node.args.get("expression"), *node.expressions]
    return [each for each in values if each is not None]


def _kind_of(value: exp.Expr) -> exp.DType | None:
    """Return the type of a value; a calculation with a NUMERIC and the literal of a number with a fraction is a NUMERIC."""
    if isinstance(value, (exp.Paren, exp.Neg)):
        return _kind_of(value.this)
    if isinstance(value, (exp.Add, exp.Sub, exp.Mul)):
        kinds = {_kind_of(side) for side in (value.this, value.expression) if not _is_literal(side)}
        if kinds <= _NUMBERS and _DECIMALS & kinds and exp.DType.DOUBLE not in kinds:
            return exp.DType.BIGDECIMAL if exp.DType.BIGDECIMAL in kinds else exp.DType.DECIMAL
    return type_of(value)


def _is_literal(value: exp.Expr) -> bool:
    """Return whether a value is the literal of a number with a fraction, which is a NUMERIC beside one."""
    value = value.this if isinstance(value, exp.Neg) else value
    return isinstance(value, exp.Literal) and not value.is_string and not value.name.isdigit()


def _cast(value: exp.Expr, kind: str) -> bool:
    text = (
        exp.Literal.string(value.sql(dialect="bigquery")) if _is_literal(value) and kind != "FLOAT64" else value.copy()
    )
    value.replace(exp.cast(text, kind, dialect="bigquery"))
    return True


def _cast_result(node: exp.Expr, kind: str, *, safe: bool = False) -> bool:
    cast = (exp.TryCast if safe else exp.Cast)(this=node.copy(), to=exp.DataType.build(kind, dialect="bigquery"))
    node.replace(keep_type(node, cast))
    return True
