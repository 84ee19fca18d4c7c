"""Reads the literals of intervals, casts to and from them, and subtracts times as GoogleSQL does.

https://cloud.google.com/bigquery/docs/reference/standard-sql/conversion_functions#cast_as_interval
https://cloud.google.com/bigquery/docs/reference/standard-sql/operators#datetime_subtraction
"""

from __future__ import annotations

import re
from typing import Any

import duckdb
from duckdb.func import FunctionNullHandling
from sqlglot import exp

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.base.intervals import interval_words, words_of_span
from localcloud.bigquery.sql.errors.function_errors import FunctionError
from localcloud.bigquery.sql.functions.nodes import call, columns_of, is_text
from localcloud.bigquery.sql.reading.draft import Draft
from localcloud.bigquery.sql.reading.types import keep_type, type_of

_WORDS = "bqemu_words_of_interval"
_MONTHS = "(datepart('year', x) * 12 + datepart('month', x))"
_MICROS = "(datepart('hour', x) * 3600000000 + datepart('minute', x) * 60000000 + datepart('microsecond', x))"
_FRACTION = f"(abs({_MICROS}) % 1000000)"
_DAY = 86_400_000_000
# A month has 30 days here, and all parts of the result have one sign.
_JUSTIFIED = {
    "hours": (f"datepart('day', x) * {_DAY} + {_MICROS}", f"{_MONTHS}", f"{{0}} // {_DAY}", f"{{0}} % {_DAY}"),
    "days": (f"{_MONTHS} * 30 + datepart('day', x)", "{0} // 30", "{0} % 30", _MICROS),
    "interval": (
        f"({_MONTHS} * 30 + datepart('day', x)) * {_DAY} + {_MICROS}",
        f"{{0}} // {30 * _DAY}",
        f"{{0}} % {30 * _DAY} // {_DAY}",
        f"{{0}} % {_DAY}",
    ),
}
MACROS: tuple[str, ...] = (
    "CREATE OR REPLACE MACRO _text_of_interval(x) AS "
    f"CASE WHEN {_MONTHS} < 0 THEN '-' ELSE '' END || abs({_MONTHS}) // 12 || '-' || abs({_MONTHS}) % 12 || ' ' || "
    f"datepart('day', x) || ' ' || CASE WHEN {_MICROS} < 0 THEN '-' ELSE '' END || "
    f"abs({_MICROS}) // 3600000000 || ':' || "
    f"abs({_MICROS}) // 60000000 % 60 || ':' || abs({_MICROS}) // 1000000 % 60 || CASE WHEN {_FRACTION} = 0 THEN '' "
    f"WHEN {_FRACTION} % 1000 = 0 THEN '.' || lpad(CAST({_FRACTION} // 1000 AS VARCHAR), 3, '0') "
    f"ELSE '.' || lpad(CAST({_FRACTION} AS VARCHAR), 6, '0') END",
    *(
        f"CREATE OR REPLACE MACRO _{name}_interval(x) AS CAST(CASE WHEN typeof(x) = 'INTERVAL' THEN CAST(x AS VARCHAR) "
        f"ELSE {_WORDS}(CAST(x AS VARCHAR), {safe}) END AS INTERVAL)"
        for name, safe in (("as", "false"), ("safe", "true"))
    ),
    *(
        f"CREATE OR REPLACE MACRO _justify_{name}(x) AS to_months(CAST({months.format(f'({total})')} AS INTEGER)) + "
        f"to_days(CAST({days.format(f'({total})')} AS INTEGER)) + to_microseconds({micros.format(f'({total})')})"
        for name, (total, months, days, micros) in _JUSTIFIED.items()
    ),
    # The difference of two DATEs has days, that of DATETIMEs has days, hours, minutes and seconds, and that of other times has
    # no days. These are two macros, because a database of an older version keeps no macro with types.
    "CREATE OR REPLACE MACRO _days_between(a, b) AS to_days(CAST(a - b AS INTEGER))",
    "CREATE OR REPLACE MACRO _time_between(a, b) AS CASE WHEN typeof(a) = 'TIMESTAMP' "
    f"THEN to_days(CAST((epoch_us(a) - epoch_us(b)) // {_DAY} AS INTEGER)) + "
    f"to_microseconds((epoch_us(a) - epoch_us(b)) % {_DAY}) ELSE to_microseconds(epoch_us(a) - epoch_us(b)) END",
)
"""The DuckDB macros that the rewritten SQL calls."""

