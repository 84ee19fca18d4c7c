"""Converts numbers, texts and times as CAST and SAFE_CAST do in GoogleSQL.

DuckDB rounds half to even, accepts more texts as numbers and booleans, and writes numbers and times in another format.
Only DuckDB knows the type of an expression, so the macros decide by it.
https://cloud.google.com/bigquery/docs/reference/standard-sql/conversion_functions#cast
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Any

import duckdb
from sqlglot import exp

from localcloud.bigquery.sql.functions.formats.cast_clause import formatted
from localcloud.bigquery.sql.functions.nodes import Rule, call, integer, is_text
from localcloud.bigquery.sql.functions.texts.byte_strings import DECODE_OR_NULL
from localcloud.bigquery.sql.functions.times.checked_texts import checked_time

_TEXT = "CAST(x AS VARCHAR)"
_TRIMMED = f"trim({_TEXT}, ' \t\r\n\f\v')"
_IS_INTEGER = f"regexp_full_match({_TEXT}, '\\s*[+-]?[0-9]+\\s*')"
_IS_HEXADECIMAL = f"regexp_full_match({_TEXT}, '\\s*[+-]?0[xX][0-9a-fA-F]+\\s*')"
# DuckDB reads hexadecimal numbers without a sign.
_SIGN = f"CASE WHEN starts_with({_TRIMMED}, '-') THEN -1 ELSE 1 END"
_IS_FLOAT = (
    f"regexp_full_match({_TEXT}, "
    "'(?i)\\s*[+-]?([0-9]+[.]?[0-9]*(e[+-]?[0-9]+)?|[.][0-9]+(e[+-]?[0-9]+)?|inf|infinity|nan)\\s*')"
)
_IS_HEXADECIMAL_FLOAT = (
    f"regexp_full_match({_TEXT}, '(?i)\\s*[+-]?0x([0-9a-f]+[.]?[0-9a-f]*|[.][0-9a-f]+)(p[+-]?[0-9]+)?\\s*')"
)
_HEXADECIMAL = "bqemu_hexadecimal_float"
_FLOATS = "typeof(x) IN ('DOUBLE', 'FLOAT')"
_DECIMAL = "starts_with(typeof(x), 'DECIMAL')"
_DOUBLE = "TRY_CAST(x AS DOUBLE)"


_MICROSECONDS = "epoch_us(TRY_CAST(x AS TIMESTAMPTZ))"
_DAY = 24 * 60 * 60 * 1_000_000
_TIME_OF_DAY = f"CAST(make_timestamp(({_MICROSECONDS} % {_DAY} + {_DAY}) % {_DAY}) AS TIME)"


def _macros(cast: str, otherwise: str) -> dict[str, str]:
    """Return the bodies of the macros, which call ``cast`` and return ``otherwise`` for a text that is not a value."""
    integer_of_text = (
        f"CASE WHEN {_IS_INTEGER} THEN {cast}(x AS BIGINT) WHEN {_IS_HEXADECIMAL} "
        f"THEN {cast}(ltrim({_TRIMMED}, '+-') AS BIGINT) * ({_SIGN}) ELSE {otherwise.format('int64')} END"
    )
    return {
        "int64": f"CASE WHEN {_FLOATS} THEN {cast}(round({_DOUBLE}) AS BIGINT) "
        f"WHEN typeof(x) = 'VARCHAR' AND x IS NOT NULL THEN {integer_of_text} ELSE {cast}(x AS BIGINT) END",
        "float64": f"CASE WHEN typeof(x) = 'VARCHAR' AND NOT {_IS_FLOAT} THEN CASE WHEN {_IS_HEXADECIMAL_FLOAT} "
        f"THEN {_HEXADECIMAL}({_TEXT}) ELSE {otherwise.format('double')} END "
        f"ELSE {cast}(x AS DOUBLE) END",
        # DuckDB does not convert a TIMESTAMP.
        "time": f"CASE WHEN starts_with(typeof(x), 'TIMESTAMP') THEN {_TIME_OF_DAY} ELSE {cast}(x AS TIME) END",
        "bool": f"CASE WHEN typeof(x) = 'VARCHAR' AND lower({_TRIMMED}) NOT IN ('true', 'false') "
        f"THEN {otherwise.format('bool')} ELSE {cast}(x AS BOOLEAN) END",
    }


# Fractions of a second have three or six digits, or none.
_WITH_FRACTION = f"regexp_extract({_TEXT}, '^([^.]*)([.][0-9]+)?(.*)$', ['start', 'fraction', 'end'])"
_TIME_TEXT = (
    f"CASE WHEN NOT contains({_TEXT}, '.') THEN {_TEXT} ELSE {_WITH_FRACTION}['start'] || "
    f"rpad({_WITH_FRACTION}['fraction'], CASE WHEN length({_WITH_FRACTION}['fraction']) <= 4 THEN 4 ELSE 7 END, '0') || "
    f"{_WITH_FRACTION}['end'] END"
)
_DECIMAL_TEXT = f"CASE WHEN contains({_TEXT}, '.') THEN rtrim(rtrim({_TEXT}, '0'), '.') ELSE {_TEXT} END"
# A float has 15 digits, or 17 if 15 are not enough to read the same number.
_SHORT = f"format('{{:.15g}}', {_DOUBLE})"
_FLOAT_TEXT = (
    f"CASE WHEN isnan({_DOUBLE}) THEN 'NaN' WHEN isinf({_DOUBLE}) THEN CASE WHEN {_DOUBLE} > 0 THEN 'inf' ELSE '-inf' END "
    f"WHEN {_DOUBLE} = 0 THEN '0' WHEN CAST({_SHORT} AS DOUBLE) = {_DOUBLE} THEN {_SHORT} "
    f"ELSE format('{{:.17g}}', {_DOUBLE}) END"
)
# DuckDB writes {'start': '2026-01-01 00:00:00.5+00', 'end': NULL} for [2026-01-01 00:00:00.500+00, UNBOUNDED).
_BOUNDS = f"regexp_replace(replace({_TEXT}, chr(39), ''), '^.start: (.*), end: (.*).$', '[\\1, \\2)')"
_RANGE_TEXT = f"replace(regexp_replace({_BOUNDS}, '([.][0-9])([+,)])', '\\100\\2', 'g'), 'NULL', 'UNBOUNDED')"
MACROS: tuple[str, ...] = (
    *(
        f"CREATE OR REPLACE MACRO _as_{name}(x) AS {body}"
        for name, body in _macros("CAST", f"bqemu_fail('Bad {{}} value: ' || {_TEXT})").items()
    ),
    *(f"CREATE OR REPLACE MACRO _safe_{name}(x) AS {body}" for name, body in _macros("TRY_CAST", "NULL").items()),
    # DuckDB reads escapes in a text.
    "CREATE OR REPLACE MACRO _as_bytes(x) AS CASE WHEN typeof(x) = 'VARCHAR' THEN encode(CAST(x AS VARCHAR)) "
    "ELSE TRY_CAST(CAST(x AS VARCHAR) AS BLOB) END",
    "CREATE OR REPLACE MACRO _as_string(x) AS "
    f"CASE WHEN typeof(x) = 'INTERVAL' THEN _text_of_interval(TRY_CAST({_TEXT} AS INTERVAL)) "
    f"WHEN typeof(x) IN ('VARCHAR', 'BIGINT') THEN {_TEXT} "
    f"WHEN {_FLOATS} THEN {_FLOAT_TEXT} WHEN {_DECIMAL} THEN {_DECIMAL_TEXT} "
    f"WHEN starts_with(typeof(x), 'TIME') THEN {_TIME_TEXT} "
    f"WHEN starts_with(typeof(x), 'STRUCT(\"start\" ') THEN {_RANGE_TEXT} "
    f"WHEN typeof(x) = 'BLOB' THEN decode(TRY_CAST({_TEXT} AS BLOB)) ELSE {_TEXT} END",
    # Views that earlier versions have stored call it.
    "CREATE OR REPLACE MACRO _text_of(x) AS _as_string(x)",
    "CREATE OR REPLACE MACRO _as_string_or_null(x) AS "
    f"CASE WHEN typeof(x) = 'BLOB' "
    f"THEN {DECODE_OR_NULL}(TRY_CAST({_TEXT} AS BLOB)) ELSE _as_string(x) END",
)
"""The DuckDB macros that the rewritten SQL calls."""


def register(connection: duckdb.DuckDBPyConnection) -> None:
    """Register the Python function that the macros call."""
    text: Any = ["VARCHAR"]
    connection.create_function(_HEXADECIMAL, lambda value: float.fromhex(value), text, "DOUBLE")


WORDS = ("CAST", "SAFE_CAST")
"""Regular expressions of the names of the functions that ``RULES`` may replace."""

_NAMES = {exp.DType.BIGINT: "int64", exp.DType.DOUBLE: "float64", exp.DType.BOOLEAN: "bool", exp.DType.TEXT: "string"}
_NAMES |= {exp.DType.BINARY: "bytes", exp.DType.DECIMAL: "numeric", exp.DType.TIME: "time"}
# These are kept, since DuckDB reads them as floats.
# The text of a NUMERIC that DuckDB reads as GoogleSQL does.
_IS_PLAIN_NUMERIC = re.compile(r"[+-]?[0-9]{1,29}(?:[.][0-9]{1,9})?")
_FLOAT_WORDS = frozenset({"nan", "inf", "-inf", "+inf"})


def _cast(node: exp.Expr) -> exp.Expr | None:
    if not isinstance(node, exp.Cast):
        return None
    value = node.this
    if node.args.get("format") is not None:
        return formatted(node)
    if (checked := checked_time(node)) is not None:
        return checked
    if node.to.this == exp.DType.BIGDECIMAL and not node.to.expressions:
        # sqlglot writes a type with 5 digits after the point, which is a NUMERIC.
        width = "wide_" if _is_wide(value) else ""
        return call(f"_{'safe' if isinstance(node, exp.TryCast) else 'as'}_{width}bignumeric", value)
    name = _NAMES.get(node.to.this)
    if name is None or node.to.expressions or isinstance(value, exp.Null):
        return None
    if name == "numeric" and is_text(value) and _IS_PLAIN_NUMERIC.fullmatch(value.name) is not None:
        return None
    if isinstance(value, exp.Literal) and (name == "string" or integer(value) is not None) and value.name.isdigit():
        return None
    if (
        name == "float64"
        and isinstance(value, exp.Literal)
        and (not value.is_string or value.name.lower() in _FLOAT_WORDS)
    ):
        return None
    if name in ("string", "bytes"):
        if not (isinstance(value, exp.ByteString) if name == "bytes" else is_text(value)):
            or_null = "_or_null" if name == "string" and isinstance(node, exp.TryCast) else ""
            node.set("this", call(f"_as_{name}{or_null}", value))
        return node
    node.set("this", call(f"_{'safe' if isinstance(node, exp.TryCast) else 'as'}_{name}", value))
    return node


def _is_wide(value: exp.Expr) -> bool:
    """Return whether a literal has more than 20 digits before the point, which leaves less than 18 of 38 behind it."""
    try:
        return isinstance(value, exp.Literal) and Decimal(value.name.strip()).adjusted() >= 20
    except InvalidOperation:
        return False


RULES: dict[type[exp.Expr], Rule] = {exp.Cast: _cast, exp.TryCast: _cast}
"""What replaces the nodes of each type."""
