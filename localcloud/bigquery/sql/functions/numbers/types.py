"""Gives the operands of an expression the number type that GoogleSQL takes for them, where DuckDB takes another one.

Of several number types the widest is taken: INT64, NUMERIC, BIGNUMERIC, FLOAT64. DuckDB takes NUMERIC for a BIGNUMERIC beside
a NUMERIC, and bqemulator for every quotient with one.
https://cloud.google.com/bigquery/docs/reference/standard-sql/conversion_rules#supertypes
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from sqlglot import exp

from localcloud.bigquery.sql.functions.nodes import call, columns_of, integer
from localcloud.bigquery.sql.reading.draft import Draft
from localcloud.bigquery.sql.reading.types import keep_type, type_of

_CHOICES: tuple[type[exp.Expr], ...] = (exp.Array, exp.Case, exp.Coalesce, exp.Greatest, exp.If, exp.Least, exp.Nullif)
_QUOTIENTS: tuple[type[exp.Expr], ...] = (exp.Div, exp.SafeDivide)
_ROUNDED: tuple[type[exp.Expr], ...] = (exp.Ceil, exp.Floor, exp.Round, exp.Trunc)
_JOINED: tuple[type[exp.Expr], ...] = (exp.Concat, exp.DPipe)
# The functions whose results have all digits, and the names of their macros.
_EXACT: dict[type[exp.Expr], str] = {
    exp.Cbrt: "cbrt",
    exp.Div: "quotient",
    exp.Exp: "exp",
    exp.Ln: "ln",
    exp.Log: "log",
    exp.Mul: "product",
    exp.Pow: "pow",
    exp.Sqrt: "sqrt",
}
_SUMS: tuple[type[exp.Expr], ...] = (exp.Add, exp.Sub)
_KINDS: tuple[type[exp.Expr], ...] = (
    *_CHOICES,
    *_QUOTIENTS,
    *_ROUNDED,
    *_JOINED,
    *_EXACT,
    *_SUMS,
    exp.Anonymous,
    exp.Avg,
    exp.SafeMultiply,
)
_INTEGERS = frozenset({exp.DType.BIGINT, exp.DType.INT})
_DECIMAL = exp.DType.DECIMAL
_DECIMALS = frozenset({_DECIMAL, exp.DType.BIGDECIMAL})
_NUMBERS = _INTEGERS | _DECIMALS | {exp.DType.DOUBLE}
_COLUMNS = frozenset({"NUMERIC", "BIGNUMERIC"})
_FLOATS = frozenset({"FLOAT64", "FLOAT", "DOUBLE"})
_MAY_CONCERN = re.compile(r"NUMERIC|DECIMAL|\b(?:ROUND|TRUNC)\s*\(", re.IGNORECASE)
_JOINS = re.compile(r"\|\||\bCONCAT\s*\(", re.IGNORECASE)


def widen_numbers(draft: Draft) -> None:
    """Give the numbers of one statement of GoogleSQL the types in DuckDB that they have in GoogleSQL."""
    columns = _COLUMNS | _FLOATS if _JOINS.search(draft.text) else _COLUMNS
    if _MAY_CONCERN.search(draft.text) is None and not columns_of(draft.schema, columns):
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
        case exp.Anonymous():
            return node.name == "_quotient" and _divide_whole(node)
        case exp.SafeDivide():
            return _divide(node)
        case exp.Avg():
            return _average(node)
        case exp.Concat() | exp.DPipe():
            sides = node.expressions if isinstance(node, exp.Concat) else [node.this, node.expression]
            return _cast_each((side for side in sides if _kind_of(side) in _DECIMALS | {exp.DType.DOUBLE}), "STRING")
        case exp.Add() | exp.Sub() if {_kind_of(node.this), _kind_of(node.expression)} == _DECIMALS:
            return _cast_each(
                (side for side in (node.this, node.expression) if _kind_of(side) == _DECIMAL), "BIGNUMERIC"
            )
        case exp.SafeMultiply() if type_of(node.this) == type_of(node.expression) == _DECIMAL:
            return _cast_result(node, "NUMERIC", safe=True)
        case exp.Round() | exp.Trunc() if type_of(node.this) in _INTEGERS:
            return _cast(node.this, "FLOAT64")
        case exp.Round() | exp.Trunc() if type_of(node.this) == _DECIMAL and _has_other_digits(node):
            name = f"_numeric_{type(node).__name__.lower()}_to"
            node.replace(exp.cast(call(name, node.this, node.args["decimals"]), "NUMERIC", dialect="bigquery"))
            return True
        case exp.Ceil() | exp.Floor() | exp.Round() | exp.Trunc() if type_of(node.this) in _DECIMALS:
            return _cast_result(node, "NUMERIC" if type_of(node.this) == _DECIMAL else "BIGNUMERIC")
        case exp.SafeMultiply() | exp.Ceil() | exp.Floor() | exp.Round() | exp.Trunc() | exp.Add() | exp.Sub():
            return False
    return _compute(node) if type(node) in _EXACT else _choose(_values(node))


def _has_other_digits(node: exp.Expr) -> bool:
    """Return whether the number of digits is not a literal."""
    digits = node.args.get("decimals")
    return digits is not None and integer(digits) is None and node.args.get("truncate") is None


def _compute(node: exp.Expr) -> bool:
    """Call the macro that computes with all digits of NUMERICs or BIGNUMERICs."""
    sides = [each for each in (node.this, node.args.get("expression")) if each is not None]
    kinds = {_kind_of(side) for side in sides if not _is_literal(side)}
    if not _DECIMALS & kinds or not kinds <= _NUMBERS:
        return False
    if exp.DType.DOUBLE in kinds:
        return _cast_each((side for side in sides if _kind_of(side) != exp.DType.DOUBLE), "FLOAT64")
    if isinstance(node.parent, exp.SafeFunc):
        return False
    kind = "NUMERIC" if exp.DType.BIGDECIMAL not in kinds else "BIGNUMERIC"
    if isinstance(node, exp.Mul) and kind == "NUMERIC":
        return False  # `arithmetic` multiplies NUMERICs
    _cast_each(filter(_is_literal, sides), kind)
    if isinstance(node, exp.Log):
        node.set("this", node.expression.copy())
        node.set("expression", sides[0].copy())
    operands = (node.this, node.args.get("expression"))
    computed = exp.cast(call(f"_{kind.lower()}_{_EXACT[type(node)]}", *operands), kind, dialect="bigquery")
    node.replace(keep_type(node, computed))
    return True


def _average(node: exp.Avg) -> bool:
    """Divide the sum of decimal numbers by their count; DuckDB's average is a FLOAT64."""
    kind = type_of(node.this.expressions[0] if isinstance(node.this, exp.Distinct) else node.this)
    if kind not in _DECIMALS or isinstance(node.parent, exp.Filter) or isinstance(node.this, exp.HavingMax):
        return False
    name = "NUMERIC" if kind == _DECIMAL else "BIGNUMERIC"
    window = node.parent if isinstance(node.parent, exp.Window) and node.parent.this is node else None
    operands: list[exp.Expr] = [exp.Sum(this=node.this.copy()), exp.Count(this=node.this.copy())]
    if window is not None:
        operands = [exp.Window(**{**window.copy().args, "this": operand}) for operand in operands]
    (window or node).replace(exp.cast(call(f"_{name.lower()}_quotient", *operands), name, dialect="bigquery"))
    return True


