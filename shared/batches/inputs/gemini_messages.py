"""The messages of Gemini's API: their fields, types, enum values and ranges.

`gemini_messages.json` has the fields of GenerateContentRequest and of every message in it. `update_messages.py` writes it from
Google's API description, which is not among the packages of the functions.
https://docs.cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from shared.checks.suggestions import closest

REQUEST = "GenerateContentRequest"
CONFIG = "GenerationConfig"
SCHEMA = "Schema"
MESSAGES_FILE = Path(__file__).with_name("gemini_messages.json")

# The ranges that the page of the model's parameters gives, which the API description does not have:
# https://docs.cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference#generationconfig
RANGES: Mapping[tuple[str, str], tuple[float, float]] = {
    (CONFIG, "temperature"): (0, 2),
    (CONFIG, "topP"): (0, 1),
    (CONFIG, "topK"): (1, math.inf),
    (CONFIG, "candidateCount"): (1, 8),
    (CONFIG, "maxOutputTokens"): (1, math.inf),
    (CONFIG, "presencePenalty"): (-2, 2),
    (CONFIG, "frequencyPenalty"): (-2, 2),
    (CONFIG, "logprobs"): (0, 20),
}
MOST_STOP_SEQUENCES = 5

_INT_BITS = {"int32": 31, "int64": 63}
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,19}")
# A type as `gemini_messages.json` has it: the name of a plain type or of a message, a list of one type, a map to a type
# ({"map": type}), or the values of an enum ({"enum": [...]}).
Type = str | list[Any] | dict[str, Any]


@dataclass(frozen=True)
class Breach:
    """A value that does not conform to its message."""

    rule: str
    """``unknown_field``, ``wrong_type``, ``wrong_enum`` or ``out_of_range``."""
    message: str
    """The published name of the message that the field belongs to."""
    path: str
    """The path of the field, as it is written in the request."""
    text: str
    """What is wrong and what would be right; it continues the sentence that begins with the path."""
    field: str | None = None
    """The published name of the field; None if it has none."""


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
    for given, element in value.items():
        where = f"{path}.{given[:80]}" if path else given[:80]
        if (name := names.get(given)) is None:
            yield Breach("unknown_field", message, where, _unknown(given, message))
        elif element is not None:
            yield from _breaches_of_field(element, fields[name], message, name, where)


def _breaches_of_field(value: object, kind: Type, message: str, name: str, path: str) -> Iterator[Breach]:
    found = list(_breaches_of_value(value, kind, message, name, path))
    yield from found
    if not found and (limits := RANGES.get((message, name))) and not limits[0] <= float(str(value)) <= limits[1]:
        right = f"at least {limits[0]:g}" if limits[1] == math.inf else f"from {limits[0]:g} to {limits[1]:g}"
        yield Breach("out_of_range", message, path, f"must be {right}", name)
    if (message, name) == (CONFIG, "stopSequences") and isinstance(value, list) and len(value) > MOST_STOP_SEQUENCES:
        yield Breach("out_of_range", message, path, f"must have at most {MOST_STOP_SEQUENCES} elements", name)


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
        case {"enum": values}:
            # A REST client may send the number of a value, and the parser does not regard case.
            if not (_is_whole(value, 31) or (isinstance(value, str) and value.upper() in values)):
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
        case "string" | "bytes" | "duration":
            return None if isinstance(value, str) else "a string"
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
        return _WHOLE_NUMBER.fullmatch(value) is not None and abs(int(value)) <= 2**bits
    if isinstance(value, float):
        return value.is_integer() and abs(value) <= 2**bits
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= 2**bits


def _unknown(given: str, message: str) -> str:
    """Return what to write in place of a field that a message does not have."""
    if message != CONFIG and message in {REQUEST, "Content", "Part"} and given in field_names(CONFIG):
        return "belongs in generationConfig"
    similar = closest(given, field_names(message))
    return f"is not a field of {message}" + (f"; did you mean {similar}?" if similar else "")
