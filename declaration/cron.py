"""Cron expressions as Cloud Scheduler takes them.

https://cloud.google.com/scheduler/docs/configuring/cron-job-schedules
"""

from __future__ import annotations

import re
from typing import NamedTuple

LONGEST_MONTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_PART = re.compile(r"((?P<all>\*)|(?P<first>\w+)(-(?P<last>\w+))?)(/(?P<step>[0-9]+))?")


class Field(NamedTuple):
    """A field of a cron expression."""

    about: str
    least: int
    most: int
    names: tuple[str, ...] = ()
    """What may be written in place of a number, from ``least`` on."""

    @property
    def expected(self) -> str:
        """The values of the field, in words."""
        named = f", or {self.names[0]} to {self.names[-1]}" if self.names else ""
        return f"{self.least} to {self.most}{named}"

    def number(self, text: str) -> int | None:
        """Return the number that ``text`` stands for; None if the field does not have it."""
        if text in self.names:
            return self.least + self.names.index(text)
        return int(text) if text.isascii() and text.isdecimal() and self.least <= int(text) <= self.most else None


FIELDS = (
    Field("minute", 0, 59),
    Field("hour", 0, 23),
    Field("day of the month", 1, 31),
    Field("month", 1, 12, ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")),
    Field("day of the week", 0, 7, ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")),
)


def problem_of_cron(text: str) -> str | None:
    """Return what would be right in place of ``text``; None if it is a cron expression that is due some day."""
    words = text.split(" ")
    if len(words) != len(FIELDS):
        return 'expected a cron expression of five fields such as "* * * * *"'
    values = []
    for field, word in zip(FIELDS, words, strict=True):
        found: set[int] = set()
        for part in word.split(","):
            numbers = _numbers(field, part)
            if not numbers:
                return f"expected {field.expected} as the {field.about}, or *, ranges, lists and steps of them; found {word}"
            found |= numbers
        values.append(found)
    _, _, days, months, _ = values
    # If both fields for days are limited, a day needs to be in one of them only.
    if words[4] == "*" and min(days) > max(LONGEST_MONTHS[month - 1] for month in months):
        return f"expected a day that exists, and {words[3]} has no day {words[2]}"
    return None


def _numbers(field: Field, part: str) -> set[int]:
    """Return the numbers that one part of a field stands for; none if it is wrong."""
    match = _PART.fullmatch(part)
    if not match:
        return set()
    if match["all"]:
        first, last = field.least, field.most
    else:
        begin, end = field.number(match["first"]), field.number(match["last"] or match["first"])
        # A step needs a range.
        if begin is None or end is None or (match["step"] and not match["last"]):
            return set()
        first, last = begin, end
    step = int(match["step"] or 1)
    return set(range(first, last + 1, step)) if 1 <= step <= field.most else set()
