"""The JSON Schemas match the code: the input of the parsers, and every event that can be built."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from shared.batch_work import BATCH_ACTIONS, BatchFacts
from shared.batches import batching
from shared.batches import request as batch_request
from shared.batches.actions import BatchAction
from shared.batches.batching import Batches
from shared.batches.request import BatchRequest
from shared.checks.identifiers import ModelName
from shared.cloud.batch_jobs import BatchReport
from shared.cloud.query_jobs import Report
from shared.cloud.states import Progress
from shared.drops import watches
from shared.drops.drop import (
    Drop,
    DropFile,
    DropPath,
    Ready,
)
from shared.drops.imports import planning
from shared.drops.imports.importing import Imports
from shared.drops.manifest import read_manifest
from shared.engine.running.steps import settle_batch, settle_query, submit
from shared.errors import Problem, Rejected
from shared.events.incoming import Message
from shared.events.outgoing import (
    BATCH_DELETED,
    EVENT_TYPES,
    IGNORED,
    OTHER_TYPES,
    REJECTED,
    STUCK,
    BadObject,
    Event,
    IgnoredObject,
    RefusedRequest,
    bad_object_event,
    completion_event,
    deleted_event,
    ignored_event,
    rejection_event,
    stuck_event,
)
from shared.events.payloads import json_object
from shared.messages.predict_request import (
    FUNCTIONS,
    PRIORITIES,
    WRITES,
    PredictRequest,
)
from shared.models.request import ACTIONS, ManageRequest
from shared.predictions import predicting
from shared.predictions.predicting import Predictions
from shared.work import Item, Job, Kind, Outcome, Step, StepState, System
from shared.work_facts import (
    CheckResult,
    Deployment,
    DropFacts,
    FoundFile,
    ImportFacts,
    ImportRequest,
    ManageFacts,
    ManageMessage,
    ModelColumn,
    ModelSignature,
    ModelVersion,
    PredictionFacts,
    Rollback,
)
from tests.contract.schemas import FOLDER, faults, schema
from tests.example_requests import (
    BATCH_REQUEST,
    MANAGE_MESSAGE,
    NOW,
    PREDICT_MESSAGE,
    PROJECT,
    SETTINGS,
    services_at,
    without,
)

MESSAGES = ("predict_message.json", "batch_request.json", "batch_action.json", "manage_message.json", "manifest.json")
PARTS = ("event_data.json", "message_fields.json")

Parser = Callable[[Mapping[str, Any]], object]
PARSERS: dict[str, Parser] = {
    "predict_message.json": lambda value: PredictRequest.parse(value, SETTINGS, NOW),
    "batch_request.json": lambda value: BatchRequest.parse(value, SETTINGS, NOW),
    "batch_action.json": lambda value: BatchAction.parse(value, NOW),
    "manage_message.json": lambda value: ManageRequest.parse(value, SETTINGS, NOW),
    "manifest.json": lambda value: read_manifest(json.dumps(value).encode(), PROJECT),
}


# --- the files ---------------------------------------------------------------------------------------------------------


def test_every_event_type_has_a_schema_and_every_schema_an_event_type_or_message() -> None:
    types = {*EVENT_TYPES.values(), *OTHER_TYPES}
    assert {path.name for path in FOLDER.iterdir()} == {f"{each}.json" for each in types} | {*MESSAGES, *PARTS}


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.glob("*.json")))
def test_each_schema_is_valid_and_describes_every_property(name: str) -> None:
    body = schema(name)
    Draft202012Validator.check_schema(body)
    assert body["$schema"] == Draft202012Validator.META_SCHEMA["$id"]
    assert body["title"] and body["description"]
    assert list(_undescribed(body)) == []


@pytest.mark.parametrize("event_type", sorted({*EVENT_TYPES.values(), *OTHER_TYPES}))
def test_an_events_schema_is_titled_with_its_type(event_type: str) -> None:
    assert schema(f"{event_type}.json")["title"] == event_type


def _undescribed(body: Any, path: str = "") -> Iterator[str]:
    if isinstance(body, list):
        for index, each in enumerate(body):
            yield from _undescribed(each, f"{path}[{index}]")
    if isinstance(body, dict):
        # A condition names properties that are described elsewhere.
        for name, each in {} if path.endswith((".if", ".then", ".else")) else body.get("properties", {}).items():
            if not each.get("description"):
                yield f"{path}.{name}"
        for name, each in body.items():
            yield from _undescribed(each, f"{path}.{name}")


# --- messages ----------------------------------------------------------------------------------------------------------


def _predict(**changes: Any) -> dict[str, Any]:
    return {**PREDICT_MESSAGE, **changes}


def _batch(**changes: Any) -> dict[str, Any]:
    return {**BATCH_REQUEST, **changes}


def _output(**changes: Any) -> dict[str, Any]:
    return _predict(output={"table": "d.t", **changes})


MODEL_MESSAGE: dict[str, Any] = {"action": "describe", "model": "films.genres", "request_id": "at-{hour}"}
REMOTE = {"connection": "us.gemini_conn", "endpoint": "gemini-3.8-flash"}
MANIFEST: dict[str, Any] = {
    "target": "films.genres_2",
    "type": "XGBOOST",
    "description": "Genres",
    "labels": {"team": "films"},
    "expires_after": "30d",
    "kms_key": "projects/p-12/locations/us/keyRings/ring/cryptoKeys/key",
    "input": {"f1": "INT64", "f2": "float64"},
    "output": {"predicted_label": "FLOAT64"},
    "files": 12,
    "registry": {"id": "genres", "aliases": ["champion", "v-2"]},
    "check": {"rows": [{"input": {"f1": 1, "f2": None}, "expected": {"predicted_label": 0.5}}], "tolerance": 0.1},
    "predict": {
        "input": {"table": "d.t"},
        "output": {"table": "d.out", "write": "truncate"},
        "columns": {"drop": ["a"]},
    },
    "deploy": {"endpoint": "genres", "machine_type": "n1-standard-4", "traffic": 10},
}
TABLE_INPUT = {"table": "news.titles", "columns": {"input": "title"}, "where": "score > @min_score"}
PROMPTS = {
    "prompts": {"query": "SELECT id, text AS prompt FROM `p-project.d.t`"},
    "system_instruction": "Answer in one word.",
    "generation_config": {"temperature": 0.5, "responseMimeType": "application/json"},
}

ACCEPTED: list[tuple[str, dict[str, Any]]] = [
    ("predict_message.json", PREDICT_MESSAGE),
    ("predict_message.json", without(PREDICT_MESSAGE, "request_id", "max_bytes_billed", "priority", "labels")),
    ("predict_message.json", _predict(input=TABLE_INPUT)),
    ("predict_message.json", _predict(input={"table": "p-project.news.titles-2"})),
    ("predict_message.json", _predict(input={"table": "a.b", "columns": None, "where": None})),
    ("predict_message.json", _predict(model="example.com:my-project.d.gemini-vision")),
    (
        "predict_message.json",
        dict.fromkeys(PREDICT_MESSAGE) | {k: PREDICT_MESSAGE[k] for k in ("model", "input", "output")},
    ),
    ("predict_message.json", _output()),
    ("predict_message.json", _output(write="append", key=[])),
    ("predict_message.json", _output(write="merge", key=["id", "day"])),
    ("predict_message.json", _output(table="d.t$20261120", write="truncate")),
    ("predict_message.json", _predict(parameters={"a": "x", "b": 1.5, "c": True, "d": ["x", "y"], "e": [1, 2]})),
    ("predict_message.json", _predict(function="AI.GENERATE_TEXT", options={"temperature": 0.2}, max_rows=500)),
    ("predict_message.json", _predict(request_id="at {hour} and on {date}", max_bytes_billed=2**63 - 1)),
    ("predict_message.json", _predict(columns={"keep": ["id", "größe"]})),
    ("predict_message.json", _predict(columns={"drop": ["pixels"], "keep": []})),
    ("predict_message.json", _predict(columns=None)),
    ("batch_request.json", BATCH_REQUEST),
    ("batch_request.json", {"model": "gemini-3.8-flash", "input": "bq://d.requests"}),
    ("batch_request.json", _batch(input="gs://bucket-1/folder/requests.jsonl", output="gs://bucket-1/answers/")),
    ("batch_request.json", _batch(input=PROMPTS, output="bq://my-project.films")),
    ("batch_request.json", _batch(input={"prompts": PROMPTS["prompts"]}, output="gs://bucket-1")),
    ("batch_request.json", _batch(output=None, display_name=None, labels=None, request_id=None)),
    ("batch_request.json", _batch(model="publishers/google/models/gemini-2.5-pro")),
    ("batch_request.json", _batch(location="eu", retries=0, dry_run=True)),
    ("batch_request.json", _batch(results={"table": "films.titles", "columns": {"a": "ARRAY<STRING> $.a"}})),
    ("batch_request.json", _batch(input={"prompts": {**PROMPTS["prompts"], "files": {"poster": "image/png"}}})),  # type: ignore[dict-item]
    ("batch_request.json", _batch(input={"prompts": {**PROMPTS["prompts"], "files": {"a": {"mime_column": "b"}}}})),  # type: ignore[dict-item]
    ("batch_request.json", _batch(input="gs://bucket-1/folder/", retries=5)),
    ("batch_request.json", _batch(input=["gs://bucket-1/a.jsonl", "gs://bucket-1/b/*.jsonl"])),
    ("batch_request.json", _batch(input={**PROMPTS, "response_schema": {"type": "STRING"}})),
    ("batch_request.json", _batch(output={"table": "bq://my-project.films.answers", "write": "append"})),
    ("batch_request.json", _batch(output={"table": "films.answers", "write": "merge", "key": ["id"]})),
    ("batch_request.json", _batch(output={"table": "bq://my-project.films", "key": None, "write": None})),
    ("batch_request.json", _batch(output={"uri": "gs://bucket-1/answers"})),
    ("batch_request.json", _batch(model="projects/my-project/locations/us-central1/models/123@2")),
    ("batch_action.json", {"action": "cancel", "key": "a" * 32}),
    ("batch_action.json", {"action": "retry_failed_rows", "request_id": "posters-{date}"}),
    ("manage_message.json", MANAGE_MESSAGE),
    *(
        ("manage_message.json", {**MODEL_MESSAGE, "action": each})
        for each in ("rollback", "unpin", "delete", "describe")
    ),
    ("manage_message.json", {**MODEL_MESSAGE, "action": "rollback", "version": "v1.2", "labels": {"team": "films"}}),
    ("manage_message.json", {**MODEL_MESSAGE, "model": "p-project.films.hyphened-model"}),
    ("manage_message.json", {**MODEL_MESSAGE, "action": "register", "id": "_" + "a" * 62}),
    ("manage_message.json", {**MODEL_MESSAGE, "action": "deploy", "endpoint": "a"}),
    (
        "manage_message.json",
        {**MODEL_MESSAGE, "action": "deploy", "endpoint": "My genres.2", "machine_type": "n1-standard-4", "traffic": 0},
    ),
    (
        "manage_message.json",
        {**MODEL_MESSAGE, "action": "deploy", "endpoint": "123", "machine_type": None, "traffic": None},
    ),
    ("manage_message.json", {**MODEL_MESSAGE, "action": "undeploy"}),
    ("manage_message.json", {**MODEL_MESSAGE, "action": "undeploy", "endpoint": "genres"}),
    ("manage_message.json", {**MODEL_MESSAGE, "action": "delete", "undeploy": True}),
    ("manage_message.json", {**MODEL_MESSAGE, "action": "register", "id": "genres", "aliases": ["v-2", "aB9"]}),
    ("manage_message.json", {**MODEL_MESSAGE, "action": "set_aliases", "aliases": ["default", "a" * 128]}),
    ("manifest.json", {"remote": REMOTE, "description": "Gemini", "labels": {"team": "films"}}),
    ("manifest.json", {"remote": {**REMOTE, "connection": "my-project.us-east1.gemini-conn"}}),
    (
        "manifest.json",
        {"remote": {"connection": "DEFAULT", "endpoint": "https://aiplatform.googleapis.com/v1/projects/p/m"}},
    ),
    ("manifest.json", MANIFEST),
    ("manifest.json", dict.fromkeys(MANIFEST)),
    ("manifest.json", {}),
    ("manifest.json", {"check": {"query": "SELECT x FROM d.t", "metric": "AVG(y)", "at_most": 2, "rows": None}}),
    ("manage_message.json", {"action": "import", "path": MANAGE_MESSAGE["path"].rstrip("/"), "request_id": "again-1"}),
    ("manage_message.json", {**MANAGE_MESSAGE, "request_id": "daily-{date}", "labels": {"team": "films"}}),
]

REFUSED: list[tuple[str, dict[str, Any], str | None]] = [
    ("predict_message.json", {}, "model"),
    ("predict_message.json", without(PREDICT_MESSAGE, "model"), "model"),
    ("predict_message.json", without(PREDICT_MESSAGE, "input"), "input"),
    ("predict_message.json", without(PREDICT_MESSAGE, "output"), "output"),
    ("predict_message.json", _predict(model=None), "model"),
    ("predict_message.json", _predict(columns={}), "columns"),
    ("predict_message.json", _predict(columns={"keep": ["a"], "drop": ["b"]}), "columns"),
    ("predict_message.json", _predict(columns={"keep": ["a", "a"]}), "columns.keep[1]"),
    ("predict_message.json", _predict(columns={"drop": [" "]}), "columns.drop[0]"),
    ("predict_message.json", _predict(columns=["a"]), "columns"),
    ("predict_message.json", _predict(model=7), "model"),
    ("predict_message.json", _predict(model=" "), "model"),
    ("predict_message.json", _predict(model="model"), "model"),
    ("predict_message.json", _predict(model="d.m`; DROP TABLE x"), "model"),
    ("predict_message.json", _predict(model="Project.d.m"), "model"),
    ("predict_message.json", _predict(input={}), "input"),
    ("predict_message.json", _predict(input="SELECT 1"), "input"),
    ("predict_message.json", _predict(input={"query": ""}), "input.query"),
    ("predict_message.json", _predict(input={"query": "SELECT 1", "table": "d.t"}), "input"),
    ("predict_message.json", _predict(input={"query": "SELECT 1", "where": "x"}), "input.where"),
    ("predict_message.json", _predict(input={"table": "t"}), "input.table"),
    ("predict_message.json", _predict(input={"table": "d.t", "columns": {"a": "b c"}}), "input.columns.a"),
    ("predict_message.json", _predict(input={"table": "d.t", "columns": {"a`": "b"}}), "input.columns.a`"),
    ("predict_message.json", _predict(input={"table": "d.t", "columns": {"a": 1}}), "input.columns.a"),
    ("predict_message.json", _predict(output={"write": "append"}), "output.table"),
    ("predict_message.json", _output(write="replace"), "output.write"),
    ("predict_message.json", _output(write="merge"), "output.key"),
    ("predict_message.json", _output(write="merge", key=["1"]), "output.key[0]"),
    ("predict_message.json", _output(write="append", key=["id"]), "output.key"),
    ("predict_message.json", _output(key="id"), "output.key"),
    ("predict_message.json", _output(tabel="d.t"), "output.tabel"),
    ("predict_message.json", _predict(modle="d.m"), "modle"),
    ("predict_message.json", _predict(request_id=""), "request_id"),
    ("predict_message.json", _predict(request_id="{week}"), "request_id"),
    ("predict_message.json", _predict(request_id="x" * 257), "request_id"),
    ("predict_message.json", _predict(max_bytes_billed=0), "max_bytes_billed"),
    ("predict_message.json", _predict(max_bytes_billed="1"), "max_bytes_billed"),
    ("predict_message.json", _predict(max_bytes_billed=True), "max_bytes_billed"),
    ("predict_message.json", _predict(max_bytes_billed=2**63), "max_bytes_billed"),
    ("predict_message.json", _predict(max_rows=10_000_001), "max_rows"),
    ("predict_message.json", _predict(priority="BATCH"), "priority"),
    ("predict_message.json", _predict(function="ML.EVALUATE"), "function"),
    ("predict_message.json", _predict(options={"a b": 1}), "options.a b"),
    ("predict_message.json", _predict(options=[]), "options"),
    ("predict_message.json", _predict(labels={"Team": "x"}), "labels"),
    ("predict_message.json", _predict(labels={"team": "X"}), "labels.team"),
    ("predict_message.json", _predict(labels={"team": 1}), "labels.team"),
    ("predict_message.json", _predict(labels={"modeldrop_key": "x"}), "labels.modeldrop_key"),
    ("predict_message.json", _predict(labels={f"l{n}": "x" for n in range(33)}), "labels"),
    ("predict_message.json", _predict(parameters={"a-b": 1}), "parameters.a-b"),
    ("predict_message.json", _predict(parameters={"a": None}), "parameters.a"),
    ("predict_message.json", _predict(parameters={"a": []}), "parameters.a"),
    ("predict_message.json", _predict(parameters={"a": ["x", 1]}), "parameters.a"),
    ("predict_message.json", _predict(parameters={"a": {"b": 1}}), "parameters.a"),
    ("batch_request.json", {}, "model"),
    ("batch_request.json", without(BATCH_REQUEST, "input"), "input"),
    ("batch_request.json", _batch(model="Gemini Flash"), "model"),
    ("batch_request.json", _batch(model="projects/p/models/x"), "model"),
    ("batch_request.json", _batch(input=None), "input"),
    ("batch_request.json", _batch(input=7), "input"),
    ("batch_request.json", _batch(input="my_dataset.requests"), "input"),
    ("batch_request.json", _batch(input="bq://requests"), "input"),
    ("batch_request.json", _batch(input="bq://p.d.t`"), "input"),
    ("batch_request.json", _batch(input="gs://bucket-1"), "input"),
    ("batch_request.json", _batch(input="gs://bucket-1/a//b.jsonl"), "input"),
    ("batch_request.json", _batch(input="gs://bucket-1/*/a.jsonl"), "input"),
    ("batch_request.json", _batch(input=[]), "input"),
    ("batch_request.json", _batch(input=["gs://bucket-1/a.jsonl", "bq://d.t"]), "input[1]"),
    ("batch_request.json", _batch(retries=6), "retries"),
    ("batch_request.json", _batch(dry_run="yes"), "dry_run"),
    ("batch_request.json", _batch(results={"columns": {"a": "STRING $"}}), "results.table"),
    ("batch_request.json", _batch(results={"table": "a.b", "columns": {"a": "STRING"}}), "results.columns.a"),
    ("batch_request.json", _batch(input="gs://B/x.jsonl"), "input"),
    ("batch_request.json", _batch(input={"query": "SELECT 1 AS prompt"}), "input.prompts"),
    ("batch_request.json", _batch(input={"prompts": "SELECT 1 AS prompt"}), "input.prompts"),
    ("batch_request.json", _batch(input={**PROMPTS, "temperature": 1}), "input.temperature"),
    ("batch_request.json", _batch(input={**PROMPTS, "generation_config": "{}"}), "input.generation_config"),
    ("batch_request.json", _batch(output="bq://responses"), "output"),
    ("batch_request.json", _batch(output="films.responses"), "output"),
    ("batch_request.json", _batch(output="gs://bucket-1/a//b"), "output"),
    ("batch_request.json", _batch(output={}), "output"),
    ("batch_request.json", _batch(output={"table": "films.answers", "uri": "gs://bucket-1/x"}), "output"),
    ("batch_request.json", _batch(output={"table": "films.answers", "write": "replace"}), "output.write"),
    ("batch_request.json", _batch(output={"table": "films.answers", "write": "merge"}), "output.key"),
    ("batch_request.json", _batch(output={"table": "films.answers", "key": ["id"]}), "output.key"),
    ("batch_request.json", _batch(output={"uri": "gs://bucket-1/x", "write": "append"}), "output.write"),
    ("batch_request.json", _batch(location="moon"), "location"),
    ("batch_request.json", _batch(display_name="x" * 129), "display_name"),
    ("batch_request.json", _batch(priority="batch"), "priority"),
    ("batch_action.json", {}, "action"),
    ("batch_action.json", {"action": "explode", "key": "a" * 32}, "action"),
    ("batch_action.json", {"action": "cancel"}, None),
    ("batch_action.json", {"action": "cancel", "key": "a" * 32, "request_id": "x"}, None),
    ("batch_action.json", {"action": "cancel", "key": "abc"}, "key"),
    ("batch_action.json", {"action": "cancel", "request_id": "{week}"}, "request_id"),
    ("batch_action.json", {"action": "cancel", "key": "a" * 32, "force": True}, "force"),
    ("manage_message.json", {}, "action"),
    ("manage_message.json", {"action": "import"}, "path"),
    ("manage_message.json", {**MANAGE_MESSAGE, "action": "explode"}, "action"),
    ("manage_message.json", {**MANAGE_MESSAGE, "path": "films/genres/2"}, "path"),
    ("manage_message.json", {**MANAGE_MESSAGE, "path": f"{MANAGE_MESSAGE['path']}saved_model.pb"}, "path"),
    ("manage_message.json", {**MANAGE_MESSAGE, "path": MANAGE_MESSAGE["path"].replace("films", "_films")}, "path"),
    ("manage_message.json", {**MANAGE_MESSAGE, "path": MANAGE_MESSAGE["path"].replace("/2/", "/variables/")}, "path"),
    ("manage_message.json", {**MANAGE_MESSAGE, "path": MANAGE_MESSAGE["path"].replace("/2/", "/assets")}, "path"),
    (
        "manage_message.json",
        {**MANAGE_MESSAGE, "path": MANAGE_MESSAGE["path"].replace("/2/", "/assets.extra/")},
        "path",
    ),
    ("manage_message.json", {**MANAGE_MESSAGE, "request_id": "daily-{day}"}, "request_id"),
    ("manage_message.json", {**MANAGE_MESSAGE, "labels": {"Team": "films"}}, "labels"),
    ("manage_message.json", {**MANAGE_MESSAGE, "version": "2"}, "version"),
    ("manage_message.json", {"action": "delete"}, "model"),
    ("manage_message.json", {**MODEL_MESSAGE, "action": "register"}, "id"),
    ("manage_message.json", {**MODEL_MESSAGE, "action": "register", "id": "a" * 64}, "id"),
    ("manage_message.json", {**MODEL_MESSAGE, "action": "register", "id": "2genres"}, "id"),
    ("manage_message.json", {**MODEL_MESSAGE, "action": "set_aliases"}, "aliases"),
    ("manage_message.json", {**MODEL_MESSAGE, "action": "set_aliases", "aliases": []}, "aliases"),
    ("manage_message.json", {**MODEL_MESSAGE, "action": "set_aliases", "aliases": ["ok", "A"]}, "aliases[1]"),
    ("manage_message.json", {**MODEL_MESSAGE, "action": "set_aliases", "aliases": ["-default"]}, "aliases[0]"),
    ("manage_message.json", {**MODEL_MESSAGE, "action": "deploy"}, "endpoint"),
    ("manage_message.json", {**MODEL_MESSAGE, "action": "deploy", "endpoint": "-genres"}, "endpoint"),
    ("manage_message.json", {**MODEL_MESSAGE, "action": "deploy", "endpoint": "a", "traffic": -1}, "traffic"),
    ("manage_message.json", {**MODEL_MESSAGE, "action": "deploy", "endpoint": "a", "traffic": "all"}, "traffic"),
    ("manage_message.json", {**MODEL_MESSAGE, "action": "deploy", "endpoint": "a", "machine_type": 2}, "machine_type"),
    ("manage_message.json", {**MODEL_MESSAGE, "action": "undeploy", "endpoint": "a/b"}, "endpoint"),
    ("manage_message.json", {**MODEL_MESSAGE, "action": "undeploy", "traffic": 0}, "traffic"),
    ("manage_message.json", {**MODEL_MESSAGE, "action": "delete", "undeploy": "yes"}, "undeploy"),
    ("manage_message.json", {**MODEL_MESSAGE, "undeploy": True}, "undeploy"),
    ("manage_message.json", {**MODEL_MESSAGE, "model": "genres"}, "model"),
    ("manage_message.json", {**MODEL_MESSAGE, "path": MANAGE_MESSAGE["path"]}, "path"),
    ("manage_message.json", {**MODEL_MESSAGE, "action": "unpin", "version": "1"}, "version"),
    ("manage_message.json", {**MODEL_MESSAGE, "action": "rollback", "version": "../1"}, "version"),
    *(
        ("manifest.json", {**MANIFEST, name: value}, f"modeldrop.yaml.{field}")
        for name, value, field in [
            ("target", "films", "target"),
            ("type", "xgboost", "type"),
            ("description", " ", "description"),
            ("labels", {"Team": "films"}, "labels"),
            ("expires_after", "0d", "expires_after"),
            ("expires_after", "30", "expires_after"),
            ("kms_key", "key", "kms_key"),
            ("input", {"f1": "STRING"}, "input.f1"),
            ("files", 0, "files"),
            ("files", "12", "files"),
            ("registry", None, "deploy"),
            ("deploy", {}, "deploy.endpoint"),
            ("deploy", {"endpoint": 'a"b'}, "deploy.endpoint"),
            ("deploy", {"endpoint": "a", "machine_type": "large"}, "deploy.machine_type"),
            ("deploy", {"endpoint": "a", "traffic": 101}, "deploy.traffic"),
            ("deploy", {"endpoint": "a", "replicas": 2}, "deploy.replicas"),
            ("registry", {}, "registry.id"),
            ("registry", {"id": "Genres"}, "registry.id"),
            ("registry", {"id": "genres", "aliases": ["V2"]}, "registry.aliases[0]"),
            ("check", {}, "check"),
            ("check", {"query": "SELECT 1", "rows": MANIFEST["check"]["rows"]}, "check"),
            ("check", {"query": "SELECT 1", "tolerance": -1}, "check.tolerance"),
            ("check", {"rows": []}, "check.rows"),
            ("check", {"rows": [{"input": {"a": 1}}]}, "check.rows[0].expected"),
            ("check", {"rows": [{"input": {"a": {}}, "expected": {"b": 1}}]}, "check.rows[0].input.a"),
            (
                "check",
                {"rows": [{"input": {"a": 1}, "expected": {"b": 1}}], "metric": "MAX(b)", "at_most": 1},
                "check.metric",
            ),
            ("predict", {}, "predict.input"),
            ("predict", {"input": {"table": "d.t"}, "output": {}}, "predict.output.table"),
            ("predict", {**MANIFEST["predict"], "model": "d.m"}, "predict.model"),
            ("predict", {**MANIFEST["predict"], "request_id": "a"}, "predict.request_id"),
            ("predict", {**MANIFEST["predict"], "columns": {}}, "predict.columns"),
            ("unknown", 1, "unknown"),
        ]
    ),
    *(
        ("manifest.json", {"remote": remote}, f"modeldrop.yaml.remote.{field}")
        for remote, field in [
            ({"connection": "us.c"}, "endpoint"),
            ({**REMOTE, "connection": "gemini_conn"}, "connection"),
            ({**REMOTE, "connection": "us.`c"}, "connection"),
            ({**REMOTE, "endpoint": "http://evil.test/x"}, "endpoint"),
            ({**REMOTE, "region": "us"}, "region"),
        ]
    ),
]

# What a schema cannot know: queries, settings, and one field that depends on another's text.
REFUSED_BY_THE_PARSER_ALONE: list[tuple[str, dict[str, Any], str]] = [
    ("predict_message.json", _predict(input={"query": "SELECT (1"}), "input.query"),
    ("predict_message.json", _predict(input={"query": "DROP TABLE d.t"}), "input.query"),
    ("predict_message.json", _predict(input={"table": "d.t", "where": "a) OR (b; c"}), "input.where"),
    ("predict_message.json", _predict(request_id="a\nb"), "request_id"),
    ("batch_request.json", _batch(output="gs://local-project-modeldrop-models/x"), "output"),
    ("batch_request.json", _batch(output="gs://local-project-modeldrop-state"), "output"),
    ("manage_message.json", {**MANAGE_MESSAGE, "path": "gs://another-bucket/films/genres/2/"}, "path"),
    ("manifest.json", {**MANIFEST, "output": None}, "modeldrop.yaml.input"),
    ("manifest.json", {"remote": REMOTE, "registry": {"id": "gemini"}}, "modeldrop.yaml.registry"),
    ("manifest.json", {"remote": REMOTE, "type": "ONNX"}, "modeldrop.yaml.type"),
    (
        "manifest.json",
        {"remote": REMOTE, "registry": {"id": "a"}, "deploy": {"endpoint": "a"}},
        "modeldrop.yaml.registry",
    ),
    ("manifest.json", {"remote": REMOTE, "check": {"query": "SELECT 1"}}, "modeldrop.yaml.check"),
    (
        "manifest.json",
        {**MANIFEST, "predict": {"input": {"query": "DROP TABLE x"}, "output": {"table": "d.out"}}},
        "modeldrop.yaml.predict.input.query",
    ),
    ("manifest.json", {**MANIFEST, "target": "films.genres-2"}, "modeldrop.yaml.target"),
    ("manifest.json", {**MANIFEST, "check": {"query": "SELECT 1", "at_most": 1}}, "modeldrop.yaml.check.metric"),
]


@pytest.mark.parametrize(("name", "message"), ACCEPTED)
def test_parser_and_schema_accept(name: str, message: dict[str, Any]) -> None:
    PARSERS[name](json_object(json.dumps(message).encode()))
    assert faults(name, message) == []


@pytest.mark.parametrize(("name", "message", "field"), REFUSED)
def test_parser_and_schema_reject(name: str, message: dict[str, Any], field: str | None) -> None:
    with pytest.raises(Rejected) as refusal:
        PARSERS[name](json_object(json.dumps(message).encode()))
    assert refusal.value.problem.field == field
    assert faults(name, message) != []


@pytest.mark.parametrize(("name", "message", "field"), REFUSED_BY_THE_PARSER_ALONE)
def test_the_parser_rejects_values_that_a_schema_cannot_check(name: str, message: dict[str, Any], field: str) -> None:
    with pytest.raises(Rejected) as refusal:
        PARSERS[name](message)
    assert refusal.value.problem.field == field
    assert faults(name, message) == []


@pytest.mark.parametrize(
    ("name", "message", "nested", "definition"),
    [
        ("predict_message.json", PREDICT_MESSAGE, (), ()),
        ("predict_message.json", PREDICT_MESSAGE, ("input",), ("$defs", "query_input")),
        ("predict_message.json", _predict(input=TABLE_INPUT), ("input",), ("$defs", "table_input")),
        ("predict_message.json", PREDICT_MESSAGE, ("output",), ("$defs", "output")),
        ("predict_message.json", _predict(columns={"drop": ["a"]}), ("columns",), ("$defs", "chosen_columns")),
        ("batch_request.json", _batch(input=PROMPTS), (), ()),
        ("batch_request.json", _batch(input=PROMPTS), ("input",), ("$defs", "prompts")),
        (
            "batch_request.json",
            _batch(input=PROMPTS),
            ("input", "prompts"),
            ("$defs", "prompts", "properties", "prompts"),
        ),
        ("batch_action.json", {"action": "cancel", "key": "a" * 32}, (), ()),
        ("manage_message.json", MANAGE_MESSAGE, (), ("$defs", "import")),
        ("manage_message.json", MODEL_MESSAGE, (), ("$defs", "model")),
        ("manage_message.json", {**MODEL_MESSAGE, "action": "rollback"}, (), ("$defs", "rollback")),
        ("manage_message.json", {**MODEL_MESSAGE, "action": "register", "id": "genres"}, (), ("$defs", "register")),
        (
            "manage_message.json",
            {**MODEL_MESSAGE, "action": "set_aliases", "aliases": ["champion"]},
            (),
            ("$defs", "set_aliases"),
        ),
        ("manage_message.json", {**MODEL_MESSAGE, "action": "delete"}, (), ("$defs", "delete")),
        ("manage_message.json", {**MODEL_MESSAGE, "action": "deploy", "endpoint": "a"}, (), ("$defs", "deploy")),
        ("manage_message.json", {**MODEL_MESSAGE, "action": "undeploy"}, (), ("$defs", "undeploy")),
        ("manifest.json", MANIFEST, ("deploy",), ("properties", "deploy")),
        ("manifest.json", MANIFEST, (), ()),
        ("manifest.json", MANIFEST, ("registry",), ("properties", "registry")),
        ("manifest.json", MANIFEST, ("check",), ("$defs", "check")),
        ("manifest.json", {"remote": REMOTE}, ("remote",), ("properties", "remote")),
    ],
)
def test_the_parser_knows_the_fields_that_the_schema_describes(
    name: str, message: dict[str, Any], nested: tuple[str, ...], definition: tuple[str, ...]
) -> None:
    misspelt = json.loads(json.dumps(message))
    inner = misspelt
    for each in nested:
        inner = inner[each]
    inner["misspelt_field"] = 1
    with pytest.raises(Rejected) as refusal:
        PARSERS[name](misspelt)
    known = re.search(r"known here are (.*?)(?: \(line [0-9]+ of modeldrop.yaml\))?$", refusal.value.problem.message)
    described = schema(name)
    for each in definition:
        described = described[each]
    assert refusal.value.problem.code == "unknown_field"
    assert known and set(known[1].split(", ")) == set(described["properties"])


def test_choices_in_the_schemas_are_those_of_the_code() -> None:
    predict = schema("predict_message.json")
    assert predict["properties"]["function"]["enum"] == [*FUNCTIONS, None]
    assert predict["properties"]["priority"]["enum"] == [*PRIORITIES, None]
    assert predict["$defs"]["output"]["properties"]["write"]["enum"] == [*WRITES, None]
    assert schema("batch_request.json")["$defs"]["output"]["properties"]["write"]["enum"] == [
        *batch_request.WRITES,
        None,
    ]
    assert schema("batch_action.json")["properties"]["action"]["enum"] == list(BATCH_ACTIONS)
    assert schema("manage_message.json")["properties"]["action"]["enum"] == list(ACTIONS)


# --- events ------------------------------------------------------------------------------------------------------------

SERVICES = services_at()
LATER = NOW + timedelta(minutes=5)
QUERY_STATISTICS = {
    "statistics": {
        "totalSlotMs": "1200",
        "query": {"totalBytesProcessed": "4096", "queryPlan": [{"recordsWritten": "7"}, {"recordsWritten": "500"}]},
    }
}
COLUMNS: tuple[Mapping[str, Any], ...] = (
    {"name": "dense_1", "type": "FLOAT", "mode": "REPEATED"},
    {
        "name": "meta",
        "type": "RECORD",
        "mode": "NULLABLE",
        "fields": [{"name": "a", "type": "STRING", "mode": "NULLABLE"}],
    },
)
JOB = Job(System.BIGQUERY, "abc-predict-1", "US")
VERTEX_JOB = Job(System.VERTEX, "projects/p/locations/us-central1/batchPredictionJobs/1", "us-central1")
PATH = DropPath("films", "genres", "2")
DROP = Drop(PATH, (DropFile("saved_model.pb", 1, "AAAAAA==", 10, NOW),))


def _planned_prediction() -> Item:
    message = Message("123", json.dumps(PREDICT_MESSAGE).encode(), {}, NOW)
    return predicting.plan(PredictRequest.parse(PREDICT_MESSAGE, SETTINGS, NOW), PREDICT_MESSAGE, message, NOW)


def _prepared_prediction() -> Item:
    return replace(_planned_prediction(), location="US", facts=PredictionFacts(ModelVersion("3", "f" * 32), COLUMNS))


def _submitted(item: Item, job: Job) -> Item:
    for step in item.steps:
        state = StepState.SUBMITTED if step.system is job.system else StepState.SUCCEEDED
        item = item.with_step(replace(step, state=state, job=job if step.system is job.system else JOB, sent=NOW))
    return item


def _finished_prediction(statistics: dict[str, Any]) -> Item:
    item = _submitted(_prepared_prediction(), JOB)
    assert item.current is not None
    report = Report(Progress.SUCCEEDED, None, None, statistics)
    item = settle_query(item, item.current, report, LATER)
    return submit(item, Predictions(), SERVICES)


def _failed_prediction() -> Item:
    item = _submitted(_prepared_prediction(), JOB)
    assert item.current is not None
    report = Report(Progress.FAILED, "invalidQuery", "Division by zero", {})
    return settle_query(item, item.current, report, LATER)


def _refused_prediction() -> Item:
    problem = Problem("model_not_found", "there is no model d.m", "model")
    return replace(_planned_prediction(), outcome=Outcome.REJECTED, problem=problem, finished=NOW)


def _prepared_batch(**changes: Any) -> Item:
    value = _batch(**changes)
    item = batching.plan(BatchRequest.parse(value, SETTINGS, NOW), value, Message("123", b"", {}, NOW), NOW)
    facts = BatchFacts(
        input="bq://p.d.requests",
        output="bq://p.d.responses",
        prompt_columns=("id", "prompt") if "input" in changes else None,
    )
    steps = (*item.steps, Step("submit", System.VERTEX))
    return _submitted(replace(item, location="us-central1", facts=facts, steps=steps), VERTEX_JOB)


def _ended_batch(progress: Progress, counts: tuple[int | None, int | None, int | None], **changes: Any) -> Item:
    item = _prepared_batch(**changes)
    assert item.current is not None
    report = BatchReport(
        name=VERTEX_JOB.id,
        state=f"JOB_STATE_{progress.name}",
        progress=progress,
        created=NOW,
        labels={},
        succeeded=counts[0],
        failed=counts[1],
        incomplete=counts[2],
        output="bq://p.d.responses",
        problem=None,
    )
    item = settle_batch(item, item.current, report, LATER)
    return item if item.final else submit(item, Batches(), SERVICES)


SIGNATURE = ModelSignature("TENSORFLOW", (ModelColumn("input", "STRING"),), (ModelColumn("dense_1", "ARRAY<FLOAT64>"),))


def _import(signature: ModelSignature | None = None) -> Item:
    item = planning.plan(DROP, Ready("TENSORFLOW", DROP.fingerprint, None), SERVICES)
    return _submitted(replace(item, location="US", facts=ImportFacts(signature)), JOB)


def _refused_import() -> Item:
    refusal = Problem("several_models", "the drop holds 2 model files (a.onnx, b.onnx); one folder is one model")
    found = (FoundFile("a.onnx", 10), FoundFile("b.onnx", 20))
    return submit(planning.plan_refused(PATH, "f" * 32, refusal, SERVICES, found), Imports(), SERVICES)


def _managed(outcome: str) -> Item:
    request = ManageMessage(MODEL_MESSAGE, NOW, "delete", "p-1.films.genres")
    facts = ManageFacts(
        DESCRIPTION if outcome == "described" else None,
        {"id": "genres", "version": "2", "location": "us-central1", "aliases": ["default"]}
        if outcome in {"registered", "deployed"}
        else None,
        (DEPLOYMENT,) if outcome in {"deployed", "undeployed", "deleted"} else (),
    )
    item = Item(Kind.MANAGE, "a" * 32, "b" * 32, request, facts, NOW, request_id="r-1")
    return item.end(Outcome(outcome), LATER)


def _rolled_back() -> Item:
    item = _import(SIGNATURE)
    assert isinstance(item.request, ImportRequest)
    request = replace(item.request, rollback=Rollback(None, replaced="3"))
    return replace(item, request=request, outcome=Outcome.ROLLED_BACK, finished=LATER)


DEPLOYMENT = Deployment("projects/p-1/locations/us-central1/endpoints/7", "genres", "1234567890", "n1-standard-2", 100)
DESCRIPTION = {
    "model_type": "ONNX",
    "location": "US",
    "created": NOW.isoformat(),
    "expires": None,
    "text": "Genres",
    "model_labels": {"team": "films"},
    "input_columns": [{"name": "x", "type": "FLOAT64"}],
    "output_columns": [],
    "current": {"version": "2", "fingerprint": "f" * 32},
    "pinned": None,
    "versions": ["2", "1"],
    "remote_endpoint": None,
    "registry": {"id": "genres", "version": "1", "location": "us-central1", "aliases": ["default"]},
    "deployments": [asdict(DEPLOYMENT)],
    "last_prediction": {
        "key": "a" * 32,
        "request_id": None,
        "model_version": "2",
        "output_table": "p.d.t",
        "created": NOW.isoformat(),
        "finished": NOW.isoformat(),
        "outcome": "succeeded",
        "error": None,
        "rows_written": 7,
    },
}


COMPLETED: list[tuple[str, Callable[[], Item]]] = [
    ("modeldrop.prediction.succeeded.v1", lambda: _finished_prediction(QUERY_STATISTICS)),
    ("modeldrop.prediction.succeeded.v1", lambda: _finished_prediction({})),
    (
        "modeldrop.prediction.partially_succeeded.v1",
        lambda: _finished_prediction(
            {"statistics": {"query": {"genAiStats": {"functionStats": [{"errorStats": {"numFailedRows": "3"}}]}}}}
        ),
    ),
    ("modeldrop.prediction.failed.v1", _failed_prediction),
    (REJECTED, _refused_prediction),
    ("modeldrop.batch.checked.v1", lambda: _prepared_batch(dry_run=True).end(Outcome.CHECKED, LATER)),
    ("modeldrop.batch.succeeded.v1", lambda: _ended_batch(Progress.SUCCEEDED, (5, 0, None))),
    ("modeldrop.batch.succeeded.v1", lambda: _ended_batch(Progress.SUCCEEDED, (None, None, None), input=PROMPTS)),
    ("modeldrop.batch.partially_succeeded.v1", lambda: _ended_batch(Progress.SUCCEEDED, (4, 1, 0))),
    ("modeldrop.batch.partially_succeeded.v1", lambda: _ended_batch(Progress.PARTIALLY_SUCCEEDED, (4, 0, 1))),
    ("modeldrop.batch.failed.v1", lambda: _ended_batch(Progress.FAILED, (None, None, None))),
    ("modeldrop.batch.failed.v1", lambda: _ended_batch(Progress.SUCCEEDED, (0, 5, 0))),
    ("modeldrop.batch.cancelled.v1", lambda: _ended_batch(Progress.CANCELLED, (2, 0, 3))),
    ("modeldrop.batch.expired.v1", lambda: _ended_batch(Progress.EXPIRED, (None, None, None))),
    ("modeldrop.model.imported.v1", lambda: replace(_import(SIGNATURE), outcome=Outcome.SUCCEEDED, finished=LATER)),
    (
        "modeldrop.model.import_failed.v1",
        lambda: replace(_import(), outcome=Outcome.FAILED, problem=Problem("invalidQuery", "no op"), finished=LATER),
    ),
    ("modeldrop.model.import_failed.v1", _refused_import),
    (
        "modeldrop.model.check_failed.v1",
        lambda: replace(
            _import(),
            facts=ImportFacts(check=CheckResult(10, wrong_rows=3)),
            outcome=Outcome.CHECK_FAILED,
            problem=Problem("check_failed", "in 3 of 10 rows", "modeldrop.yaml.check"),
            finished=LATER,
        ),
    ),
    ("modeldrop.model.registered.v1", lambda: _managed("registered")),
    ("modeldrop.model.deployed.v1", lambda: _managed("deployed")),
    ("modeldrop.model.undeployed.v1", lambda: _managed("undeployed")),
    ("modeldrop.model.deleted.v1", lambda: _managed("deleted")),
    ("modeldrop.model.described.v1", lambda: _managed("described")),
    ("modeldrop.model.unpinned.v1", lambda: _managed("unpinned")),
    ("modeldrop.model.rolled_back.v1", _rolled_back),
]


def _check(event: Event, event_type: str) -> None:
    data = json.loads(json.dumps(event.data))
    assert event.type == event_type
    assert faults(f"{event_type}.json", data, closed=True) == []
    assert all(datetime.fromisoformat(data[name]).tzinfo for name in ("created", "finished") if data[name])


@pytest.mark.parametrize(("event_type", "ended"), COMPLETED)
def test_a_completion_event_fits_its_schema(event_type: str, ended: Callable[[], Item]) -> None:
    _check(completion_event(ended()), event_type)


def test_every_type_of_event_was_built() -> None:
    assert {event_type for event_type, _ in COMPLETED} == {*EVENT_TYPES.values(), REJECTED}


BAD_OBJECTS = [
    BadObject("ledger", "a" * 32, NOW, uri="gs://state/ledger/pending/x"),
    BadObject("predict", "a" * 32, NOW, job=Job(System.BIGQUERY, "a-predict-1", "US"), model="p.d.m"),
]


def test_the_event_of_a_deleted_batch_fits_its_schema() -> None:
    _check(deleted_event(_ended_batch(Progress.SUCCEEDED, (5, 0, None))), BATCH_DELETED)


@pytest.mark.parametrize("bad", BAD_OBJECTS, ids=str)
def test_the_event_of_a_bad_object_fits_the_schema_of_stuck_events(bad: BadObject) -> None:
    _check(bad_object_event(bad, LATER, Problem("unreadable_object", "it is not JSON"), "object-1"), STUCK)


@pytest.mark.parametrize("reported_before", ["", NOW.isoformat()])
def test_the_event_of_an_ignored_object_fits_its_schema(reported_before: str) -> None:
    ignored = IgnoredObject("gs://b/x.onnx", "gs://b/", "gs://b/DATASET/x/1/x.onnx", NOW, reported_before)
    _check(ignored_event(ignored, LATER, Problem("outside_layout", "it is not in a drop")), IGNORED)


@pytest.mark.parametrize(
    "item",
    [
        _planned_prediction(),
        _submitted(_prepared_prediction(), JOB),
        _prepared_batch(),
        _import(),
        replace(
            watches.new_watch(PATH, ModelName("p-1", "films", "genres"), SERVICES),
            facts=DropFacts(NOW, missing=("saved_model.pb",), found=(FoundFile("fingerprint.pb", 1),)),
        ),
    ],
    ids=lambda item: item.kind,
)
def test_a_stuck_event_fits_its_schema(item: Item) -> None:
    _check(stuck_event(item, LATER, Problem("deadline", "it has been at predict for 300 s"), "predict"), STUCK)


@pytest.mark.parametrize("kind", [Kind.PREDICT, Kind.BATCH, Kind.MANAGE])
@pytest.mark.parametrize("request_id", [None, "nightly-2026-11-20"])
def test_a_rejection_event_fits_its_schema(kind: Kind, request_id: str | None) -> None:
    with pytest.raises(Rejected) as refusal:
        PredictRequest.parse({}, SETTINGS, NOW)
    refused = RefusedRequest(kind, "a" * 32, NOW, request_id, "123", {"team": "news"})
    _check(rejection_event(refused, LATER, refusal.value.problem), REJECTED)


def test_a_field_without_a_schema_is_found() -> None:
    data = dict(completion_event(_failed_prediction()).data)
    assert faults("modeldrop.prediction.failed.v1.json", {**data, "secret": 1}, closed=True) != []
    assert faults("modeldrop.prediction.failed.v1.json", {**data, "error": None}) != []
    assert faults("modeldrop.prediction.failed.v1.json", without(data, "key")) != []


def test_no_event_holds_the_request() -> None:
    assert "request" not in completion_event(_failed_prediction()).data
    assert "SELECT" not in json.dumps(dict(completion_event(_failed_prediction()).data))
