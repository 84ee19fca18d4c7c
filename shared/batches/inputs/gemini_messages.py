"""The messages of Gemini's API: their fields and types; `values.py` has further rules for the values.

`gemini_messages.json` has the fields of GenerateContentRequest and of every message in it. `update_messages.py` writes it from
Google's API description, which is not among the packages of the functions.
https://docs.cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from shared.batches.inputs.values import CONFIG, NEW_VALUES, contradictions, wrong_value
from shared.checks.suggestions import closest

REQUEST = "GenerateContentRequest"
MESSAGES_FILE = Path(__file__).with_name("gemini_messages.json")

_INT_BITS = {"int32": 31, "int64": 63}
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,19}")
_DURATION = re.compile(r"-?[0-9]+(\.[0-9]{1,9})?s")
# A type as `gemini_messages.json` has it: the name of a plain type or of a message, a list of one type, a map to a type
# ({"map": type}), or the values of an enum ({"enum": [...]}).
Type = str | list[Any] | dict[str, Any]


@dataclass(frozen=True)
class Breach:
    """A value that does not conform to its message."""

    rule: str
    """``unknown_field``, ``wrong_type``, ``wrong_enum``, ``out_of_range``, ``missing_field`` or ``invalid_field``."""
    message: str
    """The published name of the message that the field belongs to."""
    path: str
    """The path of the field, as it is written in the request."""
    text: str
    """What is wrong and what would be right; it continues the sentence that begins with the path."""
    field: str | None = None
    """The published name of the field; None if it has none."""
    quotes: bool = False
    """Whether the text quotes the request."""

    @property
    def hint(self) -> str:
        """What is wrong, in published names alone, since a request holds data of users."""
        name = f"{self.message}.{self.field}" if self.field else self.message
        return name if self.quotes or self.rule == "unknown_field" else f"{name} {self.text}"


@cache
def messages() -> Mapping[str, Mapping[str, Type]]:
    """Return the fields of each message, by its name."""
    found: dict[str, dict[str, Type]] = json.loads(MESSAGES_FILE.read_text())
    return found


@cache
def field_names(message: str) -> Mapping[str, str]:
    """Return the published name of each field of a message, by both its spellings: `topP` and `top_p`."""
    spellings = {}
    for name in messages()[message]:
        spellings[name] = spellings[snake_case(name)] = name
    return spellings


def snake_case(name: str) -> str:
    """Return the other spelling of a field that Google's JSON parser accepts: `top_p` for `topP`."""
    return re.sub(r"[A-Z]", lambda match: "_" + match[0].lower(), name)


def value_of(message: Mapping[str, Any], name: str) -> Any:
    """Return the value of a field in either spelling; None if it is missing."""
    found = message.get(name)
    return message.get(snake_case(name)) if found is None else found


