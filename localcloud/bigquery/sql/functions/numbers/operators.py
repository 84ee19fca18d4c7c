"""Divides, rounds and shifts numbers, casts them to NUMERIC, and counts their bits as GoogleSQL does.

https://cloud.google.com/bigquery/docs/reference/standard-sql/mathematical_functions#round
https://cloud.google.com/bigquery/docs/reference/standard-sql/mathematical_functions#div
https://cloud.google.com/bigquery/docs/reference/standard-sql/operators#bitwise_operators
https://cloud.google.com/bigquery/docs/reference/standard-sql/bit_functions#bit_count
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.sql.functions.nodes import Rule, call, integer, is_text

_BITS = "CAST(CAST(CAST(x AS BIGINT) AS BIT) {0} CAST(places AS INTEGER) AS BIGINT)"
_NEGATIVE = "bqemu_fail('Bitwise shift by negative offset.')"
_OTHER_TYPE = (
    "WHEN typeof(x) IN ('DOUBLE', 'FLOAT') OR starts_with(typeof(x), 'DECIMAL') "
    "THEN bqemu_fail('The first argument to bitwise operator {} must be an integer or BYTES')"
)


_LARGEST_BIGNUMERIC = "5.7896044618658097e38"


def _macros() -> Iterator[str]:
    for prefix, otherwise in (("", "bqemu_fail('division by zero: {}(' || a || ', ' || b || ')')"), ("_safe", "NULL")):
        for name, word, result in (
            ("modulo", "MOD", "a % b"),
            # The quotient of two NUMERICs is a NUMERIC; DuckDB returns a FLOAT64.
            ("quotient", "DIV", "cast_to_type((a - a % b) // b, CASE WHEN FALSE THEN a ELSE b END)"),
        ):
            yield (
                f"CREATE OR REPLACE MACRO {prefix}_{name}(a, b) AS "
                f"CASE WHEN b = 0 THEN {otherwise.format(word)} ELSE {result} END"
            )
    # DuckDB rounds a NUMERIC to a constant number of digits only.
    for name in ("round", "trunc"):
        choices = " ".join(
            f"WHEN {digits} THEN CAST({name}(x, {digits}) AS DECIMAL(38, 9))" for digits in range(-28, 9)
        )
        choices += " WHEN 9 THEN x ELSE 0 END"
        yield f"CREATE OR REPLACE MACRO _numeric_{name}_to(x, digits) AS CASE least(digits, 9) {choices}"
        yield (
            f"CREATE OR REPLACE MACRO _{name}_to(x, digits) AS "
            f"cast_to_type({name}(CAST(x AS DOUBLE), CAST(digits AS INTEGER)), ceil(x) + x)"
        )
    yield "CREATE OR REPLACE MACRO _round_half_even(x, digits) AS CAST(round_even(x, digits) AS DECIMAL(38, 9))"
    # DuckDB takes a small literal for a number of 32 bits.
    yield "CREATE OR REPLACE MACRO _bit_count(x) AS CAST(bit_count(CAST(x AS BIGINT)) AS BIGINT)"
    # DuckDB keeps the sign on the right, and does not shift negative numbers and into the sign on the left.
    yield (
        f"CREATE OR REPLACE MACRO _shift_right(x, places) AS CASE {_OTHER_TYPE.format('>>')} WHEN places < 0 THEN {_NEGATIVE} "
        f"WHEN places > 63 THEN 0 WHEN x >= 0 THEN CAST(x AS BIGINT) >> places ELSE {_BITS.format('>>')} END"
    )
    yield (
        f"CREATE OR REPLACE MACRO _shift_left(x, places) AS CASE {_OTHER_TYPE.format('<<')} WHEN places < 0 THEN {_NEGATIVE} "
        "WHEN places > 63 THEN 0 WHEN x BETWEEN 0 AND 9223372036854775807 >> places THEN CAST(x AS BIGINT) << places "
        f"ELSE {_BITS.format('<<')} END"
    )
    # DuckDB accepts an underscore in a text. Larger floats have more digits than the product with 10 ** 9, which it computes.
    error = "bqemu_fail('Invalid {} value: ' || CAST(x AS VARCHAR))"
    for prefix, cast, otherwise in (("as", "CAST", error), ("safe", "TRY_CAST", "NULL")):
        for name, places, large in (("numeric", 9, 4000000), ("bignumeric", 18, 1), ("wide_bignumeric", 10, 1)):
            yield (
                f"CREATE OR REPLACE MACRO _{prefix}_{name}(x) AS CASE "
                f"{_unheld(places) if prefix == 'safe' and name != 'numeric' else ''}"
                f"WHEN typeof(x) = 'DOUBLE' AND NOT TRY_CAST(x AS DOUBLE) BETWEEN -{large} AND {large} "
                f"THEN {cast}(CAST(x AS VARCHAR) AS DECIMAL(38, {places})) "
                f"WHEN typeof(x) = 'VARCHAR' AND contains(CAST(x AS VARCHAR), '_') "
                f"THEN {otherwise.format(name.removeprefix('wide_').upper())} ELSE {cast}(x AS DECIMAL(38, {places})) END"
            )


def _unheld(places: int) -> str:
    """Return the branch of a CASE that refuses numbers which BIGNUMERIC holds and the engine does not: they are not NULL."""
    return (
        f"WHEN TRY_CAST(CAST(x AS VARCHAR) AS DECIMAL(38, {places})) IS NULL "
        f"AND abs(TRY_CAST(x AS DOUBLE)) BETWEEN 1e{38 - places} AND {_LARGEST_BIGNUMERIC} "
        f"THEN bqemu_fail('BIGNUMERIC with more than {38 - places} digits before the point is not supported: ' "
        "|| CAST(x AS VARCHAR)) "
    )


MACROS: tuple[str, ...] = tuple(_macros())
"""The DuckDB macros that the rewritten SQL calls."""

WORDS = ("ROUND", "TRUNC", "BIT_COUNT", "_quotient", "_modulo", r"PERCENTILE_\w+")
"""Regular expressions of the names of the functions that ``RULES`` may replace."""


def _round(node: exp.Expr) -> exp.Expr | None:
    mode, digits = node.args.get("truncate"), node.args.get("decimals")
    if mode is None:
        constant = digits is None or integer(digits) is not None or isinstance(digits, exp.Null)
        return None if constant else call(f"_{type(node).__name__.lower()}_to", node.this, digits)
    name = mode.name.upper() if is_text(mode) else ""
    if name == "ROUND_HALF_EVEN":
        return call("_round_half_even", node.this, node.args["decimals"])
    if name == "ROUND_HALF_AWAY_FROM_ZERO":
        node.set("truncate", None)
        return node
    raise QueryError("The mode of ROUND must be 'ROUND_HALF_AWAY_FROM_ZERO' or 'ROUND_HALF_EVEN'")


def _refuse_nulls(node: exp.Expr) -> exp.Expr | None:
    """Refuse ``PERCENTILE_CONT(x, p RESPECT NULLS)``: DuckDB's functions ignore NULLs."""
    if isinstance(node.this, (exp.PercentileCont, exp.PercentileDisc)):
        raise QueryError("RESPECT NULLS is not supported in PERCENTILE_CONT and PERCENTILE_DISC")
    return None


RULES: dict[type[exp.Expr], Rule] = {exp.RespectNulls: _refuse_nulls, exp.Round: _round, exp.Trunc: _round}
"""What replaces the nodes of each type."""
