"""Computes with the parts of dates and times as GoogleSQL does.

TIMESTAMP_DIFF counts whole units; DATE_DIFF and DATETIME_DIFF count boundaries. Weeks begin on Sunday, or on the day in
``WEEK(day)``. DuckDB counts boundaries everywhere, and its weeks begin on Monday.
https://cloud.google.com/bigquery/docs/reference/standard-sql/timestamp_functions#timestamp_diff
https://cloud.google.com/bigquery/docs/reference/standard-sql/date_functions#date_diff
"""

from __future__ import annotations

from sqlglot import exp

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.sql.functions.nodes import Rule, call, is_text, number
from localcloud.bigquery.sql.functions.times.zones import as_timestamp, zoned

_DAYS = ("SUNDAY", "MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY")
_MICROSECONDS = {
    "MICROSECOND": 1,
    "MILLISECOND": 1_000,
    "SECOND": 1_000_000,
    "MINUTE": 60_000_000,
    "HOUR": 3_600_000_000,
    "DAY": 86_400_000_000,
}
# 2017-01-01 is a Sunday. BigQuery's buckets begin on 1950-01-01 unless a statement gives another origin.
MACROS: tuple[str, ...] = (
    "CREATE OR REPLACE MACRO _whole_units(a, b, unit) AS (a - b - (a - b) % unit) // unit",
    "CREATE OR REPLACE MACRO _timestamp_diff(a, b, unit) AS "
    "_whole_units(epoch_us(CAST(a AS TIMESTAMPTZ)), epoch_us(CAST(b AS TIMESTAMPTZ)), unit)",
    "CREATE OR REPLACE MACRO _week_start(x, first) AS "
    "time_bucket(INTERVAL '7 days', x, DATE '2017-01-01' + CAST(first AS INTEGER))",
    "CREATE OR REPLACE MACRO _week_diff(a, b, first) AS "
    "(_week_start(CAST(a AS DATE), first) - _week_start(CAST(b AS DATE), first)) // 7",
    "CREATE OR REPLACE MACRO _isoyear_diff(a, b) AS isoyear(CAST(a AS DATE)) - isoyear(CAST(b AS DATE))",
    "CREATE OR REPLACE MACRO _isoyear_start(x, years) AS "
    "CAST(date_trunc('week', make_date(isoyear(CAST(x AS DATE)) + years, 1, 4)) AS DATE)",
    "CREATE OR REPLACE MACRO _week_number(x, first) AS "
    "(dayofyear(CAST(x AS DATE)) + 6 - (dayofweek(CAST(x AS DATE)) - first + 7) % 7) // 7",
    "CREATE OR REPLACE MACRO _fraction(x, unit) AS datepart('microsecond', x) % 1000000 // unit",
    # A fraction before 1970 belongs to the unit before it.
    "CREATE OR REPLACE MACRO _unix_units(x, unit) AS "
    "(epoch_us(CAST(x AS TIMESTAMPTZ)) - (epoch_us(CAST(x AS TIMESTAMPTZ)) % unit + unit) % unit) // unit",
    # DuckDB's result for a DATE is a DATETIME.
    "CREATE OR REPLACE MACRO _truncated(x, part) AS cast_to_type(date_trunc(part, x), x)",
    "CREATE OR REPLACE MACRO _date_of_day(day) AS CASE WHEN day NOT BETWEEN -719162 AND 2932896 "
    "THEN bqemu_fail('DATE_FROM_UNIX_DATE(' || day || ') is not from year 1 to year 9999') "
    "ELSE DATE '1970-01-01' + CAST(day AS INTEGER) END",
    "CREATE OR REPLACE MACRO _make_interval(years, months, days, hours, minutes, seconds) AS "
    "CASE WHEN years * 12 + months NOT BETWEEN -120000 AND 120000 "
    "THEN bqemu_fail('Interval field months ' || (years * 12 + months) || ' is out of range -120000 to 120000') "
    "ELSE to_months(CAST(years * 12 + months AS INTEGER)) + to_days(CAST(days AS INTEGER)) + "
    "to_microseconds((hours * 3600 + minutes * 60 + seconds) * CAST(1000000 AS BIGINT)) END",
    *(
        f"CREATE OR REPLACE MACRO {prefix}_in_range(x, name) AS "
        f"CASE WHEN year(x) BETWEEN 1 AND 9999 OR x IS NULL THEN x ELSE {otherwise} END"
        for prefix, otherwise in (
            ("", "cast_to_type(name || ': the result is not from year 1 to year 9999', x)"),
            ("_safe", "NULL"),
        )
    ),
    *(
        f"CREATE OR REPLACE MACRO {prefix}_time_from_parts(hour, minute, second) AS "
        "CASE WHEN hour BETWEEN 0 AND 23 AND minute BETWEEN 0 AND 59 AND second BETWEEN 0 AND 60 "
        "THEN CAST(make_timestamp((hour * 3600 + minute * 60 + second) % 86400 * CAST(1000000 AS BIGINT)) AS TIME) "
        f"WHEN hour + minute + second IS NOT NULL THEN {otherwise} END"
        for prefix, otherwise in (
            ("", "bqemu_fail(format('Input calculates to invalid time: {:02d}:{:02d}:{:02d}', hour, minute, second))"),
            ("_safe", "NULL"),
        )
    ),
    "CREATE OR REPLACE MACRO _date_bucket(x, width) AS time_bucket(width, CAST(x AS DATE), DATE '1950-01-01')",
    "CREATE OR REPLACE MACRO _date_bucket_from(x, width, origin) AS time_bucket(width, CAST(x AS DATE), CAST(origin AS DATE))",
    "CREATE OR REPLACE MACRO _datetime_bucket(x, width) AS "
    "time_bucket(width, CAST(x AS TIMESTAMP), TIMESTAMP '1950-01-01')",
    "CREATE OR REPLACE MACRO _datetime_bucket_from(x, width, origin) AS "
    "time_bucket(width, CAST(x AS TIMESTAMP), CAST(origin AS TIMESTAMP))",
    "CREATE OR REPLACE MACRO _timestamp_bucket(x, width) AS "
    "time_bucket(width, CAST(x AS TIMESTAMPTZ), TIMESTAMPTZ '1950-01-01 00:00:00+00')",
    "CREATE OR REPLACE MACRO _timestamp_bucket_from(x, width, origin) AS "
    "time_bucket(width, CAST(x AS TIMESTAMPTZ), CAST(origin AS TIMESTAMPTZ))",
)
"""The DuckDB macros that the rewritten SQL calls."""

