"""Carries out ``CAST(value AS STRING FORMAT ...)`` and ``CAST(value AS BYTES FORMAT ...)``.

https://cloud.google.com/bigquery/docs/reference/standard-sql/format-elements
"""

from __future__ import annotations

import re

from sqlglot import exp

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.sql.functions.nodes import call, number
from localcloud.bigquery.sql.functions.times.zones import as_timestamp, zoned

MACROS: tuple[str, ...] = (
    # Texts are the way from any type that does not fail while the statement is planned.
    "CREATE OR REPLACE MACRO _moment(x) AS CASE WHEN typeof(x) = 'TIME' "
    "THEN DATE '1970-01-01' + TRY_CAST(CAST(x AS VARCHAR) AS TIME) ELSE CAST(CAST(x AS VARCHAR) AS TIMESTAMP) END",
    "CREATE OR REPLACE MACRO _time_format(x, pattern) AS strftime(_moment(x), pattern)",
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
)
"""The DuckDB macros that the rewritten SQL calls."""

_BYTES = {
    "HEX": ("_hex_of", "_bytes_of_hex"),
    "BASE16": ("_hex_of", "_bytes_of_hex"),
    "BASE64": ("_base64_of", "_bytes_of_base64"),
    "ASCII": ("_text_of_bytes", "_bytes_of_text"),
    "UTF-8": ("_text_of_bytes", "_bytes_of_text"),
    "UTF8": ("_text_of_bytes", "_bytes_of_text"),
}
# Elements by strftime's patterns. The case of the first two letters of a name is that of the name.
_PATTERNS = {"YYYY": "%Y", "RRRR": "%Y", "MM": "%m", "DD": "%d", "DDD": "%j", "HH24": "%H", "HH12": "%I", "HH": "%I"}
_PATTERNS |= {"MI": "%M", "SS": "%S"}
_NAMES = {"MONTH": "%B", "MON": "%b", "DAY": "%A", "DY": "%a", "AM": "%p", "PM": "%p"}
_ELEMENT = re.compile(
    r'"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<year>YYY|YY|Y|RR)(?![YR])|FF(?P<digits>[1-6])'
    r"|(?P<pattern>YYYY|RRRR|MM|DDD|DD|HH24|HH12|HH|MI|SSSSS|SS)|(?P<name>MONTH|MON|DAY|DY|AM|PM)|(?P<weekday>D)"
    r"|(?P<other>[-./,';: ])",
    re.IGNORECASE,
)
_OF_NUMBERS = re.compile(r"(?:[09,.$XSLCBVDG]|MI|PR|FM|TM[9E]?|EEEE)+", re.IGNORECASE)


def formatted(node: exp.Cast) -> exp.Expr | None:
    """Return the replacement of a CAST with a format to a STRING or BYTES, or None for other types.

    Raises:
        QueryError: The format is not supported.
    """
    to_text = node.to.this == exp.DType.TEXT
    if not to_text and node.to.this != exp.DType.BINARY:
        return None
    form, value = node.args["format"], node.this
    if isinstance(form, exp.AtTimeZone):
        form, value = form.this, zoned(as_timestamp(value), form.args["zone"])
    if not isinstance(form, exp.Literal) or isinstance(node, exp.TryCast):
        raise QueryError("CAST with a FORMAT that is not a literal, and SAFE_CAST with FORMAT, are not supported")
    of_bytes = _BYTES.get(form.name.upper())
    if of_bytes is not None:
        return call(of_bytes[0 if to_text else 1], value)
    if not to_text:
        raise QueryError(f"The format {form.name} of BYTES is not supported")
    if _OF_NUMBERS.fullmatch(form.name) is not None and re.search(r"[09X]|TM", form.name, re.IGNORECASE):
        raise QueryError("CAST of a number with FORMAT is not supported")
    return exp.func("CONCAT", *_parts(form.name, value), dialect="bigquery")


def _parts(form: str, value: exp.Expr) -> list[exp.Expr]:
    """Return the texts that a format consists of."""
    parts: list[exp.Expr] = [exp.Literal.string("")]
    at = 0
    while at < len(form):
        match = _ELEMENT.match(form, at)
        if match is None:
            raise QueryError(f"The format element at {form[at:]!r} is not supported")
        at = match.end()
        parts.append(_part(match, value))
    return parts


def _part(match: re.Match[str], value: exp.Expr) -> exp.Expr:
    def pattern(text: str) -> exp.Expr:
        return call("_time_format", value, exp.Literal.string(text))

    match match.lastgroup:
        case "quoted":
            return exp.Literal.string(re.sub(r"\\(.)", r"\1", match["quoted"]))
        case "other":
            return exp.Literal.string(match["other"])
        case "year":
            return call("_last_characters", pattern("%Y"), number(len(match["year"])))
        case "digits":
            return call("_first_characters", pattern("%f"), number(int(match["digits"])))
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
