"""Batch requests: what each field becomes, and what is refused with its field."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from shared.batches.addresses import Files, ObjectUri
from shared.batches.request import BatchRequest, Output, Prompts
from shared.checks.identifiers import DatasetName, TableName
from shared.errors import Rejected
from tests.example_requests import (
    BATCH_REQUEST,
    NOW,
    PROJECT,
    SETTINGS,
)

QUERY = "SELECT id, text AS prompt FROM `news.titles`"


def _parse(message: dict[str, Any], **settings: Any) -> BatchRequest:
    return BatchRequest.parse(message, replace(SETTINGS, **settings), NOW)


def _refusal(changes: dict[str, Any], **settings: Any) -> tuple[str | None, str]:
    with pytest.raises(Rejected) as refusal:
        _parse({**BATCH_REQUEST, **changes}, **settings)
    return refusal.value.problem.field, refusal.value.problem.code


def test_a_full_request_is_read() -> None:
    assert _parse(BATCH_REQUEST) == BatchRequest(
        model="publishers/google/models/gemini-3.8-flash",
        input=TableName("my-project", "my_dataset", "requests"),
        output=Output(TableName("my-project", "my_dataset", "responses")),
        request_id="posters-42",
        display_name="posters",
        labels=(("team", "films"),),
        location="global",
    )


def test_optional_fields_have_defaults() -> None:
    parsed = _parse({"model": "gemini-3.8-flash", "input": "bq://films.requests"})
    assert parsed.input == TableName(PROJECT, "films", "requests")
    assert (parsed.output, parsed.request_id, parsed.display_name, parsed.labels) == (None, None, "modeldrop", ())


@pytest.mark.parametrize(
    "model",
    [
        "publishers/google/models/gemini-2.5-pro",
        "projects/p-12/locations/us-central1/publishers/google/models/gemini-2.5-pro",
        "projects/123/locations/us-central1/models/456",
        "publishers/anthropic/models/claude@20260101",
    ],
)
def test_a_resource_name_is_kept(model: str) -> None:
    assert _parse({**BATCH_REQUEST, "model": model}).model == model


@pytest.mark.parametrize(
    "model",
    [
        "Gemini",
        "gemini 2.5",
        "models/x",
        "projects/p/models/x",
        "publishers/google/models/",
        "../x",
        "x" * 129,
        "x\n",
        "projects/../locations/us/models/7",
        "projects/a..b:project/locations/us/models/7",
        "publishers/google/models/..",
        "projects/p-12/locations/us/publishers/google/models/..",
        "projects/p-12/locations/../models/7",
    ],
)
def test_a_wrong_model_name_is_rejected(model: str) -> None:
    assert _refusal({"model": model}) == ("model", "invalid_field")


def test_prompts_are_read() -> None:
    value = {
        "prompts": {"query": QUERY},
        "system_instruction": "Be kind",
        "generation_config": {"topP": 1, "temperature": 0.5},
    }
    assert _parse({**BATCH_REQUEST, "input": value}).input == Prompts(
        QUERY, "Be kind", '{"temperature": 0.5, "topP": 1}'
    )
    assert _parse({**BATCH_REQUEST, "input": {"prompts": {"query": QUERY}}}).input == Prompts(QUERY, None, None)
    assert _parse({**BATCH_REQUEST, "input": {**value, "generation_config": {}}}).input == Prompts(
        QUERY, "Be kind", None
    )


@pytest.mark.parametrize(
    ("uri", "file"),
    [
        ("gs://bucket-1/a/b.jsonl", ObjectUri("bucket-1", "a/b.jsonl")),
        ("gs://bucket-1/é b.jsonl", ObjectUri("bucket-1", "é b.jsonl")),
    ],
)
def test_an_input_can_be_a_file(uri: str, file: ObjectUri) -> None:
    assert _parse({**BATCH_REQUEST, "input": uri}).input == Files((file,))
    assert str(file) == uri


@pytest.mark.parametrize(
    ("uri", "output"),
    [
        ("bq://my-project.films", DatasetName("my-project", "films")),
        ("bq://my-project.films.answers", TableName("my-project", "films", "answers")),
        ("bq://example.com:my-project.films", DatasetName("example.com:my-project", "films")),
        ("bq://example.com:my-project.films.answers", TableName("example.com:my-project", "films", "answers")),
        ("gs://bucket-1", ObjectUri("bucket-1", "")),
        ("gs://bucket-1/a/b/", ObjectUri("bucket-1", "a/b/")),
    ],
)
def test_an_output_can_be_a_table_a_dataset_or_a_folder(uri: str, output: object) -> None:
    assert _parse({**BATCH_REQUEST, "output": uri}).output == Output(output)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "field", "code"),
    [
        ({"input": None}, "input", "missing_field"),
        ({"input": ""}, "input", "invalid_field"),
        ({"input": []}, "input", "invalid_field"),
        ({"input": "https://bucket/x.jsonl"}, "input", "invalid_field"),
        ({"input": "bq://t"}, "input", "invalid_name"),
        ({"input": "bq://my-project.d.t`; DROP"}, "input", "invalid_name"),
        ({"input": "gs://bucket-1/"}, "input", "invalid_field"),
        ({"input": "gs://bucket-1/*/a.jsonl"}, "input", "invalid_field"),
        ({"input": "gs://bucket-1/*a*.jsonl"}, "input", "invalid_field"),
        ({"input": ["gs://bucket-1/a.jsonl", "bq://d.t"]}, "input[1]", "invalid_field"),
        ({"input": ["gs://bucket-1/a.jsonl", "gs://bucket-1/a.jsonl"]}, "input[1]", "invalid_field"),
        ({"input": ["gs://bucket-1/a.jsonl", 7]}, "input[1]", "invalid_field"),
        ({"input": ["gs://bucket-1/a.jsonl"] * 1001}, "input", "invalid_field"),
        ({"retries": 6}, "retries", "invalid_field"),
        ({"retries": -1}, "retries", "invalid_field"),
        ({"retries": "1"}, "retries", "invalid_field"),
        ({"input": "gs://bucket-1/a\n.jsonl"}, "input", "invalid_field"),
        ({"input": "gs://bucket-1//a.jsonl"}, "input", "invalid_field"),
        ({"input": "gs:///a.jsonl"}, "input", "invalid_name"),
        ({"input": "gs://bucket-1/../a.jsonl"}, "input", "invalid_field"),
        ({"input": "gs://bucket-1/a\0.jsonl"}, "input", "invalid_field"),
        ({"output": "gs://bucket-1/a/.."}, "output", "invalid_field"),
        ({"output": "gs://bucket-1/./a"}, "output", "invalid_field"),
        ({"input": "bq://../project.d.t"}, "input", "invalid_name"),
        ({"input": {}}, "input.prompts", "missing_field"),
        ({"input": {"prompts": {}}}, "input.prompts.query", "missing_field"),
        ({"input": {"prompts": {"query": "SELECT 1; SELECT 2"}}}, "input.prompts.query", "invalid_query"),
        (
            {"input": {"prompts": {"query": QUERY}, "system_instruction": ""}},
            "input.system_instruction",
            "invalid_field",
        ),
        (
            {"input": {"prompts": {"query": QUERY}, "response_schema": {}}},
            "input.response_schema.type",
            "missing_field",
        ),
        (
            {"input": {"prompts": {"query": QUERY}, "generation_config": {"max_tokens": 5}}},
            "input.generation_config.max_tokens",
            "unknown_field",
        ),
        (
            {"input": {"prompts": {"query": QUERY, "files": {"poster": "png"}}}},
            "input.prompts.files.poster",
            "invalid_field",
        ),
        ({"results": {"table": "films.titles"}}, "results.columns", "missing_field"),
        (
            {
                "results": {"table": "films.titles", "columns": {"a": "STRING $"}},
                "model": "gemini-embedding-2",
                "input": "gs://bucket-1/a.jsonl",
                "output": "gs://bucket-1/x",
            },
            "results",
            "invalid_field",
        ),
        (
            {"model": "gemini-embedding-001", "input": "gs://bucket-1/a.jsonl", "output": "gs://b-1/x", "retries": 2},
            "retries",
            "invalid_field",
        ),
        ({"model": "gemini-embedding-001", "input": "gs://bucket-1/a.jsonl"}, "output", "wrong_output"),
        ({"model": "gemini-embedding-001", "output": "gs://bucket-1/x"}, "input", "wrong_input"),
        ({"model": "text-embedding-005", "input": {"prompts": {"query": QUERY}}}, "input", "wrong_input"),
        ({"output": "bq://answers"}, "output", "invalid_field"),
        ({"output": "bq://a.b.c.d"}, "output", "invalid_field"),
        ({"output": "bq://My-Project.films"}, "output", "invalid_name"),
        ({"output": "gs://bucket-1/a?b"}, "output", "invalid_field"),
        ({"output": "gs://bucket-1/" + "x" * 1025}, "output", "invalid_field"),
        ({"output": "gs://local-project-modeldrop-models"}, "output", "invalid_field"),
        ({"output": "gs://local-project-modeldrop-state/x"}, "output", "invalid_field"),
        ({"request_id": "{week}"}, "request_id", "invalid_field"),
        ({"labels": {"modeldrop_key": "x"}}, "labels.modeldrop_key", "invalid_field"),
        ({"inptu": "x"}, "inptu", "unknown_field"),
    ],
)
def test_a_wrong_field_is_rejected_with_its_name(changes: dict[str, Any], field: str, code: str) -> None:
    assert _refusal(changes) == (field, code)


def test_an_output_outside_the_writable_datasets_is_rejected() -> None:
    assert _refusal({}, writable_datasets=("films",)) == ("output", "dataset_not_allowed")
    assert _refusal({"output": "bq://my-project.news"}, writable_datasets=("films",)) == (
        "output",
        "dataset_not_allowed",
    )
    assert _refusal({}, writable_datasets=("my_dataset",)) == ("output", "dataset_not_allowed")
    assert _parse(BATCH_REQUEST, writable_datasets=("my-project.my_dataset",)).output


def test_an_input_in_the_state_bucket_is_rejected() -> None:
    assert _refusal({"input": f"gs://{SETTINGS.state_bucket}/ledger/items/x.jsonl"}) == ("input", "invalid_field")


def test_settings_allow_external_queries_and_ai_functions_in_prompts() -> None:
    asks = {"input": {"prompts": {"query": "SELECT AI.GENERATE('x').result AS prompt"}}}
    assert _refusal(asks) == ("input.prompts.query", "invalid_query")
    assert _parse({**BATCH_REQUEST, **asks}, allow_ai_functions=True).input


@pytest.mark.parametrize(
    ("place", "meant"),
    [("films.posters", "bq://films.posters"), ("bucket/posters.jsonl", "gs://bucket/posters.jsonl"), ("posters", None)],
)
def test_a_place_without_its_beginning_is_rejected_with_what_was_meant(place: str, meant: str | None) -> None:
    with pytest.raises(Rejected) as refusal:
        BatchRequest.parse({**BATCH_REQUEST, "input": place}, SETTINGS, NOW)
    message = refusal.value.problem.message
    assert message.endswith(f"; write {meant}") if meant else "write" not in message


TUNED = "projects/123/locations/us-central1/models/456"


@pytest.mark.parametrize(
    ("changes", "location"),
    [
        ({}, "global"),
        ({"location": "eu"}, "eu"),
        ({"location": "us-central1"}, "us-central1"),
        ({"model": TUNED}, "us-central1"),
        ({"model": TUNED, "location": "us-central1"}, "us-central1"),
    ],
)
def test_a_batch_runs_where_the_request_or_its_model_says(changes: dict[str, Any], location: str) -> None:
    assert _parse({**BATCH_REQUEST, **changes}).location == location


@pytest.mark.parametrize("changes", [{"location": "moon"}, {"location": 7}, {"model": TUNED, "location": "global"}])
def test_a_location_that_cannot_be_right_is_refused(changes: dict[str, Any]) -> None:
    assert _refusal(changes) == ("location", "invalid_field")


TABLE = TableName("my-project", "my_dataset", "responses")


@pytest.mark.parametrize(
    ("given", "output"),
    [
        ({"table": "bq://my-project.my_dataset.responses"}, Output(TABLE)),
        ({"table": "my-project.my_dataset.responses", "write": "append"}, Output(TABLE, "append")),
        ({"table": "my_dataset.responses", "write": "truncate"}, Output(replace(TABLE, project=PROJECT), "truncate")),
        ({"table": "bq://my-project.my_dataset"}, Output(DatasetName("my-project", "my_dataset"))),
        ({"table": str(TABLE), "write": "merge", "key": ["id"]}, Output(TABLE, "merge", ("id",))),
        ({"uri": "gs://bucket-1/answers"}, Output(ObjectUri("bucket-1", "answers"))),
    ],
)
def test_an_output_says_what_happens_to_the_rows_that_are_there(given: dict[str, Any], output: Output) -> None:
    assert _parse({**BATCH_REQUEST, "output": given}).output == output


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({}, "output"),
        ({"table": "d.t", "uri": "gs://bucket-1/x"}, "output"),
        ({"table": "gs://bucket-1/x"}, "output.table"),
        ({"table": "t"}, "output.table"),
        ({"table": "d.t", "write": "replace"}, "output.write"),
        ({"table": "d.t", "write": "merge"}, "output.key"),
        ({"table": "d.t", "write": "append", "key": ["id"]}, "output.key"),
        ({"table": "d.t", "write": "merge", "key": ["1"]}, "output.key[0]"),
        ({"table": "d.t$20261126", "write": "merge", "key": ["id"]}, "output.table"),
        ({"uri": "gs://bucket-1/x", "write": "append"}, "output.write"),
        ({"uri": "bq://p.d.t"}, "output.uri"),
    ],
)
def test_an_output_that_cannot_be_written_is_refused_with_its_field(given: dict[str, Any], field: str) -> None:
    assert _refusal({"output": given})[0] == field


def test_an_input_can_be_several_files_or_all_with_a_prefix() -> None:
    uris = ["gs://bucket-1/a.jsonl", "gs://bucket-1/b/", "gs://bucket-2/c/part-*.jsonl", "gs://bucket-2/*"]
    parsed = _parse({**BATCH_REQUEST, "input": uris}).input
    assert isinstance(parsed, Files)
    assert [str(uri) for uri in parsed.uris] == uris
    assert [uri.is_pattern for uri in parsed.uris] == [False, True, True, True]


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("a.jsonl", "a.jsonl", True),
        ("a.jsonl", "a.jsonl.gz", False),
        ("in/", "in/x/a.jsonl", True),
        ("in/*", "in/x/a.jsonl", True),
        ("in/*.jsonl", "in/a.jsonl", True),
        ("in/*.jsonl", "in/x/a.jsonl", False),
        ("in/*.jsonl", "in/a.csv", False),
        ("in/a*b.jsonl", "in/ab.jsonl", True),
    ],
)
def test_a_pattern_matches_files(pattern: str, name: str, matches: bool) -> None:
    assert ObjectUri("bucket-1", pattern).matches(name) is matches


def test_a_response_schema_becomes_part_of_the_generation_config() -> None:
    schema = {"type": "OBJECT", "properties": {"title": {"type": "STRING"}}}
    value = {"prompts": {"query": QUERY}, "generation_config": {"temperature": 0}, "response_schema": schema}
    parsed = _parse({**BATCH_REQUEST, "input": value}).input
    assert isinstance(parsed, Prompts) and parsed.generation_config is not None
    expected = {"temperature": 0, "responseMimeType": "application/json", "responseSchema": schema}
    assert json.loads(parsed.generation_config) == expected
    own = {"responseSchema": schema, "responseMimeType": "application/json"}
    twice = {**value, "generation_config": own}
    assert _refusal({"input": twice}) == ("input.response_schema", "invalid_field")


def test_rows_are_sent_again_once_unless_the_request_says_otherwise() -> None:
    assert _parse(BATCH_REQUEST).retries == 1
    assert _parse({**BATCH_REQUEST, "retries": 0}).retries == 0


def test_rows_of_gemini_embedding_models_are_not_sent_again() -> None:
    files = {**BATCH_REQUEST, "input": "gs://bucket-1/a.jsonl", "output": "gs://bucket-1/x"}
    models = ("gemini-embedding-001", "text-embedding-005", "gemini-3.8-flash")
    assert [_parse({**files, "model": model}).retries for model in models] == [0, 1, 1]
    assert _parse({**files, "model": models[0], "retries": 0}).retries == 0
