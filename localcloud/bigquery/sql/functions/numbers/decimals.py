"""Computes quotients, roots, powers and logarithms of NUMERIC and BIGNUMERIC with all their digits.

DuckDB computes them with floating point numbers of 53 bits. Their results are right for most small numbers; for others a
function in Python computes with decimal numbers.
https://cloud.google.com/bigquery/docs/reference/standard-sql/mathematical_functions
https://cloud.google.com/bigquery/docs/reference/standard-sql/data-types#decimal_types
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from decimal import ROUND_HALF_UP, Context, Decimal, DecimalException
from typing import Any

import duckdb
import pyarrow as pa
from duckdb.func import PythonUDFType

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.sql.errors.function_errors import raising

_SCALES = {"numeric": 9, "bignumeric": 18}
_EXACT = Context(prec=100, rounding=ROUND_HALF_UP)


def _logarithm(value: Decimal, base: Decimal) -> Decimal:
    return _EXACT.divide(_EXACT.ln(value), _EXACT.ln(base))


def _quotient(value: Decimal, divisor: Decimal) -> Decimal:
    if not divisor:
        raise ZeroDivisionError  # the decimal module calls 0 / 0 an invalid operation
    return _EXACT.divide(value, divisor)


def _cube_root(value: Decimal) -> Decimal:
    root = _EXACT.power(abs(value), _EXACT.divide(Decimal(1), Decimal(3)))
    return root.copy_sign(value)


# The functions in Python, what DuckDB computes with FLOAT64, and what the errors call them.
_FUNCTIONS: dict[str, tuple[Callable[..., Decimal], str, str]] = {
    "sqrt": (_EXACT.sqrt, "sqrt(CAST(a AS DOUBLE))", "SQRT({})"),
    "cbrt": (_cube_root, "cbrt(CAST(a AS DOUBLE))", "CBRT({})"),
    "exp": (_EXACT.exp, "exp(CAST(a AS DOUBLE))", "EXP({})"),
    "ln": (_EXACT.ln, "ln(CAST(a AS DOUBLE))", "LN({})"),
    "log": (_logarithm, "log(CAST(b AS DOUBLE), CAST(a AS DOUBLE))", "LOG({}, {})"),
    "pow": (_EXACT.power, "pow(CAST(a AS DOUBLE), CAST(b AS DOUBLE))", "POW({}, {})"),
    "quotient": (_quotient, "CAST(a AS DOUBLE) / CAST(b AS DOUBLE)", "{} / {}"),
    "product": (_EXACT.multiply, "CAST(a AS DOUBLE) * CAST(b AS DOUBLE)", "{} * {}"),
}
# Whether rounding to 9 digits gives the same number in spite of the error of the float, since it is not near a half.
_SURE = "abs({0}) < 1e5 AND abs(abs({0} * 1e9 - trunc({0} * 1e9)) - 0.5) > abs({0} * 1e9) * 1e-14 + 1e-6"


def _macros() -> Iterator[str]:
    for name, (_, of_floats, _) in _FUNCTIONS.items():
        parameters = "a, b" if "CAST(b" in of_floats else "a"
        for kind, scale in _SCALES.items():
            cast = f"CAST({{}} AS DECIMAL(38, {scale}))"
            exact = f"bqemu_{kind}_{name}({', '.join(cast.format(each) for each in parameters.split(', '))})"
            value = exact
            if kind == "numeric":
                value = f"CASE WHEN {_SURE.format(f'({of_floats})')} THEN {cast.format(of_floats)} ELSE {exact} END"
            elif name == "product":
                # The product of two numbers with 9 digits after the point has 18.
                few = "CAST({} AS DECIMAL(38, 9))".format
                value = f"CASE WHEN {few('a')} = a AND {few('b')} = b THEN {few('a')} * {few('b')} ELSE {exact} END"
            yield f"CREATE OR REPLACE MACRO _{kind}_{name}({parameters}) AS {value}"
    for kind, scale in _SCALES.items():
        yield (
            f"CREATE OR REPLACE MACRO _safe_{kind}_quotient(a, b) AS CASE WHEN b <> 0 THEN _{kind}_quotient(a, b) END"
        )
        yield (
            f"CREATE OR REPLACE MACRO _whole_{kind}_quotient(a, b) AS "
            f"CASE WHEN b = 0 THEN bqemu_fail('division by zero: DIV(' || a || ', ' || b || ')') ELSE bqemu_{kind}_quotient("
            f"CAST(a - a % b AS DECIMAL(38, {scale})), CAST(b AS DECIMAL(38, {scale}))) END"
        )


MACROS: tuple[str, ...] = tuple(_macros())
"""The DuckDB macros that the rewritten SQL calls."""


def register(connection: duckdb.DuckDBPyConnection) -> None:
    """Register the Python functions that the macros call."""
    for name, (function, of_floats, written) in _FUNCTIONS.items():
        count = 2 if "CAST(b" in of_floats else 1
        for kind, scale in _SCALES.items():
            decimal = f"DECIMAL(38, {scale})"
            parameters: Any = [decimal] * count
            computed = functools.partial(_computed, function, kind, written)
            connection.create_function(
                f"bqemu_{kind}_{name}", raising(computed, count), parameters, decimal, type=PythonUDFType.ARROW
            )


def _computed(function: Callable[..., Decimal], kind: str, written: str, *columns: pa.ChunkedArray) -> pa.Array:
    results = [
        None if None in row else _result(function, kind, written, row)
        for row in zip(*(column.to_pylist() for column in columns), strict=True)
    ]
    return pa.array(results, pa.decimal128(38, _SCALES[kind]))


def _result(function: Callable[..., Decimal], kind: str, written: str, row: tuple[Decimal, ...]) -> Decimal:
    what = written.format(*(f"{each.normalize():f}" for each in row))
    try:
        result = _EXACT.quantize(function(*row), Decimal(1).scaleb(-_SCALES[kind]))
    except ZeroDivisionError as error:
        raise QueryError(f"division by zero: {what}") from error
    except DecimalException as error:
        raise QueryError(f"Illegal value in {what}, or {kind} overflow") from error
    if result.adjusted() >= 38 - _SCALES[kind]:
        raise QueryError(f"{kind} overflow: {what}")
    return result
