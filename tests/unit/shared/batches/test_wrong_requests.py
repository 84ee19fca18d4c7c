"""Wrong batch requests of many kinds: each is refused at once, with the path of the field."""

from __future__ import annotations

from typing import Any

import pytest

from shared.batches.request import BatchRequest
from shared.errors import Rejected
from tests.example_requests import BATCH_REQUEST, NOW, SETTINGS

TABLE = "bq://my-project.my_dataset.answers"
SCHEMA = {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}}


def _prompts(**more: Any) -> dict[str, Any]:
    return {"input": {"prompts": {"query": "SELECT 'x' AS prompt"}, **more}}


def _config(**config: Any) -> dict[str, Any]:
    return _prompts(generation_config=config)


def _schema(**schema: Any) -> dict[str, Any]:
    return _prompts(response_schema={**SCHEMA, **schema})


def _files(**files: Any) -> dict[str, Any]:
    return {"input": {"prompts": {"query": "SELECT 'x' AS prompt", "files": files}}}


def _results(**more: Any) -> dict[str, Any]:
    return {"results": {"table": "my_dataset.films", "columns": {"a": "STRING $.a"}, **more}}


CASES: list[tuple[dict[str, Any], str]] = [
    ({"model": ["gemini-3.8-flash"]}, "model"),
    ({"model": "gemini-3.8-flash "}, "model"),
    ({"location": "US"}, "location"),
    ({"location": "us-central1-a"}, "location"),
    ({"input": []}, "input"),
    ({"input": [""]}, "input[0]"),
    ({"input": {}}, "input.prompts"),
    ({"input": "bq://"}, "input"),
    ({"input": "gs://"}, "input"),
    ({"input": "s3://bucket-1/a.jsonl"}, "input"),
    ({"input": "bq://my-project.my_dataset.t*"}, "input"),
    ({"input": "bq://my-project.my_dataset.t$20261126"}, "input"),
    ({"input": ["gs://bucket-1/a.jsonl", "bq://a.b.c"]}, "input[1]"),
    ({"input": {"prompts": "SELECT 1"}}, "input.prompts"),
    ({"input": {"prompts": {"query": "SELECT 'x' AS prompt"}, "table": "films.requests"}}, "input.table"),
    (_files(poster="image/bmp"), "input.prompts.files.poster"),
    (_files(poster={"mime": "x"}), "input.prompts.files.poster.mime"),
    (_files(poster=5), "input.prompts.files.poster"),
    (_prompts(system_instruction={"parts": []}), "input.system_instruction"),
    (_prompts(system_instruction=" "), "input.system_instruction"),
    (_prompts(generation_config=[]), "input.generation_config"),
    (_prompts(response_schema="OBJECT"), "input.response_schema"),
    (_config(temperature=-1), "input.generation_config.temperature"),
    (_config(temperature=float("inf")), "input.generation_config.temperature"),
    (_config(topK=0.5), "input.generation_config.topK"),
    (_config(maxOutputTokens=-5), "input.generation_config.maxOutputTokens"),
    (_config(stopSequences=[None]), "input.generation_config.stopSequences[0]"),
    (_config(responseMimeType="APPLICATION/JSON"), "input.generation_config.responseMimeType"),
    (_config(responseModalities=["SMELL"]), "input.generation_config.responseModalities[0]"),
    (_config(thinkingConfig={"thinking_budget": "-2"}), "input.generation_config.thinkingConfig.thinking_budget"),
    (_config(speechConfig={"voiceConfig": {}, "multiSpeakerVoiceConfig": {}}), "input.generation_config.speechConfig"),
    (_config(generationConfig={}), "input.generation_config.generationConfig"),
    (_config(safetySettings=[]), "input.generation_config.safetySettings"),
    (_schema(properties={"a": None}), "input.response_schema.properties.a"),
    (_schema(properties=[]), "input.response_schema.properties"),
    (_schema(properties={"": SCHEMA}), "input.response_schema.properties"),
    (_schema(type="ARRAY", items=[]), "input.response_schema.items"),
    (_schema(enum=["a", None]), "input.response_schema.enum[1]"),
    (_schema(nullable="yes"), "input.response_schema.nullable"),
    (_schema(required=["b"]), "input.response_schema.required"),
    (_schema(required=[None]), "input.response_schema.required[0]"),
    (_schema(minimum=5, maximum=1), "input.response_schema"),
    (_schema(ref=5), "input.response_schema.ref"),
    (_schema(type=True), "input.response_schema.type"),
    (_schema(type=2.5), "input.response_schema.type"),
    ({"output": {}}, "output"),
    ({"output": "bq://my-project"}, "output"),
    ({"output": {"table": "answers"}}, "output.table"),
    ({"output": {"table": "bq://my-project.my_dataset.t*"}}, "output.table"),
    ({"output": {"table": TABLE, "write": "overwrite"}}, "output.write"),
    ({"output": {"table": TABLE, "write": "merge", "key": []}}, "output.key"),
    ({"output": {"table": TABLE, "write": "merge", "key": "id"}}, "output.key"),
    ({"output": {"table": TABLE, "key": ["id"]}}, "output.key"),
    ({"output": {"uri": "gs://bucket-1/x", "write": "append"}}, "output.write"),
    (_results(table=""), "results.table"),
    (_results(columns={"a": "STRING"}), "results.columns.a"),
    (_results(columns={"status": "STRING $.a"}), "results.columns.status"),
    (_results(write="append"), "results.write"),
    ({"retries": True}, "retries"),
    ({"dry_run": "true"}, "dry_run"),
    ({"request_id": "x" * 5000}, "request_id"),
    ({"labels": {"modeldrop_key": "x"}}, "labels.modeldrop_key"),
    ({"write": "append"}, "write"),
]


