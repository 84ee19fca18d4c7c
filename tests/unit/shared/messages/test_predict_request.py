"""Predict messages: what each field becomes, and what is refused with its field."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.checks.identifiers import ModelName, TableName
from shared.errors import Rejected
from shared.messages.predict_request import (
    PredictRequest,
    TableInput,
)
from shared.predictions import statements
from tests.example_requests import (
    NOW,
    PREDICT_MESSAGE,
    PROJECT,
    SETTINGS,
    without,
)

SMALLEST = {"model": "d.m", "input": {"table": "d.t"}, "output": {"table": "d.out"}}


def _parse(message: dict[str, Any], **settings: Any) -> PredictRequest:
    return PredictRequest.parse(message, replace(SETTINGS, **settings), NOW)


def _refusal(message: dict[str, Any], **settings: Any) -> tuple[str | None, str]:
    with pytest.raises(Rejected) as refusal:
        _parse(message, **settings)
    return refusal.value.problem.field, refusal.value.problem.code


def test_a_full_message_is_read() -> None:
    assert _parse(PREDICT_MESSAGE) == PredictRequest(
        model=ModelName(PROJECT, "bqml_tutorial", "imported_tf_model"),
        query=PREDICT_MESSAGE["input"]["query"],
        table=None,
        output=TableName(PROJECT, "bqml_tutorial", "predictions"),
        write="truncate",
        key=(),
        request_id="nightly-2026-11-20",
        maximum_bytes_billed=100000000000,
        priority="batch",
        labels=(("team", "news"),),
        parameters=(("min_score", 10),),
        function="ML.PREDICT",
        options=(),
        maximum_rows=None,
    )


def test_optional_fields_have_bigquerys_defaults() -> None:
    assert _parse(SMALLEST) == PredictRequest(
        model=ModelName(PROJECT, "d", "m"),
        query=None,
        table=TableInput(TableName(PROJECT, "d", "t"), (), None),
        output=TableName(PROJECT, "d", "out"),
        write="empty",
        key=(),
        request_id=None,
        maximum_bytes_billed=None,
        priority="interactive",
        labels=(),
        parameters=(),
        function="ML.PREDICT",
        options=(),
        maximum_rows=None,
    )


def test_an_input_can_be_a_table_with_columns_and_a_condition() -> None:
    table = {"table": "p-12.news.titles", "columns": {"input": "title", "n": "score"}, "where": "score > @min_score"}
    assert _parse({**SMALLEST, "input": table}).table == TableInput(
        TableName("p-12", "news", "titles"), (("input", "title"), ("n", "score")), "score > @min_score"
    )


def test_null_is_the_same_as_a_missing_field() -> None:
    nulls = dict.fromkeys(PREDICT_MESSAGE, None) | {"function": None, "options": None, "max_rows": None}
    assert _parse({**nulls, **SMALLEST}) == _parse(SMALLEST)


def test_a_date_in_the_request_id_is_filled_in() -> None:
    days = [datetime(2026, 11, day, 0, 0, tzinfo=UTC) for day in (20, 21)]
    ids = {PredictRequest.parse(PREDICT_MESSAGE, SETTINGS, day).request_id for day in days}
    assert ids == {"nightly-2026-11-20", "nightly-2026-11-21"}


def test_the_input_of_a_language_model_has_a_row_limit() -> None:
    request = {**SMALLEST, "function": "AI.GENERATE_TEXT", "options": {"temperature": 0.2, "max_output_tokens": 100}}
    parsed = _parse(request)
    assert parsed.maximum_rows == 10_000
    assert parsed.options == (("max_output_tokens", 100), ("temperature", 0.2))
    assert _parse({**request, "max_rows": 7}).maximum_rows == 7
    assert _parse({**SMALLEST, "max_rows": 7}).maximum_rows == 7


def test_a_parameter_can_have_every_type() -> None:
    given = {"text": "x", "whole": 1, "real": 1.5, "yes": True, "texts": ["a", "b"], "wholes": [1, 2]}
    assert dict(_parse({**SMALLEST, "parameters": given}).parameters) == given


def test_merge_needs_key_columns() -> None:
    output = {"table": "d.out", "write": "merge", "key": ["id", "day"]}
    assert _parse({**SMALLEST, "output": output}).key == ("id", "day")


@pytest.mark.parametrize("missing", ["model", "input", "output"])
def test_a_missing_required_field_is_rejected(missing: str) -> None:
    assert _refusal(without(PREDICT_MESSAGE, missing)) == (missing, "missing_field")


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("SELECT 1; DROP TABLE d.t", "invalid_query"),
        ("SELECT 1) UNION ALL (SELECT 2", "invalid_query"),
        ("DELETE FROM d.t WHERE TRUE", "invalid_query"),
        ("SELECT * FROM EXTERNAL_QUERY('c', 'q')", "invalid_query"),
        ("SELECT AI.GENERATE('x') AS input", "invalid_query"),
        ("x" * 1_000_001, "invalid_field"),
    ],
)
def test_a_query_that_is_not_one_select_is_rejected(query: str, code: str) -> None:
    assert _refusal({**SMALLEST, "input": {"query": query}}) == ("input.query", code)


def test_settings_allow_external_queries_and_ai_functions() -> None:
    external = {**SMALLEST, "input": {"query": "SELECT * FROM EXTERNAL_QUERY('c', 'q')"}}
    model = {**SMALLEST, "input": {"table": "d.t", "where": "AI.IF(title)"}}
    assert _parse(external, allow_external_query=True).query
    assert _parse(model, allow_ai_functions=True).table
    assert _refusal(model) == ("input.where", "invalid_query")


def test_an_output_outside_the_writable_datasets_is_rejected() -> None:
    assert _parse(SMALLEST, writable_datasets=("d",)).output.dataset == "d"
    assert _refusal(SMALLEST, writable_datasets=("films",)) == ("output.table", "dataset_not_allowed")


def test_a_catalog_is_readable_only_without_readable_datasets() -> None:
    for query in (
        "SELECT schema_name AS x FROM INFORMATION_SCHEMA.SCHEMATA",
        "SELECT 1 AS x FROM `p.region-us.information_schema.T`",
    ):
        message = {**SMALLEST, "input": {"query": query}}
        assert _parse(message).query == query
        assert _refusal(message, readable_datasets=("d",)) == ("input.query", "invalid_query")


@pytest.mark.parametrize("index", range(3))
def test_the_first_wrong_field_is_named(index: int) -> None:
    wrong = [("model", "no name"), ("input", {"table": "no name"}), ("output", {"table": "no name"})]
    message = {**SMALLEST, **dict(wrong[index:])}
    assert _refusal(message)[0] == ["model", "input.table", "output.table"][index]


@pytest.mark.parametrize(
    ("columns", "select"),
    [
        (None, "SELECT *\n"),
        ({"keep": ["b", "a"]}, "SELECT `b`, `a`\n"),
        ({"drop": ["pixels", "größe"], "keep": None}, "SELECT * EXCEPT (`pixels`, `größe`)\n"),
        ({"drop": ["a`b"]}, "SELECT * EXCEPT (`a\\`b`)\n"),
    ],
)
def test_the_statement_selects_the_chosen_columns(columns: Any, select: str) -> None:
    assert statements.predict(_parse({**SMALLEST, "columns": columns})).startswith(f"{select}FROM ML.PREDICT(")


@pytest.mark.parametrize(
    ("columns", "field", "code"),
    [
        ({}, "columns", "missing_field"),
        ({"keep": []}, "columns", "missing_field"),
        ({"keep": ["a"], "drop": ["b"]}, "columns", "missing_field"),
        ({"keep": ["a", "A"]}, "columns.keep[1]", "invalid_field"),
        ({"drop": [" "]}, "columns.drop[0]", "invalid_field"),
        ({"drop": ["a" * 301]}, "columns.drop[0]", "invalid_field"),
        ({"keep": "a"}, "columns.keep", "invalid_field"),
        ({"keep": [1]}, "columns.keep[0]", "invalid_field"),
        (["a"], "columns", "invalid_field"),
        ({"kepe": ["a"]}, "columns.kepe", "unknown_field"),
    ],
)
def test_wrong_columns_are_rejected_with_their_field(columns: Any, field: str, code: str) -> None:
    assert _refusal({**SMALLEST, "columns": columns}) == (field, code)
