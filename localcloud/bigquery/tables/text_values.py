"""Converts the text of values in CSV and JSON files to text that DuckDB casts to the column's type.

https://cloud.google.com/bigquery/docs/loading-data-cloud-storage-json#data_types
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from localcloud.bigquery.base.intervals import interval_words
from localcloud.bigquery.base.schema import Field, legacy_type

_INT64 = range(-(2**63), 2**63)
_TRUE, _FALSE = frozenset({"true", "t", "yes", "y", "1"}), frozenset({"false", "f", "no", "n", "0"})
_MOMENT = re.compile(
    r"(?P<date>\d{4}-\d{1,2}-\d{1,2})(?:[Tt ](?P<time>\d{1,2}:\d{1,2}(?::\d{1,2}(?:\.\d{1,9})?)?))?"
    r"\s*(?P<zone>Z|z|UTC|[-+]\d{1,2}(?::?\d{2})?)?"
)
_RANGE = re.compile(r"\[\s*(?P<start>[^,]*?)\s*,\s*(?P<end>[^)]*?)\s*\)")


class Number(str):
    """A number of a JSON file, as written."""

    __slots__ = ()


class BadValue(Exception):
    """A value that does not have its column's type."""


def stored_text(f: Field, value: Any) -> str | None:
    """Return the text of a value, from which DuckDB casts it to the column's type; None for NULL.

    Args:
        f: The REST field of the column.
        value: The text of a CSV file, or the value of a JSON file.

    Raises:
        BadValue: The value does not have the column's type.
    """
    if f.get("mode") == "REPEATED":
        if value is None:
            return "[]"
        if not isinstance(value, list):
            raise BadValue("Array specified for non-repeated field" if isinstance(value, str) else "Expected an array")
        return json.dumps([_element(f, each) for each in value])
    converted = _element(f, value)
    if converted is None or isinstance(converted, str):
        return converted
    return json.dumps(converted)


def _element(f: Field, value: Any) -> Any:
    """Return a value in the form that it has inside JSON text."""
    if value is None:
        return None
    kind = legacy_type(f["type"])
    if kind == "RECORD":
        if not isinstance(value, dict):
            raise BadValue("Expected an object")
        given = {name.lower(): each for name, each in value.items()}
        found = {}
        for child in f.get("fields") or ():
            each = given.get(child["name"].lower())
            if child.get("mode") == "REPEATED":
                found[child["name"]] = [_element(child, inner) for inner in each or []]
            else:
                found[child["name"]] = _element(child, each)
        return found
    if kind == "JSON":
        return value if isinstance(value, str) and _is_json(value) else json.dumps(_with_numbers(value))
    if kind == "RANGE":
        return _range(f, value)
    if isinstance(value, bool):
        value = "true" if value else "false"
    if not isinstance(value, str):
        raise BadValue("Expected a scalar value")
    reader = _READERS.get(kind)
    if reader is None:
        return value
    if kind not in ("STRING", "BYTES") and not value.strip():
        raise BadValue("Unable to parse")
    try:
        return reader(value.strip() if kind != "STRING" else value)
    except (ValueError, InvalidOperation, OverflowError, binascii.Error) as error:
        raise BadValue("Unable to parse") from error


def _with_numbers(value: Any) -> Any:
    """Return a value of a JSON file with numbers in place of their texts."""
    if isinstance(value, Number):
        return int(value) if value.lstrip("-").isdigit() else float(value)
    if isinstance(value, list):
        return [_with_numbers(each) for each in value]
    if isinstance(value, dict):
        return {name: _with_numbers(each) for name, each in value.items()}
    return value


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _range(f: Field, value: Any) -> dict[str, Any]:
    element = {"type": (f.get("rangeElementType") or {}).get("type") or "DATE"}
    if isinstance(value, dict):
        return {name: _element(element, value.get(name)) for name in ("start", "end")}
    match = _RANGE.fullmatch(str(value).strip())
    if match is None:
        raise BadValue("Expected a range such as [2020-01-01, 2020-02-01)")
    ends = {
        name: None if text.upper() in ("", "UNBOUNDED", "NULL") else text for name, text in match.groupdict().items()
    }
    return {name: _element(element, text) for name, text in ends.items()}


def _integer(text: str) -> str:
    number = Decimal(text)
    if number != number.to_integral_value() or int(number) not in _INT64:
        raise ValueError(text)
    return str(int(number))


def _float(text: str) -> str:
    number = float(text)
    return {float("inf"): "inf", float("-inf"): "-inf"}.get(number, repr(number))


def _decimal(digits: int, scale: int) -> Callable[[str], str]:
    def read(text: str) -> str:
        number = Decimal(text)
        exponent = number.as_tuple().exponent
        if not isinstance(exponent, int) or number.adjusted() >= digits - scale:
            raise ValueError(text)
        return f"{number:f}"

    return read


def _boolean(text: str) -> str:
    if text.lower() not in _TRUE | _FALSE:
        raise ValueError(text)
    return "true" if text.lower() in _TRUE else "false"


def _date(text: str) -> str:
    return date.fromisoformat("-".join(f"{int(part):02d}" for part in text.split("-"))).isoformat()


def _bytes(text: str) -> str:
    decoded = base64.b64decode("".join(text.split()), validate=True)
    return base64.b64encode(decoded).decode()


def _moment(text: str) -> tuple[datetime, str]:
    match = _MOMENT.fullmatch(text)
    if match is None:
        raise ValueError(text)
    year, month, day = (int(part) for part in match["date"].split("-"))
    hours, minutes, seconds = [*(match["time"] or "0:0").split(":"), "0"][:3]
    moment = datetime(year, month, day, int(hours), int(minutes)) + timedelta(
        microseconds=int(Decimal(seconds) * 1_000_000)
    )
    return moment, match["zone"] or ""


def _datetime(text: str) -> str:
    moment, zone = _moment(text)
    if zone:
        raise ValueError(text)
    return moment.isoformat(" ")


def _timestamp(text: str) -> str:
    if re.fullmatch(r"-?\d+(\.\d+)?", text):
        return (datetime(1970, 1, 1) + timedelta(microseconds=int(Decimal(text) * 1_000_000))).isoformat(" ") + "+00:00"
    moment, zone = _moment(text)
    if zone in ("", "Z", "z", "UTC"):
        return f"{moment.isoformat(' ')}+00:00"
    sign, digits = zone[0], zone[1:].replace(":", "")
    hours, minutes = (int(digits), 0) if len(digits) < 3 else (int(digits[:-2]), int(digits[-2:]))
    shift = timedelta(hours=hours, minutes=minutes)
    moved = (moment.replace(tzinfo=UTC) - shift) if sign == "+" else (moment.replace(tzinfo=UTC) + shift)
    return moved.isoformat(" ")


def _time(text: str) -> str:
    parts = text.split(":")
    if len(parts) != 3:
        raise ValueError(text)
    return time.fromisoformat(f"{int(parts[0]):02d}:{int(parts[1]):02d}:{parts[2]:0>2}"[:15]).isoformat()


_READERS: dict[str, Callable[[str], str]] = {
    "BIGNUMERIC": _decimal(76, 38),
    "BOOLEAN": _boolean,
    "BYTES": _bytes,
    "DATE": _date,
    "DATETIME": _datetime,
    "FLOAT": _float,
    "INTEGER": _integer,
    "INTERVAL": interval_words,
    "NUMERIC": _decimal(38, 9),
    "STRING": str,
    "TIME": _time,
    "TIMESTAMP": _timestamp,
}
