"""Typed results: the columns that a request names, and those that follow from a response schema."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from shared.batches.typed.results import ResultColumn, Results, check_names, columns_of_schema, read_results
from shared.checks.fields import Fields
from shared.checks.identifiers import TableName
from shared.errors import Rejected
from tests.example_requests import PROJECT, SETTINGS

SCHEMA = {"type": "OBJECT", "properties": {"title": {"type": "STRING"}}}


def _read(results: Any, schema: dict[str, Any] | None = None, **settings: Any) -> Results | None:
    return read_results(Fields({"results": results}), schema, replace(SETTINGS, **settings))


def _column(text: str) -> ResultColumn:
    results = _read({"table": "films.titles", "columns": {"a": text}})
    assert results is not None
    return results.columns[0]


def test_results_are_read() -> None:
    columns = {"title": "STRING $.title", "year": "INT64 $.year"}
    assert _read({"table": "bq://my-project.films.titles", "columns": columns, "write": "truncate"}) == Results(
        TableName("my-project", "films", "titles"),
        (ResultColumn("title", "STRING", "$.title"), ResultColumn("year", "INT64", "$.year")),
        "truncate",
    )
    assert _read(None) is None


@pytest.mark.parametrize(
    ("text", "kind", "path"),
    [
        ("STRING $", "STRING", "$"),
        ("integer $.a", "INT64", "$.a"),
        ("Array<float> $.a", "ARRAY<FLOAT64>", "$.a"),
        ("JSON   $.a.b[10].c ", "JSON", "$.a.b[10].c"),
        ('BOOL $."two words"."plain"', "BOOL", '$."two words".plain'),
        ('DATE $."ü"', "DATE", '$."ü"'),
    ],
)
def test_a_column_has_a_type_and_a_path(text: str, kind: str, path: str) -> None:
    assert _column(text) == ResultColumn("a", kind, path)


@pytest.mark.parametrize(
    "text",
    [
        "STRING",
        "$.a",
        "STRING a",
        "VARCHAR $.a",
        "ARRAY<JSON> $.a",
        "ARRAY<ARRAY<STRING>> $.a",
        "STRUCT<a STRING> $.a",
        "STRING $a",
        "STRING $.",
        "STRING $.a b",
        "STRING $.a[-1]",
        "STRING $.a[*]",
        "STRING $..a",
        "STRING $.a') --",
        'STRING $."a\\"',
        "STRING $.ü",
    ],
)
def test_a_wrong_type_or_path_is_rejected(text: str) -> None:
    with pytest.raises(Rejected) as refusal:
        _column(text)
    assert refusal.value.problem.field == "results.columns.a"


@pytest.mark.parametrize(
    ("results", "field"),
    [
        ("films.titles", "results"),
        ({"columns": {"a": "STRING $.a"}}, "results.table"),
        ({"table": "films", "columns": {"a": "STRING $.a"}}, "results.table"),
        ({"table": "films.titles"}, "results.columns"),
        ({"table": "films.titles", "columns": {"a": 1}}, "results.columns.a"),
        ({"table": "films.titles", "columns": {"a b": "STRING $.a"}}, "results.columns.a b"),
        ({"table": "films.titles", "columns": {"Status": "STRING $.a"}}, "results.columns.Status"),
        ({"table": "films.titles", "columns": {"_partitiontime": "STRING $.a"}}, "results.columns._partitiontime"),
        ({"table": "films.titles", "columns": {"a": "STRING $"}, "write": "merge"}, "results.write"),
        ({"table": "films.titles", "columns": {"a": "STRING $"}, "colums": {}}, "results.colums"),
        ({"table": "films.titles", "columns": {f"a{n}": "STRING $" for n in range(501)}}, "results.columns"),
    ],
)
def test_a_wrong_field_is_rejected_with_its_name(results: Any, field: str) -> None:
    with pytest.raises(Rejected) as refusal:
        _read(results)
    assert refusal.value.problem.field == field


def test_a_misspelt_type_is_rejected_with_what_was_meant() -> None:
    with pytest.raises(Rejected, match="did you mean TIMESTAMP"):
        _column("TIMESTMP $.a")


def test_a_table_outside_the_writable_datasets_is_rejected() -> None:
    with pytest.raises(Rejected):
        _read({"table": "films.titles", "columns": {"a": "STRING $"}}, writable_datasets=("news",))


def test_columns_follow_from_the_response_schema_unless_they_are_given() -> None:
    expected = Results(TableName(PROJECT, "films", "titles"), (ResultColumn("title", "STRING", "$.title"),))
    assert _read({"table": "films.titles"}, SCHEMA) == expected
    given = _read({"table": "films.titles", "columns": {"a": "JSON $"}}, SCHEMA)
    assert given is not None
    assert given.columns == (ResultColumn("a", "JSON", "$"),)


def test_each_property_of_a_schema_is_a_column() -> None:
    properties: dict[str, Any] = {
        "kind": {"type": "STRING", "enum": ["a", "b"]},
        "year": {"type": "INTEGER"},
        "score": {"type": ["number", "null"]},
        "is good": {"type": "boolean"},
        "is-good": {"type": "BOOLEAN"},
        "tags": {"type": "ARRAY", "items": {"type": "STRING"}},
        "cast": {"type": "ARRAY", "items": {"type": "OBJECT", "properties": {"name": {"type": "STRING"}}}},
        "more": {"type": "OBJECT", "properties": {}},
        "either": {"anyOf": [{"type": "STRING"}, {"type": "INTEGER"}]},
        "status": {"type": "STRING"},
        "1st": {"type": "STRING"},
        "_table_x": {"type": "STRING"},
        'with "quotes"': {"type": "STRING"},
    }
    schema = {"type": "object", "properties": properties, "required": ["year"], "propertyOrdering": ["year", "kind"]}
    assert [(column.name, column.type, column.path) for column in columns_of_schema(schema)] == [
        ("year", "INT64", "$.year"),
        ("kind", "STRING", "$.kind"),
        ("score", "FLOAT64", "$.score"),
        ("is_good", "BOOL", '$."is good"'),
        ("is_good_", "BOOL", '$."is-good"'),
        ("tags", "ARRAY<STRING>", "$.tags"),
        ("cast", "JSON", "$.cast"),
        ("more", "JSON", "$.more"),
        ("either", "JSON", "$.either"),
        ("status_", "STRING", "$.status"),
        ("_1st", "STRING", '$."1st"'),
        ("column_table_x", "STRING", "$._table_x"),
    ]
    assert [column.required for column in columns_of_schema(schema)] == [True] + [False] * 11


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        ({"type": "STRING", "enum": ["a"]}, "STRING"),
        ({"type": "ARRAY", "items": {"type": "INTEGER"}}, "ARRAY<INT64>"),
        ({"type": "ARRAY", "items": {"type": "OBJECT"}}, "JSON"),
        ({"type": "OBJECT"}, "JSON"),
        ({"anyOf": []}, "JSON"),
    ],
)
def test_another_schema_is_one_column(schema: dict[str, Any], kind: str) -> None:
    assert columns_of_schema(schema) == (ResultColumn("answer", kind, "$", required=True),)


def test_a_column_with_the_name_of_another_one_is_rejected() -> None:
    results = _read({"table": "films.titles", "columns": {"a": "STRING $.a", "B": "STRING $.b"}})
    assert results is not None
    check_names(results, ["id", "request"])
    with pytest.raises(Rejected, match="the input has a column of this name"):
        check_names(results, ["id", "b"])
    with pytest.raises(Rejected, match="another column of the results"):
        check_names(replace(results, columns=(*results.columns, ResultColumn("A", "STRING", "$"))), [])


def test_a_single_name_may_stand_in_place_of_a_list() -> None:
    properties = {"ab": {"type": "STRING"}, "a": {"type": "STRING"}}
    schema = {"type": "OBJECT", "properties": properties, "required": "ab", "propertyOrdering": "a"}
    assert [(column.name, column.required) for column in columns_of_schema(schema)] == [("a", False), ("ab", True)]