_JUSTIFY = {
    exp.JustifyHours: "_justify_hours",
    exp.JustifyDays: "_justify_days",
    exp.JustifyInterval: "_justify_interval",
}
_TIMES = frozenset({"DATE", "DATETIME", "TIME", "TIMESTAMP", "TIMESTAMPTZ", "TIMESTAMP WITH TIME ZONE"})
_DIFFERENCES = {
    exp.DType.DATE: "_days_between",
    exp.DType.DATETIME: "_time_between",
    exp.DType.TIME: "_time_between",
    exp.DType.TIMESTAMP: "_time_between",
    exp.DType.TIMESTAMPTZ: "_time_between",
}
# The largest numbers of a literal: those of 10,000 years.
_LARGEST = {
    "YEAR": 10_000,
    "QUARTER": 40_000,
    "MONTH": 120_000,
    "WEEK": 522_857,
    "DAY": 3_660_000,
    "HOUR": 87_840_000,
    "MINUTE": 5_270_400_000,
    "SECOND": 316_224_000_000,
}
_CALCULATES = re.compile(r"[-+]\s*[A-Za-z_`(@0-9]")
# A parameter may be a time, too.
_NAMES_TIMES = re.compile(r"DATE|TIME|@", re.IGNORECASE)
_NAMES_INTERVALS = re.compile(
    r"\bINTERVAL\b(?:\s+['\"].*\bTO\b|\s+-?\d{5}|\s*\))|\bJUSTIFY_", re.IGNORECASE | re.DOTALL
)


def register(connection: duckdb.DuckDBPyConnection) -> None:
    """Register the Python function that the macros call."""
    kinds: Any = ["VARCHAR", "BOOLEAN"]
    connection.create_function(_WORDS, _words, kinds, "VARCHAR", null_handling=FunctionNullHandling.SPECIAL)


def _words(text: str | None, safe: bool) -> str | None:
    if text is None:
        return None
    try:
        return interval_words(text)
    except ValueError as error:
        if safe:
            return None
        raise FunctionError(QueryError(str(error))) from error


def rewrite_intervals(draft: Draft) -> None:
    """Let DuckDB read the intervals of one statement of GoogleSQL, and add to and subtract its times, as GoogleSQL does.

    Raises:
        QueryError: A literal is not an interval.
    """
    calculates = _CALCULATES.search(draft.text) is not None and (
        _NAMES_TIMES.search(draft.text) is not None or bool(columns_of(draft.schema, _TIMES))
    )
    tree = draft.tree if calculates or _NAMES_INTERVALS.search(draft.text) is not None else None
    if tree is None:
        return
    changed = False
    if calculates and tree.find(exp.Add, exp.Sub) is not None:
        draft.mark_types()
    for node in reversed(list(tree.find_all(exp.Interval, exp.Cast, exp.Add, exp.Sub, *_JUSTIFY))):
        changed = _change(node) or changed
    if changed:
        draft.changed(tree)


def _change(node: exp.Expr) -> bool:
    match node:
        case exp.Interval(this=text, unit=exp.IntervalSpan() as span) if is_text(text):
            node.replace(_interval(text.name, span.this.name.upper(), span.expression.name.upper()))
        case exp.Interval(this=value, unit=exp.Var() as unit) if isinstance(value, exp.Expr):
            _check_size(value, unit.name.upper())
            return False
        case exp.Cast() if node.to.this == exp.DType.INTERVAL and not isinstance(node.this, exp.Null):
            node.set("this", call("_safe_interval" if isinstance(node, exp.TryCast) else "_as_interval", node.this))
        case exp.JustifyHours() | exp.JustifyDays() | exp.JustifyInterval():
            node.replace(call(_JUSTIFY[type(node)], node.this))
        case exp.Sub() if (macro := _difference(node)) is not None:
            node.replace(call(macro, node.this, node.expression))
        case exp.Add() | exp.Sub() if (moved := _moved_date(node)) is not None:
            node.replace(keep_type(node, moved))
        case _:
            return False
    return True


def _check_size(value: exp.Expr, unit: str) -> None:
    """Refuse a literal of more than 10,000 years.

    https://cloud.google.com/bigquery/docs/reference/standard-sql/data-types#interval_type
    """
    number = value.this if isinstance(value, exp.Neg) else value
    size, largest = number.name.lstrip("-") if isinstance(number, exp.Literal) else "", _LARGEST.get(unit)
    if largest is not None and size.isdigit() and int(size) > largest:
        raise QueryError(f"Interval field {unit} '{size}' is out of range {-largest} to {largest}", location="query")


def _interval(text: str, first: str, last: str) -> exp.Expr:
    """Return the interval of a literal whose units are those from ``first`` to ``last``."""
    words = words_of_span(text, first, last)
    if words is None:
        raise QueryError(f"Invalid INTERVAL value '{text}'", location="query")
    return exp.cast(exp.Literal.string(words), "INTERVAL", dialect="bigquery")


def _moved_date(node: exp.Binary) -> exp.Expr | None:
    """Return the call that stands for days added to or subtracted from a DATE, or None.

    https://cloud.google.com/bigquery/docs/reference/standard-sql/operators#date_arithmetics_operators
    """
    adds = isinstance(node, exp.Add)
    function = exp.DateAdd if adds else exp.DateSub
    for date, days in ((node.this, node.expression), (node.expression, node.this))[: 1 + adds]:
        if type_of(date) == exp.DType.DATE and type_of(days) in (exp.DType.BIGINT, exp.DType.INT):
            return function(this=date.copy(), expression=exp.paren(days.copy()), unit=exp.var("DAY"))
    return None


def _difference(node: exp.Sub) -> str | None:
    """Return the macro for the subtraction of two times of one type, or None."""
    kinds = {type_of(side) for side in (node.this, node.expression)}
    kind = kinds.pop()
    return None if kinds or kind is None else _DIFFERENCES.get(kind)
