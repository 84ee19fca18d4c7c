"""Reads times by a format, as ``CAST('03:04' AS TIME FORMAT 'HH24:MI')`` does.

Parts that a format does not have are those of the current month, its first day and midnight.
https://cloud.google.com/bigquery/docs/reference/standard-sql/format-elements#format_string_as_datetime
"""

from __future__ import annotations

import calendar
import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import duckdb
from duckdb.func import FunctionNullHandling

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.sql.errors.function_errors import FunctionError
from localcloud.bigquery.sql.reading.tokens import Token, bracket_pairs, readable_tokens

READ, READ_OR_NULL = "bqemu_time_by_format", "bqemu_time_by_format_or_null"
"""The functions that return the text of a time in the form that casts read."""
_NUMBER = r"\d{1,2}"
# The part of a time that each element gives, and the regular expression of what it reads.
_ELEMENTS: dict[str, tuple[str, str]] = {
    "YYYY": ("year", r"\d{1,4}"),
    "RRRR": ("year", r"\d{1,4}"),
    "Y,YYY": ("year", r"\d,\d{3}"),
    "YYY": ("year", r"\d{1,3}"),
    "YY": ("year", r"\d{1,2}"),
    "RR": ("year", r"\d{1,2}"),
    "Y": ("year", r"\d"),
    "MONTH": ("month", "|".join(calendar.month_name[1:])),
    "MON": ("month", "|".join(calendar.month_abbr[1:])),
    "MM": ("month", _NUMBER),
    "DD": ("day", _NUMBER),
    "HH24": ("hour", _NUMBER),
    "HH12": ("hour of 12", _NUMBER),
    "HH": ("hour of 12", _NUMBER),
    "MI": ("minute", _NUMBER),
    "SSSSS": ("second of the day", r"\d{1,5}"),
    "SS": ("second", _NUMBER),
    **{f"FF{digits}": ("fraction", rf"\d{{1,{digits}}}") for digits in range(1, 10)},
    "A.M.": ("half of the day", r"[AP]\.M\."),
    "P.M.": ("half of the day", r"[AP]\.M\."),
    "TZH": ("hours of the zone", r"[-+ ]?\d{1,2}"),
    "TZM": ("minutes of the zone", _NUMBER),
}
# The least and the largest value of parts that are numbers.
_LIMITS = {
    "month": (1, 12),
    "day": (1, 31),
    "hour": (0, 23),
    "hour of 12": (1, 12),
    "minute": (0, 59),
    "second": (0, 59),
    "second of the day": (0, 86399),
    "hours of the zone": (-14, 14),
    "minutes of the zone": (0, 59),
}
_DATES = frozenset({"year", "month", "day"})
_ZONES = frozenset({"hours of the zone", "minutes of the zone"})
_TOKEN = re.compile(
    "|".join(
        [
            r'"(?P<quoted>(?:[^"\\]|\\.)*)"',
            r"(?P<spaces>\s+)",
            r"(?P<written_only>DDD|DAY|DY|D(?!D)|AM|PM)",
            rf"(?P<element>{'|'.join(re.escape(each) for each in _ELEMENTS)})",
            r"(?P<other>[-./,';:])",
        ]
    ),
    re.IGNORECASE,
)
_CENTURY = 100


@dataclass(frozen=True)
class _Part:
    """One part of a format: its text, the part of a time that it gives, or none, and what it reads."""

    text: str
    gives: str
    reads: re.Pattern[str]


def register(connection: duckdb.DuckDBPyConnection) -> None:
    """Register the Python functions that ``read_by_formats`` calls."""
    parameters: Any = ["VARCHAR"] * 4
    connection.create_function(READ, read_by_format, parameters, "VARCHAR")
    special = FunctionNullHandling.SPECIAL
    connection.create_function(READ_OR_NULL, _read_or_null, parameters, "VARCHAR", null_handling=special)


def read_by_format(text: str, kind: str, form: str, zone: str) -> str:
    """Return the time in a text in the form that a cast without a format reads.

    Args:
        text: The text.
        kind: ``DATE``, ``DATETIME``, ``TIME`` or ``TIMESTAMP``.
        form: The format.
        zone: The time zone of a TIMESTAMP without one in the text.
    """
    try:
        found = _found(text.strip(), _parts(form, kind))
        return _written(found, kind, zone)
    except QueryError as error:
        raise FunctionError(error) from None


def _read_or_null(text: str | None, kind: str, form: str | None, zone: str | None) -> str | None:
    if text is None or form is None or zone is None:
        return None
    try:
        return read_by_format(text, kind, form, zone)
    except FunctionError:
        return None


@lru_cache(maxsize=256)
def _parts(form: str, kind: str) -> tuple[_Part, ...]:
    parts = tuple(_split(form))
    given = [part.gives for part in parts if part.gives]
    for part in parts:
        if part.gives and given.count(part.gives) > 1:
            raise QueryError(f"Format element '{part.text}' appears more than once in the format string")
        of_date, of_zone = part.gives in _DATES, part.gives in _ZONES
        of_time = bool(part.gives) and not of_date and not of_zone
        refused = {"DATE": of_time or of_zone, "TIME": of_date or of_zone, "DATETIME": of_zone}.get(kind, False)
        if refused:
            raise QueryError(f"Format element '{part.text}' is not allowed for output type {kind}")
    if ("hour of 12" in given) != ("half of the day" in given):
        raise QueryError("Format elements HH and HH12 need A.M. or P.M., and A.M. and P.M. need one of them")
    return parts


