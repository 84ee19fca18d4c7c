"""The JSON Schemas of messages and events, ready to validate with."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from tests.paths import ROOT

FOLDER = ROOT / "shared" / "schemas"


@cache
def schema(name: str) -> dict[str, Any]:
    """Return the schema in the file ``name``."""
    found: dict[str, Any] = json.loads((FOLDER / name).read_text(encoding="utf-8"))
    return found


@cache
def validator(name: str, *, closed: bool = False) -> Draft202012Validator:
    """Return the validator of the schema in the file ``name``; a ``closed`` one refuses what the schema does not describe."""
    body: dict[str, Any] = {"$ref": name}
    if closed:
        body["unevaluatedProperties"] = False
    resources = [(path.name, DRAFT202012.create_resource(schema(path.name))) for path in FOLDER.glob("*.json")]
    return Draft202012Validator(body, registry=Registry().with_resources(resources))


def faults(name: str, value: object, *, closed: bool = False) -> list[str]:
    """Return what is wrong with ``value``, one line for each fault."""
    return [f"{error.json_path}: {error.message}"[:300] for error in validator(name, closed=closed).iter_errors(value)]