def _divide_whole(node: exp.Anonymous) -> bool:
    """Divide decimal numbers, whose quotient is an integer, with all their digits."""
    kinds = {_kind_of(side) for side in node.expressions}
    if not _DECIMALS & kinds or not kinds <= _NUMBERS - {exp.DType.DOUBLE}:
        return False
    kind = "NUMERIC" if exp.DType.BIGDECIMAL not in kinds else "BIGNUMERIC"
    quotient = call(f"_whole_{kind.lower()}_quotient", *node.expressions)
    # SAFE takes calls only.
    is_safe = isinstance(node.parent, exp.SafeFunc)
    node.replace(quotient if is_safe else exp.cast(quotient, kind, dialect="bigquery"))
    return True


def _divide(node: exp.Expr) -> bool:
    sides = [node.this, node.expression]
    kinds = {_kind_of(side) for side in sides if not _is_literal(side)}
    if not _DECIMALS & kinds or not kinds <= _NUMBERS:
        return False
    if exp.DType.DOUBLE in kinds:
        return _cast_each(sides, "FLOAT64")
    kind = "NUMERIC" if exp.DType.BIGDECIMAL not in kinds else "BIGNUMERIC"
    _cast_each(filter(_is_literal, sides), kind)
    quotient = call(f"_safe_{kind.lower()}_quotient", node.this, node.expression)
    node.replace(keep_type(node, exp.cast(quotient, kind, dialect="bigquery")))
    return True


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
    return _cast_each((value for value in given if _is_literal(value) or _kind_of(value) != wide), widest)


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
        exp.Literal.string(value.sql(dialect="bigquery")) if _is_literal(value) and kind in _COLUMNS else value.copy()
    )
    value.replace(exp.cast(text, kind, dialect="bigquery"))
    return True


def _cast_each(values: Iterable[exp.Expr], kind: str) -> bool:
    """Cast values, and return whether there are any."""
    return any([_cast(value, kind) for value in values])  # noqa: C419  # all of them


def _cast_result(node: exp.Expr, kind: str, *, safe: bool = False) -> bool:
    cast = (exp.TryCast if safe else exp.Cast)(this=node.copy(), to=exp.DataType.build(kind, dialect="bigquery"))
    node.replace(keep_type(node, cast))
    return True
