"""Google's published descriptions of its APIs, as googleapiclient has them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.resources import files
from typing import Any


def problems(value: Any, api: str, schema: str) -> list[str]:
    """Return where ``value`` is not what the description of ``api``, such as ``logging.v2``, says of ``schema``."""
    document = files("googleapiclient") / "discovery_cache" / "documents" / f"{api}.json"
    schemas = json.loads(document.read_text(encoding="utf-8"))["schemas"]
    return list(_problems(value, {"$ref": schema}, schemas, schema))


def _problems(value: Any, schema: dict[str, Any], schemas: dict[str, Any], path: str) -> Iterator[str]:
    """Yield where ``value`` is not what a schema of a discovery document says."""
    schema = schemas[schema["$ref"]] if "$ref" in schema else schema
    kinds = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": (int, float)}
    if schema["type"] != "any" and not isinstance(value, kinds[schema["type"]]):
        # int64 is text in JSON, and may be a number.
        yield f"{path} is not of the type {schema['type']}"
    elif isinstance(value, list):
        for position, each in enumerate(value):
            yield from _problems(each, schema["items"], schemas, f"{path}[{position}]")
    elif isinstance(value, dict):
        for name, each in value.items():
            known = schema.get("properties", {}).get(name, schema.get("additionalProperties"))
            if known is None:
                yield f"{path} has no field {name}"
            else:
                yield from _problems(each, known, schemas, f"{path}.{name}")
    elif value not in schema.get("enum", [value]):
        yield f"{path} is {value}, none of {schema['enum']}"
