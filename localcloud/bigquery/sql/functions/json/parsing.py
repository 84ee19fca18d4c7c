"""Parses JSON as strictly as PARSE_JSON does, and reads the numbers of a text as they are written.

DuckDB accepts a comma before a closing bracket, NaN and numbers of any size, and writes ``1.50`` as ``1.5``.
https://cloud.google.com/bigquery/docs/reference/standard-sql/json_functions#parse_json
https://cloud.google.com/bigquery/docs/reference/standard-sql/json_functions#json_value
"""

from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import Any

import duckdb
from duckdb.func import FunctionNullHandling
from sqlglot import exp

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.sql.errors.function_errors import FunctionError
from localcloud.bigquery.sql.functions.json.changes import steps_of
from localcloud.bigquery.sql.functions.json.ordering import Written, first_members, written
from localcloud.bigquery.sql.functions.nodes import Rule, call

_PARSED, _PARSED_OR_NULL, RAW = "bqemu_parsed_json", "bqemu_parsed_json_or_null", "bqemu_raw_json"
# What DuckDB reads in another way, if it is not in a text of the JSON.
_DOUBTFUL = r",\s*[\]}]|[0-9.]{17}|[nN][aA][nN]|[iI][nN][fF]|[0-9][eE]"
OTHERWISE_WRITTEN = r"\.[0-9]*0([^0-9]|$)|[0-9][eE][-+0-9]|[0-9]{17}"
"""The regular expression of numbers that DuckDB writes in another way."""

MACROS: tuple[str, ...] = (
    f"CREATE OR REPLACE MACRO _parse_json(x, mode) AS CASE WHEN regexp_matches(x, '{_DOUBTFUL}') "
    f"THEN CAST({_PARSED}(x, mode) AS JSON) ELSE json(x) END",
    f"CREATE OR REPLACE MACRO _safe_parse_json(x, mode) AS CASE WHEN regexp_matches(x, '{_DOUBTFUL}') "
    f"THEN CAST({_PARSED_OR_NULL}(x, mode) AS JSON) WHEN json_valid(x) THEN json(x) END",
)
"""The DuckDB macros that the rewritten SQL calls."""

WORDS = ("PARSE_JSON",)
"""Regular expressions of the names of the functions that ``RULES`` may replace."""


def register(connection: duckdb.DuckDBPyConnection) -> None:
    """Register the Python functions that the macros call."""
    two: Any = ["VARCHAR", "VARCHAR"]
    connection.create_function(_PARSED, parsed, two, "VARCHAR")
    special = FunctionNullHandling.SPECIAL
    connection.create_function(_PARSED_OR_NULL, _parsed_or_null, two, "VARCHAR", null_handling=special)
    three: Any = ["VARCHAR", "VARCHAR", "BOOLEAN"]
    connection.create_function(RAW, raw, three, "VARCHAR", null_handling=special)


def parsed(text: str, mode: str) -> str:
    """Return JSON in its shortest form; ``mode`` says whether numbers are ``exact``, or ``round``."""
    if mode not in ("exact", "round"):
        raise FunctionError(QueryError(f"Invalid `wide_number_mode` specified: {mode}"))

    def integer(number: str) -> int | float:
        value = int(number)
        return value if -(2**63) <= value < 2**64 else fraction(number)

    def fraction(number: str) -> float:
        value = float(number)
        if math.isinf(value):
            raise ValueError(f"number overflow parsing '{number}'")
        if mode == "exact" and Decimal(number) != Decimal(repr(value)):
            raise ValueError(f"Input number: {number} cannot round-trip through string representation")
        return value

    try:
        document = json.loads(
            text, parse_int=integer, parse_float=fraction, parse_constant=_refuse, object_pairs_hook=first_members
        )
    except ValueError as error:
        raise FunctionError(QueryError(f"Invalid input to PARSE_JSON: {error}")) from None
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False)


def _parsed_or_null(text: str | None, mode: str) -> str | None:
    try:
        return None if text is None else parsed(text, mode)
    except FunctionError:
        return None


def _refuse(constant: str) -> Any:
    raise ValueError(f"invalid literal {constant}")


def raw(text: str | None, path: str | None, scalar: bool) -> str | None:
    """Return what is at a path of JSON, with its numbers as they are written.

    Args:
        text: The JSON.
        path: The JSONPath.
        scalar: Whether to return the text of a text, and NULL for an object and an array.
    """
    if text is None or path is None:
        return None
    try:
        value = json.loads(text, parse_int=Written, parse_float=Written, object_pairs_hook=first_members)
    except ValueError:
        return None
    for step in steps_of(path):
        if isinstance(value, dict) and isinstance(step, str):
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
        else:
            return None
    if value is None or (scalar and isinstance(value, (dict, list))):
        return None
    return str(value) if scalar and isinstance(value, str) else written(value)


def _parse(node: exp.Expr) -> exp.Expr | None:
    mode = node.args.get("expression")
    mode = mode.expression if isinstance(mode, exp.Kwarg) else mode
    return call("_parse_json", node.this, mode or exp.Literal.string("exact"))


RULES: dict[type[exp.Expr], Rule] = {exp.ParseJSON: _parse}
"""What replaces the nodes of each type."""
