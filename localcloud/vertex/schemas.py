"""Response schemas: Google's Schema message as a JSON Schema, and a value that conforms to one.

The message: https://cloud.google.com/vertex-ai/docs/reference/rest/v1/Schema
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

# In the order of their numbers: clients over REST may send the number instead of the name.
TYPES = ("TYPE_UNSPECIFIED", "STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL")

KEPT_AS_THEY_ARE = ("title", "description", "enum", "format", "pattern", "default", "example", "required")
BOUNDS = ("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties")
NUMERIC_BOUNDS = ("minimum", "maximum")

DEEPEST = 12

VALUE_BY_FORMAT = {
    "date-time": "2026-01-01T00:00:00Z",
    "date": "2026-01-01",
    "time": "00:00:00",
    "duration": "PT1S",
}


def json_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """Return Google's Schema as a JSON Schema: types in lower case, ``nullable`` as a second type."""
    given = {re.sub(r"_([a-z])", lambda match: match[1].upper(), key): value for key, value in schema.items()}
    result: dict[str, Any] = {}
    kind = given.get("type")
    if kind is not None:
        name = TYPES[kind] if isinstance(kind, int) else str(kind)
        result["type"] = [name.lower(), "null"] if given.get("nullable") else name.lower()
    result |= {key: given[key] for key in KEPT_AS_THEY_ARE if key in given}
    result |= {key: int(given[key]) for key in BOUNDS if key in given}  # int64: strings in JSON
    result |= {key: given[key] for key in NUMERIC_BOUNDS if key in given}
    if "items" in given:
        result["items"] = json_schema(given["items"])
    if "anyOf" in given:
        result["anyOf"] = [json_schema(option) for option in given["anyOf"]]
    if "properties" in given:
        properties = given["properties"]
        names = [name for name in given.get("propertyOrdering", ()) if name in properties]
        names += [name for name in properties if name not in names]
        result["properties"] = {name: json_schema(properties[name]) for name in names}
    return result


def conforming_value(schema: dict[str, Any], words: str) -> Any:
    """Return a value that conforms to a JSON Schema, derived from ``words``: the same for the same words.

    ``pattern`` is not followed; everything else of Google's Schema is.
    """
    return _value(schema, words, "", schema, 0)


def _value(schema: dict[str, Any], words: str, path: str, root: dict[str, Any], depth: int) -> Any:
    schema = _resolve(schema, root)
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
            length = max(int(schema.get("minItems", 1)), 0)
            length = min(length, int(schema.get("maxItems", length)))
            if depth >= DEEPEST:
                return []
            items = schema.get("items", {})
            return [_value(items, words, f"{path}[{index}]", root, depth + 1) for index in range(length)]
        case "integer":
            return int(_number(schema, words, path))
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
        target = target.get(step, {}) if step else target
    return dict(target)


def _pick(words: str, path: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{path}\n{words}".encode()).digest()[:4])


def _number(schema: dict[str, Any], words: str, path: str) -> float:
    low = schema.get("minimum")
    high = schema.get("maximum")
    low = (0 if high is None else min(0, high)) if low is None else low
    high = low + 100 if high is None else high
    return low + _pick(words, path) % (int(high - low) + 1)


def _string(schema: dict[str, Any], words: str, path: str) -> str:
    if schema.get("format") in VALUE_BY_FORMAT:
        return VALUE_BY_FORMAT[schema["format"]]
    name = path.rsplit(".", 1)[-1]
    text = f"{name}: {words}" if name else words
    text = text[: int(schema["maxLength"])] if "maxLength" in schema else text
    return text.ljust(int(schema.get("minLength", 0)), ".")
