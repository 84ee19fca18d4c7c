"""Adds, multiplies, divides and sums numbers with GoogleSQL's types and errors.

A FLOAT64 that overflows is an error in GoogleSQL and infinity in DuckDB. The product of two NUMERICs is a NUMERIC with 9 digits
after the point, where DuckDB's has 18. A literal such as ``1.5`` beside a NUMERIC is a NUMERIC.
https://cloud.google.com/bigquery/docs/reference/standard-sql/operators#arithmetic_operators
https://cloud.google.com/bigquery/docs/reference/standard-sql/conversion_rules#supertypes
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import reduce

from sqlglot import exp

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.sql.functions.nodes import call, columns_of
from localcloud.bigquery.sql.reading.draft import Draft
from localcloud.bigquery.sql.reading.types import type_of

# A number of at most 9 digits before the point, with fewer digits behind it. DuckDB computes with 64 bits here.
_SHORT = "CAST(TRY_CAST({} AS DECIMAL(18, 9)) AS DECIMAL(18, {}))"
MACROS: tuple[str, ...] = (
    # A text that is no number fails too. DuckDB's error() has side effects, so that no other clause could use an alias of it.
    "CREATE OR REPLACE MACRO _finite_or_error(result, given, message) AS CASE WHEN isfinite(result) THEN result "
    "WHEN result IS NULL THEN NULL WHEN isfinite(given) THEN CAST('double overflow: ' || message AS DOUBLE) ELSE result END",
    # The sum of the products with 0 is NaN if a value is infinite or NaN.
    "CREATE OR REPLACE MACRO _finite_sum(result, of_zeros) AS CASE WHEN isfinite(result) OR result IS NULL THEN result "
    "WHEN isnan(of_zeros) THEN result ELSE CAST('double overflow' || left(CAST(result AS VARCHAR), 0) AS DOUBLE) END",
    "CREATE OR REPLACE MACRO _int64_sum(result) AS CAST(result AS BIGINT)",
    "CREATE OR REPLACE MACRO _finite_average(result, of_parts) AS "
    "CASE WHEN isfinite(result) OR result IS NULL THEN result ELSE of_parts * 1048576 END",
    # The division that takes 9 of 18 digits is slow. Most numbers have fewer digits, whose product needs none.
    f"CREATE OR REPLACE MACRO _numeric_product(a, b) AS CASE WHEN {_SHORT.format('a', 4)} = a AND {_SHORT.format('b', 5)} = b "
    f"THEN CAST({_SHORT.format('a', 4)} * {_SHORT.format('b', 5)} AS DECIMAL(38, 9)) ELSE CAST(a * b AS DECIMAL(38, 9)) END",
    "CREATE OR REPLACE MACRO _operation_text(a, sign, b) AS "
    "format('{:g}', CAST(a AS DOUBLE)) || sign || format('{:g}', CAST(b AS DOUBLE))",
    # Views that earlier versions have stored call it.
    "CREATE OR REPLACE MACRO _number_text(x) AS format('{:g}', CAST(x AS DOUBLE))",
)
"""The DuckDB macros that the rewritten SQL calls."""

_OPERATORS: dict[type[exp.Expr], str] = {exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Div: "/"}
_FLOATS, _NUMERICS = frozenset({"FLOAT64", "FLOAT", "DOUBLE"}), frozenset({"NUMERIC", "DECIMAL"})
_INTEGERS = frozenset({exp.DType.BIGINT, exp.DType.INT})
_LARGEST = 2**63 - 1
# Names and literals of other types than INT64, and integers that are too large for it.
_NUMBERS = re.compile(r"\b(?:FLOAT64|NUMERIC|DECIMAL|SUM|AVG)\b|\d\.\d|\d[eE][+-]?\d|\d{19}", re.IGNORECASE)
_CALCULATES = re.compile(r"[-+*/]|\b(?:SUM|AVG)\b|\d{19}", re.IGNORECASE)


def check_arithmetic(draft: Draft) -> None:
    """Let DuckDB compute with the numbers of one statement of GoogleSQL as GoogleSQL does.

    Raises:
        QueryError: The literal of an integer is too large.
    """
    if _CALCULATES.search(draft.text) is None:
        return
    if _NUMBERS.search(draft.text) is None and not columns_of(draft.schema, _FLOATS | _NUMERICS):
        return
    tree = draft.tree
    if tree is None:
        return
    changed = _check_integers(tree)
    nodes = list(tree.find_all(*_OPERATORS, exp.Sum, exp.Avg))
    if nodes and draft.mark_types():
        for node in reversed(nodes):
            replacement = _replacement(node)
            if replacement is not None:
                (_window(node) or node).replace(replacement)
                changed = True
    if changed:
        draft.changed(tree, keeps_types=True)


def _check_integers(tree: exp.Expr) -> bool:
    """Write the smallest integer as DuckDB reads it, and refuse integers that are too large."""
    changed = False
    for literal in list(tree.find_all(exp.Literal)):
        if literal.is_string or not literal.name.isdigit() or int(literal.name) <= _LARGEST:
            continue
        negative = literal.parent
        if not isinstance(negative, exp.Neg) or int(literal.name) > _LARGEST + 1:
            raise QueryError(f"Invalid integer literal: {literal.name}")
        smallest = exp.Sub(this=exp.Neg(this=exp.Literal.number(_LARGEST)), expression=exp.Literal.number(1))
        negative.replace(exp.Paren(this=smallest))
        changed = True
    return changed


def _replacement(node: exp.Expr) -> exp.Expr | None:
    if isinstance(node, (exp.Sum, exp.Avg)):
        return _aggregate(node)
    kinds = [type_of(side) for side in (node.this, node.expression)]
    decimal = next((kind for kind in kinds if kind in (exp.DType.DECIMAL, exp.DType.BIGDECIMAL)), None)
    if decimal is not None:
        return _of_decimals(node, decimal, kinds)
    return _checked(node) if type_of(node) == exp.DType.DOUBLE and not _is_part(node) else None


# NUMERIC


def _of_decimals(node: exp.Expr, decimal: exp.DType, kinds: list[exp.DType | None]) -> exp.Expr | None:
    """Return an operation with a NUMERIC whose literals and result are NUMERICs, or None if nothing changes."""
    changed = node.copy()
    literal = False
    for name in ("this", "expression"):
        if _is_decimal_literal(changed.args[name]):
            text = exp.Literal.string(changed.args[name].sql(dialect="bigquery"))
            changed.set(name, exp.cast(text, exp.DataType.build(decimal), dialect="bigquery"))
            literal = True
    exact = (exp.DType.DECIMAL, *_INTEGERS)
    if isinstance(node, exp.Mul) and (literal or all(kind in exact for kind in kinds)) and decimal == exact[0]:
        # The cast tells the type to what reads the tree later.
        return exp.cast(call("_numeric_product", changed.this, changed.expression), "NUMERIC", dialect="bigquery")
    return changed if literal else None


def _is_decimal_literal(node: exp.Expr) -> bool:
    node = node.this if isinstance(node, exp.Neg) else node
    return isinstance(node, exp.Literal) and not node.is_string and not node.name.isdigit()


# FLOAT64


def _is_part(node: exp.Expr) -> bool:
    """Return whether a node is part of a larger calculation, whose result is not finite either."""
    parent = node.parent
    while isinstance(parent, (exp.Paren, exp.Neg)):
        parent = parent.parent
    return type(parent) in _OPERATORS and type_of(parent) == exp.DType.DOUBLE


def _checked(node: exp.Expr) -> exp.Expr | None:
    """Return a calculation that fails if it overflows, that is, if its operands are finite and it is not."""
    operands = list(_operands(node))
    given = [each for each in operands if not isinstance(each, exp.Literal)]
    # sqlglot takes any window for a FLOAT64.
    kinds = [type_of(each.this if isinstance(each, exp.Window) else each) for each in given]
    may_overflow = exp.DType.DOUBLE in kinds or any(
        "e" in each.name.lower() for each in operands if isinstance(each, exp.Literal)
    )
    # DuckDB's TRY, which carries out SAFE, accepts nothing that has an error of its own.
    if not may_overflow or node.find(exp.Query) is not None or node.find_ancestor(exp.SafeFunc, exp.SafeNegate):
        return None
    zeros: list[exp.Expr] = [exp.Mul(this=each.copy(), expression=exp.Literal.number(0)) for each in given]
    total = reduce(lambda sum_, zero: exp.Add(this=sum_, expression=zero), zeros or [exp.Literal.number(0)])
    sign = exp.Literal.string(f" {_OPERATORS[type(node)]} ")
    return call("_finite_or_error", node, total, call("_operation_text", node.this, sign, node.expression))


def _operands(node: exp.Expr) -> Iterator[exp.Expr]:
    if type(node) in _OPERATORS:
        yield from _operands(node.this)
        yield from _operands(node.expression)
    elif isinstance(node, (exp.Paren, exp.Neg)):
        yield from _operands(node.this)
    else:
        yield node


# Aggregates


def _window(node: exp.Expr) -> exp.Window | None:
    """Return the window of a function, or None."""
    return node.parent if isinstance(node.parent, exp.Window) and node.parent.this is node else None


def _aggregate(node: exp.Sum | exp.Avg) -> exp.Expr | None:
    """Return a sum that fails if it overflows, or an average that does not, or None if nothing changes."""
    if isinstance(node.parent, (exp.Filter, exp.IgnoreNulls)):
        return None
    kind = type_of(node.this.expressions[0] if isinstance(node.this, exp.Distinct) else node.this)
    if isinstance(node, exp.Sum) and kind in _INTEGERS:
        return call("_int64_sum", _window(node) or node)  # DuckDB's sum has 128 bits
    if type_of(node) != exp.DType.DOUBLE:
        return None
    value = node.this.expressions[0] if isinstance(node.this, exp.Distinct) else node.this
    if isinstance(value, exp.HavingMax) or value.find(exp.Query) is not None or type_of(node.this) in _INTEGERS:
        return None
    number, macro = ("0", "_finite_sum") if isinstance(node, exp.Sum) else ("1048576", "_finite_average")
    scaled = exp.Mul if isinstance(node, exp.Sum) else exp.Div
    other = node.copy()
    inner = other.this.expressions[0] if isinstance(other.this, exp.Distinct) else other.this
    inner.replace(scaled(this=exp.Paren(this=value.copy()), expression=exp.Literal.number(number)))
    window = _window(node)
    if window is None:
        return call(macro, node, other)
    scaled_window = window.copy()
    scaled_window.set("this", other)
    return call(macro, window, scaled_window)
