"""Carries out ``CAST(value AS STRING FORMAT ...)`` and ``CAST(value AS BYTES FORMAT ...)``.

https://cloud.google.com/bigquery/docs/reference/standard-sql/format-elements
"""

from __future__ import annotations

import re
from typing import Any

import duckdb
from sqlglot import exp

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.sql.errors.function_errors import FunctionError
from localcloud.bigquery.sql.functions.formats.number_formats import number_format, written_number
from localcloud.bigquery.sql.functions.nodes import call, number
from localcloud.bigquery.sql.functions.times.zones import as_timestamp, zoned

_NUMBER = "bqemu_number_by_format"
_OFFSET = "CAST((epoch_us(_in_any_zone(x, zone)) - epoch_us(x)) // 60000000 AS BIGINT)"
MACROS: tuple[str, ...] = (
    # Texts are the way from any type that does not fail while the statement is planned.
    "CREATE OR REPLACE MACRO _moment(x) AS CASE WHEN typeof(x) = 'TIME' "
    "THEN DATE '1970-01-01' + TRY_CAST(CAST(x AS VARCHAR) AS TIME) ELSE CAST(CAST(x AS VARCHAR) AS TIMESTAMP) END",
    # DATE has no elements of times of the day, and TIME has no others.
    "CREATE OR REPLACE MACRO _time_format(x, pattern, refused, element) AS CASE WHEN typeof(x) IN (refused, 'VARCHAR') "
    "THEN bqemu_fail(replace(typeof(x), 'VARCHAR', 'STRING') || ' does not support ' || element) "
    "ELSE strftime(_moment(x), pattern) END",
    f"CREATE OR REPLACE MACRO _zone_hours(x, zone) AS CASE WHEN {_OFFSET} < 0 THEN '-' ELSE '+' END || "
    f"lpad(CAST(abs({_OFFSET}) // 60 AS VARCHAR), 2, '0')",
    f"CREATE OR REPLACE MACRO _zone_minutes(x, zone) AS lpad(CAST(abs({_OFFSET}) % 60 AS VARCHAR), 2, '0')",
    f"CREATE OR REPLACE MACRO _number_format(x, form) AS {_NUMBER}(CAST(x AS VARCHAR), typeof(x), form)",
    "CREATE OR REPLACE MACRO _last_characters(x, size) AS right(x, size)",
    "CREATE OR REPLACE MACRO _first_characters(x, size) AS left(x, size)",
    "CREATE OR REPLACE MACRO _weekday(x) AS CAST(dayofweek(_moment(x)) + 1 AS VARCHAR)",
    "CREATE OR REPLACE MACRO _second_of_day(x) AS "
    "lpad(CAST(date_diff('second', date_trunc('day', _moment(x)), _moment(x)) AS VARCHAR), 5, '0')",
    "CREATE OR REPLACE MACRO _hex_of(x) AS lower(hex(x))",
    "CREATE OR REPLACE MACRO _base64_of(x) AS to_base64(x)",
    "CREATE OR REPLACE MACRO _text_of_bytes(x) AS decode(x)",
    "CREATE OR REPLACE MACRO _bytes_of_hex(x) AS unhex(x)",
    "CREATE OR REPLACE MACRO _bytes_of_base64(x) AS from_base64(x)",
    "CREATE OR REPLACE MACRO _bytes_of_text(x) AS encode(x)",
    "CREATE OR REPLACE MACRO _text_of_ascii(x) AS CASE WHEN regexp_full_match(hex(x), '(?:[0-7].)*') "
    "THEN decode(x) WHEN x IS NOT NULL THEN bqemu_fail('Failed to cast BYTES beyond ASCII to STRING') END",
    "CREATE OR REPLACE MACRO _bytes_of_ascii(x) AS CASE WHEN strlen(x) = length(x) THEN encode(x) "
    "WHEN x IS NOT NULL THEN bqemu_fail('Failed to cast STRING with characters beyond ASCII to BYTES: ' || x) END",
)
"""The DuckDB macros that the rewritten SQL calls. They call those of ``zones``."""

_BYTES = {
    "HEX": ("_hex_of", "_bytes_of_hex"),
    "BASE16": ("_hex_of", "_bytes_of_hex"),
    "BASE64": ("_base64_of", "_bytes_of_base64"),
    "ASCII": ("_text_of_ascii", "_bytes_of_ascii"),
    "UTF-8": ("_text_of_bytes", "_bytes_of_text"),
    "UTF8": ("_text_of_bytes", "_bytes_of_text"),
}
# Elements by strftime's patterns. The case of the first two letters of a name is that of the name.
_PATTERNS = {"YYYY": "%Y", "RRRR": "%Y", "MM": "%m", "DD": "%d", "DDD": "%j", "HH24": "%H", "HH12": "%I", "HH": "%I"}
_PATTERNS |= {"MI": "%M", "SS": "%S"}
_NAMES = {"MONTH": "%B", "MON": "%b", "DAY": "%A", "DY": "%a", "AM": "%p", "PM": "%p"}
_OF_DATES = frozenset({"YYYY", "RRRR", "MM", "DD", "DDD", "MONTH", "MON", "DAY", "DY"})
_ELEMENT = re.compile(
    r'"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<year>YYY|YY|Y|RR)(?![YR]|,YYY)|FF(?P<digits>[1-9])'
    r"|(?P<pattern>YYYY|RRRR|MM|DDD|DD|HH24|HH12|HH|MI|SSSSS|SS)|(?P<name>MONTH|MON|DAY|DY|AM|PM)|(?P<weekday>D)"
    r"|(?P<half>[AP]\.M\.)|(?P<zone>TZ[HM])"
    r"|(?P<other>[-./,';: ])",
    re.IGNORECASE,
)
_OF_NUMBERS = re.compile(r"(?:[09,.$XSLCBVDG]|MI|PR|FM|TM[9E]?|EEEE)+", re.IGNORECASE)


