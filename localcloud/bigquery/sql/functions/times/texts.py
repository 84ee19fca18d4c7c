"""Writes times by a format and reads them, where DuckDB's elements of a format differ from GoogleSQL's.

DuckDB formats by the elements that mean the same, since it is faster.
https://cloud.google.com/bigquery/docs/reference/standard-sql/format-elements#format_elements_date_time
"""

from __future__ import annotations

import re
from typing import Any

import duckdb
from duckdb.func import FunctionNullHandling
from sqlglot import exp

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.sql.errors.function_errors import FunctionError
from localcloud.bigquery.sql.functions.nodes import Rule, call, is_text
from localcloud.bigquery.sql.functions.times.elements import read_time, written_time

_WRITE = "bqemu_written_time"
_READ = "bqemu_read_time"
_MICROSECONDS = {
    "DATE": "epoch_us(CAST(CAST(x AS DATE) AS TIMESTAMP))",
    "DATETIME": "epoch_us(CAST(x AS TIMESTAMP))",
    "TIMESTAMP": "epoch_us(CAST(x AS TIMESTAMPTZ))",
    "TIME": "epoch_us(CAST(x AS TIME))",
}
_VALUES = {
    "DATE": "CAST(make_timestamp({0}) AS DATE)",
    "DATETIME": "make_timestamp({0})",
    "TIMESTAMP": "timezone('UTC', make_timestamp({0}))",
    "TIME": "CAST(make_timestamp({0}) AS TIME)",
}
MACROS: tuple[str, ...] = (
    *(
        f"CREATE OR REPLACE MACRO _format_{kind.lower()}(pattern, x, zone) AS {_WRITE}('{kind}', pattern, {value}, zone)"
        for kind, value in _MICROSECONDS.items()
    ),
    *(
        f"CREATE OR REPLACE MACRO {prefix}_parse_{kind.lower()}(pattern, x, zone) AS "
        + value.format(f"{_READ}('{kind}', pattern, x, zone, {safe})")
        for kind, value in _VALUES.items()
        for prefix, safe in (("", "FALSE"), ("_safe", "TRUE"))
    ),
    *(
        f"CREATE OR REPLACE MACRO {prefix}_parse_whole_{kind.lower()}(pattern, x) AS "
        + value.format(f"coalesce(epoch_us(try_strptime(x, pattern)), {_READ}('{kind}', pattern, x, 'UTC', {safe}))")
        for kind, value in _VALUES.items()
        if kind != "TIME"
        for prefix, safe in (("", "FALSE"), ("_safe", "TRUE"))
    ),
)
"""The DuckDB macros that the rewritten SQL calls."""

WORDS = (r"(?:FORMAT|PARSE)_(?:DATE|DATETIME|TIME|TIMESTAMP)",)
"""Regular expressions of the names of the functions that ``RULES`` may replace."""


def register(connection: duckdb.DuckDBPyConnection) -> None:
    """Register the Python functions that the macros call."""
    write: Any = ["VARCHAR", "VARCHAR", "BIGINT", "VARCHAR"]
    connection.create_function(_WRITE, _write, write, "VARCHAR")
    read: Any = ["VARCHAR", "VARCHAR", "VARCHAR", "VARCHAR", "BOOLEAN"]
    connection.create_function(_READ, _read, read, "BIGINT", null_handling=FunctionNullHandling.SPECIAL)


def _write(kind: str, pattern: str, microseconds: int, zone: str) -> str:
    try:
        return written_time(kind, pattern, microseconds, zone)
    except QueryError as error:
        raise FunctionError(error) from error


def _read(kind: str, pattern: str | None, text: str | None, zone: str | None, safe: bool) -> int | None:
    if pattern is None or text is None or zone is None:
        return None
    try:
        return read_time(kind, pattern, text, zone)
    except QueryError as error:
        if safe:
            return None
        raise FunctionError(error) from error


_KINDS: dict[type[exp.Expr], str] = {
    exp.TsOrDsToDate: "date",
    exp.TsOrDsToDatetime: "datetime",
    exp.TsOrDsToTimestamp: "timestamp",
    exp.TsOrDsToTime: "time",
}
# The elements that mean the same in DuckDB, by the type of the value.
_OF_DATES, _OF_TIMES = "YmdjyBbAaGVuUWw", "HMSIp"
_SAME = {"date": _OF_DATES, "time": _OF_TIMES, "datetime": _OF_DATES + _OF_TIMES, "timestamp": _OF_DATES + _OF_TIMES}
# DuckDB takes the year 1900 for one that is missing.
_WHOLE = re.compile(r"(?=.*%Y)(?=.*%m)(?=.*%d)(?:%[YmdHMS]|[^%])*", re.DOTALL)


def _is_plain(kind: str, pattern: exp.Expr) -> bool:
    """Return whether a pattern is a literal with elements that mean the same in DuckDB."""
    return is_text(pattern) and all(
        element and element in _SAME[kind] for element in re.findall(r"%(.?)", pattern.name, re.DOTALL)
    )


def _format(node: exp.Expr) -> exp.Expr | None:
    kind, pattern, zone = _KINDS.get(type(node.this)), node.args["format"], node.args.get("zone")
    if kind is None or (zone is None and _is_plain(kind, pattern)):
        return None
    return call(f"_format_{kind}", _written(pattern), node.this.this, zone or exp.Literal.string("UTC"))


def _parse(kind: str) -> Rule:
    def parse(node: exp.Expr) -> exp.Expr | None:
        zone, pattern = node.args.get("zone"), node.args["format"]
        if zone is None and kind != "time" and is_text(pattern) and _WHOLE.fullmatch(pattern.name) is not None:
            return call(f"_parse_whole_{kind}", pattern, node.this)
        return call(f"_parse_{kind}", _written(pattern), node.this, zone or exp.Literal.string("UTC"))

    return parse


def _written(pattern: exp.Expr) -> exp.Expr:
    return exp.cast(pattern.copy(), "STRING", dialect="bigquery") if isinstance(pattern, exp.Null) else pattern


RULES: dict[type[exp.Expr], Rule] = {
    exp.TimeToStr: _format,
    exp.StrToDate: _parse("date"),
    exp.ParseDatetime: _parse("datetime"),
    exp.StrToTime: _parse("timestamp"),
    exp.ParseTime: _parse("time"),
}
"""What replaces the nodes of each type."""
