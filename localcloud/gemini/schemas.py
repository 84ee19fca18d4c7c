"""Response schemas: Google's Schema message as a JSON Schema, and a value that conforms to one.

The message: https://cloud.google.com/vertex-ai/docs/reference/rest/v1/Schema
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable
from typing import Any

# In the order of their numbers: clients over REST may send the number instead of the name.
TYPES = ("TYPE_UNSPECIFIED", "STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL")

DEEPEST = 12
MOST_REQUIRED = 10_000

VALUE_BY_FORMAT = {
    "date-time": "2026-01-01T00:00:00Z",
    "date": "2026-01-01",
    "time": "00:00:00",
    "duration": "PT1S",
}


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_list_of_text(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(element, str) for element in value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_count(value: Any) -> bool:
    """Return whether a value is an int64 as JSON has it: a number, or a string of digits."""
    return (_is_number(value) and value >= 0) or (
        isinstance(value, str) and re.fullmatch("[0-9]{1,18}", value) is not None
    )


def _is_type(value: Any) -> bool:
    names = value if isinstance(value, list) and value else [value]
    return all(
        (isinstance(name, str) and name.upper() in TYPES)
        or (isinstance(name, int) and not isinstance(name, bool) and 0 <= name < len(TYPES))
        for name in names
    )


# What the value of a keyword must be. A keyword that is not here may be anything, and changes nothing.
SHAPES: dict[str, Callable[[Any], bool]] = {
    "type": _is_type,
    "title": _is_text,
    "description": _is_text,
    "format": _is_text,
    "pattern": _is_text,
    "$ref": _is_text,
    "ref": _is_text,
    "enum": lambda value: isinstance(value, list),
    "nullable": lambda value: isinstance(value, bool),
    "required": _is_list_of_text,
    "propertyOrdering": _is_list_of_text,
    "minimum": _is_number,
    "maximum": _is_number,
    "minItems": lambda value: _is_count(value) and int(value) <= MOST_REQUIRED,
    "maxItems": _is_count,
    "minLength": lambda value: _is_count(value) and int(value) <= MOST_REQUIRED,
    "maxLength": _is_count,
    "minProperties": _is_count,
    "maxProperties": _is_count,
}
COUNTS = ("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties")
# Where schemas are within a schema: one, several, or several by name.
ONE = ("items",)
SEVERAL = ("anyOf", "oneOf")
NAMED = ("properties", "$defs", "definitions")
# Google's own keywords, which a JSON Schema has no use for.
DROPPED = ("nullable", "propertyOrdering")


class InvalidSchemaError(ValueError):
    """A response schema that makes no sense, in words for the caller."""


def json_schema(schema: Any) -> dict[str, Any]:
    """Return Google's Schema as a JSON Schema: types in lower case, ``nullable`` as a second type.

    What is a JSON Schema already comes back as it is.

    Raises:
        InvalidSchemaError: It is neither.
    """
    if not isinstance(schema, dict):
        raise InvalidSchemaError("A schema must be an object.")
    given = {
        re.sub(r"_([a-z])", lambda match: match[1].upper(), str(key)): value
        for key, value in schema.items()
        if value is not None
    }
    for key, value in given.items():
        if key in SHAPES and not SHAPES[key](value):
            raise InvalidSchemaError(f"The {key} of a schema cannot be {str(value)[:80]}.")
    if given.get("minimum", -math.inf) > given.get("maximum", math.inf):
        raise InvalidSchemaError("The minimum of a schema is greater than its maximum.")
    result = {key: value for key, value in given.items() if key not in DROPPED}
    result |= {key: int(given[key]) for key in COUNTS if key in given}
    if "type" in given:
        names = given["type"] if isinstance(given["type"], list) else [given["type"]]
        kinds = [(TYPES[name] if isinstance(name, int) else name).lower() for name in names]
        kinds += ["null"] if given.get("nullable") else []
        result["type"] = kinds[0] if len(kinds) == 1 else kinds
    result |= {key: json_schema(given[key]) for key in ONE if key in given}
    for key in SEVERAL:
        if key in given:
            if not isinstance(given[key], list):
                raise InvalidSchemaError(f"The {key} of a schema must be a list of schemas.")
            result[key] = [json_schema(option) for option in given[key]]
    for key in NAMED:
        if key in given:
            if not isinstance(given[key], dict):
                raise InvalidSchemaError(f"The {key} of a schema must be an object of schemas.")
            result[key] = {name: json_schema(given[key][name]) for name in _ordered(given[key], given)}
    return result


def _ordered(properties: dict[str, Any], schema: dict[str, Any]) -> list[str]:
    first = [name for name in dict.fromkeys(schema.get("propertyOrdering", ())) if name in properties]
    return first + [name for name in properties if name not in first]


def conforming_value(schema: dict[str, Any], words: str) -> Any:
    """Return a value that conforms to a JSON Schema, derived from ``words``: the same for the same words.

    ``pattern`` is not followed; everything else of Google's Schema is.
    """
    return _value(schema, words, "", schema, 0)


def _value(schema: dict[str, Any], words: str, path: str, root: dict[str, Any], depth: int) -> Any:
    schema = _resolve(schema, root)
    if depth > 3 * DEEPEST:  # options that refer to each other without end
        return None
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][_pick(words, path) % len(schema["enum"])]
    for key in ("anyOf", "oneOf"):
        if schema.get(key):
            return _value(schema[key][0], words, path, root, depth + 1)
    kinds = schema.get("type", "object" if "properties" in schema else "string")
    match kinds[0] if isinstance(kinds, list) else kinds:
        case "object":
            return _object(schema, words, path, root, depth)
        case "array":
            length = min(schema.get("minItems", 1), schema.get("maxItems", MOST_REQUIRED))
            if depth >= DEEPEST:
                return []
            items = schema.get("items", {})
            return [_value(items, words, f"{path}[{index}]", root, depth + 1) for index in range(length)]
        case "integer":
            return math.ceil(_number(schema, words, path))
        case "number":
            return _number(schema, words, path) + 0.5 * ("maximum" not in schema)
        case "boolean":
            return _pick(words, path) % 2 == 0
        case "null":
            return None
        case _:
            return _string(schema, words, path)


def _object(schema: dict[str, Any], words: str, path: str, root: dict[str, Any], depth: int) -> dict[str, Any]:
    properties = schema.get("properties", {})
    if depth >= DEEPEST:  # a schema that refers to itself ends with what it cannot do without
        properties = {name: properties[name] for name in schema.get("required", ()) if depth < 2 * DEEPEST}
    return {name: _value(part, words, f"{path}.{name}", root, depth + 1) for name, part in properties.items()}


def _resolve(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    reference = schema.get("$ref") or schema.get("ref")
    if not reference:
        return schema
    target: Any = root
    for step in reference.removeprefix("#").strip("/").split("/"):
        target = target.get(step) if step and isinstance(target, dict) else target
    return target if isinstance(target, dict) else {}


def _pick(words: str, path: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{path}\n{words}".encode()).digest()[:4])


def _number(schema: dict[str, Any], words: str, path: str) -> float:
    low = schema.get("minimum")
    high = schema.get("maximum")
    low = (0 if high is None else min(0, high)) if low is None else low
    high = low + 100 if high is None else high
    span = high - low
    return low + _pick(words, path) % (int(span) + 1) if math.isfinite(span) else low


def _string(schema: dict[str, Any], words: str, path: str) -> str:
    if schema.get("format") in VALUE_BY_FORMAT:
        return VALUE_BY_FORMAT[schema["format"]]
    name = path.rsplit(".", 1)[-1]
    text = f"{name}: {words}" if name else words
    return text[: schema.get("maxLength")].ljust(schema.get("minLength", 0), ".")