@pytest.mark.parametrize(("changes", "field"), CASES)
def test_a_wrong_request_is_refused_with_its_field(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(Rejected) as caught:
        BatchRequest.parse({**BATCH_REQUEST, **changes}, SETTINGS, NOW)
    assert caught.value.problem.field == field
    assert len(caught.value.problem.message) > len(field)


@pytest.mark.parametrize(
    ("changes", "right"),
    [
        ({"input": None, "src": "bq://films.requests"}, "src is given: did you mean input?"),
        ({"input": None, "inputConfig": {}}, "inputConfig is given: did you mean input?"),
        ({"output": None, "dest": "bq://films.answers"}, "did you mean output?"),
        ({"input": {"bigquerySource": {}}}, "a table or file is a string"),
        ({"input": [{"contents": "Hello"}]}, "write requests into a table or a file"),
        ({"input": ["bq://films.requests"]}, "write one table, as a string"),
        ({"output": "bq://my-project:films.answers"}, "write my-project.films.answers"),
        ({"output": "projects/my-project/datasets/films/tables/answers"}, "write bq://my-project.films.answers"),
        ({"output": "//bigquery.googleapis.com/projects/my-project/datasets/films"}, "write bq://my-project.films"),
        ({"input": "[my-project:films.requests]"}, "write bq://my-project.films.requests"),
        ({"input": "https://storage.cloud.google.com/bucket-1/a.jsonl"}, "write gs://bucket-1/a.jsonl"),
        ({"system_instruction": "Be kind"}, "belongs in input"),
        ({"input": {"table": "films.requests"}}, 'write the table or file as a string: "input": "bq://films.requests"'),
        ({"input": {"uri": "gs://bucket-1/a.jsonl"}}, '"input": "gs://bucket-1/a.jsonl"'),
        ({"input": {"query": "SELECT 'x' AS prompt"}}, "the query belongs in prompts"),
        ({"output": {"uri": TABLE}}, "write it as output.table"),
        ({"output": {"uri": "bucket-1/folder"}}, "it must begin with gs://; write gs://bucket-1/folder"),
        (
            {"output": {"table": "answers"}},
            "must be bq://project.dataset.table, or bq://project.dataset for a new table",
        ),
    ],
)
def test_a_refusal_says_what_to_write(changes: dict[str, Any], right: str) -> None:
    with pytest.raises(Rejected) as caught:
        BatchRequest.parse({**BATCH_REQUEST, **changes}, SETTINGS, NOW)
    assert right in caught.value.problem.message
