"""Converts times from and to a time zone, which GoogleSQL names, or writes as an offset such as ``-08`` or ``+05:30``.

DuckDB knows zones by their names only.
https://cloud.google.com/bigquery/docs/reference/standard-sql/timestamp_functions#timezone_definitions
"""

from __future__ import annotations

import re

from sqlglot import exp

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.sql.functions.nodes import Rule, call, is_text, number

_OFFSET = r"(?:UTC)?([+-])(\d{1,2})(?::?(\d{2}))?"
_SIGN, _HOURS, _REST = (f"regexp_extract(zone, '{_OFFSET}', {group})" for group in (1, 2, 3))
_MINUTES = (
    f"(CASE {_SIGN} WHEN '-' THEN -1 ELSE 1 END) * "
    f"(CAST({_HOURS} AS INTEGER) * 60 + coalesce(TRY_CAST({_REST} AS INTEGER), 0))"
)
MACROS: tuple[str, ...] = (
    # Each returns a DATETIME for a TIMESTAMP, and a TIMESTAMP for a DATETIME.
    "CREATE OR REPLACE MACRO _in_zone(x, zone) AS timezone(zone, x)",
    "CREATE OR REPLACE MACRO _by_offset(x, minutes) AS "
    "timezone('UTC', x) + to_minutes(CASE WHEN typeof(x) = 'TIMESTAMP' THEN -minutes ELSE minutes END)",
    "CREATE OR REPLACE MACRO _in_any_zone(x, zone) AS "
    f"CASE WHEN regexp_full_match(zone, '{_OFFSET}') THEN _by_offset(x, {_MINUTES}) ELSE timezone(zone, x) END",
    # The second argument is a TIME, or the name of a zone.
    "CREATE OR REPLACE MACRO _datetime_of(x, y) AS CASE WHEN typeof(y) = 'TIME' "
    "THEN CAST(x AS DATE) + CAST(CAST(y AS VARCHAR) AS TIME) "
    "ELSE _in_any_zone(CAST(x AS TIMESTAMPTZ), CAST(y AS VARCHAR)) END",
    "CREATE OR REPLACE MACRO _time_of(x) AS "
    "CAST(make_timestamp((epoch_us(x) % 86400000000 + 86400000000) % 86400000000) AS TIME)",
)
"""The DuckDB macros that the rewritten SQL calls."""

WORDS = ("CURRENT_DATE(?:TIME)?", "CURRENT_TIME", "DATE", "DATETIME", "TIME", "TIMESTAMP", "EXTRACT", "PARSE_TIMESTAMP")
"""Regular expressions of the names of the functions that ``RULES`` may replace."""


def zoned(value: exp.Expr, zone: exp.Expr) -> exp.Expr:
    """Return a TIMESTAMP as the DATETIME of a zone, or a DATETIME of a zone as a TIMESTAMP.

    Raises:
        QueryError: An offset is too large.
    """
    if not is_text(zone):
        return call("_in_any_zone", value, zone)
    offset = re.fullmatch(_OFFSET, zone.name)
    if offset is None:
        return call("_in_zone", value, zone)
    hours, minutes = int(offset[2]), int(offset[3] or 0)
    if hours > 14 or minutes > 59:
        raise QueryError(f"Invalid time zone: {zone.name}")
    total = hours * 60 + minutes
    return call("_by_offset", value, number(-total if offset[1] == "-" else total))


def as_timestamp(value: exp.Expr) -> exp.Expr:
    """Return a value whose type DuckDB knows, as it does not for the literal of a text."""
    return exp.cast(value.copy(), "TIMESTAMP", dialect="bigquery") if is_text(value) else value


def _as(kind: str) -> Rule:
    """Return the rule for a function that takes a TIMESTAMP and a zone, and returns a part of it."""

    def rule(node: exp.Expr) -> exp.Expr | None:
        zone = node.args.get("zone")
        return None if zone is None else exp.cast(zoned(as_timestamp(node.this), zone), kind, dialect="bigquery")

    return rule


def _current(kind: str) -> Rule:
    def rule(node: exp.Expr) -> exp.Expr | None:
        zone = node.this
        if zone is None and _is_alias(f"CURRENT_{kind}", node):
            zone = exp.Literal.string("UTC")  # without a zone, DuckDB would take the alias
        return None if zone is None else exp.cast(zoned(exp.CurrentTimestamp(), zone), kind, dialect="bigquery")

    return rule


def _is_alias(name: str, node: exp.Expr) -> bool:
    """Return whether a column of the query that a node is in has a name."""
    select = node.find_ancestor(exp.Select)
    return select is not None and any(each.alias.upper() == name for each in select.expressions)


def _datetime(node: exp.Expr) -> exp.Expr | None:
    other = node.args.get("expression")
    if other is None or isinstance(other, exp.Cast):
        return None  # a TIME
    return zoned(as_timestamp(node.this), other) if is_text(other) else call("_datetime_of", node.this, other)


def _timestamp(node: exp.Expr) -> exp.Expr | None:
    zone = node.args.get("zone")
    return None if zone is None else zoned(exp.cast(node.this.copy(), "DATETIME", dialect="bigquery"), zone)


def _time(node: exp.Expr) -> exp.Expr | None:
    """Return the time of a TIMESTAMP or DATETIME; in FORMAT_TIME, the node is a TIME already."""
    if isinstance(node.parent, exp.TimeToStr) or is_text(node.this):
        return None
    return call("_time_of", node.this)


RULES: dict[type[exp.Expr], Rule] = {
    exp.CurrentDate: _current("DATE"),
    exp.CurrentDatetime: lambda node: (
        _current("DATETIME")(node) or call("_in_zone", exp.CurrentTimestamp(), exp.Literal.string("UTC"))
    ),
    exp.CurrentTime: _current("TIME"),
    exp.Date: _as("DATE"),
    exp.Datetime: _datetime,
    exp.Time: _as("TIME"),
    exp.Timestamp: _timestamp,
    exp.TsOrDsToTime: _time,
}
"""What replaces the nodes of each type."""
