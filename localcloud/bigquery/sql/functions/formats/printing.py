"""Writes values in FORMAT where DuckDB writes them in another way, or not at all.

https://cloud.google.com/bigquery/docs/reference/standard-sql/string_functions#format_string
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import duckdb
import pyarrow as pa
from duckdb.func import FunctionNullHandling, PythonUDFType
from sqlglot import exp

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.sql.errors.function_errors import raising
from localcloud.bigquery.sql.functions.adjustments import name_position
from localcloud.bigquery.sql.functions.formats.written_values import Writer, float_text, integer_text, writer_of
from localcloud.bigquery.sql.functions.nodes import Rule, call, number
from localcloud.bigquery.sql.reading.types import type_of

_VALUE, _INTEGER, _FLOAT = "bqemu_written_value", "bqemu_written_integer", "bqemu_written_float"
_DECIMALS = frozenset({exp.DType.DECIMAL, exp.DType.BIGDECIMAL})
_TYPED_TIMES = {
    "DATE": "DATE",
    "TIME": "TIME",
    "TIMESTAMP": "DATETIME",
    "TIMESTAMP WITH TIME ZONE": "TIMESTAMP",
}
_IS_NESTED = "regexp_matches(typeof(x), '[\\])]$') AND NOT starts_with(typeof(x), 'DECIMAL')"
MACROS: tuple[str, ...] = (
    # A float always has a point, an exponent or a word.
    "CREATE OR REPLACE MACRO _printed(x) AS CASE WHEN x IS NULL THEN 'NULL' "
    f"WHEN typeof(x) IN ('BLOB', 'JSON', 'DOUBLE', 'FLOAT') OR ({_IS_NESTED}) THEN {_VALUE}(x, typeof(x), FALSE) "
    "ELSE _as_string(x) END",
    "CREATE OR REPLACE MACRO _literal(x) AS CASE WHEN x IS NULL THEN 'NULL' "
    + "".join(
        f"WHEN typeof(x) = '{kind}' THEN '{name} \"' || _as_string(x) || '\"' " for kind, name in _TYPED_TIMES.items()
    )
    + "WHEN typeof(x) = 'INTERVAL' THEN 'INTERVAL \"' || _as_string(x) || '\" YEAR TO SECOND' "
    "WHEN typeof(x) IN ('BIGINT', 'INTEGER', 'BOOLEAN') THEN _as_string(x) "
    f"ELSE {_VALUE}(x, typeof(x), TRUE) END",
    # DuckDB writes the complement of a negative number.
    "CREATE OR REPLACE MACRO _in_base(x, pattern) AS "
    "CASE WHEN x < 0 THEN '-' || printf(pattern, -CAST(x AS HUGEINT)) ELSE printf(pattern, CAST(x AS HUGEINT)) END",
    "CREATE OR REPLACE MACRO _formatted_integer(x, flags, size, digits, kind) AS CASE "
    "WHEN typeof(x) IN ('DOUBLE', 'FLOAT', 'VARCHAR', 'BOOLEAN') OR starts_with(typeof(x), 'DECIMAL') "
    "THEN bqemu_fail('Invalid type for an argument of FORMAT; Expected integer') "
    f"ELSE {_INTEGER}(CAST(x AS BIGINT), flags, size, digits, kind) END",
    "CREATE OR REPLACE MACRO _formatted_float(x, flags, size, digits, kind) AS "
    f"{_FLOAT}(CAST(x AS DOUBLE), flags, size, digits, kind)",
    # DuckDB writes -nan, and takes texts.
    "CREATE OR REPLACE MACRO _float_argument(x) AS CASE WHEN typeof(x) IN ('VARCHAR', 'BOOLEAN') "
    "THEN bqemu_fail('Invalid type for an argument of FORMAT; Expected DOUBLE; Got ' || "
    "CASE typeof(x) WHEN 'VARCHAR' THEN 'STRING' ELSE 'BOOL' END) "
    "WHEN typeof(x) = 'DOUBLE' AND isnan(TRY_CAST(x AS DOUBLE)) THEN CAST('nan' AS DOUBLE) ELSE CAST(x AS DOUBLE) END",
    "CREATE OR REPLACE MACRO _with_commas(x) AS format('{:,}', CAST(x AS BIGINT))",
    "CREATE OR REPLACE MACRO _text_argument(x) AS CASE WHEN typeof(x) <> 'VARCHAR' "
    "THEN bqemu_fail('Invalid type for an argument of FORMAT; Expected STRING; Got ' || typeof(x)) ELSE CAST(x AS VARCHAR) END",
)
"""The DuckDB macros that the rewritten SQL calls. They call those of ``casts``."""

WORDS = ("FORMAT",)
"""Regular expressions of the names of the functions that ``RULES`` may replace."""


def register(connection: duckdb.DuckDBPyConnection) -> None:
    """Register the Python functions that the macros call."""
    connection.create_function(
        _VALUE,
        raising(_values, 3),
        None,
        "VARCHAR",
        type=PythonUDFType.ARROW,
        null_handling=FunctionNullHandling.SPECIAL,
    )
    for name, function, kind in ((_INTEGER, integer_text, "BIGINT"), (_FLOAT, float_text, "DOUBLE")):
        parameters: Any = [kind, "VARCHAR", "BIGINT", "BIGINT", "VARCHAR"]
        connection.create_function(name, function, parameters, "VARCHAR")


def _values(values: Any, kinds: Any, literal: Any) -> pa.Array:
    """Return the text of each value; all have the same DuckDB type."""
    if not len(values):
        return pa.array([], pa.string())
    write = _writer(kinds[0].as_py(), literal[0].as_py())
    return pa.array([write(value) for value in values.to_pylist()], pa.string())


@lru_cache(maxsize=256)
def _writer(kind: str, literal: bool) -> Writer:
    return writer_of(duckdb.sqltype(kind), literal=literal)


_SPECIFIER = re.compile(r"%(?:%|(?P<flags>[-+ #0']*)(?P<size>\*|\d*)(?:\.(?P<digits>\*|\d+))?(?P<kind>[a-zA-Z]))")
_WHOLE = "dixXo"
_FRACTIONS = "fFeEgG"
# The specifiers whose argument a macro turns into a text.
_MACROS = {"t": "_printed", "T": "_literal", "s": "_text_argument", "p": "_to_json_string", "P": "_to_json_string"}
_KINDS = frozenset(_WHOLE + _FRACTIONS) | _MACROS.keys()


def _format(node: exp.Expr) -> exp.Expr | None:
    form = node.this
    if not isinstance(form, exp.Literal) or not form.is_string:
        return None
    given: list[exp.Expr] = list(node.expressions)
    left = iter(given)
    written: list[exp.Expr] = []
    parts, at = [], 0
    for match in _SPECIFIER.finditer(form.name):
        parts.append(form.name[at : match.start()])
        at = match.end()
        specifier, values = _specifier(match, left)
        parts.append(specifier)
        written += values
    unused = len(list(left))
    if unused:
        raise QueryError(
            f'Too many arguments to FORMAT for pattern "{form.name}"; '
            f"Expected {len(given) - unused + 1}; Got {len(given) + 1}"
        )
    text = "".join([*parts, form.name[at:]])
    if text == "%s" and len(written) == 1:
        return written[0]  # which bqemulator's translation does not replace
    if text == form.name and written == given:
        return None
    return exp.Format(this=exp.Literal.string(text), expressions=[each.copy() for each in written])


def _specifier(match: re.Match[str], left: Iterator[exp.Expr]) -> tuple[str, list[exp.Expr]]:
    """Return what DuckDB formats in place of a specifier, and the values that it takes from those that are left.

    Raises:
        QueryError: FORMAT has no such specifier.
    """
    kind, flags = match["kind"], match["flags"] or ""
    if kind is None:
        return match[0], []
    if kind not in _KINDS:
        raise QueryError(f'Invalid format specifier character "{kind}" in FORMAT string: "{match.string}"')
    sizes = [next(left, None) for size in (match["size"], match["digits"]) if size == "*"]
    value = next(left, None)
    if value is None:
        return match[0], [each for each in sizes if each is not None]
    known = [each for each in sizes if each is not None]
    if kind in "fF" and type_of(value) in _DECIMALS and match["digits"] != "*":
        # Half of the last digit is rounded away from zero, while a FLOAT64 is a little more or less than a half.
        value = exp.Round(this=value.copy(), decimals=number(int(match["digits"] or 6)))
    if kind in _MACROS:
        whole = exp.Paren(this=value.copy())
        name_position(whole.this)  # the type of a STRUCT without names cannot be read
        value = whole.this
        macro = "_to_json_string_on_lines" if kind == "P" else _MACROS[kind]
        digits = f".{match['digits']}" if match["digits"] else ""
        specifier = f"%{'-' if '-' in flags else ''}{match['size']}{digits}s"
        return specifier, [*known, call(macro, value, exp.true() if kind == "P" else None)]
    if known or not (set(flags) & set("'#") or kind in "xXo" or (kind in "di" and match["digits"])):
        return match[0], [*known, call("_float_argument", value) if kind in _FRACTIONS else value]
    if kind in "di" and flags == "'" and not match["size"] and not match["digits"]:
        return "%s", [call("_with_commas", value)]
    if kind in "xXo" and match[0] == f"%{kind}":
        return "%s", [call("_in_base", value, exp.Literal.string(match[0]))]
    macro = "_formatted_integer" if kind in _WHOLE else "_formatted_float"
    size, least = int(match["size"] or 0), int(match["digits"] or -1)
    texts = exp.Literal.string(flags), exp.Literal.string(kind)
    return "%s", [call(macro, value, texts[0], number(size), number(least), texts[1])]


RULES: dict[type[exp.Expr], Rule] = {exp.Format: _format}
"""What replaces the nodes of each type."""
