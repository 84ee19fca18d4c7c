"""Reads dataclasses from the JSON objects of the ledger, strictly.

A field that this version does not know is an error: a newer version wrote it, and writing the object without it would lose
it. A missing field has the default value of the dataclass, so that objects of older versions stay readable.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import datetime
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

Value = TypeVar("Value")

# The years of times that Modeldrop writes. Times near the ends of the calendar cannot be added to.
YEARS = range(2000, 3000)
A_TIME = "a time with a time zone, of the years 2000 to 2999"


class Undecodable(ValueError):
    """A JSON value does not have the type that it should have. The text names the field, and never quotes its value."""


def decode(kind: type[Value], value: object, place: str = "", *, known: Mapping[str, object] | None = None) -> Value:
    """Return the instance of a dataclass that a JSON object holds.

    Args:
        kind: The dataclass. Its fields are texts, numbers, times, enums, JSON objects, other dataclasses and tuples of them.
        value: The JSON value.
        place: The path of the value, for errors: ``claim``.
        known: The values of the fields that are not in the JSON object.

    Raises:
        Undecodable: A field is missing, unknown or has a wrong type.
    """
    if not isinstance(value, Mapping):
        raise Undecodable(f"{place or 'it'} is not a JSON object")
    given = dict(known or {})
    class_: Any = kind
    types = {name: each for name, each in _types(class_).items() if name not in given}
    prefix = f"{place}." if place else ""
    if unknown := sorted(set(value) - set(types)):
        raise Undecodable(f"this version does not know the field {prefix}{unknown[0][:40]!r}")
    for name, (type_, required) in types.items():
        if name in value:
            given[name] = _decode(type_, value[name], prefix + name)
        elif required:
            raise Undecodable(f"the field {prefix}{name} is missing")
    return kind(**given)


@cache
def _types(kind: Any) -> dict[str, tuple[Any, bool]]:
    """Return the type of each field, and whether it has no default."""
    hints = get_type_hints(kind)
    return {
        each.name: (hints[each.name], each.default is MISSING and each.default_factory is MISSING)
        for each in fields(kind)
    }


def _decode(kind: Any, value: object, place: str) -> object:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in {Union, UnionType}:
        if value is None and NoneType in arguments:
            return None
        [kind] = [each for each in arguments if each is not NoneType]
        return _decode(kind, value, place)
    if origin is tuple:
        if isinstance(value, list):
            return tuple(_decode(arguments[0], each, f"{place}[{index}]") for index, each in enumerate(value))
        raise Undecodable(f"the field {place} is not an array")
    if origin is Mapping:
        if isinstance(value, dict):
            return value
        raise Undecodable(f"the field {place} is not a JSON object")
    if isinstance(kind, type) and is_dataclass(kind):
        return decode(kind, value, place)
    if kind is datetime:
        return _moment(value, place)
    if issubclass(kind, Enum):
        try:
            return kind(value)
        except ValueError:
            raise Undecodable(f"this version does not know the value of the field {place}") from None
    # True and False are integers of Python.
    if isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
        return value
    raise Undecodable(f"the field {place} is not of the type {kind.__name__}")


def _moment(value: object, place: str) -> datetime:
    try:
        return moment(str(value))
    except ValueError:
        raise Undecodable(f"the field {place} is not {A_TIME}") from None


def moment(text: str) -> datetime:
    """Return a time in ISO format; raise ``ValueError`` if ``text`` is not ``A_TIME``."""
    found = datetime.fromisoformat(text)
    if found.tzinfo is None or found.year not in YEARS:
        raise ValueError(f"it is not {A_TIME}")
    return found
