"""The code of Google's notebook and the Gen AI SDK against local Vertex AI."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from google.auth.credentials import AnonymousCredentials
from google.genai import errors, types
from pydantic import BaseModel

from tests.localcloud.gemini.prompts import text_request
from tests.localcloud.vertex.world import (
    LOCATION,
    PARENT,
    PROJECT,
    World,
    job_body,
    vertex_world,
)
from tests.waiting import LAST_LIMIT, wait_until

MODEL = "gemini-2.5-flash"
OUTPUT = "bq://local-project.batches.responses"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with vertex_world(tmp_path) as running:
        yield running


@pytest.mark.long
class TestNotebook:
    """GoogleCloudPlatform/generative-ai, gemini/batch-prediction/intro_batch_prediction_using_bigquery_input.ipynb."""

    @pytest.fixture
    def initialized(self, world: World) -> None:
        import vertexai

        vertexai.init(
            project=PROJECT,
            location=LOCATION,
            api_endpoint=world.url,
            api_transport="rest",
            credentials=AnonymousCredentials(),
        )

    @pytest.mark.usefixtures("initialized")
    def test_submits_waits_reads_and_deletes(self, world: World) -> None:
        from vertexai.batch_prediction import BatchPredictionJob

        source = world.add_requests([text_request("one"), text_request("two")])
        job = BatchPredictionJob.submit(source_model="gemini-2.5-flash", input_dataset=source, output_uri_prefix=OUTPUT)
        assert job.resource_name.startswith(f"{PARENT}/batchPredictionJobs/")
        assert job.model_name == "publishers/google/models/gemini-2.5-flash"
        assert job.state.name == "JOB_STATE_PENDING"
        wait_until(lambda: job.refresh().has_ended)
        assert job.has_succeeded
        rows = world.rows(job.output_location)
        assert sorted(row["request"]["contents"][0]["parts"][0]["text"] for row in rows) == ["one", "two"]
        assert all(row["response"]["candidates"] for row in rows)
        assert BatchPredictionJob(job.resource_name).has_succeeded
        assert [found.resource_name for found in BatchPredictionJob.list()] == [job.resource_name]
        job.delete()
        assert BatchPredictionJob.list() == []

    @pytest.mark.usefixtures("initialized")
    def test_output_location_and_iter_outputs_lead_to_the_rows(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from google.cloud import aiplatform
        from vertexai.batch_prediction import BatchPredictionJob

        monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", str(world.bigquery._connection.API_BASE_URL))
        source = world.add_requests([text_request("one"), text_request("two")])
        job = BatchPredictionJob.submit(source_model=MODEL, input_dataset=source, output_uri_prefix=OUTPUT)
        wait_until(lambda: job.refresh().has_ended)
        table = job.output_location.replace("bq://", "")
        assert len(list(world.bigquery.query(f"SELECT * FROM {table}", location=LOCATION).result())) == 2
        assert len(list(aiplatform.BatchPredictionJob(job.resource_name).iter_outputs())) == 2

    @pytest.mark.usefixtures("initialized")
    def test_a_failed_job_reports_its_error(self, world: World) -> None:
        from vertexai.batch_prediction import BatchPredictionJob

        source = world.add_requests([text_request("one")], location="US")
        job = BatchPredictionJob.submit(source_model=MODEL, input_dataset=source, output_uri_prefix=OUTPUT)
        wait_until(lambda: job.refresh().has_ended)
        assert not job.has_succeeded
        assert job.error.code == 3
        assert "multi-region US" in job.error.message

    @pytest.mark.usefixtures("initialized")
    def test_counts_pending_jobs(self, world: World) -> None:
        from vertexai.batch_prediction import BatchPredictionJob

        job = world.vertex.jobs.create(PARENT, job_body(world.add_requests([text_request("x")]), OUTPUT))
        world.vertex.force_state(job["name"], "JOB_STATE_RUNNING")
        assert BatchPredictionJob.num_pending_jobs() == 1
        BatchPredictionJob(job["name"]).cancel()
        assert BatchPredictionJob.num_pending_jobs() == 0

    @pytest.mark.usefixtures("initialized")
    def test_its_generative_model_responds_whole_and_in_pieces(self) -> None:
        from vertexai.generative_models import GenerationConfig, GenerativeModel

        model = GenerativeModel(MODEL, system_instruction="Be short.")
        schema = {"type": "object", "properties": {"title": {"type": "string"}}}
        answer = model.generate_content(
            "hello",
            generation_config=GenerationConfig(response_mime_type="application/json", response_schema=schema),
        )
        assert answer.text == '{"title": "title: hello"}'
        assert answer.candidates[0].finish_reason.name == "STOP"
        pieces = list(model.generate_content("one two three four five six", stream=True))
        assert "".join(piece.text for piece in pieces) == "Echo: one two three four five six"
        assert len(pieces) > 1


class TestGenAi:
    def test_a_batch_from_table_to_table_succeeds(self, world: World) -> None:
        client = world.genai_client()
        source = world.add_requests([text_request("one"), {"contents": []}])
        job = client.batches.create(
            model=MODEL,
            src=source,
            config=types.CreateBatchJobConfig(
                display_name="posters",
                dest=OUTPUT,
                http_options=types.HttpOptions(extra_body={"labels": {"team": "films"}}),
            ),
        )
        assert job.state.name == "JOB_STATE_PENDING"
        wait_until(lambda: client.batches.get(name=job.name).done)
        ended = client.batches.get(name=job.name.rsplit("/", 1)[-1])
        assert ended.state.name == "JOB_STATE_SUCCEEDED"
        assert ended.dest.bigquery_uri == OUTPUT
        assert (ended.completion_stats.successful_count, ended.completion_stats.failed_count) == (1, 1)
        listed = client.batches.list(config={"filter": "labels.team=films", "page_size": 1})
        assert [found.name for found in listed] == [job.name]
        client.batches.cancel(name=job.name)
        assert client.batches.delete(name=job.name).done
        assert list(client.batches.list()) == []
        with pytest.raises(errors.ClientError) as refused:
            client.batches.get(name=job.name)
        assert (refused.value.code, refused.value.status) == (404, "NOT_FOUND")

    def test_a_batch_from_file_to_file_succeeds(self, world: World) -> None:
        world.store.create_bucket("bucket")
        world.store.write(
            "bucket", "in.jsonl", b'{"request": {"contents": {"role": "user", "parts": {"text": "hi"}}}}\n'
        )
        client = world.genai_client()
        job = client.batches.create(model=MODEL, src="gs://bucket/in.jsonl")
        wait_until(lambda: client.batches.get(name=job.name).done)
        folder = client.batches.get(name=job.name).output_info.gcs_output_directory
        assert folder.startswith("gs://bucket/in/dest/prediction-model-")
        assert [stored.name for stored in world.store.list("bucket", "in/")] == [
            folder.removeprefix("gs://bucket/") + "/predictions.jsonl"
        ]

    def test_a_running_batch_is_cancelled(self, world: World) -> None:
        client = world.genai_client()
        job = client.batches.create(model=MODEL, src=world.add_requests([text_request("x")]), config={"dest": OUTPUT})
        world.vertex.force_state(job.name, "JOB_STATE_RUNNING")
        client.batches.cancel(name=job.name)
        cancelled = client.batches.get(name=job.name)
        assert cancelled.state.name == "JOB_STATE_CANCELLED"
        assert cancelled.error.code == 1

    def test_content_is_generated_whole_in_pieces_and_counted(self, world: World) -> None:
        client = world.genai_client()
        answer = client.models.generate_content(model=MODEL, contents="hello there")
        assert answer.text == "Echo: hello there"
        assert answer.model_version == f"localcloud-echo (stand-in for {MODEL})"
        assert answer.usage_metadata.total_token_count == 3 + 5
        pieces = list(client.models.generate_content_stream(model=MODEL, contents="a b c d e f g h i"))
        assert "".join(piece.text for piece in pieces) == "Echo: a b c d e f g h i"
        assert [piece.usage_metadata is not None for piece in pieces] == [False, False, True]
        assert pieces[-1].candidates[0].finish_reason == types.FinishReason.STOP
        counted = client.models.count_tokens(model=MODEL, contents="hello there")
        assert counted.total_tokens == 3
        [computed] = client.models.compute_tokens(model=MODEL, contents="hello there").tokens_info
        assert (computed.role, computed.tokens) == ("user", [b"hell", b"o th", b"ere"])
        assert len(computed.token_ids) == 3

    def test_a_response_follows_the_response_schema(self, world: World) -> None:
        class Film(BaseModel):
            title: str
            year: int
            genres: list[str]

        client = world.genai_client()
        answer = client.models.generate_content(
            model=MODEL,
            contents="a poster",
            config=types.GenerateContentConfig(response_mime_type="application/json", response_schema=Film),
        )
        assert isinstance(answer.parsed, Film)
        assert answer.parsed.title == "title: a poster"

    def test_an_invalid_request_is_rejected_with_googles_error(self, world: World) -> None:
        client = world.genai_client()
        with pytest.raises(errors.ClientError) as refused:
            client.models.generate_content(model=MODEL, contents=[{"role": "robot", "parts": []}])
        assert (refused.value.code, refused.value.status) == (400, "INVALID_ARGUMENT")


class TestRest:
    def post(self, world: World, path: str, body: dict[str, Any]) -> Any:
        return requests.post(f"{world.url}/{path}", json=body, timeout=LAST_LIMIT)

    def test_enums_are_numbers_if_requested_and_names_by_default(self, world: World) -> None:
        job = world.vertex.jobs.create(PARENT, job_body(world.add_requests([text_request("x")]), OUTPUT))
        world.vertex.force_state(job["name"], "JOB_STATE_PAUSED")
        url = f"{world.url}/v1/{job['name']}"
        assert requests.get(url, timeout=LAST_LIMIT).json()["state"] == "JOB_STATE_PAUSED"
        assert requests.get(f"{url}?%24alt=json%3Benum-encoding%3Dint", timeout=LAST_LIMIT).json()["state"] == 8
        assert requests.get(f"{url}?$alt=json;enum-encoding=int", timeout=LAST_LIMIT).json()["state"] == 8

    @pytest.mark.parametrize(
        "model",
        [
            f"v1/{PARENT}/publishers/google/models/gemini-2.5-flash",
            f"v1beta1/{PARENT}/publishers/google/models/gemini-2.5-flash",
            f"v1/{PARENT}/endpoints/123",
            "v1/publishers/google/models/gemini-2.5-flash",
        ],
    )
    def test_every_form_of_a_model_path_is_served(self, world: World, model: str) -> None:
        answer = self.post(world, f"{model}:generateContent", text_request("hi")).json()
        assert answer["candidates"][0]["content"]["parts"] == [{"text": "Echo: hi"}]

    def test_a_stream_without_server_sent_events_is_one_list(self, world: World) -> None:
        path = f"v1/{PARENT}/publishers/google/models/gemini-2.5-flash:streamGenerateContent"
        pieces = self.post(world, path, text_request("a b c d e f", candidateCount=2)).json()
        texts = ["", ""]
        for piece in pieces:
            for candidate in piece["candidates"]:
                texts[candidate["index"]] += candidate["content"]["parts"][0]["text"]
        assert texts == ["Echo: a b c d e f", "Echo: a b c d e f (2)"]

    def test_a_slow_model_does_not_delay_other_calls(self, tmp_path: Path) -> None:
        release = threading.Event()

        class Stuck:
            def generate(self, model: str, request: dict[str, Any]) -> dict[str, Any]:
                release.wait(LAST_LIMIT)
                return {}

        with vertex_world(tmp_path, backend=Stuck()) as world:
            path = f"v1/{PARENT}/publishers/google/models/gemini-2.5-flash:generateContent"
            stuck = threading.Thread(target=self.post, args=(world, path, text_request("x")))
            stuck.start()
            requests.get(f"{world.url}/v1/{PARENT}/batchPredictionJobs", timeout=LAST_LIMIT)
            assert stuck.is_alive()
            release.set()
            stuck.join()
