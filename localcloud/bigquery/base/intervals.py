"""Reads and writes intervals in GoogleSQL's formats, such as ``1-2 3 4:5:6.789`` and ``P1Y2M3DT4H5M6S``.

A sign belongs to years and months together, to days, or to the time.
https://cloud.google.com/bigquery/docs/reference/standard-sql/data-types#interval_type
"""

from __future__ import annotations

import re
from functools import lru_cache

UNITS = ("YEAR", "MONTH", "DAY", "HOUR", "MINUTE", "SECOND")
_SIGNED = r"(?P<{0}_sign>[-+]?)"
_NUMBERS = {unit: rf"(?P<{unit}>\d+)" for unit in UNITS} | {"SECOND": r"(?P<SECOND>\d+(?:\.\d{1,9})?)"}
_ISO = re.compile(
    r"P(?:(?P<year>-?\d+)Y)?(?:(?P<month>-?\d+)M)?(?:(?P<week>-?\d+)W)?(?:(?P<day>-?\d+)D)?"
    r"(?:T(?:(?P<hour>-?\d+)H)?(?:(?P<minute>-?\d+)M)?(?:(?P<second>-?\d+(?:[.,]\d+)?)S)?)?"
)
# Without the units, two of these spans have the same format.
_NEED_UNITS = frozenset({("MONTH", "DAY"), ("DAY", "HOUR"), ("HOUR", "MINUTE"), ("MINUTE", "SECOND")})
_SPANS = tuple(
    (first, last) for at, first in enumerate(UNITS) for last in UNITS[at + 1 :] if (first, last) not in _NEED_UNITS
)


def interval_words(text: str) -> str:
    """Return an interval in DuckDB's words.

    Raises:
        ValueError: The text has none of GoogleSQL's formats.
    """
    if (match := _ISO.fullmatch(text)) and any(match.groups()):
        return " ".join(f"{number.replace(',', '.')} {unit}s" for unit, number in match.groupdict().items() if number)
    found = (words_of_span(text, first, last) for first, last in _SPANS)
    words = next((words for words in found if words is not None), None)
    if words is None:
        raise ValueError(f"Invalid INTERVAL value '{text}'")
    return words


def words_of_span(text: str, first: str, last: str) -> str | None:
    """Return the interval of a literal such as ``INTERVAL '1-2' YEAR TO MONTH`` in DuckDB's words, or None."""
    match = _pattern(first, last).fullmatch(text)
    if match is None:
        return None
    signs = {"YEAR": "date_sign", "MONTH": "date_sign", "DAY": "day_sign"}
    return " ".join(
        f"{match[signs.get(unit, 'time_sign')].replace('+', '')}{number} {unit.lower()}s"
        for unit in UNITS
        if (number := match.groupdict().get(unit)) is not None
    )


@lru_cache
def _pattern(first: str, last: str) -> re.Pattern[str]:
    units = UNITS[UNITS.index(first) : UNITS.index(last) + 1]
    blocks = (("date", "-", UNITS[:2]), ("day", "", UNITS[2:3]), ("time", ":", UNITS[3:]))
    parts = [
        _SIGNED.format(name) + separator.join(_NUMBERS[unit] for unit in of_block if unit in units)
        for name, separator, of_block in blocks
        if set(of_block) & set(units)
    ]
    return re.compile(" ".join(parts))


def written(months: int, days: int, nanoseconds: int) -> str:
    """Return an interval as a response has it: ``1-2 3 4:5:6.7``."""
    sign = "-" if months < 0 else ""
    years, months = divmod(abs(months), 12)
    time_sign = "-" if nanoseconds < 0 else ""
    seconds, nanoseconds = divmod(abs(nanoseconds), 10**9)
    fraction = f".{nanoseconds // 1000:06d}".rstrip("0").rstrip(".")
    clock = f"{seconds // 3600}:{seconds // 60 % 60}:{seconds % 60}{fraction}"
    return f"{sign}{years}-{months} {days} {time_sign}{clock}"
