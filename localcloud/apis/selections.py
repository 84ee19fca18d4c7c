"""Checks the parameter ``fields`` of a call against Google's API description, where a wrong name would select nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from localcloud.apis.discovery import Call
from localcloud.base.partial_response import Selection


def check_selection(selection: Selection, call: Call) -> None:
    """Raise ``ValueError``, which names the field, if the answer of a call can have no such field."""
    if call.method.response is not None:
        _check(selection, {"$ref": call.method.response}, call.document.schemas, "")


def _check(selection: Selection, schema: Mapping[str, Any], schemas: Mapping[str, Any], path: str) -> None:
    while "$ref" in schema or schema.get("type") == "array":
        schema = schemas[schema["$ref"]] if "$ref" in schema else schema["items"]
    for name, inner in selection.items():
        if name == "*":
            continue
        part = schema.get("properties", {}).get(name) or schema.get("additionalProperties")
        if part is None:
            raise ValueError(f"Invalid field selection {path}{name}")
        _check(inner, part, schemas, f"{path}{name}/")