WORDS = (
    r"\w+_(?:DIFF|TRUNC|ADD|SUB|BUCKET)",
    "EXTRACT",
    "LAST_DAY",
    r"UNIX_\w+",
    "DATE_FROM_UNIX_DATE",
    "TIME",
    "MAKE_INTERVAL",
)
"""Regular expressions of the names of the functions that ``RULES`` may replace."""

_KIND: dict[type[exp.Expr], str] = {
    exp.DateDiff: "DATE",
    exp.DateTrunc: "DATE",
    exp.DateAdd: "DATE",
    exp.DateSub: "DATE",
    exp.LastDay: "DATE",
    exp.DatetimeDiff: "DATETIME",
    exp.DatetimeTrunc: "DATETIME",
    exp.DatetimeAdd: "DATETIME",
    exp.DatetimeSub: "DATETIME",
    exp.TimestampDiff: "TIMESTAMP",
    exp.TimestampTrunc: "TIMESTAMP",
    exp.TimestampAdd: "TIMESTAMP",
    exp.TimestampSub: "TIMESTAMP",
    exp.TimeAdd: "TIME",
    exp.TimeSub: "TIME",
}


def _part(unit: exp.Expr | None) -> tuple[str, int]:
    """Return the part of a date, in capitals, and the number of the day on which its weeks begin."""
    if isinstance(unit, exp.WeekStart):
        return "WEEK", _day(unit.name)
    if isinstance(unit, exp.Anonymous) and unit.name.upper() == "WEEK" and len(unit.expressions) == 1:
        return "WEEK", _day(unit.expressions[0].name)
    name = unit.name.upper() if unit is not None else ""
    return ("WEEK", 1) if name == "ISOWEEK" else (name, 0)


def _day(name: str) -> int:
    if name.upper() not in _DAYS:
        raise QueryError(f"A valid date part argument is required, but found WEEK({name})")
    return _DAYS.index(name.upper())


def _convert_literals(node: exp.Expr) -> None:
    """Cast the literals of texts to the type of the function."""
    kind = _KIND[type(node)]
    for name in ("this", "expression") if type(node).__name__.endswith("Diff") else ("this",):
        value = node.args.get(name)
        if value is not None and is_text(value):
            node.set(name, exp.cast(value.copy(), kind, dialect="bigquery"))


def _difference(node: exp.Expr) -> exp.Expr | None:
    _convert_literals(node)
    part, first = _part(node.args.get("unit"))
    if isinstance(node, exp.TimestampDiff):
        if part not in _MICROSECONDS:
            raise QueryError(f"TIMESTAMP_DIFF does not support the {part} date part")
        return call("_timestamp_diff", node.this, node.expression, number(_MICROSECONDS[part]))
    if part == "WEEK":
        return call("_week_diff", node.this, node.expression, number(first))
    return call("_isoyear_diff", node.this, node.expression) if part == "ISOYEAR" else node


def _truncation(node: exp.Expr) -> exp.Expr | None:
    _convert_literals(node)
    kind, zone = _KIND[type(node)], node.args.get("zone")
    part, first = _part(node.args.get("unit"))
    if zone is None:
        return _truncated(node.this, part, first, kind)
    if part in ("MINUTE", "SECOND", "MILLISECOND", "MICROSECOND"):
        return call("_truncated", node.this, exp.Literal.string(part))  # which begin at the same time in all zones
    return zoned(_truncated(zoned(node.this, zone), part, first, "DATETIME"), zone)


