"""Converts the text of values in CSV and JSON files to text that DuckDB casts to the column's type.

https://cloud.google.com/bigquery/docs/loading-data-cloud-storage-json#data_types
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from enum import Enum, auto
from typing import Any

from localcloud.bigquery.base.intervals import interval_words
from localcloud.bigquery.base.schema import Field, legacy_type
from localcloud.bigquery.tables.files.times import TimeForms

_INT64 = range(-(2**63), 2**63)
_TRUE, _FALSE = frozenset({"true", "t", "yes", "y", "1"}), frozenset({"false", "f", "no", "n", "0"})
_NUMBERS = frozenset({"INTEGER", "FLOAT", "NUMERIC", "BIGNUMERIC"})
_TIMES = frozenset({"DATE", "DATETIME", "TIME", "TIMESTAMP"})
_UNBOUNDED = frozenset({"", "NONE", "NULL", "UNBOUNDED"})
_WIDE = Context(prec=80)
_RANGE = re.compile(r"\[\s*(?P<start>[^,]*?)\s*,\s*(?P<end>[^)]*?)\s*\)")


class Number(str):
    """A number of a JSON file, as written."""

    __slots__ = ()


class Problem(Enum):
    """What is wrong with a value."""

    UNKNOWN = auto()
    """The schema has no such field."""
    NO_ARRAY = auto()
    """A repeated field has another value than an array."""
    ARRAY = auto()
    """Another field has an array."""
    NO_RECORD = auto()
    """A record has another value than an object."""
    NULL = auto()
    """A field that needs a value has none."""
    OTHER_TYPE = auto()
    """The value does not have the field's type."""
    TOO_LONG = auto()
    """The value is longer than the column allows, or has more digits."""


class BadValue(Exception):
    """A value that can't be stored in its column.

    Attributes:
        problem: What is wrong.
        field: The path of the field, such as ``address.zip``.
        kind: The REST name of the field's type.
        value: The value.
        detail: More about it, or an empty string.
    """

    def __init__(self, problem: Problem, path: str, f: Field, value: Any, detail: str = "") -> None:
        """Describe the value of the field ``f``."""
        super().__init__(f"{problem.name} {path}: {value}")
        self.problem, self.field, self.kind, self.value = problem, path, legacy_type(f.get("type") or ""), value
        self.detail = detail


@dataclass(frozen=True)
class Reading:
    """How values are read.

    Attributes:
        times: The forms of dates and times.
        ignore_unknown: Whether fields that the schema does not have are left out.
        json_texts: Whether a text for a JSON column is JSON, as in CSV files; in JSON files it is a text within JSON.
    """

    times: TimeForms = field(default_factory=TimeForms)
    ignore_unknown: bool = False
    json_texts: bool = False


def stored_text(f: Field, value: Any, reading: Reading) -> str | None:
    """Return the text of a value, from which DuckDB casts it to the column's type; None for NULL.

    Args:
        f: The REST field of the column.
        value: The text of a CSV file, or the value of a JSON file.
        reading: How to read it.

    Raises:
        BadValue: The value can't be stored in the column.
    """
    converted = _field_value(f, value, f["name"], reading)
    if converted is None or (isinstance(converted, str) and legacy_type(f["type"]) != "JSON"):
        return converted
    return json.dumps(converted)


def _field_value(f: Field, value: Any, path: str, reading: Reading) -> Any:
    """Return the value of a field in the form that it has inside JSON text."""
    if f.get("mode") == "REPEATED":
        if value is None:
            return []
        if not isinstance(value, list):
            raise BadValue(Problem.NO_ARRAY, path, f, value)
        if None in value:
            raise BadValue(Problem.NULL, path, f, None)
        return [_element(f, each, path, reading) for each in value]
    if value is None and f.get("mode") == "REQUIRED":
        raise BadValue(Problem.NULL, path, f, None)
    return _element(f, value, path, reading)


def _element(f: Field, value: Any, path: str, reading: Reading) -> Any:
    if value is None:
        return None
    kind = legacy_type(f["type"])
    if kind == "JSON":
        return _json(f, value, path, reading)
    if isinstance(value, list):
        raise BadValue(Problem.ARRAY, path, f, value)
    if kind == "RECORD":
        return _record(f, value, path, reading)
    if kind == "RANGE":
        return _range(f, value, path, reading)
    if isinstance(value, bool):
        if kind not in ("BOOLEAN", "STRING"):
            raise BadValue(Problem.OTHER_TYPE, path, f, "true" if value else "false")
        return "true" if value else "false"
    if not isinstance(value, str):
        raise BadValue(Problem.OTHER_TYPE, path, f, json.dumps(_with_numbers(value)))
    try:
        text = _scalar(kind, value, reading)
    except (ValueError, InvalidOperation, OverflowError, binascii.Error) as error:
        raise BadValue(Problem.OTHER_TYPE, path, f, value) from error
    return _within_limits(f, kind, text, path)


