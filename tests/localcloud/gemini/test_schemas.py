"""Response schemas, and values that conform to them."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from localcloud.gemini.schemas import conforming_value, json_schema


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "OBJECT", "properties": {"a": {"type": "INTEGER"}, "b": {"type": "NUMBER", "nullable": True}}},
        {"type": "INTEGER", "minimum": 10, "maximum": 12},
        {"type": "NUMBER", "maximum": -5},
        {"type": "NUMBER", "minimum": 0.25, "maximum": 0.75},
        {"type": "ARRAY", "items": {"type": "BOOLEAN"}, "minItems": "3", "maxItems": "4"},
        {"type": "ARRAY", "items": {"type": "STRING"}, "maxItems": "0"},
        {"type": "STRING", "enum": ["x", "y"]},
        {"type": "STRING", "minLength": "20"},
        {"type": "STRING", "max_length": "2"},
        {"type": 6, "properties": {"when": {"type": 1, "format": "date-time"}}, "required": ["when"]},
        {"anyOf": [{"type": "INTEGER"}, {"type": "STRING"}]},
        {"type": "OBJECT", "properties": {"a": {"anyOf": {"type": "STRING", "enum": "x"}}}, "required": "a"},
    ],
)
@pytest.mark.parametrize("text", ["a poster", "another poster"])
def test_a_value_conforms_to_its_schema(schema: dict[str, Any], text: str) -> None:
    as_json = json_schema(schema)
    jsonschema.validate(conforming_value(as_json, text), as_json)
    assert conforming_value(as_json, text) == conforming_value(as_json, text)


def test_properties_have_the_order_of_property_ordering() -> None:
    schema = {
        "type": "OBJECT",
        "properties": {"a": {"type": "STRING"}, "b": {"type": "STRING"}, "c": {"type": "STRING"}},
        "propertyOrdering": ["c", "a"],
    }
    assert list(conforming_value(json_schema(schema), "x")) == ["c", "a", "b"]


def test_a_recursive_schema_gives_a_finite_value() -> None:
    schema = {
        "$defs": {
            "Node": {
                "type": "object",
                "properties": {"name": {"type": "string"}, "children": {"$ref": "#/$defs/Children"}},
                "required": ["name"],
            },
            "Children": {"type": "array", "items": {"$ref": "#/$defs/Node"}},
        },
        "$ref": "#/$defs/Node",
    }
    jsonschema.validate(conforming_value(schema, "x"), schema)