def _truncated(value: exp.Expr, part: str, first: int, kind: str) -> exp.Expr:
    if part == "WEEK":
        return call("_week_start", value, number(first))
    if part == "ISOYEAR":
        return exp.cast(call("_isoyear_start", value, number(0)), kind, dialect="bigquery")
    return call("_truncated", value, exp.Literal.string(part))


def _shift(node: exp.Expr) -> exp.Expr | None:
    _convert_literals(node)
    part, _ = _part(node.args.get("unit"))
    if isinstance(node, (exp.TimestampAdd, exp.TimestampSub)) and part in ("WEEK", "MONTH", "QUARTER", "YEAR"):
        name = "TIMESTAMP_ADD" if isinstance(node, exp.TimestampAdd) else "TIMESTAMP_SUB"
        raise QueryError(f"{name} does not support the {part} date part")
    if _KIND[type(node)] == "TIME":
        return node
    return call("_in_range", node, exp.Literal.string(f"{_KIND[type(node)]}_{type(node).__name__[-3:].upper()}"))


def _extraction(node: exp.Expr) -> exp.Expr | None:
    part, first = _part(node.this)
    value = node.expression
    if isinstance(value, exp.AtTimeZone):
        value = zoned(as_timestamp(value.this), value.args["zone"])
        node.set("expression", value)
    if node.this.name.upper() == "ISOWEEK":
        return node
    match part:
        case "WEEK":
            return call("_week_number", value, number(first))
        case "TIME":
            return call("_time_of", value)
        case "DATE" | "DATETIME":
            return exp.cast(value.copy(), part, dialect="bigquery")
        case "MILLISECOND" | "MICROSECOND":
            return call("_fraction", value, number(_MICROSECONDS[part]))
    return node


def _last_day(node: exp.Expr) -> exp.Expr | None:
    _convert_literals(node)
    part, first = _part(node.args.get("unit"))
    value = exp.cast(node.this.copy(), "DATE", dialect="bigquery")
    if part == "WEEK":
        return exp.Paren(this=exp.Add(this=call("_week_start", value, number(first)), expression=number(6)))
    if part == "ISOYEAR":
        return exp.Paren(this=exp.Sub(this=call("_isoyear_start", value, number(1)), expression=number(1)))
    return node


def _interval(node: exp.Expr) -> exp.Expr | None:
    given = [node.args.get(name) for name in ("year", "month", "day", "hour", "minute", "second")]
    # An argument with a name may be at the place of another one.
    named = {each.name.lower(): each.expression for each in given if isinstance(each, exp.Kwarg)}
    values = [
        named.get(name) or (number(0) if each is None or isinstance(each, exp.Kwarg) else each)
        for name, each in zip(("year", "month", "day", "hour", "minute", "second"), given, strict=True)
    ]
    return call("_make_interval", *values)


def _date_of_day(node: exp.Expr) -> exp.Expr:
    date = call("_date_of_day", node.this)
    return date if isinstance(node.parent, exp.SafeFunc) else exp.cast(date, "DATE", dialect="bigquery")


def _unix(unit: str) -> Rule:
    return lambda node: call("_unix_units", node.this, number(_MICROSECONDS[unit]))


RULES: dict[type[exp.Expr], Rule] = {
    exp.DateFromUnixDate: _date_of_day,
    exp.UnixSeconds: _unix("SECOND"),
    exp.UnixMillis: _unix("MILLISECOND"),
    exp.TimeFromParts: lambda node: call("_time_from_parts", node.args["hour"], node.args["min"], node.args["sec"]),
    exp.MakeInterval: _interval,
    exp.DateDiff: _difference,
    exp.DatetimeDiff: _difference,
    exp.TimestampDiff: _difference,
    exp.DateTrunc: _truncation,
    exp.DatetimeTrunc: _truncation,
    exp.TimestampTrunc: _truncation,
    exp.DateAdd: _shift,
    exp.DateSub: _shift,
    exp.DatetimeAdd: _shift,
    exp.DatetimeSub: _shift,
    exp.TimestampAdd: _shift,
    exp.TimestampSub: _shift,
    exp.TimeAdd: _shift,
    exp.TimeSub: _shift,
    exp.Extract: _extraction,
    exp.LastDay: _last_day,
}
"""What replaces the nodes of each type."""

BY_NAME = {
    f"{kind}_BUCKET": {2: f"_{kind.lower()}_bucket", 3: f"_{kind.lower()}_bucket_from"}
    for kind in ("DATE", "DATETIME", "TIMESTAMP")
}
"""The macros for functions that sqlglot does not know, by name and number of arguments."""
