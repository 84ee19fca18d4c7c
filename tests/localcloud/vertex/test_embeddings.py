"""Embeddings, by batch and by call, and the orders of the stand-in model over HTTP."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from localcloud.gemini.embeddings import predictions
from localcloud.gemini.errors import BackendError
from localcloud.gemini.models import MODELS
from tests.localcloud.gemini.prompts import text_request
from tests.localcloud.vertex.world import FINAL, PARENT, PROJECT, World, job_body, vertex_world
from tests.waiting import LAST_LIMIT, wait_until

OUTPUT = f"bq://{PROJECT}.batches.answers"
TEXT_MODEL = "publishers/google/models/text-embedding-005"
GEMINI_MODEL = "publishers/google/models/gemini-embedding-001"


@pytest.fixture
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with vertex_world(tmp_path_factory.mktemp("store")) as running:
        for bucket in ("asked", "answers"):
            running.store.create_bucket(bucket)
        yield running


def run(world: World, source: str, destination: str, model: str) -> dict[str, Any]:
    name = world.vertex.jobs.create(PARENT, job_body(source, destination, model=model))["name"]
    wait_until(lambda: world.vertex.jobs.get(name)["state"] in FINAL)
    job = world.vertex.jobs.get(name)
    assert job["state"] == "JOB_STATE_SUCCEEDED", job["error"]
    return job


def lines(world: World, job: dict[str, Any]) -> list[dict[str, Any]]:
    folder = job["outputInfo"]["gcsOutputDirectory"].removeprefix("gs://answers/")
    return [json.loads(line) for line in world.store.read("answers", f"{folder}/predictions.jsonl").splitlines()]


def put_lines(world: World, *rows: dict[str, Any]) -> str:
    world.store.write("asked", "in.jsonl", "\n".join(map(json.dumps, rows)).encode())
    return "gs://asked/in.jsonl"


def length(vector: list[float]) -> float:
    return math.sqrt(sum(value * value for value in vector))


def test_lines_of_content_get_predictions(world: World) -> None:
    source = put_lines(world, {"content": "banana bread"}, {"content": ""})

    good, bad = sorted(lines(world, run(world, source, "gs://answers", TEXT_MODEL)), key=lambda line: line["status"])

    assert good["instance"] == {"content": "banana bread"}
    (prediction,) = good["predictions"]
    assert prediction["embeddings"]["statistics"] == {"token_count": 3, "truncated": False}
    assert len(prediction["embeddings"]["values"]) == 768
    assert length(prediction["embeddings"]["values"]) == pytest.approx(1, abs=1e-5)
    assert (bad["predictions"], bad["status"].split(":")[0]) == ([], "Bad Request")


def test_a_column_of_content_gets_a_column_of_predictions(world: World) -> None:
    source = world.add_selected("'banana bread' AS content, 7 AS id")
    run(world, source, OUTPUT, TEXT_MODEL)
    (row,) = world.rows(OUTPUT)
    assert (row["id"], row["content"], row["status"]) == (7, "banana bread", "")
    assert len(row["predictions"][0]["embeddings"]["values"]) == 768


def test_lines_of_a_gemini_embedding_model_get_an_embedding_and_keep_their_key(world: World) -> None:
    content = {"parts": [{"text": "hello"}]}
    source = put_lines(
        world,
        {"key": "a", "request": {"content": content, "embed_content_config": {"output_dimensionality": 256}}},
        {"key": "b", "request": {"contents": content}},
    )

    good, bad = sorted(lines(world, run(world, source, "gs://answers", GEMINI_MODEL)), key=lambda line: line["key"])

    assert len(good["response"]["embedding"]["values"]) == 256
    assert 'Unknown name "contents"' in bad["status"].replace('\\"', '"')


@pytest.mark.parametrize("destination", ["gs://answers", OUTPUT])
def test_a_gemini_embedding_model_reads_and_writes_files_only(world: World, destination: str) -> None:
    source = f"bq://{PROJECT}.batches.requests" if destination == "gs://answers" else "gs://asked/in.jsonl"
    body = job_body(source, destination, model=GEMINI_MODEL)
    answer = requests.post(f"{world.url}/v1/{PARENT}/batchPredictionJobs", json=body, timeout=LAST_LIMIT)
    assert (answer.status_code, answer.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert "Do not support BigQuery for publisher model gemini-embedding-001" in answer.json()["error"]["message"]


@pytest.mark.parametrize(("model", "dimensions"), [("text-embedding-005", 768), ("gemini-embedding-2", 3072)])
def test_the_gen_ai_sdk_gets_embeddings(world: World, model: str, dimensions: int) -> None:
    client = world.genai_client("global")
    answer = client.models.embed_content(model=model, contents="banana bread")
    assert len(answer.embeddings[0].values) == dimensions
    shorter = client.models.embed_content(model=model, contents="banana bread", config={"output_dimensionality": 64})
    assert len(shorter.embeddings[0].values) == 64


def test_a_model_answers_only_the_methods_that_it_has(world: World) -> None:
    def status(model: str, method: str, body: dict[str, Any]) -> int:
        path = f"v1/{PARENT}/publishers/google/models/{model}:{method}"
        return requests.post(f"{world.url}/{path}", json=body, timeout=LAST_LIMIT).status_code

    assert status("text-embedding-005", "generateContent", text_request("x")) == 400
    assert status("gemini-2.5-flash", "predict", {"instances": [{"content": "x"}]}) == 400
    assert status("gemini-2.5-flash", "embedContent", {"content": {"parts": [{"text": "x"}]}}) == 400
    assert status("text-embedding-999", "predict", {"instances": [{"content": "x"}]}) == 404


@pytest.mark.parametrize(
    ("request_body", "message"),
    [
        ({"instances": []}, "Empty instances."),
        ({"instances": [{"content": "x"}] * 251}, "250 instance(s) is allowed per prediction. Actual: 251"),
        ({"instances": [{"content": "x", "task_type": "SEARCH"}]}, "The task type 'SEARCH' does not exist"),
        ({"instances": [{"content": "x"}], "parameters": {"autoTruncate": "no"}}, "autoTruncate must be true or false"),
        ({"instances": [{"content": "x"}], "parameters": {"outputDimensionality": 769}}, "from 1 to 768, not 769"),
    ],
)
def test_texts_that_are_not_valid_get_no_embeddings(request_body: dict[str, Any], message: str) -> None:
    with pytest.raises(BackendError) as raised:
        predictions(MODELS["text-embedding-005"], request_body)
    assert raised.value.code == 400
    assert message in raised.value.message


def test_the_orders_of_the_stand_in_fail_rows_of_a_running_local_cloud(world: World) -> None:
    url = f"{world.url}/localcloud/vertex/echo"
    order = {"text": "broken", "status": 429, "message": "Resource exhausted."}
    answer = requests.put(url, json={"orders": [order]}, timeout=LAST_LIMIT)
    assert order.items() <= requests.get(url, timeout=LAST_LIMIT).json()["orders"][0].items()
    assert answer.status_code == 200

    run(
        world,
        world.add_requests([text_request("broken"), text_request("x")]),
        OUTPUT,
        "publishers/google/models/gemini-2.5-flash",
    )

    assert [row["status"].split(":")[0] for row in world.rows(OUTPUT)] == ["Too Many Requests", ""]


@pytest.mark.parametrize("body", [{}, {"orders": [{"fail": True}]}])
def test_wrong_orders_are_refused(world: World, body: dict[str, Any]) -> None:
    answer = requests.put(f"{world.url}/localcloud/vertex/echo", json=body, timeout=LAST_LIMIT)
    assert (answer.status_code, answer.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")
