"""The generation config and the response schema of prompts: what is refused, with the path of the field."""

from __future__ import annotations

from typing import Any

import pytest

from shared.batches.inputs.generation import check_generation_config, check_response_schema, config_with_schema
from shared.errors import Rejected

FILM = {
    "type": "OBJECT",
    "properties": {
        "title": {"type": "STRING"},
        "tags": {"type": "ARRAY", "items": {"type": "STRING", "enum": ["a", "b"]}},
        "year": {"anyOf": [{"type": "INTEGER"}, {"type": "NULL"}]},
    },
    "required": ["title"],
    "propertyOrdering": ["title", "tags", "year"],
}


def test_a_valid_config_and_schema_are_accepted() -> None:
    check_generation_config({"temperature": 0.5, "responseMimeType": "application/json", "responseSchema": FILM}, "c")
    check_generation_config({"response_mime_type": "application/json", "response_json_schema": {"$ref": "x"}}, "c")
    check_response_schema(FILM, "s")
    check_response_schema({"type": "string"}, "s")
    check_response_schema({"type": "OBJECT", "defs": {"P": FILM}, "properties": {"a": {"ref": "#/defs/P"}}}, "s")
    check_generation_config({"responseMimeType": "text/x.enum"}, "c", has_schema=True)
    check_generation_config({"logprobs": 2, "responseLogprobs": True}, "c")


@pytest.mark.parametrize(
    ("config", "field", "code"),
    [
        ({"max_tokens": 5}, "c.max_tokens", "unknown_field"),
        ({"topP": 1, "top_p": 1}, "c.top_p", "invalid_field"),
        ({"responseSchema": FILM}, "c.responseMimeType", "missing_field"),
        ({"responseSchema": FILM, "responseMimeType": "text/plain"}, "c.responseMimeType", "missing_field"),
        ({"response_schema": {"type": "ARRAY"}}, "c.response_schema.items", "missing_field"),
        ({"responseSchema": FILM, "responseJsonSchema": {}}, "c", "invalid_field"),
        ({"responseMimeType": "text/x.enum"}, "c.responseMimeType", "missing_field"),
        ({"responseMimeType": "text/x.enum", "responseSchema": FILM}, "c.responseMimeType", "missing_field"),
        ({"logprobs": 2}, "c.responseLogprobs", "missing_field"),
        ({"responseJsonSchema": "x"}, "c.responseJsonSchema", "wrong_type"),
        ({"responseJsonSchema": {"type": "text"}}, "c.responseJsonSchema.type", "wrong_enum"),
        ({"responseJsonSchema": {"type": ["string", "nil"]}}, "c.responseJsonSchema.type", "wrong_enum"),
        ({"responseJsonSchema": {"items": {"enum": []}}}, "c.responseJsonSchema.items.enum", "wrong_type"),
        ({"responseJsonSchema": {"properties": ["a"]}}, "c.responseJsonSchema.properties", "wrong_type"),
        ({"responseJsonSchema": {"anyOf": [1]}}, "c.responseJsonSchema.anyOf[0]", "wrong_type"),
    ],
)
def test_a_wrong_config_is_rejected_with_its_field(config: dict[str, Any], field: str, code: str) -> None:
    with pytest.raises(Rejected) as refusal:
        check_generation_config(config, "c")
    assert (refusal.value.problem.field, refusal.value.problem.code) == (field, code)


@pytest.mark.parametrize(
    ("schema", "field", "code"),
    [
        ([], "s", "wrong_type"),
        ("OBJECT", "s", "wrong_type"),
        ({}, "s.type", "missing_field"),
        ({"type": "TEXT"}, "s.type", "wrong_enum"),
        ({"type": "TYPE_UNSPECIFIED"}, "s.type", "missing_field"),
        ({"type": 0}, "s.type", "missing_field"),
        ({"type": 6}, "s.properties", "missing_field"),
        ({"ref": "#/defs/Pet"}, "s.ref", "invalid_field"),
        ({"type": "OBJECT", "properties": {"": {"type": "STRING"}}}, "s.properties", "invalid_field"),
        ({"type": "ARRAY", "items": {"type": "STRING", "defs": {"P": FILM}}}, "s.items.defs", "invalid_field"),
        ({"type": "STRING", "enum": []}, "s.enum", "out_of_range"),
        ({"type": ["string", "null"]}, "s.type", "wrong_enum"),
        ({"type": "OBJECT"}, "s.properties", "missing_field"),
        ({"type": "OBJECT", "properties": {"a": {"type": "ARRAY"}}}, "s.properties.a.items", "missing_field"),
        ({"type": "OBJECT", "properties": {"a": {}}}, "s.properties.a.type", "missing_field"),
        ({**FILM, "required": ["year", "Title"]}, "s.required", "invalid_field"),
        ({**FILM, "propertyOrdering": ["x"]}, "s.propertyOrdering", "invalid_field"),
        ({**FILM, "$schema": "x"}, "s.$schema", "unknown_field"),
        ({"type": "OBJECT", "propertes": {}}, "s.propertes", "unknown_field"),
    ],
)
def test_a_wrong_schema_is_rejected_with_its_field(schema: Any, field: str, code: str) -> None:
    with pytest.raises(Rejected) as refusal:
        check_response_schema(schema, "s")
    assert (refusal.value.problem.field, refusal.value.problem.code) == (field, code)


def test_a_json_schema_is_rejected_with_where_it_belongs() -> None:
    with pytest.raises(Rejected, match=r"generation_config\.responseJsonSchema"):
        check_response_schema({**FILM, "oneOf": []}, "s")


def test_a_schema_without_end_is_rejected() -> None:
    schema: dict[str, Any] = {"type": "STRING"}
    for _ in range(500):
        schema = {"type": "ARRAY", "items": schema}
    with pytest.raises(Rejected, match="nested too deeply"):
        check_response_schema(schema, "s")


def test_a_schema_becomes_part_of_the_config() -> None:
    assert config_with_schema(None, None) is None
    assert config_with_schema({"seed": 1}, None) == {"seed": 1}
    added = {"responseMimeType": "application/json", "responseSchema": FILM}
    assert config_with_schema(None, FILM) == added
    assert config_with_schema({"seed": 1}, FILM) == {"seed": 1, **added}
    enum = {"type": "STRING", "enum": ["a"]}
    kept = config_with_schema({"response_mime_type": "text/x.enum"}, enum)
    assert kept == {"response_mime_type": "text/x.enum", "responseSchema": enum}


@pytest.mark.parametrize("config", [{"response_schema": FILM}, {"responseMimeType": "text/plain"}])
def test_a_schema_that_the_config_contradicts_is_rejected(config: dict[str, Any]) -> None:
    with pytest.raises(Rejected):
        config_with_schema(config, FILM)


def test_answers_that_are_values_of_an_enum_need_a_schema_with_one() -> None:
    with pytest.raises(Rejected, match="needs a response schema with an enum"):
        config_with_schema({"responseMimeType": "text/x.enum"}, {"type": "STRING"})
