"""The elements of the formats with which GoogleSQL writes and reads times.

https://cloud.google.com/bigquery/docs/reference/standard-sql/format-elements#format_elements_date_time
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from zoneinfo import ZoneInfo

from localcloud.bigquery.base.errors import QueryError

_EPOCH = dt.datetime(1970, 1, 1)
_SECOND = 1_000_000
# In the pattern of a literal, sqlglot writes %e as %-d and %E6S as %S.%f.
_ELEMENT = re.compile(r"%(E\*S|E[0-9]S|E4Y|Ez|-d|.)", re.DOTALL)
_COMPOUND = {
    "c": "%a %b %e %H:%M:%S %Y",
    "D": "%m/%d/%y",
    "F": "%Y-%m-%d",
    "R": "%H:%M",
    "r": "%I:%M:%S %p",
    "T": "%H:%M:%S",
    "X": "%H:%M:%S",
    "x": "%m/%d/%y",
}
_OF_TIMES = frozenset({"H", "I", "k", "l", "M", "P", "p", "S", "f", "E*S", *(f"E{digits}S" for digits in range(10))})
_OF_DATES = frozenset(
    {"A", "a", "B", "b", "C", "d", "-d", "e", "G", "g", "h", "J", "j", "m", "Q", "U", "u", "V", "W", "w"}
)
_OF_DATES |= {"Y", "y", "E4Y"}
_OF_ZONES = frozenset({"Ez", "s", "Z", "z"})
_ANYWHERE = frozenset({"%", "n", "t"})
_ALLOWED = {
    "DATE": _OF_DATES | _ANYWHERE,
    "TIME": _OF_TIMES | _ANYWHERE,
    "DATETIME": _OF_DATES | _OF_TIMES | _ANYWHERE | {"s"},
    "TIMESTAMP": _OF_DATES | _OF_TIMES | _OF_ZONES | _ANYWHERE,
}


def zone_of(name: str) -> dt.tzinfo:
    """Return a time zone by its name or its offset, such as ``America/Los_Angeles``, ``+05:30`` or ``-8``.

    Raises:
        QueryError: There is no such time zone.
    """
    if name.upper() == "Z":
        return dt.UTC
    offset = re.fullmatch(r"(?:UTC)?([+-])(\d{1,2})(?::?(\d{2}))?", name)
    if offset is not None:
        span = dt.timedelta(hours=int(offset[2]), minutes=int(offset[3] or 0))
        return dt.timezone(-span if offset[1] == "-" else span)
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError):
        raise QueryError(f"Invalid time zone: {name}") from None


_zone = lru_cache(maxsize=512)(zone_of)


def _expanded(pattern: str) -> str:
    return re.sub(r"%(.)", lambda match: _COMPOUND.get(match[1], match[0]), pattern, flags=re.DOTALL)


# Writing


@lru_cache(maxsize=65536)
def written_time(kind: str, pattern: str, microseconds: int, zone: str) -> str:
    """Return the text of a time.

    Args:
        kind: The type of the value, such as TIMESTAMP.
        pattern: The format.
        microseconds: The microseconds from 1970, or of the day for a TIME.
        zone: The time zone in which a TIMESTAMP is written.
    """
    moment = _EPOCH + dt.timedelta(microseconds=microseconds)
    if kind == "TIMESTAMP":
        moment = moment.replace(tzinfo=dt.UTC).astimezone(_zone(zone))
    allowed = _ALLOWED[kind]

    def element(match: re.Match[str]) -> str:
        return _written(match[1], moment, microseconds) if match[1] in allowed else match[0]

    return _ELEMENT.sub(element, _expanded(pattern))


_WRITTEN: Mapping[str, Callable[[dt.datetime], str]] = {
    "%": lambda t: "%",
    "A": lambda t: t.strftime("%A"),
    "a": lambda t: t.strftime("%a"),
    "B": lambda t: t.strftime("%B"),
    "b": lambda t: t.strftime("%b"),
    "C": lambda t: f"{t.year // 100:02}",
    "d": lambda t: f"{t.day:02}",
    "e": lambda t: f"{t.day:2}",
    "E4Y": lambda t: f"{t.year:04}",
    "f": lambda t: f"{t.microsecond:06}",
    "G": lambda t: f"{t.isocalendar().year:04}",
    "g": lambda t: f"{t.isocalendar().year % 100:02}",
    "H": lambda t: f"{t.hour:02}",
    "I": lambda t: f"{(t.hour - 1) % 12 + 1:02}",
    "J": lambda t: f"{(t.isocalendar().week - 1) * 7 + t.isoweekday():03}",
    "j": lambda t: f"{t.timetuple().tm_yday:03}",
    "k": lambda t: f"{t.hour:2}",
    "l": lambda t: f"{(t.hour - 1) % 12 + 1:2}",
    "M": lambda t: f"{t.minute:02}",
    "m": lambda t: f"{t.month:02}",
    "n": lambda t: "\n",
    "P": lambda t: "am" if t.hour < 12 else "pm",
    "p": lambda t: "AM" if t.hour < 12 else "PM",
    "Q": lambda t: str((t.month + 2) // 3),
    "S": lambda t: f"{t.second:02}",
    "t": lambda t: "\t",
    "U": lambda t: t.strftime("%U"),
    "u": lambda t: str(t.isoweekday()),
    "V": lambda t: f"{t.isocalendar().week:02}",
    "W": lambda t: t.strftime("%W"),
    "w": lambda t: str(t.isoweekday() % 7),
    "Y": lambda t: f"{t.year:04}",
    "y": lambda t: f"{t.year % 100:02}",
    "Z": lambda t: _zone_text(t),
    "z": lambda t: _offset(t, ""),
    "Ez": lambda t: _offset(t, ":"),
}


def _written(element: str, moment: dt.datetime, microseconds: int) -> str:
    if element == "s":
        return str(microseconds // _SECOND)
    if element == "E*S":
        fraction = f"{moment.microsecond:06}".rstrip("0")
        return f"{moment.second:02}" + (f".{fraction}" if fraction else "")
    if element[0] == "E" and element[-1] == "S":
        digits = int(element[1])
        return f"{moment.second:02}" + (f".{moment.microsecond:06}000"[: digits + 1] if digits else "")
    return _WRITTEN[{"-d": "e", "h": "b"}.get(element, element)](moment)


def _offset(moment: dt.datetime, separator: str) -> str:
    minutes = int((moment.utcoffset() or dt.timedelta()).total_seconds() // 60)
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}{separator}{abs(minutes) % 60:02}"


def _zone_text(moment: dt.datetime) -> str:
    """Return ``UTC``, or ``UTC-8`` and ``UTC+0530`` for other zones."""
    minutes = int((moment.utcoffset() or dt.timedelta()).total_seconds() // 60)
    if not minutes:
        return "UTC"
    rest = f"{abs(minutes) % 60:02}" if minutes % 60 else ""
    hours = f"{abs(minutes) // 60:02}" if rest else str(abs(minutes) // 60)
    return f"UTC{'-' if minutes < 0 else '+'}{hours}{rest}"


# Reading

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MONTH = r"(jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sep(?:tember)?|oct(?:ober)?"
_MONTH += r"|nov(?:ember)?|dec(?:ember)?)"
_DAY = r"(mon(?:day)?|tue(?:sday)?|wed(?:nesday)?|thu(?:rsday)?|fri(?:day)?|sat(?:urday)?|sun(?:day)?)"
_TWO, _SPACES = r"(\d{1,2})", r"\s*"
# The regular expressions of the elements, and the fields that they set.
_READ: Mapping[str, tuple[str, str]] = {
    **dict.fromkeys("Bbh", (_MONTH, "month_name")),
    **dict.fromkeys("Aa", (_DAY, "day_name")),
    **dict.fromkeys(("d", "e", "-d"), (rf"\s*{_TWO}", "day")),
    **dict.fromkeys("Hk", (rf"\s*{_TWO}", "hour")),
    **dict.fromkeys("Il", (rf"\s*{_TWO}", "half_hour")),
    **dict.fromkeys("Pp", (r"(am|pm)", "half")),
    "C": (_TWO, "century"),
    "E4Y": (r"(\d{4})", "year"),
    "E*S": (r"(\d{1,2}(?:\.\d*)?)", "seconds"),
    "f": (r"(\d{1,6})", "fraction"),
    "G": (r"(\d{1,4})", "iso_year"),
    "g": (r"(\d{2})", "short_iso_year"),
    "J": (r"(\d{1,3})", "iso_day_of_year"),
    "j": (r"(\d{1,3})", "day_of_year"),
    "M": (_TWO, "minute"),
    "m": (_TWO, "month"),
    "Q": (r"([1-4])", "quarter"),
    "S": (_TWO, "seconds"),
    "s": (r"(-?\d+)", "epoch"),
    "U": (_TWO, "week_from_sunday"),
    "u": (r"([1-7])", "iso_day"),
    "V": (_TWO, "iso_week"),
    "W": (_TWO, "week_from_monday"),
    "w": (r"([0-6])", "weekday"),
    "Y": (r"(\d{1,5})", "year"),
    "y": (r"(\d{2})", "short_year"),
    "Z": (r"([A-Za-z][\w/+\-]*(?::\d{2})?|[+-]\d{1,2}(?::?\d{2})?)", "zone"),
    "z": (r"([+-]\d{2}:?\d{2}|Z)", "offset"),
    "Ez": (r"([+-]\d{2}:?\d{2}|Z)", "offset"),
}


@lru_cache(maxsize=512)
def _reader(kind: str, pattern: str) -> tuple[re.Pattern[str], tuple[str, ...]]:
    """Return the regular expression of a format, and the fields that its groups set."""
    parts, fields, at = [_SPACES], [], 0
    expanded = _expanded(pattern)
    for match in _ELEMENT.finditer(expanded):
        parts.append(_literal(expanded[at : match.start()]))
        at, element = match.end(), match[1]
        if element in ("n", "t"):
            parts.append(_SPACES)
        elif element == "%":
            parts.append("%")
        elif element not in _ALLOWED[kind]:
            raise QueryError(f"Invalid format: %{element} is not allowed for the {kind} type.")
        else:
            digits = re.fullmatch(r"E([0-9])S", element)
            expression, field = (rf"(\d{{1,2}}(?:\.\d{{0,{digits[1]}}})?)", "seconds") if digits else _READ[element]
            parts.append(expression)
            fields.append(field)
    parts += [_literal(expanded[at:]), _SPACES]
    return re.compile("".join(parts), re.IGNORECASE | re.ASCII), tuple(fields)


def _literal(text: str) -> str:
    return _SPACES.join(re.escape(part) for part in re.split(r"\s+", text))


def read_time(kind: str, pattern: str, text: str, zone: str) -> int:
    """Return a time as microseconds from 1970.

    Args:
        kind: The type of the value, such as TIMESTAMP.
        pattern: The format.
        text: The text to read.
        zone: The time zone of a TIMESTAMP without one in the text.

    Raises:
        QueryError: The text does not have this format.
    """
    expression, fields = _reader(kind, pattern)
    match = expression.fullmatch(text)
    if match is None:
        raise QueryError(f'Failed to parse input string "{text}"')
    found = dict(zip(fields, match.groups(), strict=True))
    try:
        return _microseconds(found, zone)
    except (ValueError, OverflowError):
        raise QueryError(f'Failed to parse input string "{text}"') from None


def _microseconds(found: dict[str, str], zone: str) -> int:
    if "epoch" in found:
        return int(found["epoch"]) * _SECOND
    seconds, _, fraction = found.get("seconds", "0").partition(".")
    fraction = found.get("fraction", fraction)
    if int(seconds) > 60:
        raise ValueError(seconds)
    moment = dt.datetime.combine(_date(found), dt.time(_hour(found), int(found.get("minute", 0))))
    moment += dt.timedelta(seconds=int(seconds), microseconds=int(fraction[:6].ljust(6, "0")))
    where = _zone(found.get("offset") or found.get("zone") or zone)
    return (moment.replace(tzinfo=where) - _EPOCH.replace(tzinfo=dt.UTC)) // dt.timedelta(microseconds=1)


def _hour(found: dict[str, str]) -> int:
    if "half_hour" not in found:
        return int(found.get("hour", 0))
    hour = int(found["half_hour"])
    if not 1 <= hour <= 12:
        raise ValueError(hour)
    return hour % 12 + (12 if found.get("half", "am").lower() == "pm" else 0)


def _date(found: dict[str, str]) -> dt.date:
    year = _year(found)
    weekday = _weekday(found)
    if "iso_year" in found or "short_iso_year" in found:
        iso_year = int(found["iso_year"]) if "iso_year" in found else _full_year(int(found["short_iso_year"]))
        if "iso_day_of_year" in found:
            return dt.date.fromisocalendar(iso_year, 1, 1) + dt.timedelta(days=int(found["iso_day_of_year"]) - 1)
        return dt.date.fromisocalendar(iso_year, int(found.get("iso_week", 1)), (weekday or 0) + 1)
    for field, first in (("week_from_monday", 0), ("week_from_sunday", 6)):
        if field in found:
            start = dt.date(year, 1, 1)
            days = (first - start.weekday()) % 7 + (int(found[field]) - 1) * 7
            return start + dt.timedelta(days=days + ((weekday if weekday is not None else first) - first) % 7)
    if "day_of_year" in found:
        date = dt.date(year, 1, 1) + dt.timedelta(days=int(found["day_of_year"]) - 1)
        if date.year != year:
            raise ValueError(date)
        return date
    month = int(found["quarter"]) * 3 - 2 if "quarter" in found else 1
    month = int(found.get("month", month))
    if "month_name" in found:
        month = _MONTHS.index(found["month_name"][:3].lower()) + 1
    return dt.date(year, month, int(found.get("day", 1)))


def _year(found: dict[str, str]) -> int:
    if "short_year" in found:
        short = int(found["short_year"])
        return int(found["century"]) * 100 + short if "century" in found else _full_year(short)
    return int(found.get("year", int(found["century"]) * 100 if "century" in found else 1970))


def _full_year(short: int) -> int:
    """Return the year of two digits, which is from 1969 to 2068."""
    return short + (1900 if short >= 69 else 2000)


def _weekday(found: dict[str, str]) -> int | None:
    """Return the day of the week, counted from Monday as 0, or None."""
    if "iso_day" in found:
        return int(found["iso_day"]) - 1
    if "weekday" in found:
        return (int(found["weekday"]) + 6) % 7
    return _DAYS.index(found["day_name"][:3].lower()) if "day_name" in found else None
