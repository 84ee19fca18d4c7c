"""Requests that Vertex AI refuses: their fields, and the files, caches and models that they name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from localcloud.base.clock import SystemClock
from localcloud.gemini.errors import BackendError
from localcloud.gemini.models import ModelTable
from localcloud.storage.objects.store import ObjectStore
from localcloud.vertex.request_checks import RequestChecks, check_fields
from tests.localcloud.gemini.prompts import text_request
from tests.localcloud.vertex.world import PARENT, PROJECT, World, job_body, vertex_world
from tests.waiting import LAST_LIMIT, wait_until

ACCEPTED: dict[str, dict[str, Any]] = {
    "camelCase": text_request("x", maxOutputTokens=5, responseMimeType="text/plain"),
    "snake_case": {
        **text_request("x"),
        "system_instruction": {"parts": [{"text": "Be short."}]},
        "generation_config": {"max_output_tokens": 5, "thinking_config": {"thinking_level": "XHIGH"}},
    },
    "one element in place of a list": {"contents": {"role": "user", "parts": {"text": "x"}}},
    "numbers as text and integral floats": text_request("x", maxOutputTokens="5", seed=7.0, temperature="0.5"),
    "null": {**text_request("x"), "tools": None, "generationConfig": {"temperature": None}},
    "labels": {**text_request("x"), "labels": {"team": "films"}},
    "safety settings": {
        **text_request("x"),
        "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
    },
    "a nested schema in any case": text_request(
        "x",
        responseMimeType="application/json",
        responseSchema={"type": "object", "properties": {"a": {"type": "ARRAY", "items": {"type": "STRING"}}}},
    ),
    "a JSON Schema": text_request(
        "x", responseMimeType="application/json", responseJsonSchema={"$defs": {}, "type": "object"}
    ),
    "free arguments": {
        "contents": [
            {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {"any_thing": [1, {"a": None}]}}}]}
        ]
    },
    "the model of the path": {**text_request("x"), "model": "publishers/google/models/gemini-3.8-flash"},
}

VERTEX = "type.googleapis.com/google.cloud.aiplatform.v1"
# A request, and the error that Google's JSON parser returns.
REFUSED: list[tuple[dict[str, Any], str]] = [
    (
        text_request("x") | {"thinking_config": {"thinking_budget": 0}},
        'Invalid JSON payload received. Unknown name "thinking_config": Cannot find field.',
    ),
    (
        text_request("x") | {"temperature": 0.1},
        'Invalid JSON payload received. Unknown name "temperature": Cannot find field.',
    ),
    (
        text_request("x") | {"tools": [{"cachedContent": "cachedContents/x"}]},
        "Invalid JSON payload received. Unknown name \"cachedContent\" at 'tools[0]': Cannot find field.",
    ),
    (
        text_request("x", responseSchema={"properties": {"a": {"type_": "STRING"}}}),
        "Invalid JSON payload received. Unknown name \"type_\" at 'generation_config.response_schema.properties[a]': "
        "Cannot find field.",
    ),
    (
        text_request("x", max_tokens=5),
        "Invalid JSON payload received. Unknown name \"max_tokens\" at 'generation_config': Cannot find field.",
    ),
    (
        {"contents": [{"role": "user", "parts": [{"text": "x", "image": "y"}]}]},
        "Invalid JSON payload received. Unknown name \"image\" at 'contents[0].parts[0]': Cannot find field.",
    ),
    (
        text_request("x") | {"safetySettings": [{"category": "HARM_CATEGORY_NONSENSE"}]},
        f"Invalid value at 'safety_settings[0].category' ({VERTEX}.HarmCategory), \"HARM_CATEGORY_NONSENSE\"",
    ),
    (
        text_request("x", responseSchema={"type": "TEXT"}),
        f"Invalid value at 'generation_config.response_schema.type' ({VERTEX}.Type), \"TEXT\"",
    ),
    (
        text_request("x", temperature="hot"),
        "Invalid value at 'generation_config.temperature' (TYPE_FLOAT), \"hot\"",
    ),
    (
        text_request("x", maxOutputTokens=1.5),
        "Invalid value at 'generation_config.max_output_tokens' (TYPE_INT32), 1.5",
    ),
    (text_request("x", seed=2**31), "Invalid value at 'generation_config.seed' (TYPE_INT32), 2147483648"),
    (text_request("x", seed=True), "Invalid value at 'generation_config.seed' (TYPE_INT32), true"),
    (
        text_request("x", responseLogprobs="maybe"),
        "Invalid value at 'generation_config.response_logprobs' (TYPE_BOOL), \"maybe\"",
    ),
    (
        {"contents": [{"role": "user", "parts": [{"text": 5}]}]},
        "Invalid value at 'contents[0].parts[0].text' (TYPE_STRING), 5",
    ),
    (
        {"contents": [{"role": "user", "parts": [{"inlineData": {"mimeType": "image/png", "data": "a"}}]}]},
        "Invalid value at 'contents[0].parts[0].inline_data.data' (TYPE_BYTES), Base64 decoding failed for \"a\"",
    ),
    ({"contents": "x"}, f"Invalid value at 'contents' ({VERTEX}.Content), \"x\""),
    (
        text_request("x") | {"systemInstruction": [{"parts": []}]},
        'Invalid JSON payload received. Unknown name "system_instruction": Proto field is not repeating, cannot start list.',
    ),
    (
        {"contents": [{"role": "user", "parts": [{"text": {"a": 1}}]}]},
        "Invalid JSON payload received. Unknown name \"text\" at 'contents[0].parts[0]': "
        "Proto field is not a message, cannot start object.",
    ),
]


@pytest.mark.parametrize("name", ACCEPTED)
@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_fields_in_any_spelling_of_the_documentation_are_accepted(name: str, version: str) -> None:
    check_fields("GenerateContentRequest", ACCEPTED[name], version)


@pytest.mark.parametrize(("request_body", "message"), REFUSED)
def test_a_wrong_field_is_refused_in_the_words_of_googles_parser(request_body: dict[str, Any], message: str) -> None:
    with pytest.raises(BackendError) as raised:
        check_fields("GenerateContentRequest", request_body, "v1")
    assert (raised.value.code, raised.value.message) == (400, message)


def test_every_wrong_field_is_named() -> None:
    with pytest.raises(BackendError) as raised:
        check_fields("GenerateContentRequest", text_request("x", a=1, b=2) | {"c": 3}, "v1")
    assert [line.split('"')[1] for line in raised.value.message.split("\n")] == ["a", "b", "c"]


def test_a_field_of_the_newer_version_is_unknown_in_v1() -> None:
    request = text_request("x", modelConfig={"featureSelectionPreference": "BALANCED"})
    check_fields("GenerateContentRequest", request, "v1beta1")
    with pytest.raises(BackendError, match='Unknown name "modelConfig"'):
        check_fields("GenerateContentRequest", request, "v1")


def nested(depth: int, key: str) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "STRING"}
    for _ in range(depth):
        schema = {"type": "ARRAY", "items": schema}
    return text_request("x", responseMimeType="application/json", **{key: schema})


def test_a_message_that_is_nested_too_deeply_is_refused() -> None:
    check_fields("GenerateContentRequest", nested(50, "responseSchema"), "v1")
    with pytest.raises(BackendError, match=r"Message too deep\. Max recursion depth reached for key 'items'"):
        check_fields("GenerateContentRequest", nested(200, "responseSchema"), "v1")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ObjectStore]:
    store = ObjectStore(tmp_path, clock=SystemClock())
    store.create_bucket("posters")
    store.write("posters", "a.png", b"x")
    yield store
    store.close()


@pytest.fixture
def checks(store: ObjectStore) -> RequestChecks:
    return RequestChecks(store, ModelTable(SystemClock()))


def file_request(uri: str, mime_type: str = "image/png") -> dict[str, Any]:
    part = {"file_data": {"file_uri": uri, "mime_type": mime_type}}
    return {"contents": [{"role": "user", "parts": [{"text": "What is this?"}, part]}]}


@pytest.mark.parametrize(
    "uri",
    ["gs://posters/a.png", "gs://cloud-samples-data/generative-ai/image/a.png", "https://www.youtube.com/watch?v=1"],
)
def test_a_row_may_name_files_in_cloud_storage_and_videos_of_youtube(checks: RequestChecks, uri: str) -> None:
    assert checks.parse_row(file_request(uri), PROJECT, "global") == file_request(uri)


@pytest.mark.parametrize(
    ("request_body", "code", "message"),
    [
        (
            file_request("gs://posters/none.png"),
            404,
            "gs://posters/none.png cannot be read: No such object: posters/none.png",
        ),
        (
            file_request("gs://nowhere/a.png"),
            404,
            "gs://nowhere/a.png cannot be read: The specified bucket does not exist.",
        ),
        (file_request("https://example.com/a.png"), 400, "Only Cloud Storage and public YouTube URIs"),
        (
            text_request("x") | {"cachedContent": f"{PARENT}/cachedContents/42"},
            404,
            "Not found: cached content metadata for 42.",
        ),
        (
            text_request("x") | {"labels": {"Team": "a"}},
            400,
            "generate_content_request.labels: 'Team' is not a label key",
        ),
        (text_request("x") | {"labels": {"team": "A b"}}, 400, "'A b' is not a label value"),
        (text_request("x") | {"model": "gemini-9"}, 404, "models/gemini-9` was not found"),
        (
            text_request("x") | {"tools": [{"retrieval": {"vertex_rag_store": {"rag_resources": []}}}]},
            400,
            "(RAG) is not supported in batches",
        ),
        (text_request("x", image_config={"image_size": "4K"}), 400, "image size 4K is not supported in batches"),
    ],
)
def test_a_row_that_names_what_does_not_exist_is_refused(
    checks: RequestChecks, request_body: dict[str, Any], code: int, message: str
) -> None:
    with pytest.raises(BackendError) as raised:
        checks.parse_row(request_body, PROJECT, "global")
    assert raised.value.code == code
    assert message in raised.value.message


def function_turns(calls: int, responses: int) -> dict[str, Any]:
    """Return a request with a turn of calls of a function, and one of its responses; without a turn for none."""
    call, response = {"functionCall": {"name": "f"}}, {"function_response": {"name": "f", "response": {}}}
    asked = {"role": "user", "parts": [{"text": "x"}, *[response] * (not responses)]}
    turns = [asked, {"role": "model", "parts": [call] * calls}, {"role": "user", "parts": [response] * responses}]
    return {"contents": [turn for turn in turns if turn["parts"]]}


def test_calls_of_functions_and_their_responses_are_accepted(checks: RequestChecks) -> None:
    checks.check_call(function_turns(2, 2) | {"tools": [{"functionDeclarations": [{"name": "_f.g:h-1"}]}]}, "v1")


@pytest.mark.parametrize("text", ["{", "[]", '"x"', "", '{"contents": [], "contents": []}', '{"model": "\\ud800"}'])
def test_a_row_that_is_not_a_json_object_is_refused(checks: RequestChecks, text: str) -> None:
    with pytest.raises(BackendError, match="Invalid JSON in the request"):
        checks.parse_row(text, PROJECT, "global")


@pytest.mark.parametrize(
    ("request_body", "message"),
    [
        ({"contents": [{"parts": [{"text": "x"}]}]}, "Please use a valid role: user, model."),
        ({"contents": [{"role": "user", "parts": [{"text": ""}]}]}, "it has an empty text parameter"),
        (file_request("gs://posters/a.png", "application/zip"), "mimeType parameter with value application/zip"),
        ({"contents": []}, "at least one contents field"),
        (
            {"contents": [{"role": "user", "parts": [{"inlineData": {"mimeType": "image/png"}}]}]},
            "it has an empty inlineData parameter",
        ),
        (
            text_request("x") | {"tools": [{"function_declarations": [{"description": "x"}]}]},
            "not the name of a function",
        ),
        (
            text_request("x") | {"tools": {"functionDeclarations": {"name": "1st"}}},
            "'1st' is not the name of a function",
        ),
        (function_turns(1, 0), "the number of function response parts"),
        (function_turns(1, 2), "the number of function response parts"),
    ],
)
def test_a_request_that_gemini_cannot_answer_is_refused(
    checks: RequestChecks, request_body: dict[str, Any], message: str
) -> None:
    with pytest.raises(BackendError, match=message):
        checks.check_call(request_body, "v1")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"instancesFormat": "jsonl", "gcsSource": {"uris": ["gs://b/a.jsonl"], "prefix": "x"}},
            "Unknown name \"prefix\" at 'batch_prediction_job.input_config.gcs_source': Cannot find field.",
        ),
        (
            {"instancesFormat": "bigquery", "bigquerySource": {"inputUri": 5}},
            "Invalid value at 'batch_prediction_job.input_config.bigquery_source.input_uri' (TYPE_STRING), 5",
        ),
        (
            {"instancesFormat": "jsonl", "gcsSource": {"uris": []}, "bigquerySource": {"inputUri": "bq://p.d.t"}},
            "Invalid value at 'batch_prediction_job.input_config' (oneof), oneof field 'source' is already set. Cannot set "
            "'bigquerySource'",
        ),
    ],
)
def test_a_wrong_field_inside_a_job_is_refused(world: World, config: dict[str, Any], message: str) -> None:
    body = {**job_body("bq://p.d.t", "bq://p.d.answers"), "inputConfig": config}
    answer = requests.post(f"{world.url}/v1/{PARENT}/batchPredictionJobs", json=body, timeout=LAST_LIMIT)
    assert (answer.status_code, message in answer.json()["error"]["message"]) == (400, True)


@pytest.mark.usefixtures("usual_recursion_limit")
def test_a_free_value_that_is_nested_too_deeply_is_refused(checks: RequestChecks) -> None:
    with pytest.raises(BackendError, match="nested too deeply"):
        checks.check_call(nested(900, "responseJsonSchema"), "v1")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with vertex_world(tmp_path / "world") as running:
        yield running


def test_rows_and_calls_are_held_to_the_same_rules(world: World) -> None:
    wrong = [text_request("x", max_tokens=5), {"contents": [{"parts": [{"text": "x"}]}]}, text_request("x")]
    source = world.add_requests(wrong)
    job = world.vertex.jobs.create(PARENT, job_body(source, f"bq://{PROJECT}.batches.answers"))
    wait_until(lambda: world.vertex.jobs.get(job["name"])["state"] == "JOB_STATE_SUCCEEDED")
    statuses = [row["status"] for row in world.rows(f"{PROJECT}.batches.answers")]

    path = f"v1/{PARENT}/publishers/google/models/gemini-2.5-flash:generateContent"
    answers = [requests.post(f"{world.url}/{path}", json=body, timeout=LAST_LIMIT) for body in wrong]

    assert [answer.status_code for answer in answers] == [400, 400, 200]
    messages = [answer.json()["error"]["message"] for answer in answers[:2]]
    assert "max_tokens" in messages[0]
    assert "valid role" in messages[1]
    assert "max_tokens" in statuses[0]
    assert "valid role" in statuses[1]
    assert [status.split(":")[0] for status in statuses] == ["Bad Request", "Bad Request", ""]
