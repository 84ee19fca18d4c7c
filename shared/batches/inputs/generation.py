"""Checks `generation_config` and `response_schema` of prompts against the API, before a table of requests is built."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from shared.batches.inputs.gemini_messages import CONFIG, SCHEMA, breaches, field_names, value_of
from shared.errors import Rejected

# Names of JSON Schema that Google's Schema does not have.
_JSON_SCHEMA_ONLY = frozenset(
    {"$schema", "$id", "$ref", "$defs", "oneOf", "allOf", "not", "const", "additionalProperties", "patternProperties"}
)
# A schema inside a schema, at most so deep. Google gives no limit; deeper ones are mistakes.
DEEPEST_SCHEMA = 32
JSON_TYPE = "application/json"


def check_generation_config(config: Mapping[str, Any], field: str) -> None:
    """Raise ``Rejected`` with the path of the field if ``config`` is not a valid GenerationConfig.

    https://docs.cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference#generationconfig
    """
    _check_depth(config, field)
    _check_spellings(config, field)
    breach = next(breaches(config, CONFIG, field), None)
    if breach is not None:
        raise Rejected(f"{breach.path} {breach.text}", field=breach.path, code=breach.rule)
    schema, json_schema = value_of(config, "responseSchema"), value_of(config, "responseJsonSchema")
    if schema is not None:
        _check_schema(schema, f"{field}.{_given(config, 'responseSchema')}")
    if schema is not None and json_schema is not None:
        raise Rejected(
            f"{field} has both responseSchema and responseJsonSchema: leave one out", field=field, code="invalid_field"
        )
    if (schema is not None or json_schema is not None) and value_of(config, "responseMimeType") in {None, "text/plain"}:
        raise Rejected(
            f"{field}.responseMimeType must be {JSON_TYPE} with a response schema",
            field=f"{field}.responseMimeType",
            code="missing_field",
        )


def check_response_schema(schema: object, field: str) -> None:
    """Raise ``Rejected`` with the path of the field if ``schema`` is not a valid Schema.

    https://docs.cloud.google.com/vertex-ai/generative-ai/docs/multimodal/control-generated-output
    """
    _check_depth(schema, field)
    breach = next(breaches(schema, SCHEMA, field), None)
    if breach is not None:
        name = breach.path.rpartition(".")[2]
        text = breach.text
        if breach.message == SCHEMA and name in _JSON_SCHEMA_ONLY:
            text = "belongs to JSON Schema: leave it out, or put the schema into generation_config.responseJsonSchema"
        raise Rejected(f"{breach.path} {text}", field=breach.path, code=breach.rule)
    _check_schema(schema, field)


def config_with_schema(config: Mapping[str, Any] | None, schema: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the GenerationConfig of requests: ``config``, with ``schema`` as its response schema; None if there is neither.

    Raises:
        Rejected: ``config`` has a response schema or another MIME type of its own.
    """
    if schema is None:
        return dict(config) if config else None
    given = dict(config or {})
    for name in ("responseSchema", "responseJsonSchema"):
        if value_of(given, name) is not None:
            raise Rejected(
                f"input.response_schema is given, and input.generation_config has {_given(given, name)}: leave one out",
                field="input.response_schema",
                code="invalid_field",
            )
    mime_type = value_of(given, "responseMimeType")
    if mime_type is None:
        given["responseMimeType"] = JSON_TYPE
    elif mime_type not in {JSON_TYPE, "text/x.enum"}:
        raise Rejected(
            f"input.generation_config.{_given(given, 'responseMimeType')} must be {JSON_TYPE} with input.response_schema",
            field="input.response_schema",
            code="invalid_field",
        )
    return {**given, "responseSchema": dict(schema)}


def _given(message: Mapping[str, Any], name: str) -> str:
    """Return the spelling in which a message has a field."""
    return next(key for key in message if field_names(CONFIG).get(key) == name)


def _check_spellings(config: Mapping[str, Any], field: str) -> None:
    names: set[str] = set()
    for key in config:
        name = field_names(CONFIG).get(key, key)
        if name in names:
            raise Rejected(
                f"{field}.{key} is given in both its spellings", field=f"{field}.{key}", code="invalid_field"
            )
        names.add(name)


def _check_schema(schema: Any, field: str) -> None:
    """Raise ``Rejected`` if Gemini would refuse a schema whose fields are right in themselves."""
    for path, each in _schemas(schema, field):
        kind = str(each.get("type", "")).upper()
        properties = each.get("properties")
        names = value_of(each, "anyOf")
        if not kind and not names and value_of(each, "ref") is None:
            raise Rejected(
                f"{path}.type is missing: write OBJECT, ARRAY, STRING, INTEGER, NUMBER or BOOLEAN",
                field=f"{path}.type",
                code="missing_field",
            )
        if kind == "ARRAY" and each.get("items") is None:
            raise Rejected(
                f"{path}.items is missing, the schema of an element", field=f"{path}.items", code="missing_field"
            )
        if kind == "OBJECT" and not properties:
            raise Rejected(
                f"{path}.properties is missing, the schema of each field",
                field=f"{path}.properties",
                code="missing_field",
            )
        for listing in ("required", "propertyOrdering"):
            for name in value_of(each, listing) or ():
                if name not in (properties or {}):
                    raise Rejected(
                        f"{path}.{listing} names {str(name)[:80]!r}, which is not among the properties",
                        field=f"{path}.{listing}",
                        code="invalid_field",
                    )


def _schemas(schema: Mapping[str, Any], path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield path, schema
    for name, each in (schema.get("properties") or {}).items():
        yield from _schemas(each, f"{path}.properties.{name[:80]}")
    if isinstance(items := schema.get("items"), Mapping):
        yield from _schemas(items, f"{path}.items")
    for index, each in enumerate(value_of(schema, "anyOf") or ()):
        yield from _schemas(each, f"{path}.anyOf[{index}]")


def _check_depth(value: object, field: str) -> None:
    """Raise ``Rejected`` if a value is nested too deeply for the checks to descend into it."""
    level: list[object] = [value]
    for _ in range(2 * DEEPEST_SCHEMA):
        inner: list[object] = []
        for each in level:
            inner += each.values() if isinstance(each, Mapping) else each if isinstance(each, list) else ()
        if not inner:
            return
        level = inner
    raise Rejected(f"{field} is nested too deeply", field=field, code="invalid_field")