def register(connection: duckdb.DuckDBPyConnection) -> None:
    """Register the Python function that the macros call."""
    texts: Any = ["VARCHAR"] * 3
    connection.create_function(_NUMBER, _number_text, texts, "VARCHAR")


def _number_text(text: str, kind: str, form: str) -> str:
    try:
        return written_number(text, kind, form)
    except QueryError as error:
        raise FunctionError(error) from None


def formatted(node: exp.Cast) -> exp.Expr | None:
    """Return the replacement of a CAST with a format to a STRING or BYTES, or None for other types.

    Raises:
        QueryError: The format is not supported.
    """
    to_text = node.to.this == exp.DType.TEXT
    if not to_text and node.to.this != exp.DType.BINARY:
        raise QueryError(f"FORMAT is not allowed for a cast to {node.to.sql(dialect='bigquery')}")
    form, value, moment, zone = node.args["format"], node.this, node.this, exp.Literal.string("UTC")
    if isinstance(form, exp.AtTimeZone):
        form, zone = form.this, form.args["zone"]
        moment = zoned(as_timestamp(value), zone)
    if not isinstance(form, exp.Literal):
        raise QueryError("CAST with a FORMAT that is not a literal is not supported")
    if not to_text and isinstance(node, exp.TryCast):
        raise QueryError("SAFE_CAST AS BYTES with FORMAT is not supported")
    of_bytes = _BYTES.get(form.name.upper())
    if of_bytes is not None:
        return call(of_bytes[0 if to_text else 1], value)
    if not to_text or form.name.upper().startswith("BASE"):
        raise QueryError(f"The format {form.name} of BYTES is not supported")
    if _OF_NUMBERS.fullmatch(form.name) is not None and re.search(r"[09X]|TM", form.name, re.IGNORECASE):
        number_format(form.name)
        return call("_number_format", value, form)
    return exp.func("CONCAT", *_parts(form.name, moment, value, zone), dialect="bigquery")


def _parts(form: str, moment: exp.Expr, value: exp.Expr, zone: exp.Expr) -> list[exp.Expr]:
    """Return the texts that a format consists of; ``moment`` is the value in the zone."""
    parts: list[exp.Expr] = [exp.Literal.string("")]
    at = 0
    while at < len(form):
        match = _ELEMENT.match(form, at)
        if match is None:
            raise QueryError(f"The format element at {form[at:]!r} is not supported")
        at = match.end()
        if match["zone"] is not None:
            macro = "_zone_hours" if match["zone"].upper() == "TZH" else "_zone_minutes"
            parts.append(call(macro, as_timestamp(value), zone))
        else:
            parts.append(_part(match, moment))
    return parts


def _part(match: re.Match[str], value: exp.Expr) -> exp.Expr:
    def pattern(text: str) -> exp.Expr:
        of_date = match["year"] is not None or match[0].upper() in _OF_DATES
        texts = (text, "TIME" if of_date else "DATE", match[0].upper())
        return call("_time_format", value, *map(exp.Literal.string, texts))

    match match.lastgroup:
        case "quoted":
            return exp.Literal.string(re.sub(r"\\(.)", r"\1", match["quoted"]))
        case "other":
            return exp.Literal.string(match["other"])
        case "year":
            return call("_last_characters", pattern("%Y"), number(len(match["year"])))
        case "digits":
            fraction = exp.func("RPAD", pattern("%f"), number(9), exp.Literal.string("0"))
            return call("_first_characters", fraction, number(int(match["digits"])))
        case "half":
            half = exp.func("REPLACE", pattern("%p"), exp.Literal.string("M"), exp.Literal.string(".M."))
            return half if match["half"].isupper() else exp.Lower(this=half)
        case "weekday":
            return call("_weekday", value)
        case "name":
            name = match["name"]
            found = pattern(_NAMES[name.upper()])
            if name[:2].isupper():
                return exp.Upper(this=found)
            return exp.Lower(this=found) if name.islower() else found
    name = match["pattern"].upper()
    return call("_second_of_day", value) if name == "SSSSS" else pattern(_PATTERNS[name])
