"""Response schemas: converts Google's Schema to JSON Schema, and creates a value that conforms to a JSON Schema.

The message: https://cloud.google.com/vertex-ai/docs/reference/rest/v1/Schema
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable
from typing import Any

from localcloud.gemini.json_values import as_list, camel_keys

# In the order of their numbers: REST clients may send the number instead of the name.
TYPES = ("TYPE_UNSPECIFIED", "STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL")

MAX_DEPTH = 12
MAX_MINIMUM_SIZE = 10_000

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
    """Return whether a value is an int64 in JSON: a number, or a string of digits."""
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


# The check for the value of each keyword. Other keywords may have any value and have no effect.
CHECKS: dict[str, Callable[[Any], bool]] = {
    "type": _is_type,
    "title": _is_text,
    "description": _is_text,
    "format": _is_text,
    "pattern": _is_text,
    "$ref": _is_text,
    "ref": _is_text,
    "enum": lambda value: isinstance(value, list) and bool(value),
    "nullable": lambda value: isinstance(value, bool),
    "required": _is_list_of_text,
    "propertyOrdering": _is_list_of_text,
    "minimum": _is_number,
    "maximum": _is_number,
    "minItems": lambda value: _is_count(value) and int(value) <= MAX_MINIMUM_SIZE,
    "maxItems": _is_count,
    "minLength": lambda value: _is_count(value) and int(value) <= MAX_MINIMUM_SIZE,
    "maxLength": _is_count,
    "minProperties": _is_count,
    "maxProperties": _is_count,
}
# Keywords of which the first must not be greater than the second.
ORDERED = (
    ("minItems", "maxItems"),
    ("minLength", "maxLength"),
    ("minProperties", "maxProperties"),
    ("minimum", "maximum"),
)
COUNTS = ("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties")
# Keywords whose value is a schema, a list of schemas, or an object of schemas by name.
SCHEMA_KEYS = ("items",)
SCHEMA_LIST_KEYS = ("anyOf", "oneOf")
SCHEMA_OBJECT_KEYS = ("properties", "$defs", "definitions")
# Google's own keywords, which JSON Schema does not have.
DROPPED_KEYS = ("nullable", "propertyOrdering")
# Keywords in place of whose list Google's parser takes a single element.
REPEATED_KEYS = ("required", "propertyOrdering", "enum", "anyOf")


class InvalidSchemaError(ValueError):
    """A response schema is invalid; the message is for the caller."""


def json_schema(schema: Any) -> dict[str, Any]:
    """Return Google's Schema as a JSON Schema: types in lower case, ``nullable`` as a second type.

    A JSON Schema is returned unchanged.

    Raises:
        InvalidSchemaError: ``schema`` is neither.
    """
    if not isinstance(schema, dict):
        raise InvalidSchemaError("A schema must be an object.")
    given = {
        re.sub(r"_([a-z])", lambda match: match[1].upper(), str(key)): value
        for key, value in schema.items()
        if value is not None
    }
    given |= {key: as_list(given[key]) for key in REPEATED_KEYS if key in given}
    for key, value in given.items():
        if key in CHECKS and not CHECKS[key](value):
            raise InvalidSchemaError(f"The {key} of a schema cannot be {str(value)[:80]}.")
    for least, most in ORDERED:
        if float(given.get(least, -math.inf)) > float(given.get(most, math.inf)):
            raise InvalidSchemaError(f"The {least} of a schema is greater than its {most}.")
    result = {key: value for key, value in given.items() if key not in DROPPED_KEYS}
    result |= {key: int(given[key]) for key in COUNTS if key in given}
    if "type" in given:
        names = given["type"] if isinstance(given["type"], list) else [given["type"]]
        kinds = [(TYPES[name] if isinstance(name, int) else name).lower() for name in names]
        kinds += ["null"] if given.get("nullable") else []
        result["type"] = kinds[0] if len(kinds) == 1 else kinds
    result |= {key: json_schema(given[key]) for key in SCHEMA_KEYS if key in given}
    for key in SCHEMA_LIST_KEYS:
        if key in given:
            if not isinstance(given[key], list):
                raise InvalidSchemaError(f"The {key} of a schema must be a list of schemas.")
            result[key] = [json_schema(option) for option in given[key]]
    for key in SCHEMA_OBJECT_KEYS:
        if key in given:
            if not isinstance(given[key], dict):
                raise InvalidSchemaError(f"The {key} of a schema must be an object of schemas.")
            result[key] = {name: json_schema(given[key][name]) for name in _ordered(given[key], given)}
    return result


def check_schema(schema: Any, root: dict[str, Any] | None = None) -> None:
    """Check what Gemini needs of Google's Schema, and JSON Schema does not.

    Args:
        schema: The schema, or a part of it.
        root: The whole schema; None if ``schema`` is that.

    Raises:
        InvalidSchemaError: A type, the elements of an array, the properties of an object, or a definition is missing.
    """
    given = camel_keys(schema)
    whole = given if root is None else root
    kind = given.get("type")
    name = TYPES[kind] if isinstance(kind, int) and 0 <= kind < len(TYPES) else str(kind or TYPES[0]).upper()
    reference = given.get("ref")
    if name == TYPES[0] and not given.get("anyOf") and reference is None:
        raise InvalidSchemaError("A schema has no type.")
    if name == "ARRAY" and given.get("items") is None:
        raise InvalidSchemaError("A schema of type ARRAY has no items.")
    if name == "OBJECT" and not given.get("properties"):
        raise InvalidSchemaError("A schema of type OBJECT has no properties.")
    if "" in (given.get("properties") or {}):
        raise InvalidSchemaError("A schema of type OBJECT has a field without a name.")
    if reference is not None and str(reference).removeprefix("#/defs/") not in (whole.get("defs") or {}):
        raise InvalidSchemaError(f"The schema {str(reference)[:80]} is not among the defs.")
    for key in ("required", "propertyOrdering"):
        if unknown := [each for each in as_list(given.get(key)) if each not in (given.get("properties") or {})]:
            raise InvalidSchemaError(f"{key} names {str(unknown[0])[:80]}, which is not among the properties.")
    inner = [*as_list(given.get("items")), *as_list(given.get("anyOf")), *(given.get("properties") or {}).values()]
    for each in (*inner, *(given.get("defs") or {}).values()):
        check_schema(each, whole)


def _ordered(properties: dict[str, Any], schema: dict[str, Any]) -> list[str]:
    first = [name for name in dict.fromkeys(schema.get("propertyOrdering", ())) if name in properties]
    return first + [name for name in properties if name not in first]


def conforming_value(schema: dict[str, Any], text: str) -> Any:
    """Return a value that conforms to a JSON Schema.

    The value respects every keyword of Google's Schema except ``pattern``.

    Args:
        schema: The JSON Schema.
        text: The text to derive the value from; the same text gives the same value.
    """
    return _value(schema, text, "", schema, 0)


def _value(schema: dict[str, Any], text: str, path: str, root: dict[str, Any], depth: int) -> Any:
    schema = _resolve(schema, root)
    if depth > 3 * MAX_DEPTH:  # the options of anyOf refer to each other endlessly
        return None
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][_pick(text, path) % len(schema["enum"])]
    for key in ("anyOf", "oneOf"):
        if schema.get(key):
            return _value(schema[key][0], text, path, root, depth + 1)
    kinds = schema.get("type", "object" if "properties" in schema else "string")
    match kinds[0] if isinstance(kinds, list) else kinds:
        case "object":
            return _object(schema, text, path, root, depth)
        case "array":
            length = min(schema.get("minItems", 1), schema.get("maxItems", MAX_MINIMUM_SIZE))
            if depth >= MAX_DEPTH:
                return []
            items = schema.get("items", {})
            return [_value(items, text, f"{path}[{index}]", root, depth + 1) for index in range(length)]
        case "integer":
            return math.ceil(_number(schema, text, path))
        case "number":
            return _number(schema, text, path) + 0.5 * ("maximum" not in schema)
        case "boolean":
            return _pick(text, path) % 2 == 0
        case "null":
            return None
        case _:
            return _string(schema, text, path)


def _object(schema: dict[str, Any], text: str, path: str, root: dict[str, Any], depth: int) -> dict[str, Any]:
    properties = schema.get("properties", {})
    if depth >= MAX_DEPTH:  # a recursive schema ends with an object of only the required properties
        properties = {name: properties[name] for name in schema.get("required", ()) if depth < 2 * MAX_DEPTH}
    return {name: _value(part, text, f"{path}.{name}", root, depth + 1) for name, part in properties.items()}


def _resolve(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    reference = schema.get("$ref") or schema.get("ref")
    if not reference:
        return schema
    target: Any = root
    for step in reference.removeprefix("#").strip("/").split("/"):
        target = target.get(step) if step and isinstance(target, dict) else target
    return target if isinstance(target, dict) else {}


def _pick(text: str, path: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{path}\n{text}".encode()).digest()[:4])


def _number(schema: dict[str, Any], text: str, path: str) -> float:
    low = schema.get("minimum")
    high = schema.get("maximum")
    low = (0 if high is None else min(0, high)) if low is None else low
    high = low + 100 if high is None else high
    span = high - low
    return low + _pick(text, path) % (int(span) + 1) if math.isfinite(span) else low


def _string(schema: dict[str, Any], text: str, path: str) -> str:
    if schema.get("format") in VALUE_BY_FORMAT:
        return VALUE_BY_FORMAT[schema["format"]]
    name = path.rsplit(".", 1)[-1]
    value = f"{name}: {text}" if name else text
    return value[: schema.get("maxLength")].ljust(schema.get("minLength", 0), ".")
