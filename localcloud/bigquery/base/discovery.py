"""Google's descriptions of the BigQuery APIs: served to ``bq``, which fetches them first, and used to read request bodies."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any


@cache
def _document(name: str = "bigquery.v2") -> dict[str, Any]:
    package = resources.files("googleapiclient.discovery_cache") / "documents" / f"{name}.json"
    document: dict[str, Any] = json.loads(package.read_text())
    return document


@cache
def property_names(schema: str) -> frozenset[str]:
    """Return the names of the fields of a schema of the BigQuery API, such as ``Job``."""
    return frozenset(_document()["schemas"][schema]["properties"])


def properties(schema: str) -> Mapping[str, Mapping[str, Any]]:
    """Return the descriptions of the fields of a schema, by their names."""
    found: Mapping[str, Mapping[str, Any]] = _document()["schemas"][schema]["properties"]
    return found


def discovery_document(url: str) -> dict[str, Any]:
    """Return the discovery document of a BigQuery at ``url`` (no trailing slash)."""
    return _document() | {
        "rootUrl": f"{url}/",
        "servicePath": "bigquery/v2/",
        "baseUrl": f"{url}/bigquery/v2/",
        "mtlsRootUrl": f"{url}/",
    }


def resource_document(url: str) -> dict[str, Any]:
    """Return one discovery document of the Connection API and the Reservation API at ``url`` (no trailing slash)."""
    address = {"rootUrl": f"{url}/", "baseUrl": f"{url}/", "mtlsRootUrl": f"{url}/"}
    connections, reservations = _document("bigqueryconnection.v1"), _document("bigqueryreservation.v1")
    locations = [each["resources"]["projects"]["resources"]["locations"] for each in (connections, reservations)]
    merged = {kind: {**locations[1].get(kind, {}), **locations[0].get(kind, {})} for kind in ("methods", "resources")}
    return (
        connections
        | address
        | {
            "resources": {"projects": {"resources": {"locations": merged}}},
            "schemas": reservations["schemas"] | connections["schemas"],
        }
    )


def canonical(value: Any, schema: str, *, nulls: bool = False) -> Any:
    """Return a JSON value with names, numbers and booleans in the form that its schema declares.

    Clients may send ``"1"`` for 1 and 1 for ``"1"``, ``model_id`` for ``modelId``, and null for a missing field.
    Responses use one form. https://developers.google.com/discovery/v1/type-format

    Args:
        value: The JSON value.
        schema: The name of its schema in the discovery document, such as ``Job``.
        nulls: Whether to keep nulls, because in a patch null removes a field.
    """
    return _canonical(value, {"$ref": schema}, nulls=nulls)


def _canonical(value: Any, schema: dict[str, Any], *, nulls: bool) -> Any:
    if "$ref" in schema:
        schema = _document()["schemas"][schema["$ref"]]
    match schema.get("type"), value:
        case "object", dict():
            known = schema.get("properties", {})
            other = schema.get("additionalProperties", {})
            names = {
                _camel_case(name) if name not in known and _camel_case(name) in known else name: name for name in value
            }
            return {
                name: _canonical(value[given], known.get(name, other), nulls=nulls)
                for name, given in names.items()
                if nulls or value[given] is not None
            }
        case "array", list():
            return [_canonical(inner, schema["items"], nulls=nulls) for inner in value]
        case "integer", str() if value.lstrip("-").isdigit():
            return int(value)
        case "string", bool():
            return str(value).lower()
        case "string", int() | float():
            return str(value)
        case "boolean", str() if value.lower() in ("true", "false"):
            return value.lower() == "true"
    return value


def _camel_case(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)