def _split(form: str) -> Iterator[_Part]:
    at = 0
    while at < len(form):
        match = _TOKEN.match(form, at)
        if match is None:
            raise QueryError(f"Cannot find matched format element at {at}")
        at = match.end()
        text = match[0].upper()
        if match["written_only"] is not None:
            raise QueryError(f"Format element '{text}' is not supported for parsing")
        if match["element"] is not None:
            gives, reads = _ELEMENTS[text]
            yield _Part(text, gives, re.compile(reads, re.IGNORECASE))
        elif match["spaces"] is not None:
            yield _Part(text, "", re.compile(r"\s+"))
        else:
            plain = match[0] if match["quoted"] is None else re.sub(r"\\(.)", r"\1", match["quoted"])
            yield _Part(text, "", re.compile(re.escape(plain)))


def _found(text: str, parts: tuple[_Part, ...]) -> dict[str, tuple[str, str]]:
    """Return the element and the text of each part of a time that a text gives."""
    at, found = 0, {}
    for part in parts:
        match = part.reads.match(text, at)
        if match is None or not _is_within(part.gives, match[0]):
            raise QueryError(f"Failed to parse input timestamp string at {at} with format element '{part.text}'")
        at = match.end()
        if part.gives:
            found[part.gives] = (part.text, match[0])
    if text[at:].strip():
        raise QueryError(f"Illegal non-space trailing data '{text[at:]}' in timestamp string")
    return found


def _is_within(gives: str, text: str) -> bool:
    limits = _LIMITS.get(gives)
    return limits is None or text.isalpha() or limits[0] <= int(text) <= limits[1]


def _written(found: dict[str, tuple[str, str]], kind: str, zone: str) -> str:
    def number(part: str, otherwise: int) -> int:
        return int(found[part][1]) if part in found else otherwise

    today = dt.datetime.now(dt.UTC).date()
    year = _year(*found["year"], today.year) if "year" in found else today.year
    month, day = _month(found, today.month), number("day", 1)
    if kind != "TIME" and not (year and day <= calendar.monthrange(year, month)[1]):
        raise QueryError("Invalid result from year, month, day values after parsing")
    hour = number("hour", 0)
    if "hour of 12" in found:
        hour = number("hour of 12", 0) % 12 + (12 if found["half of the day"][1][0] in "Pp" else 0)
    minute, second = number("minute", 0), number("second", 0)
    if "second of the day" in found:
        minutes, second = divmod(number("second of the day", 0), 60)
        hour, minute = divmod(minutes, 60)
    fraction = found.get("fraction", ("", ""))[1][:6].ljust(6, "0")
    time = f"{hour:02}:{minute:02}:{second:02}.{fraction}"
    if kind == "TIME":
        return time
    date = f"{year:04}-{month:02}-{day:02}"
    if kind == "TIMESTAMP" and "hours of the zone" in found:
        hours = found["hours of the zone"][1].strip()
        sign = "-" if hours.startswith("-") else "+"
        zone = f"{sign}{abs(int(hours)):02}:{number('minutes of the zone', 0):02}"
        return f"{date} {time}{zone}"
    offset = zone if zone.startswith(("+", "-")) else f" {zone}"
    return {"DATE": date, "DATETIME": f"{date} {time}"}.get(kind, f"{date} {time}{offset}")


def _month(found: dict[str, tuple[str, str]], current: int) -> int:
    if "month" not in found:
        return current
    element, text = found["month"]
    if element == "MM":
        return int(text)
    return [name[:3] for name in calendar.month_name].index(text[:3].capitalize())


def _year(element: str, text: str, current: int) -> int:
    """Return the year that an element reads; those with fewer than four digits complete it by the current year."""
    year = int(text.replace(",", ""))
    if element in ("YYYY", "RRRR", "Y,YYY"):
        return year
    if element == "RR":
        half = _CENTURY // 2
        century = current // _CENTURY + ((current % _CENTURY >= half) - (year >= half))
        return century * _CENTURY + year
    size = int(10 ** len(element))
    return current // size * size + year


# Statements


def read_by_formats(sql: str) -> str:
    """Return GoogleSQL that calls a function for each cast with a format to a time: sqlglot does not keep their types."""
    found = readable_tokens(sql)
    if not any(token.is_word("FORMAT") for token in found):
        return sql
    pairs = bracket_pairs(found)
    edits: list[tuple[int, int, str]] = []
    for index, token in enumerate(found):
        if token.is_word("CAST", "SAFE_CAST") and found[index + 1 : index + 2] and index + 1 in pairs:
            edits += _edits(sql, found, index, pairs[index + 1])
    for start, end, text in sorted(edits, reverse=True):
        sql = sql[:start] + text + sql[end:]
    return sql


def _edits(sql: str, found: tuple[Token, ...], first: int, last: int) -> list[tuple[int, int, str]]:
    """Return the changes of one cast: the start and the end of each part, and its new text."""
    depth, marks = 0, {}
    for index in range(first + 2, last):
        token = found[index]
        depth += token.is_symbol("(", "[") - token.is_symbol(")", "]")
        if depth == 0 and token.kind == "word":
            marks[token.text.upper()] = index
    at, form = marks.get("AS"), marks.get("FORMAT")
    if at is None or form != at + 2 or not found[at + 1].is_word("DATE", "DATETIME", "TIME", "TIMESTAMP"):
        return []
    kind = found[at + 1].text.upper()
    zoned = marks.get("ZONE", marks.get("AT TIME ZONE"))
    zone, end = "'UTC'", last
    if zoned is not None:
        zone = sql[found[zoned].end : found[last].start].strip()
        end = marks.get("AT", zoned)
    function = READ_OR_NULL if found[first].is_word("SAFE_CAST") else READ
    pattern = sql[found[form].end : found[end].start].strip()
    return [
        (found[first + 1].end, found[first + 1].end, f"{function}("),
        (found[at].start, found[last].start, f", '{kind}', {pattern}, {zone}) AS {kind}"),
    ]
