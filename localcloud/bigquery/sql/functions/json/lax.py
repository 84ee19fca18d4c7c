"""Reads the keys of JSON, and converts JSON of any type: JSON_KEYS, LAX_BOOL, LAX_FLOAT64, LAX_INT64 and LAX_STRING.

https://cloud.google.com/bigquery/docs/reference/standard-sql/json_functions#json_keys
https://cloud.google.com/bigquery/docs/reference/standard-sql/json_functions#lax_converters
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import duckdb
from duckdb.func import FunctionNullHandling
from sqlglot import exp

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.sql.errors.function_errors import FunctionError
from localcloud.bigquery.sql.functions.nodes import Rule, call

_KEYS = "bqemu_keys_of_json"
_CONVERTERS = {"bool": "BOOLEAN", "float64": "DOUBLE", "int64": "BIGINT", "string": "VARCHAR"}
MACROS: tuple[str, ...] = (
    f"CREATE OR REPLACE MACRO _json_keys(x, depth, mode) AS {_KEYS}(CAST(x AS VARCHAR), depth, mode)",
    *(
        f"CREATE OR REPLACE MACRO _lax_{name}(x) AS bqemu_json_as_{name}(CAST(CAST(x AS JSON) AS VARCHAR))"
        for name in _CONVERTERS
    ),
)
"""The DuckDB macros that the rewritten SQL calls."""

WORDS = ("JSON_KEYS", r"LAX_\w+")
"""Regular expressions of the names of the functions that ``RULES`` may replace."""


def register(connection: duckdb.DuckDBPyConnection) -> None:
    """Register the Python functions that the macros call."""
    kinds: Any = ["VARCHAR", "BIGINT", "VARCHAR"]
    special = FunctionNullHandling.SPECIAL
    connection.create_function(_KEYS, keys, kinds, "VARCHAR[]", null_handling=special)
    functions = {"bool": as_bool, "float64": as_float64, "int64": as_int64, "string": as_string}
    text: Any = ["VARCHAR"]
    for name, kind in _CONVERTERS.items():
        connection.create_function(f"bqemu_json_as_{name}", functions[name], text, kind, null_handling=special)


_MODES = ("strict", "lax", "lax recursive")


def keys(document: str | None, depth: int | None, mode: str | None) -> list[str] | None:
    """Return the paths of the keys of a document in alphabetical order, down to a depth.

    Args:
        document: The document.
        depth: The number of objects in one another, or None for all.
        mode: Whether objects in arrays count: ``strict`` for none, ``lax`` for those in arrays, ``lax recursive`` for those in
            arrays of arrays too.
    """
    if document is None or mode is None:
        return None
    if depth is not None and depth < 1:
        raise FunctionError(QueryError("max_depth must be positive."))
    if mode.lower() not in _MODES:
        raise FunctionError(QueryError("Invalid JSON mode specified"))
    arrays = (0, 1, 1_000_000)[_MODES.index(mode.lower())]
    return sorted(set(_paths(json.loads(document), "", depth, arrays, arrays)))


def _paths(value: Any, prefix: str, depth: int | None, arrays: int, left: int) -> Iterator[str]:
    """Yield the paths of keys; ``arrays`` is how many arrays in one another are entered, and ``left`` how many still are."""
    if isinstance(value, list) and left:
        for each in value:
            yield from _paths(each, prefix, depth, arrays, left - 1)
    if isinstance(value, dict) and depth != 0:
        for key, each in value.items():
            escaped = key.replace("\\", "\\\\").replace('"', '\\"')
            path = prefix + (f'"{escaped}"' if re.search(r"""[.$@*'"\[\]\\]""", key) or not key else key)
            yield path
            yield from _paths(each, f"{path}.", None if depth is None else depth - 1, arrays, arrays)


def _number(value: Any) -> int | float | None:
    """Return the number that a value of JSON is, or that is written in it."""
    if isinstance(value, str):
        text = value.strip()
        if re.fullmatch(r"[+-]?\d+", text):
            return int(text)
        plain = re.fullmatch(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|[+-]?(?:inf|infinity)|nan", text, re.IGNORECASE)
        return float(text) if plain else None
    return value if isinstance(value, (int, float)) else None


def as_int64(document: str | None) -> int | None:
    """Return the integer of a document in JSON, or None."""
    number = None if document is None else _number(json.loads(document))
    if number is None or math.isnan(number) or abs(number) > 2**63:
        return None
    whole = int(number) if isinstance(number, int) else int(Decimal(number).quantize(Decimal(1), ROUND_HALF_UP))
    return whole if -(2**63) <= whole < 2**63 else None


def as_float64(document: str | None) -> float | None:
    """Return the floating point number of a document in JSON, or None."""
    value = None if document is None else json.loads(document)
    number = None if isinstance(value, bool) else _number(value)
    return None if number is None else float(number)


def as_bool(document: str | None) -> bool | None:
    """Return the truth of a document in JSON, or None."""
    value = None if document is None else json.loads(document)
    if isinstance(value, str):
        return {"true": True, "false": False}.get(value.lower())
    return bool(value) if isinstance(value, (bool, int, float)) else None


def as_string(document: str | None) -> str | None:
    """Return the text of a document in JSON, or None for objects, arrays and null."""
    value = None if document is None else json.loads(document)
    if isinstance(value, float):
        short = f"{value:.15g}"
        return "0" if value == 0 else short if float(short) == value else f"{value:.17g}"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (str, int)) else None


def _keys(node: exp.Expr) -> exp.Expr | None:
    depth, mode = node.args.get("expression"), node.args.get("mode")
    if isinstance(depth, exp.Kwarg):
        depth, mode = None, depth
    named = mode.expression if isinstance(mode, exp.Kwarg) else mode
    return call("_json_keys", node.this, depth or exp.null(), named or exp.Literal.string("strict"))


RULES: dict[type[exp.Expr], Rule] = {
    exp.JSONKeysAtDepth: _keys,
    exp.LaxBool: lambda node: call("_lax_bool", node.this),
    exp.LaxFloat64: lambda node: call("_lax_float64", node.this),
    exp.LaxInt64: lambda node: call("_lax_int64", node.this),
    exp.LaxString: lambda node: call("_lax_string", node.this),
}
"""What replaces the nodes of each type."""
