"""Reads dates and times in the texts of files: BigQuery's own forms, and those that a load job describes.

https://cloud.google.com/bigquery/docs/loading-data-cloud-storage-csv#data_types
https://cloud.google.com/bigquery/docs/reference/standard-sql/format-elements#format_date_time_as_string
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from localcloud.bigquery.base.errors import QueryError

_DAY = r"(?P<year>\d{4})-(?P<month>\d{1,2})-(?P<day>\d{1,2})"
_DAY_OR_SLASHES = r"(?P<year>\d{4})(?P<dash>[-/])(?P<month>\d{1,2})(?P=dash)(?P<day>\d{1,2})"
_SECOND = r"(?P<second>\d{1,2}(?:\.\d{1,9})?)"
_CLOCK = rf"(?P<hour>\d{{1,2}}):(?P<minute>\d{{1,2}})(?::{_SECOND})?"
_ZONE = r"\s*(?P<zone>Z|z|[-+]\d{1,2}(?::?\d{2})?|[A-Za-z]+(?:/[A-Za-z_+\-0-9]+)*)?"
_FORMS: Mapping[str, re.Pattern[str]] = {
    "DATE": re.compile(_DAY),
    "TIME": re.compile(rf"(?P<hour>\d{{1,2}}):(?P<minute>\d{{1,2}}):{_SECOND}"),
    "DATETIME": re.compile(rf"{_DAY}(?:[Tt ]{_CLOCK})?"),
    "TIMESTAMP": re.compile(rf"{_DAY_OR_SLASHES}(?:[Tt ]\s*{_CLOCK})?{_ZONE}"),
}
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_LONG_MONTHS = "JANUARY|FEBRUARY|MARCH|APRIL|MAY|JUNE|JULY|AUGUST|SEPTEMBER|OCTOBER|NOVEMBER|DECEMBER"
_ELEMENTS: Mapping[str, str] = {
    "YYYY": r"(?P<year>\d{4})",
    "RRRR": r"(?P<year>\d{4})",
    "YY": r"(?P<short_year>\d{2})",
    "RR": r"(?P<short_year>\d{2})",
    "MONTH": rf"(?P<month_name>{_LONG_MONTHS})",
    "MON": rf"(?P<month_name>{'|'.join(_MONTHS)})",
    "MM": r"(?P<month>\d{1,2})",
    "DD": r"(?P<day>\d{1,2})",
    "HH24": r"(?P<hour>\d{1,2})",
    "HH12": r"(?P<hour12>\d{1,2})",
    "HH": r"(?P<hour12>\d{1,2})",
    "MI": r"(?P<minute>\d{1,2})",
    "SS": r"(?P<second>\d{1,2})",
    "AM": r"(?P<half>AM|PM)",
    "PM": r"(?P<half>AM|PM)",
    "A.M.": r"(?P<half>A\.M\.|P\.M\.)",
    "P.M.": r"(?P<half>A\.M\.|P\.M\.)",
    "TZH": r"(?P<zone_hours>[-+]?\d{1,2})",
    "TZM": r"(?P<zone_minutes>\d{2})",
}
_FRACTION = re.compile(r"FF[1-9]?")
_LITERAL = re.compile(r'"((?:[^"\\]|\\.)*)"')
_OPTIONS: Mapping[str, str] = {
    "DATE": "dateFormat",
    "TIME": "timeFormat",
    "DATETIME": "datetimeFormat",
    "TIMESTAMP": "timestampFormat",
}
_SECONDS = re.compile(r"-?\d+(\.\d+)?(?:[eE][-+]?\d+)?")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class TimeForms:
    """The forms of dates and times in the files of a load job.

    Attributes:
        patterns: The form of each type, DATE, TIME, DATETIME and TIMESTAMP.
        zone: The time zone of a TIMESTAMP that names none.
    """

    patterns: Mapping[str, re.Pattern[str]] = field(default_factory=lambda: _FORMS)
    zone: tzinfo = UTC

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> TimeForms:
        """Return the forms that a load job's configuration describes.

        Raises:
            QueryError: A format has an element that BigQuery does not have, or the time zone does not exist.
        """
        given = {kind: options[name] for kind, name in _OPTIONS.items() if options.get(name)}
        patterns = {kind: _pattern(form, _OPTIONS[kind]) for kind, form in given.items()}
        name = options.get("timeZone")
        zone = zone_of(name) if name else UTC
        if zone is None:
            raise QueryError(f"Invalid time zone: {name}", reason="invalid")
        return cls({**_FORMS, **patterns}, zone)

    def read(self, kind: str, text: str) -> str:
        """Return a date or time as ISO 8601 text.

        Args:
            kind: DATE, TIME, DATETIME or TIMESTAMP.
            text: The text of a file.

        Raises:
            ValueError: The text does not have the form of this type.
            OverflowError: It is outside the years 1 to 9999.
        """
        pattern = self.patterns[kind]
        if pattern is _FORMS["TIMESTAMP"] and _SECONDS.fullmatch(text):
            return (_EPOCH + timedelta(microseconds=int(Decimal(text) * 1_000_000))).isoformat(" ")
        match = pattern.fullmatch(text)
        if match is None:
            raise ValueError(text)
        found = {name: value for name, value in match.groupdict().items() if value is not None}
        if kind == "TIME":
            return _clock(found).isoformat()
        day = _day(found)
        if kind == "DATE":
            return day.isoformat()
        moment = datetime.combine(day, _clock(found))
        if kind == "DATETIME":
            return moment.isoformat(" ")
        return moment.replace(tzinfo=self._zone(found)).astimezone(UTC).isoformat(" ")

    def _zone(self, found: Mapping[str, str]) -> tzinfo:
        if "zone_hours" in found:
            return _offset(found["zone_hours"], found.get("zone_minutes", "0"))
        name = found.get("zone")
        zone = self.zone if name is None else zone_of(name)
        if zone is None:
            raise ValueError(name)
        return zone


def zone_of(name: str) -> tzinfo | None:
    """Return a time zone by its name, such as ``America/New_York``, ``UTC``, ``Z`` or ``+05:30``; None if there is none."""
    if name.upper() in ("Z", "UTC", "GMT"):
        return UTC
    offset = re.fullmatch(r"(?:UTC)?([-+]\d{1,2}):?(\d{2})?", name)
    try:
        return _offset(offset[1], offset[2] or "0") if offset else ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def _offset(hours: str, minutes: str) -> timezone:
    size = timedelta(hours=abs(int(hours)), minutes=int(minutes))
    return timezone(-size if hours.startswith("-") else size)


def _day(found: Mapping[str, str]) -> date:
    year = int(found.get("year") or 0)
    if (
        "short_year" in found
    ):  # as RR rounds: https://cloud.google.com/bigquery/docs/reference/standard-sql/format-elements
        short = int(found["short_year"])
        year = short + (2000 if short < 70 else 1900)
    name = found.get("month_name")
    month = _MONTHS.index(name[:3].upper()) + 1 if name else int(found.get("month") or 1)
    return date(year or 1970, month, int(found.get("day") or 1))


def _clock(found: Mapping[str, str]) -> time:
    hour = int(found.get("hour") or 0)
    if "hour12" in found:
        if not 1 <= int(found["hour12"]) <= 12:
            raise ValueError(found["hour12"])
        hour = int(found["hour12"]) % 12 + (12 if found.get("half", "AM").upper().startswith("P") else 0)
    second, _, fraction = found.get("second", "0").partition(".")
    micros = ((found.get("fraction") or fraction) + "000000")[:6]
    return time(hour, int(found.get("minute") or 0), int(second), int(micros))


def _pattern(form: str, option: str) -> re.Pattern[str]:
    """Return the pattern of texts of a format such as ``MM/DD/YYYY HH24:MI``. Raises ``QueryError``."""
    parts, at, upper = [], 0, form.upper()
    longest = sorted(_ELEMENTS, key=len, reverse=True)
    while at < len(form):
        element = next((name for name in longest if upper.startswith(name, at)), None)
        literal, fraction = _LITERAL.match(form, at), _FRACTION.match(upper, at)
        if element is not None:
            parts.append(_ELEMENTS[element])
            at += len(element)
        elif fraction is not None:
            parts.append(r"(?P<fraction>\d{1,9})")
            at = fraction.end()
        elif literal is not None:
            parts.append(re.escape(literal[1]))
            at = literal.end()
        elif form[at].isalnum():
            raise QueryError(f"Invalid {option}: {form}. Unknown format element at {form[at:]!r}", reason="invalid")
        else:
            parts.append(r"\s+" if form[at] == " " else re.escape(form[at]))
            at += 1
    try:
        return re.compile("".join(parts), re.IGNORECASE)
    except re.error as error:
        raise QueryError(f"Invalid {option}: {form}. An element occurs more than once", reason="invalid") from error