def _scalar(kind: str, value: str, reading: Reading) -> str:
    if kind == "STRING":
        return value
    text = value.strip()
    if kind in _TIMES:
        return reading.times.read(kind, text)
    if not text and kind != "BYTES":
        raise ValueError(value)
    reader = _READERS.get(kind)
    if "_" in text and kind in _NUMBERS:  # Python reads 1_000 as a number
        raise ValueError(value)
    return reader(text) if reader is not None else value


def _record(f: Field, value: Any, path: str, reading: Reading) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadValue(Problem.NO_RECORD, path, f, value)
    children = f.get("fields") or ()
    check_known(children, value, f"{path}.", reading)
    given = {name.lower(): each for name, each in value.items()}
    return {
        child["name"]: _field_value(child, given.get(child["name"].lower()), f"{path}.{child['name']}", reading)
        for child in children
    }


def check_known(fields: Sequence[Field], row: Mapping[str, Any], prefix: str, reading: Reading) -> None:
    """Reject an object with a field that the schema does not have. Raises ``BadValue``."""
    if not reading.ignore_unknown:
        known = {f["name"].lower() for f in fields}
        for name, value in row.items():
            if name.lower() not in known:
                raise BadValue(Problem.UNKNOWN, f"{prefix}{name}", {}, value)


def _json(f: Field, value: Any, path: str, reading: Reading) -> Any:
    if not (reading.json_texts and isinstance(value, str) and not isinstance(value, Number)):
        return _with_numbers(value)
    try:
        return json.loads(value)
    except ValueError as error:
        raise BadValue(Problem.OTHER_TYPE, path, f, value) from error


def _within_limits(f: Field, kind: str, text: str, path: str) -> str:
    """Check a value against the parameters of its column's type, such as those of STRING(3) and NUMERIC(5, 2).

    https://cloud.google.com/bigquery/docs/reference/standard-sql/data-types#parameterized_data_types
    """
    most = int(f.get("maxLength") or 0)
    if most and kind in ("STRING", "BYTES"):
        length = len(text) if kind == "STRING" else len(base64.b64decode(text))
        if length > most:
            detail = f"{kind}({most}) has maximum length {most} but got a value with length {length}"
            raise BadValue(Problem.TOO_LONG, path, f, text, detail)
    if f.get("precision") and kind in ("NUMERIC", "BIGNUMERIC"):
        precision, scale = int(f["precision"]), int(f.get("scale") or 0)
        rounded = Decimal(text).quantize(Decimal(1).scaleb(-scale), rounding=ROUND_HALF_UP, context=_WIDE)
        if rounded.adjusted() >= precision - scale and rounded:
            detail = f"{kind}({precision}, {scale}) has precision {precision} and scale {scale} but got {text}"
            raise BadValue(Problem.TOO_LONG, path, f, text, detail)
        return f"{rounded:f}"
    return text


def _with_numbers(value: Any) -> Any:
    """Return a value of a JSON file with numbers in place of their texts."""
    if isinstance(value, Number):
        return int(value) if value.lstrip("-").isdigit() else float(value)
    if isinstance(value, list):
        return [_with_numbers(each) for each in value]
    if isinstance(value, dict):
        return {name: _with_numbers(each) for name, each in value.items()}
    return value


def _range(f: Field, value: Any, path: str, reading: Reading) -> dict[str, Any]:
    element = {"type": (f.get("rangeElementType") or {}).get("type") or "DATE"}
    if isinstance(value, dict):
        ends = {name: value.get(name) for name in ("start", "end")}
    else:
        match = _RANGE.fullmatch(str(value).strip())
        if match is None:
            raise BadValue(Problem.OTHER_TYPE, path, f, value, "Expected a range such as [2020-01-01, 2020-02-01)")
        ends = match.groupdict()
    ends = {name: None if str(end).upper() in _UNBOUNDED else end for name, end in ends.items()}
    return {name: _element(element, end, f"{path}.{name}", reading) for name, end in ends.items()}


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


def _bytes(text: str) -> str:
    decoded = base64.b64decode("".join(text.split()), validate=True)
    return base64.b64encode(decoded).decode()


_READERS: dict[str, Callable[[str], str]] = {
    "BIGNUMERIC": _decimal(76, 38),
    "BOOLEAN": _boolean,
    "BYTES": _bytes,
    "FLOAT": _float,
    "INTEGER": _integer,
    "INTERVAL": interval_words,
    "NUMERIC": _decimal(38, 9),
}
