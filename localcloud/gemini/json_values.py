"""JSON as Google's parser accepts it: names in either spelling, and one element in place of a list."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from localcloud.gemini.errors import BackendError


def camel_keys(message: Any) -> dict[str, Any]:
    """Return a JSON object with its top-level keys in camelCase.

    Raises:
        BackendError: 400 if ``message`` is not an object.
    """
    if not isinstance(message, dict):
        raise BackendError(400, f"Invalid JSON payload received. Expected an object, got {type(message).__name__}.")
    return {re.sub(r"_([a-z0-9])", lambda match: match[1].upper(), key): value for key, value in message.items()}


def as_list(value: Any) -> list[Any]:
    """Return a repeated field as a list: an empty list for None, a list of one element for a single element."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def parse_json(text: bytes | str) -> Any:
    """Return the value of a JSON text as Google's parser reads it: in UTF-8 without a mark, each field once.

    https://protobuf.dev/programming-guides/json/

    Raises:
        ValueError: The text is not such JSON, or is nested too deeply.
    """
    string = text.decode() if isinstance(text, bytes) else text
    try:
        value = _DECODER.decode(string)
    except RecursionError as error:
        raise ValueError(str(error)) from None
    if "\\ud" in string.lower():
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise ValueError("it has half of a surrogate pair.") from None
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the field {repeated[:80]!r} is there twice.")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse_constant)
