"""Checks `generation_config` and `response_schema` of prompts against the API, before a table of requests is built."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from shared.batches.inputs.gemini_messages import Breach, breaches, field_names, listed, value_of
from shared.batches.inputs.values import CONFIG, ENUM_TYPE, JSON_TYPE, SCHEMA, TEXT_TYPE
from shared.errors import Rejected

# Names of JSON Schema that Google's Schema does not have.
_JSON_SCHEMA_ONLY = frozenset(
    {"$schema", "$id", "$ref", "$defs", "oneOf", "allOf", "not", "const", "additionalProperties", "patternProperties"}
)
# A schema inside a schema, at most so deep. Google gives no limit; deeper ones are mistakes.
DEEPEST_SCHEMA = 32
# The types of a Schema, in the order of their numbers.
_NUMBERED_TYPES = ("TYPE_UNSPECIFIED", "STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL")
_KNOWN_TYPES = _NUMBERED_TYPES[1:]
_ENUM_NEEDED = f"must be {JSON_TYPE}: {ENUM_TYPE} needs a response schema with an enum"
_TYPE_NAMES = "OBJECT, ARRAY, STRING, INTEGER, NUMBER or BOOLEAN"


def check_generation_config(config: Mapping[str, Any], field: str, *, has_schema: bool = False) -> None:
    """Raise ``Rejected`` with the path of the field if ``config`` is not a valid GenerationConfig.

    https://docs.cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference#generationconfig

    Args:
        config: The decoded JSON.
        field: Its path in the batch request.
        has_schema: Whether the response schema is given apart from it.
    """
    _check_depth(config, field)
    breach = next(config_breaches(config, field, has_schema=has_schema), None)
    if breach is not None:
        raise Rejected(f"{breach.path} {breach.text}", field=breach.path, code=breach.rule)


def config_breaches(config: object, path: str, *, has_schema: bool = False) -> Iterator[Breach]:
    """Yield what in ``config`` makes it not a valid GenerationConfig.

    Args:
        config: The decoded JSON, which is not nested too deeply.
        path: Where it is, for the paths of the breaches.
        has_schema: Whether the response schema is given apart from it.
    """
    found = list(breaches(config, CONFIG, path))
    yield from found
    if found or not isinstance(config, Mapping):
        return
    schema, json_schema = value_of(config, "responseSchema"), value_of(config, "responseJsonSchema")
    mime_type = value_of(config, "responseMimeType")
    if schema is not None:
        yield from _schema_breaches(schema, f"{path}.{_given(config, 'responseSchema')}")
    if json_schema is not None:
        yield from _json_schema_breaches(json_schema, f"{path}.{_given(config, 'responseJsonSchema')}")
    if (schema is not None or json_schema is not None) and mime_type in {None, TEXT_TYPE}:
        text = f"must be {JSON_TYPE} with a response schema"
        yield Breach("missing_field", CONFIG, f"{path}.responseMimeType", text, "responseMimeType")
    if mime_type == ENUM_TYPE and not has_schema and not _has_enum(schema or json_schema):
        where = f"{path}.{_given(config, 'responseMimeType')}"
        yield Breach("missing_field", CONFIG, where, _ENUM_NEEDED, "responseMimeType")
    if value_of(config, "logprobs") is not None and value_of(config, "responseLogprobs") is not True:
        text = "must be true with logprobs"
        yield Breach("missing_field", CONFIG, f"{path}.responseLogprobs", text, "responseLogprobs")


def check_response_schema(schema: object, field: str) -> None:
    """Raise ``Rejected`` with the path of the field if ``schema`` is not a valid Schema.

    https://docs.cloud.google.com/vertex-ai/generative-ai/docs/multimodal/control-generated-output
    """
    _check_depth(schema, field)
    breach = next(breaches(schema, SCHEMA, field), None)
    if breach is None:
        assert isinstance(schema, Mapping)
        breach = next(_schema_breaches(schema, field), None)
    if breach is None:
        return
    text = breach.text
    if breach.message == SCHEMA and breach.path.rpartition(".")[2] in _JSON_SCHEMA_ONLY:
        text = "belongs to JSON Schema: leave it out, or put the schema into generation_config.responseJsonSchema"
    raise Rejected(f"{breach.path} {text}", field=breach.path, code=breach.rule)


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
    elif mime_type not in {JSON_TYPE, ENUM_TYPE}:
        raise Rejected(
            f"input.generation_config.{_given(given, 'responseMimeType')} must be {JSON_TYPE} with input.response_schema",
            field="input.response_schema",
            code="invalid_field",
        )
    elif mime_type == ENUM_TYPE and not _has_enum(schema):
        field = f"input.generation_config.{_given(given, 'responseMimeType')}"
        raise Rejected(f"{field} {_ENUM_NEEDED}", field=field, code="missing_field")
    return {**given, "responseSchema": dict(schema)}


def _has_enum(schema: object) -> bool:
    return isinstance(schema, Mapping) and bool(schema.get("enum"))


def _given(message: Mapping[str, Any], name: str) -> str:
    """Return the spelling in which a message has a field."""
    return next(key for key in message if field_names(CONFIG).get(key) == name)


def _schema_breaches(schema: Mapping[str, Any], path: str) -> Iterator[Breach]:
    """Yield why Gemini would refuse a response schema whose fields are right in themselves."""

    def missing(where: str, name: str, right: str) -> Breach:
        return Breach("missing_field", SCHEMA, f"{where}.{name}", f"is missing{right}", name)

    definitions = schema.get("defs") or {}
    for where, each in _schemas(schema, path):
        kind = _type_name(each.get("type"))
        properties = each.get("properties")
        reference = each.get("ref")
        if not kind and not value_of(each, "anyOf") and reference is None:
            yield missing(where, "type", f": write {_TYPE_NAMES}")
        if kind == "ARRAY" and each.get("items") is None:
            yield missing(where, "items", ", the schema of an element")
        if kind == "OBJECT" and not properties:
            yield missing(where, "properties", ", the schema of each field")
        if "" in (properties or {}):
            text = "has a field without a name"
            yield Breach("invalid_field", SCHEMA, f"{where}.properties", text, "properties")
        if reference is not None and reference.removeprefix("#/defs/") not in definitions:
            text = "must be #/defs/ and a name in defs of the whole schema"
            yield Breach("invalid_field", SCHEMA, f"{where}.ref", text, "ref")
        if where != path and each.get("defs"):
            text = "belongs to the whole schema, not to a part of it"
            yield Breach("invalid_field", SCHEMA, f"{where}.defs", text, "defs")
        for listing in ("required", "propertyOrdering"):
            for name in listed(value_of(each, listing)):
                if name not in (properties or {}):
                    text = f"names {str(name)[:80]!r}, which is not among the properties"
                    yield Breach("invalid_field", SCHEMA, f"{where}.{listing}", text, listing, quotes=True)


def _json_schema_breaches(schema: object, path: str) -> Iterator[Breach]:
    """Yield the parts of a JSON Schema that are not objects, and types that JSON Schema does not have.

    https://json-schema.org/understanding-json-schema/reference/type
    """
    name = "responseJsonSchema"
    if not isinstance(schema, Mapping):
        yield Breach("wrong_type", CONFIG, path, "must be an object, the schema", name)
        return
    for kind in listed(schema.get("type")):
        if not isinstance(kind, str) or kind.upper() not in _KNOWN_TYPES:
            text = f"must be one of {', '.join(map(str.lower, _KNOWN_TYPES))}"
            yield Breach("wrong_enum", CONFIG, f"{path}.type", text, name)
    if "enum" in schema and not (isinstance(schema["enum"], list) and schema["enum"]):
        yield Breach("wrong_type", CONFIG, f"{path}.enum", "must be a list with at least one value", name)
    for key in ("properties", "$defs", "definitions"):
        inner = schema.get(key)
        if isinstance(inner, Mapping):
            for each, value in inner.items():
                if not isinstance(value, bool):
                    yield from _json_schema_breaches(value, f"{path}.{key}.{str(each)[:80]}")
        elif inner is not None:
            yield Breach("wrong_type", CONFIG, f"{path}.{key}", "must be an object of schemas", name)
    for key in ("items", "anyOf", "oneOf", "allOf"):
        for index, value in enumerate(listed(schema.get(key))):
            if not isinstance(value, bool):
                where = f"{path}.{key}[{index}]" if isinstance(schema[key], list) else f"{path}.{key}"
                yield from _json_schema_breaches(value, where)


def _type_name(value: object) -> str:
    """Return the name of a schema's type, of which the number may be given; an empty text if there is none."""
    name = _NUMBERED_TYPES[value] if isinstance(value, int) else str(value or "").upper()
    return "" if name == _NUMBERED_TYPES[0] else name


def _schemas(schema: Mapping[str, Any], path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield path, schema
    for name, each in (schema.get("properties") or {}).items():
        yield from _schemas(each, f"{path}.properties.{name[:80]}")
    if isinstance(items := schema.get("items"), Mapping):
        yield from _schemas(items, f"{path}.items")
    for index, each in enumerate(listed(value_of(schema, "anyOf"))):
        yield from _schemas(each, f"{path}.anyOf[{index}]")
    for name, each in (schema.get("defs") or {}).items():
        yield from _schemas(each, f"{path}.defs.{name[:80]}")


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
