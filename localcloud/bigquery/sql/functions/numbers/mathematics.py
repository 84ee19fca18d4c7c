"""Computes mathematical functions with BigQuery's errors and types.

DuckDB returns infinity or NaN where BigQuery reports an error, and FLOAT64 where the result is a NUMERIC.
https://cloud.google.com/bigquery/docs/reference/standard-sql/mathematical_functions
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from localcloud.bigquery.sql.functions.nodes import Rule, call

_NUMERIC = "DECIMAL(38, 9)"
_ERROR = "bqemu_fail('Floating point error in function: ' || {name} || '(' || {arguments} || ')')"
# The largest exponents whose results are finite.
_LARGEST, _LARGEST_HYPERBOLIC = "709.782712893384", "710.475860073944"
# This test spares most rows that of the result, which computes it twice.
_SURELY_FINITE = "x BETWEEN 0.000001 AND 1000000 AND y BETWEEN -50 AND 50"
_HAS_INFINITE_ARGUMENT = "isinf(x) OR isinf(y)"
_PERIODIC = ("cos", "sin", "tan")
# Functions of one FLOAT64: the result, and when it is an error.
_OF_FLOATS = {
    "acosh": ("acosh(x)", "x < 1"),
    "atanh": ("atanh(x)", "abs(x) >= 1"),
    "cosh": ("cosh(x)", f"abs(x) > {_LARGEST_HYPERBOLIC} AND NOT isinf(x)"),
    "sinh": ("sinh(x)", f"abs(x) > {_LARGEST_HYPERBOLIC} AND NOT isinf(x)"),
    "cot": ("1 / tan(x)", "x = 0"),
    "coth": ("1 / tanh(x)", "x = 0"),
    "csc": ("1 / sin(x)", "x = 0"),
    "csch": ("1 / sinh(x)", "x = 0"),
    "cbrt": ("CASE WHEN pow(round(cbrt(x)), 3) = x THEN round(cbrt(x)) ELSE cbrt(x) END", "FALSE"),
    **{name: (f"CASE WHEN isinf(x) THEN CAST('NaN' AS DOUBLE) ELSE {name}(x) END", "FALSE") for name in _PERIODIC},
    "exp": ("exp(x)", f"x > {_LARGEST} AND NOT isinf(x)"),
}


def _as_type_of(value: str, given: str) -> str:
    """Return a value as NUMERIC if what is given is one, and otherwise as FLOAT64.

    DuckDB reads only the type of the second argument.
    """
    return f"cast_to_type({value}, ceil({given}) + {given})"


def _macros() -> Iterator[str]:
    for name, (result, fails) in _OF_FLOATS.items():
        error = _ERROR.format(name=f"'{name.upper()}'", arguments="_as_string(x)")
        value = _as_type_of(result, "x") if name == "exp" else result
        # NaN is the largest number in DuckDB, and no error.
        for prefix, otherwise in (("", error), ("_safe", "NULL")):
            yield (
                f"CREATE OR REPLACE MACRO {prefix}_{name}(x) AS "
                f"CASE WHEN ({fails}) AND NOT isnan(x) THEN {otherwise} ELSE {value} END"
            )
    error = _ERROR.format(name="'POW'", arguments="_as_string(x) || ', ' || _as_string(y)")
    for prefix, otherwise in (("", error), ("_safe", "NULL")):
        value = (
            f"CASE WHEN {_SURELY_FINITE} THEN pow(x, y) "
            f"WHEN isfinite(pow(x, y)) OR isnan(x) OR isnan(y) OR {_HAS_INFINITE_ARGUMENT} THEN pow(x, y) "
            f"WHEN x IS NOT NULL AND y IS NOT NULL THEN {otherwise} END"
        )
        yield f"CREATE OR REPLACE MACRO {prefix}_pow(x, y) AS {_as_type_of(value, '(x + y)')}"
    # DuckDB has errors for what fails here.
    for name, parameters, fails in (
        ("sqrt", "x", "x < 0"),
        ("ln", "x", "x <= 0"),
        ("log", "base, x", "x <= 0 OR base <= 0 OR base = 1"),
    ):
        given = f"({parameters.replace(', ', ' + ')})"
        yield f"CREATE OR REPLACE MACRO _{name}({parameters}) AS {_as_type_of(f'{name}({parameters})', given)}"
        yield (
            f"CREATE OR REPLACE MACRO _safe_{name}({parameters}) AS "
            f"CASE WHEN {fails} THEN NULL ELSE {_as_type_of(f'{name}({parameters})', given)} END"
        )
    yield (
        "CREATE OR REPLACE MACRO _sign(x) AS "
        "cast_to_type(CASE WHEN typeof(x) = 'DOUBLE' AND isnan(x) THEN x ELSE sign(x) END, x)"
    )
    # SAFE_ADD and its like return NULL if the result is not finite, and the operands are.
    yield (
        "CREATE OR REPLACE MACRO _finite(result, x, y) AS CASE WHEN typeof(result) = 'DOUBLE' "
        "AND isinf(TRY_CAST(result AS DOUBLE)) AND NOT isinf(TRY_CAST(x AS DOUBLE)) AND NOT isinf(TRY_CAST(y AS DOUBLE)) "
        "THEN NULL ELSE result END"
    )
    # DuckDB's TRY, which carries out SAFE_ADD and its like, accepts no aggregates.
    for name, sign in (("sum", "+"), ("difference", "-"), ("product", "*")):
        whole = f"TRY_CAST(CAST(x AS HUGEINT) {sign} CAST(y AS HUGEINT) AS BIGINT)"
        yield (
            f"CREATE OR REPLACE MACRO _{name}_or_null(x, y) AS "
            f"CASE WHEN typeof(x {sign} y) IN ('BIGINT', 'HUGEINT') THEN {whole} ELSE x {sign} y END"
        )


MACROS: tuple[str, ...] = tuple(_macros())
"""The DuckDB macros that the rewritten SQL calls. They call those of ``casts``."""

WORDS = (*_OF_FLOATS, "POW", "POWER", "SQRT", "LN", "LOG", "LOG10", "SIGN", r"SAFE_(?:ADD|SUBTRACT|MULTIPLY|DIVIDE)")
"""Regular expressions of the names of the functions that ``RULES`` may replace."""


def _of_one(node: exp.Expr) -> exp.Expr | None:
    return None if isinstance(node.this, exp.Null) else call(f"_{type(node).__name__.lower()}", node.this)


def _logarithm(node: exp.Expr) -> exp.Expr | None:
    return None if node.args.get("expression") is None else call("_log", node.this, node.expression)


_OF_AGGREGATES: dict[type[exp.Expr], str] = {
    exp.SafeAdd: "_sum_or_null",
    exp.SafeSubtract: "_difference_or_null",
    exp.SafeMultiply: "_product_or_null",
}


def _finite(node: exp.Expr) -> exp.Expr:
    operands = (node.this, node.expression)
    macro = _OF_AGGREGATES.get(type(node))
    if macro is not None and node.find(exp.AggFunc, exp.Window) is not None:
        node = call(macro, node.this, node.expression)
    return call("_finite", node, *operands)


RULES: dict[type[exp.Expr], Rule] = {
    **dict.fromkeys(
        (
            exp.Acosh,
            exp.Atanh,
            exp.Cbrt,
            exp.Cosh,
            exp.Cos,
            exp.Cot,
            exp.Coth,
            exp.Csc,
            exp.Csch,
            exp.Exp,
            exp.Ln,
            exp.Sign,
            exp.Sin,
            exp.Sinh,
            exp.Sqrt,
            exp.Tan,
        ),
        _of_one,
    ),
    **dict.fromkeys((exp.SafeAdd, exp.SafeDivide, exp.SafeSubtract, exp.SafeMultiply), _finite),
    exp.Log: _logarithm,
    exp.Pow: lambda node: call("_pow", node.this, node.expression),
}
"""What replaces the nodes of each type."""
