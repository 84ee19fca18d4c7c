"""Writes `gemini_messages.json` from Google's API description, which google-api-python-client carries.

Run `python -m shared.batches.inputs.update_messages` after an update of that package. A test compares the file with the
description. The functions never import this module.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources
from typing import Any

from shared.batches.inputs.gemini_messages import MESSAGES_FILE, REQUEST, Type

# v1beta1 has the fields of v1 and a few more. A request that one of them accepts is not refused here.
_DOCUMENT = "aiplatform.v1beta1.json"
_PREFIX = "GoogleCloudAiplatformV1beta1"
_PLAIN = {"byte": "bytes", "google-duration": "duration", "float": "number", "double": "number"}


def described_messages() -> dict[str, dict[str, Type]]:
    """Return the fields of GenerateContentRequest and of every message in it, as the API description has them."""
    documents = resources.files("googleapiclient") / "discovery_cache" / "documents"
    schemas = json.loads((documents / _DOCUMENT).read_text())["schemas"]
    found: dict[str, dict[str, Type]] = {}
    pending = [_PREFIX + REQUEST]
    while pending:
        name = pending.pop()
        if name.removeprefix(_PREFIX) not in found:
            properties = schemas[name].get("properties", {})
            found[name.removeprefix(_PREFIX)] = {
                field: _type(description, pending) for field, description in sorted(properties.items())
            }
    return dict(sorted(found.items()))


def text_of(messages: Mapping[str, Mapping[str, Type]]) -> str:
    """Return the text of `gemini_messages.json`: one line for each field."""
    lines = []
    for name, fields in messages.items():
        inner = ",\n".join(f"    {json.dumps(field)}: {json.dumps(kind)}" for field, kind in fields.items())
        lines.append(f"  {json.dumps(name)}: {{\n{inner}\n  }}" if inner else f"  {json.dumps(name)}: {{}}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _type(description: Mapping[str, Any], pending: list[str]) -> Type:
    if reference := description.get("$ref"):
        pending.append(reference)
        return str(reference).removeprefix(_PREFIX)
    if values := description.get("enum"):
        return {"enum": list(values)}
    match description["type"]:
        case "array":
            return [_type(description["items"], pending)]
        case "object":
            element = description.get("additionalProperties", {"type": "any"})
            return {"map": _type(element, pending)}
        case kind:
            # An int64 is a string in JSON.
            plain = description.get("format", kind)
            return _PLAIN.get(plain, str(plain))


if __name__ == "__main__":
    MESSAGES_FILE.write_text(text_of(described_messages()))
