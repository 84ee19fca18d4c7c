"""Encodes values as JSON as TO_JSON_STRING and TO_JSON do in GoogleSQL.

DuckDB encodes texts, booleans and small integers alike. A Python function encodes values of other types, such as times,
BYTES and floating point numbers.
https://cloud.google.com/bigquery/docs/reference/standard-sql/json_functions#json_encodings
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import math
import re
from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache
from typing import Any

import duckdb
import pyarrow as pa
from duckdb.func import FunctionNullHandling, PythonUDFType
from sqlglot import exp

from localcloud.bigquery.sql.errors.function_errors import raising
from localcloud.bigquery.sql.functions.json.ordering import in_order
from localcloud.bigquery.sql.functions.nodes import Rule, call

_FUNCTION = "bqemu_json_text"
_INDENT, _ORDER = "bqemu_json_indented", "bqemu_json_in_order"
# In TO_JSON_STRING, other numbers are texts: a reader may keep numbers as floats, which have 53 bits.
_WIDEST = 2**53
_OTHERS = "'TIME|DATE|BLOB|DOUBLE|FLOAT|DECIMAL|INTERVAL'"


def _encoded(wide: str) -> str:
    return (
        f"CASE WHEN x IS NULL THEN 'null' WHEN regexp_matches(typeof(x), {_OTHERS}) "
        f"OR ({wide} AND regexp_matches(CAST(to_json(x) AS VARCHAR), '[0-9]{{{{16}}}}')) "
        f"THEN {_FUNCTION}(x, typeof(x), {wide}) {{json}}ELSE CAST(to_json(x) AS VARCHAR) END"
    )


_JSON = (
    f"WHEN typeof(x) = 'JSON' THEN {_ORDER}(CAST(to_json(x) AS VARCHAR)) "
    f"WHEN contains(typeof(x), 'JSON') THEN {_FUNCTION}(x, typeof(x), TRUE) "
)
MACROS: tuple[str, ...] = (
    f"CREATE OR REPLACE MACRO _to_json_string(x) AS {_encoded('TRUE').format(json=_JSON)}",
    f"CREATE OR REPLACE MACRO _to_json_string_on_lines(x, pretty) AS "
    f"CASE WHEN pretty THEN {_INDENT}(_to_json_string(x)) ELSE _to_json_string(x) END",
    f"CREATE OR REPLACE MACRO _to_json(x, wide) AS CAST({_encoded('wide').format(json='')} AS JSON)",
)
"""The DuckDB macros that the rewritten SQL calls."""

WORDS = ("TO_JSON_STRING", "TO_JSON")
"""Regular expressions of the names of the functions that ``RULES`` may replace."""


def register(connection: duckdb.DuckDBPyConnection) -> None:
    """Register the Python functions that the macros call."""
    connection.create_function(
        _FUNCTION,
        raising(_texts, 3),
        None,
        "VARCHAR",
        type=PythonUDFType.ARROW,
        null_handling=FunctionNullHandling.SPECIAL,
    )
    texts: Any = ["VARCHAR"]
    connection.create_function(_INDENT, indented, texts, "VARCHAR")
    connection.create_function(_ORDER, in_order, texts, "VARCHAR")


_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|\{\}|\[\]|[{}\[\],:]|[^{}\[\],:"]+')


def indented(text: str) -> str:
    """Return JSON without spaces on lines that are indented by two spaces."""
    parts, depth = [], 0
    for token in _TOKEN.findall(text):
        depth += (token in ("{", "[")) - (token in ("}", "]"))
        line = "\n" + "  " * depth
        if token in ("}", "]"):
            parts.append(line)
        parts.append(token)
        if token in ("{", "[", ","):
            parts.append(line)
        elif token == ":":
            parts.append(" ")
    return "".join(parts)


def _texts(values: Any, kinds: Any, wide: Any) -> pa.Array:
    """Return the JSON text of each value; all have the same DuckDB type and the same treatment of wide numbers."""
    if not len(values):
        return pa.array([], pa.string())
    encode = _encoder(kinds[0].as_py(), wide[0].as_py())
    return pa.array([encode(value) for value in values.to_pylist()], pa.string())


@lru_cache(maxsize=256)
def _encoder(kind: str, wide: bool) -> Callable[[Any], str]:
    return _encoder_of(duckdb.sqltype(kind), wide)


def _encoder_of(kind: Any, wide: bool) -> Callable[[Any], str]:
    """Return the function that encodes a value of a DuckDB type.

    Args:
        kind: The type.
        wide: Whether numbers that a floating point number cannot represent become texts.
    """
    if str(kind) == "JSON":
        return _nullable(in_order)
    match kind.id:
        case "struct":
            fields = [(json.dumps(name), name, _encoder_of(child, wide)) for name, child in kind.children]
            return _nullable(lambda value: "{" + ",".join(f"{key}:{of(value[name])}" for key, name, of in fields) + "}")
        case "list":
            element = _encoder_of(kind.children[0][1], wide)
            return _nullable(lambda value: "[" + ",".join(map(element, value)) + "]")
        case "timestamp" | "timestamp with time zone" | "date" | "time":
            return _nullable(lambda value: f'"{_time(value)}"')
        case "blob":
            return _nullable(lambda value: f'"{base64.b64encode(value).decode()}"')
        case "double" | "float":
            return _nullable(_float)
        case "decimal":
            return _nullable(lambda value: _decimal(value, wide))
        case "tinyint" | "smallint" | "integer" | "bigint" | "hugeint":
            return _nullable(lambda value: f'"{value}"' if wide and abs(value) > _WIDEST else str(value))
        case "boolean":
            return _nullable(lambda value: "true" if value else "false")
        case "interval":
            return _nullable(lambda value: f'"{_interval(value)}"')
    return _nullable(lambda value: json.dumps(str(value), ensure_ascii=False))


def _nullable(encode: Callable[[Any], str]) -> Callable[[Any], str]:
    return lambda value: "null" if value is None else encode(value)


def _time(value: dt.datetime | dt.date | dt.time) -> str:
    if isinstance(value, (dt.datetime, dt.time)):
        digits = (
            "auto" if value.microsecond == 0 else "milliseconds" if value.microsecond % 1000 == 0 else "microseconds"
        )
        zone = "Z" if isinstance(value, dt.datetime) and value.tzinfo is not None else ""
        return value.replace(tzinfo=None).isoformat(timespec=digits) + zone
    return value.isoformat()


def _interval(value: Any) -> str:
    """Return an interval as ISO 8601 writes it, with a sign for each part."""
    micros = value.nanoseconds // 1000
    size = abs(micros)
    sign = "-" if micros < 0 else ""
    seconds = f"{sign}{size // 1_000_000 % 60}" + (f".{size % 1_000_000:06}".rstrip("0") if size % 1_000_000 else "")
    months = abs(value.months)
    before = "-" if value.months < 0 else ""
    dates = ((f"{before}{months // 12}", "Y"), (f"{before}{months % 12}", "M"), (str(value.days), "D"))
    times = ((f"{sign}{size // 3_600_000_000}", "H"), (f"{sign}{size // 60_000_000 % 60}", "M"), (seconds, "S"))
    date, time = ("".join(number + unit for number, unit in parts if number.strip("-0.")) for parts in (dates, times))
    return f"P{date}{'T' if time else ''}{time}" if date or time else "P0Y"


def _float(value: float) -> str:
    if math.isnan(value):
        return '"NaN"'
    if math.isinf(value):
        return '"Infinity"' if value > 0 else '"-Infinity"'
    short = f"{value:.15g}"
    return "0" if value == 0 else short if float(short) == value else f"{value:.17g}"


def _decimal(value: Decimal, wide: bool) -> str:
    text = format(value, "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return f'"{text}"' if wide and ("." in text or abs(value) > _WIDEST) else text


def _to_json(node: exp.Expr) -> exp.Expr | None:
    options = node.args.get("options")
    if not node.args.get("to_json"):
        if options is None:
            return call("_to_json_string", node.this)
        pretty = options.expression if isinstance(options, exp.Kwarg) else options
        return call("_to_json_string_on_lines", node.this, pretty)
    wide = options.expression if isinstance(options, exp.Kwarg) else exp.false()
    return call("_to_json", node.this, wide)


RULES: dict[type[exp.Expr], Rule] = {exp.JSONFormat: _to_json}
"""What replaces the nodes of each type."""
