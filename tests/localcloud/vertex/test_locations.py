"""The locations of batches, and the models that they serve, through Google's clients."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests
from google.api_core import exceptions
from google.genai import errors

from tests.localcloud.gemini.prompts import text_request
from tests.localcloud.vertex.world import LOCATION, PROJECT, World, job_body, vertex_world
from tests.waiting import LAST_LIMIT, wait_until

OUTPUT = "bq://local-project.batches.responses"
MODEL = "gemini-3.8-flash"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with vertex_world(tmp_path_factory.mktemp("store")) as running:
        yield running


def create(world: World, location: str, *, model: str = MODEL, version: str = "v1", **more: Any) -> requests.Response:
    body = job_body(f"bq://{PROJECT}.batches.requests", OUTPUT, model=f"publishers/google/models/{model}", **more)
    url = f"{world.url}/{version}/projects/{PROJECT}/locations/{location}/batchPredictionJobs"
    return requests.post(url, json=body, timeout=LAST_LIMIT)


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
@pytest.mark.parametrize("location", ["global", "us", "eu"])
def test_a_job_is_in_its_location_only(world: World, location: str, version: str) -> None:
    name = create(world, location, version=version, displayName=f"{location}-{version}").json()["name"]
    assert name.startswith(f"projects/{PROJECT}/locations/{location}/batchPredictionJobs/")

    def listed(where: str) -> list[str]:
        jobs = world.job_client().list_batch_prediction_jobs(parent=f"projects/{PROJECT}/locations/{where}")
        return [job.name for job in jobs]

    assert name in listed(location)
    others = {"global", "us", "eu", LOCATION} - {location}
    assert all(name not in listed(other) for other in others)
    number = name.rsplit("/", 1)[-1]
    elsewhere = f"projects/{PROJECT}/locations/{LOCATION}/batchPredictionJobs/{number}"
    with pytest.raises(exceptions.NotFound):
        world.job_client().get_batch_prediction_job(name=elsewhere)


def test_a_global_job_reads_and_writes_the_dataset_of_any_region(world: World) -> None:
    source = world.add_requests([text_request("hello")], location="US")
    client = world.genai_client("global")
    job = client.batches.create(model=MODEL, src=source, config={"dest": "bq://local-project.batches.global_answers"})

    wait_until(lambda: client.batches.get(name=job.name).done)

    assert client.batches.get(name=job.name).state.name == "JOB_STATE_SUCCEEDED"
    assert [row["status"] for row in world.rows("local-project.batches.global_answers")] == [""]


@pytest.mark.parametrize("location", ["mars", "global-central1-a", "US", "us-central"])
def test_an_unknown_location_is_refused(world: World, location: str) -> None:
    answer = create(world, location)
    assert (answer.status_code, answer.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert "Unsupported location" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("model", "location"),
    [
        ("gemini-9-nonsense", "global"),
        ("gemini-1.5-pro-002", "us-central1"),
        ("gemini-2.0-flash-001", "us-central1"),
        (MODEL, "us-central1"),
        ("gemini-2.5-flash", "eu"),
    ],
)
def test_a_model_that_the_location_does_not_serve_is_not_found(world: World, model: str, location: str) -> None:
    path = f"projects/{PROJECT}/locations/{location}/publishers/google/models/{model}"
    expected = f"Publisher Model `{path}` was not found or your project does not have access to it."

    job = create(world, location, model=model)
    generated = requests.post(f"{world.url}/v1/{path}:generateContent", json=text_request("x"), timeout=LAST_LIMIT)

    for answer in (job, generated):
        assert (answer.status_code, answer.json()["error"]["status"]) == (404, "NOT_FOUND")
        assert answer.json()["error"]["message"].startswith(expected)


def test_the_gen_ai_sdk_raises_not_found_for_an_unknown_model(world: World) -> None:
    client = world.genai_client("global")
    with pytest.raises(errors.ClientError, match="valid model version") as raised:
        client.models.generate_content(model="gemini-9-nonsense", contents="x")
    assert raised.value.code == 404


def test_a_model_without_batches_is_refused(world: World) -> None:
    answer = create(world, "global", model="gemini-4-neon")
    assert (answer.status_code, answer.json()["error"]["message"]) == (
        400,
        "Do not support publisher model gemini-4-neon",
    )


@pytest.mark.parametrize(
    ("model", "location"),
    [
        (f"projects/{PROJECT}/locations/europe-west4/models/7", "us-central1"),
        (f"projects/{PROJECT}/locations/global/models/7", "global"),
        (f"projects/{PROJECT}/locations/us/publishers/google/models/{MODEL}", "global"),
        ("projects/another-project/locations/us-central1/models/7", "us-central1"),
    ],
)
def test_a_model_of_another_location_or_project_is_refused(world: World, model: str, location: str) -> None:
    body = job_body(f"bq://{PROJECT}.batches.requests", OUTPUT, model=model)
    url = f"{world.url}/v1/projects/{PROJECT}/locations/{location}/batchPredictionJobs"
    answer = requests.post(url, json=body, timeout=LAST_LIMIT)
    assert (answer.status_code, answer.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")


def test_the_models_of_google_are_listed_without_the_retired_ones(world: World) -> None:
    client = world.genai_client("global")
    listed = {model.name for model in client.models.list(config={"page_size": 5})}
    assert f"publishers/google/models/{MODEL}" in listed
    assert "publishers/google/models/gemini-1.5-pro-002" not in listed
    assert client.models.get(model=MODEL).name == f"publishers/google/models/{MODEL}"