def listed(value: object) -> list[Any]:
    """Return a repeated field as a list, in place of which Google's JSON parser takes a single element."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def breaches(value: object, message: str, path: str = "") -> Iterator[Breach]:
    """Yield what in ``value`` does not conform to the message with this name.

    Args:
        value: The decoded JSON.
        message: The name of the message: ``GenerationConfig``.
        path: Where the value is, for the paths of the breaches.
    """
    if not isinstance(value, Mapping):
        yield Breach("wrong_type", message, path, f"must be an object ({message})")
        return
    fields, names = messages()[message], field_names(message)
    right: dict[str, object] = {}
    seen: set[str] = set()
    for given, element in value.items():
        where = f"{path}.{given[:80]}" if path else given[:80]
        if (name := names.get(given)) is None:
            yield Breach("unknown_field", message, where, _unknown(given, message))
            continue
        if name in seen:
            yield Breach("invalid_field", message, where, "is given in both its spellings", name)
        seen.add(name)
        if element is not None:
            found = list(_breaches_of_field(element, fields[name], message, name, where))
            yield from found
            if not found:
                right[name] = element
    for text in contradictions(message, right):
        yield Breach("invalid_field", message, path, text)


def _breaches_of_field(value: object, kind: Type, message: str, name: str, path: str) -> Iterator[Breach]:
    found = list(_breaches_of_value(value, kind, message, name, path))
    yield from found
    if not found and (wrong := wrong_value(message, name, value)):
        yield Breach(wrong[0], message, path, wrong[1], name)


def _breaches_of_value(value: object, kind: Type, message: str, name: str, path: str) -> Iterator[Breach]:
    match kind:
        case [element]:
            # Google's JSON parser takes a single element in place of a list.
            for index, each in enumerate(value if isinstance(value, list) else [value]):
                where = f"{path}[{index}]" if isinstance(value, list) else path
                yield from _breaches_of_value(each, element, message, name, where)
        case {"map": element}:
            if not isinstance(value, Mapping):
                yield Breach("wrong_type", message, path, "must be an object", name)
                return
            for key, each in value.items():
                yield from _breaches_of_value(each, element, message, name, f"{path}.{str(key)[:80]}")
        case {"enum": listed}:
            # A REST client may send the number of a value, and the parser does not regard case.
            values = [*listed, *NEW_VALUES.get((message, name), ())]
            if not (_is_number_of(value, values) or (isinstance(value, str) and value.upper() in values)):
                similar = closest(value, values) if isinstance(value, str) else None
                meant = f"; did you mean {similar}?" if similar else ""
                shown = ", ".join(each for each in values if not each.endswith("UNSPECIFIED"))
                yield Breach("wrong_enum", message, path, f"must be one of {shown}{meant}", name)
        case str() if kind in messages():
            yield from breaches(value, kind, path)
        case _:
            if right := _expected(value, str(kind)):
                yield Breach("wrong_type", message, path, f"must be {right}", name)


def _expected(value: object, kind: str) -> str | None:
    """Return what a value of a plain type must be; None if it is that. Numbers may be strings, as in all JSON of Google's."""
    match kind:
        case "string":
            return None if isinstance(value, str) else "a string"
        case "bytes":
            return None if isinstance(value, str) and _is_base64(value) else "a string in base64"
        case "duration":
            right = isinstance(value, str) and _DURATION.fullmatch(value)
            return None if right else "a number of seconds, such as 1.5s, as a string"
        case "boolean":
            return None if isinstance(value, bool) else "true or false"
        case "number":
            return None if _is_number(value) else "a number"
        case "int32" | "int64":
            return None if _is_whole(value, _INT_BITS[kind]) else "a whole number"
        case _:
            return None


def _is_number(value: object) -> bool:
    if isinstance(value, str):
        try:
            return math.isfinite(float(value))
        except ValueError:
            return False
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: object, bits: int) -> bool:
    if isinstance(value, str):
        return _WHOLE_NUMBER.fullmatch(value) is not None and -(2**bits) <= int(value) < 2**bits
    if isinstance(value, float):
        return value.is_integer() and -(2**bits) <= value < 2**bits
    return isinstance(value, int) and not isinstance(value, bool) and -(2**bits) <= value < 2**bits


def _is_number_of(value: object, values: Sequence[str]) -> bool:
    """Return whether a value is the number of one of an enum's values."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(values)


def _is_base64(text: str) -> bool:
    try:
        base64.b64decode(
            text + "=" * (-len(text) % 4), altchars=b"-_" if set(text) & set("-_") else None, validate=True
        )
    except (binascii.Error, ValueError):
        return False
    return True


def _unknown(given: str, message: str) -> str:
    """Return what to write in place of a field that a message does not have."""
    if message != CONFIG and message in {REQUEST, "Content", "Part"} and given in field_names(CONFIG):
        return "belongs in generationConfig"
    similar = closest(given, field_names(message))
    return f"is not a field of {message}" + (f"; did you mean {similar}?" if similar else "")
