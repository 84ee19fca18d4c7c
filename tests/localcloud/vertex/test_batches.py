"""Batches of the local Vertex AI, through Google's clients."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from google.api_core import exceptions

from localcloud.gemini.echo import EchoBackend
from localcloud.gemini.errors import BackendError
from localcloud.vertex.pace import Pace
from tests.localcloud.gemini.prompts import text_request
from tests.localcloud.vertex.world import (
    FINAL,
    PARENT,
    PROJECT,
    World,
    job_body,
    vertex_world,
)
from tests.waiting import LAST_LIMIT, wait_until

OUTPUT = "bq://local-project.batches.responses"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with vertex_world(tmp_path) as running:
        yield running


def create(world: World, body: dict[str, Any]) -> dict[str, Any]:
    answer = requests.post(f"{world.url}/v1/{PARENT}/batchPredictionJobs", json=body, timeout=LAST_LIMIT)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def finish(world: World, job: dict[str, Any]) -> dict[str, Any]:
    """Wait until a job ends, and return its resource."""

    def ended() -> dict[str, Any] | None:
        found = requests.get(f"{world.url}/v1/{job['name']}", timeout=LAST_LIMIT).json()
        return found if found["state"] in FINAL else None

    return dict(wait_until(ended))


def run(world: World, body: dict[str, Any]) -> dict[str, Any]:
    return finish(world, create(world, body))


def failure(world: World, body: dict[str, Any]) -> dict[str, Any]:
    job = run(world, body)
    assert job["state"] == "JOB_STATE_FAILED"
    return dict(job["error"])


class TestFromTableToTable:
    def test_every_row_has_a_response_and_its_input_columns(self, world: World) -> None:
        source = world.add_requests([text_request(f"poster {number}") for number in range(40)])
        job = run(world, job_body(source, OUTPUT, labels={"team": "films"}))
        assert job["state"] == "JOB_STATE_SUCCEEDED"
        assert job["completionStats"] == {"successfulCount": "40", "failedCount": "0", "incompleteCount": "0"}
        assert job["outputInfo"] == {
            "bigqueryOutputDataset": "bq://local-project",
            "bigqueryOutputTable": "batches.responses",
        }
        assert job["labels"] == {"team": "films"}
        assert job["createTime"] < job["startTime"] <= job["endTime"] == job["updateTime"]
        assert "error" not in job and "partialFailures" not in job
        names = world.columns(OUTPUT)
        assert names == [("id", "INTEGER"), ("request", "JSON"), ("response", "JSON"), ("status", "STRING")]
        rows = world.rows(OUTPUT)
        assert [row["request"] for row in rows] == [text_request(f"poster {number}") for number in range(40)]
        assert [row["id"] for row in rows] == list(range(40))
        texts = [row["response"]["candidates"][0]["content"]["parts"][0]["text"] for row in rows]
        assert texts == [f"Echo: poster {number}" for number in range(40)]
        assert {row["status"] for row in rows} == {""}
        assert rows[0]["response"]["modelVersion"] == "localcloud-echo (stand-in for gemini-2.5-flash)"

    def test_a_request_column_of_strings_is_read_as_json(self, world: World) -> None:
        source = world.add_requests([text_request("hello")], kind="STRING")
        run(world, job_body(source, OUTPUT))
        (row,) = world.rows(OUTPUT)
        assert row["request"] == json.dumps(text_request("hello"))
        assert row["response"]["candidates"][0]["content"]["parts"] == [{"text": "Echo: hello"}]

    def test_a_dataset_as_output_contains_a_table_named_after_the_time(self, world: World) -> None:
        source = world.add_requests([text_request("hello")])
        job = run(world, job_body(source, "bq://local-project.batches"))
        table = job["outputInfo"]["bigqueryOutputTable"]
        created = datetime.fromisoformat(job["createTime"]).astimezone(UTC)
        assert table == f"batches.predictions_{created:%Y%m%d%H%M%S%f}"
        assert len(world.rows(table)) == 1

    def test_failed_rows_have_an_error_and_the_job_continues(self, world: World) -> None:
        bad_role = {"contents": [{"role": "robot", "parts": [{"text": "x"}]}]}
        elsewhere = {
            "contents": [{"parts": [{"fileData": {"fileUri": "https://example.com/a.png", "mimeType": "image/png"}}]}]
        }
        source = world.add_requests([text_request("good"), {"contents": []}, bad_role, "words", None, elsewhere])
        job = run(world, job_body(source, OUTPUT))
        assert job["state"] == "JOB_STATE_SUCCEEDED"
        assert job["completionStats"] == {"successfulCount": "1", "failedCount": "5", "incompleteCount": "0"}
        assert [failed["code"] for failed in job["partialFailures"]] == [3] * 5
        rows = world.rows(OUTPUT)
        assert [row["response"] is None for row in rows] == [False, True, True, True, True, True]
        for row in rows[1:]:
            prefix, _, body = row["status"].partition(": ")
            assert prefix == "Bad Request"
            error = json.loads(body)["error"]
            assert (error["code"], error["status"]) == (400, "INVALID_ARGUMENT")
        assert "valid role" in rows[2]["status"]
        assert "youtube" in rows[5]["status"].lower()

    def test_a_job_lists_at_most_twenty_partial_failures(self, world: World) -> None:
        source = world.add_requests([{"contents": []}] * 30)
        job = run(world, job_body(source, OUTPUT))
        assert len(job["partialFailures"]) == 20
        assert job["completionStats"]["failedCount"] == "30"

    def test_an_error_of_the_backend_is_the_status_of_its_row(self, tmp_path: Path) -> None:
        class Overloaded:
            def generate(self, model: str, request: dict[str, Any]) -> dict[str, Any]:
                raise BackendError(429, "Resource exhausted.")

        with vertex_world(tmp_path, backend=Overloaded()) as world:
            job = run(world, job_body(world.add_requests([text_request("x")]), OUTPUT))
            (row,) = world.rows(OUTPUT)
        body = {"error": {"code": 429, "message": "Resource exhausted.", "status": "RESOURCE_EXHAUSTED"}}
        assert row["status"] == f"Too Many Requests: {json.dumps(body)}"
        assert job["partialFailures"] == [{"code": 8, "message": "Resource exhausted."}]


class TestFiles:
    def lines(self, world: World, job: dict[str, Any]) -> list[dict[str, Any]]:
        folder = job["outputInfo"]["gcsOutputDirectory"].removeprefix("gs://answers/")
        return [json.loads(line) for line in world.store.read("answers", f"{folder}/predictions.jsonl").splitlines()]

    def test_jsonl_to_jsonl_copies_the_other_fields(self, world: World) -> None:
        world.store.create_bucket("asked")
        world.store.create_bucket("answers")
        lines = [{"key": "a", "request": text_request("one")}, {"key": "b", "request": {"contents": []}}]
        world.store.write("asked", "in/batch.jsonl", "\n".join(map(json.dumps, lines)).encode() + b"\n\n")
        job = run(world, job_body("gs://asked/in/batch.jsonl", "gs://answers/out/"))
        assert job["outputInfo"] == {"gcsOutputDirectory": f"gs://answers/out/prediction-model-{job['createTime']}"}
        good, bad = sorted(self.lines(world, job), key=lambda line: line["key"])
        assert (good["key"], good["status"], good["request"]) == ("a", "", text_request("one"))
        assert good["response"]["candidates"][0]["content"]["parts"] == [{"text": "Echo: one"}]
        assert datetime.fromisoformat(good["processed_time"]).utcoffset() is not None
        assert (bad["key"], bad["response"]) == ("b", {})
        assert bad["status"].startswith('Bad Request: {"error": {"code": 400')

    def test_a_table_is_written_to_jsonl(self, world: World) -> None:
        world.store.create_bucket("answers")
        source = world.add_selected(
            f"JSON '{json.dumps(text_request('one'))}' AS request, TIMESTAMP '2026-01-02 00:00:00+00' AS at, "
            "DATE '2026-01-03' AS day, NUMERIC '1.5' AS price, b'ab' AS raw, JSON '[1]' AS json, 2.5 AS share, 7 AS n"
        )
        (line,) = self.lines(world, run(world, job_body(source, "gs://answers")))
        assert line["status"] == ""
        assert line["request"] == text_request("one")
        assert line["response"]["candidates"][0]["content"]["parts"] == [{"text": "Echo: one"}]
        assert {key: line[key] for key in ("at", "day", "price", "raw", "json", "share", "n")} == {
            "at": "2026-01-02T00:00:00+00:00",
            "day": "2026-01-03",
            "price": "1.500000000",
            "raw": "YWI=",
            "json": [1],
            "share": 2.5,
            "n": 7,
        }

    def test_jsonl_is_written_to_a_table_with_a_column_for_each_key(self, world: World) -> None:
        world.store.create_bucket("asked")
        world.add_dataset("batches")
        lines = [
            {"n": 1, "x": 1, "ok": True, "any": [1], "void": None, "request": text_request("one")},
            {"n": 2, "x": 1.5, "ok": None, "any": "a", "request": text_request("two")},
        ]
        world.store.write("asked", "part-1.jsonl", json.dumps(lines[0]).encode())
        world.store.write("asked", "part-2.jsonl", json.dumps(lines[1]).encode())
        job = run(world, job_body("gs://asked/part-*.jsonl", OUTPUT))
        assert job["state"] == "JOB_STATE_SUCCEEDED", job
        assert dict(world.columns(OUTPUT)) == {
            "n": "INTEGER",
            "x": "FLOAT",
            "ok": "BOOLEAN",
            "any": "JSON",
            "void": "STRING",
            "request": "JSON",
            "response": "JSON",
            "status": "STRING",
        }
        rows = sorted(world.rows(OUTPUT), key=lambda row: row["n"])
        assert [(row["x"], row["ok"], row["any"]) for row in rows] == [(1.0, True, [1]), (1.5, None, "a")]
        assert [row["request"] for row in rows] == [text_request("one"), text_request("two")]

    def test_a_line_that_is_not_json_fails_the_job(self, world: World) -> None:
        world.store.create_bucket("asked")
        world.store.create_bucket("answers")
        world.store.write("asked", "in.jsonl", b'{"request": {}}\n{"request": \n')
        error = failure(world, job_body("gs://asked/in.jsonl", "gs://answers/out"))
        assert error["code"] == 3
        assert error["message"].startswith("Failed to import data. ")
        assert "line 2 of gs://asked/in.jsonl" in error["message"]
        assert world.store.list("answers") == []

    @pytest.mark.parametrize(
        ("line", "said"),
        [
            (b'{"request": {}, "request": {}}', "is there twice"),
            (b'{"request": {"contents": [], "contents": []}}', "is there twice"),
            (b'\xef\xbb\xbf{"request": {}}', "Expecting value"),
            ('{"request": {}}'.encode("utf-16"), "utf-8"),
            (b'{"request": {}, "id": "\\ud800"}', "surrogate"),
        ],
    )
    def test_a_line_that_google_does_not_parse_fails_the_job(self, world: World, line: bytes, said: str) -> None:
        world.store.create_bucket("asked")
        world.store.create_bucket("answers")
        world.store.write("asked", "in.jsonl", line)
        assert said in failure(world, job_body("gs://asked/in.jsonl", "gs://answers/out"))["message"]

    def test_missing_files_and_buckets_fail_the_job(self, world: World) -> None:
        world.store.create_bucket("asked")
        source = world.add_requests([text_request("one")])
        assert failure(world, job_body("gs://asked/none.jsonl", OUTPUT))["code"] == 3
        assert failure(world, job_body("gs://asked/none-*.jsonl", OUTPUT))["code"] == 3
        error = failure(world, job_body(source, "gs://nowhere/out"))
        assert error["code"] == 13
        assert error["message"].startswith("Failed to export data. ")


class TestInvalidData:
    def test_a_missing_table_fails_the_job(self, world: World) -> None:
        world.add_dataset("batches")
        error = failure(world, job_body("bq://local-project.batches.none", OUTPUT))
        assert error == {
            "code": 3,
            "message": "Failed to import data. Not found: Table local-project:batches.none",
        }

    @pytest.mark.parametrize("location", ["US", "EU", "europe-west4"])
    def test_a_dataset_in_another_location_fails_the_job(self, world: World, location: str) -> None:
        source = world.add_requests([text_request("x")], location=location)
        error = failure(world, job_body(source, OUTPUT))
        assert error["code"] == 3
        assert "Dataset local-project:batches" in error["message"]
        assert world.table_names() == ["requests"]

    def test_an_output_dataset_that_is_missing_or_in_another_location_fails_the_job(self, world: World) -> None:
        source = world.add_requests([text_request("x")])
        world.add_dataset("far", "US")
        for dataset in ("far", "none"):
            error = failure(world, job_body(source, f"bq://local-project.{dataset}.t"))
            assert error["code"] == 13
            assert f"Dataset local-project:{dataset}" in error["message"]
        assert world.table_names("far") == []
        assert {found.dataset_id for found in world.bigquery.list_datasets()} == {"batches", "far"}

    @pytest.mark.parametrize(
        ("column", "said"),
        [
            ("['a'] AS tags", "ARRAY"),
            ("STRUCT(1 AS a) AS inside", "STRUCT"),
            ("RANGE(DATE '2026-01-01', DATE '2026-01-02') AS span", "RANGE"),
            ("DATETIME '2026-01-01 00:00:00' AS at", "DATETIME"),
            ("ST_GEOGPOINT(1, 2) AS place", "GEOGRAPHY"),
            ("'x' AS response", "reserved"),
            ("'x' AS Status", "reserved"),
        ],
    )
    def test_an_unsupported_column_fails_the_job(self, world: World, column: str, said: str) -> None:
        source = world.add_selected(f"JSON '{{}}' AS request, {column}")
        error = failure(world, job_body(source, OUTPUT))
        assert error["code"] == 3
        assert said in error["message"]
        assert world.table_names() == ["requests"]

    @pytest.mark.parametrize("columns", ["1 AS id", "b'{}' AS request", "['{}'] AS request"])
    def test_a_table_without_a_json_or_string_request_column_fails_the_job(self, world: World, columns: str) -> None:
        error = failure(world, job_body(world.add_selected(columns), OUTPUT))
        assert error["code"] == 3
        assert "Column `request`" in error["message"]

    def test_more_than_two_hundred_thousand_requests_fail_the_job(self, world: World) -> None:
        source = world.add_selected("JSON '{}' AS request FROM UNNEST(GENERATE_ARRAY(1, 200001))")
        error = failure(world, job_body(source, OUTPUT))
        assert "200,000" in error["message"]
        assert world.table_names() == ["requests"]

    def test_a_job_in_the_global_location_accepts_any_single_region(self, world: World) -> None:
        source = world.add_requests([text_request("x")])
        parent = f"projects/{PROJECT}/locations/global"
        answer = requests.post(
            f"{world.url}/v1/{parent}/batchPredictionJobs", json=job_body(source, OUTPUT), timeout=LAST_LIMIT
        )
        assert finish(world, answer.json())["state"] == "JOB_STATE_SUCCEEDED"


class TestMalformedRequests:
    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"displayName": ""}, "batch_prediction_job.display_name; Message: Required field is not set."),
            ({"displayName": "x" * 129}, "128"),
            ({"model": None}, "batch_prediction_job.model"),
            ({"model": "gemini-2.5-flash"}, "gemini-2.5-flash"),
            ({"inputConfig": None}, "batch_prediction_job.input_config"),
            ({"outputConfig": {}}, "batch_prediction_job.output_config"),
            ({"inputConfig": {"instancesFormat": "csv"}}, "csv"),
            ({"inputConfig": {"instancesFormat": "bigquery"}}, "bigquery_source.input_uri"),
            (
                {"inputConfig": {"instancesFormat": "bigquery", "bigquerySource": {"inputUri": "bq://only.dataset"}}},
                "bq://only.dataset",
            ),
            ({"inputConfig": {"instancesFormat": "jsonl", "gcsSource": {"uris": []}}}, "gcs_source.uris"),
            ({"inputConfig": {"instancesFormat": "jsonl", "gcsSource": {"uris": ["/etc/x"]}}}, "/etc/x"),
            (
                {"outputConfig": {"predictionsFormat": "bigquery", "bigqueryDestination": {"outputUri": "bq://p/d"}}},
                "bq://p/d",
            ),
            ({"outputConfig": {"predictionsFormat": "jsonl"}}, "output_uri_prefix"),
            ({"outputConfig": {"predictionsFormat": "csv"}}, "csv"),
            ({"labels": {"Team": "x"}}, "Team"),
            ({"labels": {"team": "Films!"}}, "Films!"),
            ({"inputConfig": "bq://a.b.c"}, "Invalid value at 'batch_prediction_job.input_config'"),
            ({"nonsense": 1}, "nonsense"),
        ],
    )
    def test_an_invalid_field_is_rejected_with_its_name(self, world: World, change: dict[str, Any], said: str) -> None:
        body = job_body("bq://a.b.c", OUTPUT) | change
        answer = requests.post(f"{world.url}/v1/{PARENT}/batchPredictionJobs", json=body, timeout=LAST_LIMIT)
        assert answer.status_code == 400
        error = answer.json()["error"]
        assert error["status"] == "INVALID_ARGUMENT"
        assert said in error["message"]
        assert requests.get(f"{world.url}/v1/{PARENT}/batchPredictionJobs", timeout=LAST_LIMIT).json() == {
            "batchPredictionJobs": []
        }

    @pytest.mark.parametrize("content", [b"{", b"[]"])
    def test_a_body_that_is_not_a_json_object_is_rejected(self, world: World, content: bytes) -> None:
        answer = requests.post(f"{world.url}/v1/{PARENT}/batchPredictionJobs", data=content, timeout=LAST_LIMIT)
        assert answer.json()["error"]["status"] == "INVALID_ARGUMENT"

    @pytest.mark.parametrize(
        "model",
        [
            "publishers/google/models/gemini-2.5-flash",
            "projects/p/locations/us-central1/publishers/google/models/gemini-2.5-flash",
            "projects/123/locations/us-central1/models/456",
        ],
    )
    def test_every_form_of_a_model_name_is_accepted(self, world: World, model: str) -> None:
        source = world.add_requests([text_request("x")])
        job = run(world, job_body(source, OUTPUT) | {"model": model})
        assert job["model"] == model
        version = world.rows(OUTPUT)[0]["response"]["modelVersion"]
        assert version == f"localcloud-echo (stand-in for {model.rsplit('/', 1)[-1]})"

    def test_unknown_jobs_and_paths_are_not_found(self, world: World) -> None:
        name = f"{PARENT}/batchPredictionJobs/1"
        for verb, path in [("GET", name), ("DELETE", name), ("POST", f"{name}:cancel"), ("GET", f"{PARENT}/nothing")]:
            answer = requests.request(verb, f"{world.url}/v1/{path}", timeout=LAST_LIMIT)
            assert (answer.status_code, answer.json()["error"]["status"]) == (404, "NOT_FOUND")


class Gate:
    """A model that responds only once the test lets it."""

    def __init__(self, free: int = 0) -> None:
        self.opened = threading.Event()
        self._free = threading.Semaphore(free)
        self.asked = 0
        self._lock = threading.Lock()

    def generate(self, model: str, request: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            self.asked += 1
        if not self._free.acquire(blocking=False):
            self.opened.wait(LAST_LIMIT)
        return EchoBackend().generate(model, request)


class TestStates:
    def state(self, world: World, job: dict[str, Any]) -> str:
        return str(requests.get(f"{world.url}/v1/{job['name']}", timeout=LAST_LIMIT).json()["state"])

    def cancel(self, world: World, job: dict[str, Any]) -> None:
        assert requests.post(f"{world.url}/v1/{job['name']}:cancel", json={}, timeout=LAST_LIMIT).json() == {}

    def test_one_job_runs_at_a_time_and_the_others_are_queued(self, tmp_path: Path) -> None:
        gate = Gate()
        with vertex_world(tmp_path, backend=gate, pace=Pace(pending_seconds=0.01, concurrent_jobs=1)) as world:
            source = world.add_requests([text_request("x")])
            first, second = (create(world, job_body(source, f"{OUTPUT}_{number}")) for number in (1, 2))
            assert (first["state"], second["state"]) == ("JOB_STATE_PENDING", "JOB_STATE_QUEUED")
            wait_until(lambda: self.state(world, first) == "JOB_STATE_RUNNING")
            assert self.state(world, second) == "JOB_STATE_QUEUED"
            gate.opened.set()
            assert [finish(world, job)["state"] for job in (first, second)] == ["JOB_STATE_SUCCEEDED"] * 2

    def test_a_cancelled_job_writes_the_rows_that_are_done(self, tmp_path: Path) -> None:
        gate = Gate(free=20)
        with vertex_world(tmp_path, backend=gate) as world:
            job = create(world, job_body(world.add_requests([text_request("x")] * 100), OUTPUT))
            wait_until(lambda: gate.asked == 28)  # 20 answered, 8 in progress
            self.cancel(world, job)
            assert self.state(world, job) == "JOB_STATE_CANCELLING"
            gate.opened.set()
            ended = finish(world, job)
            assert ended["state"] == "JOB_STATE_CANCELLED"
            assert ended["error"] == {"code": 1, "message": "CANCELED"}
            rows = world.rows(OUTPUT)
            assert 20 <= len(rows) < 100
            assert all(row["response"] for row in rows)
            assert ended["completionStats"] == {
                "successfulCount": str(len(rows)),
                "failedCount": "0",
                "incompleteCount": str(100 - len(rows)),
            }
            self.cancel(world, job)  # A job that has ended does not change.
            assert finish(world, job) == ended

    def test_a_queued_job_is_cancelled_at_once(self, tmp_path: Path) -> None:
        gate = Gate()
        with vertex_world(tmp_path, backend=gate, pace=Pace(pending_seconds=0.01, concurrent_jobs=1)) as world:
            source = world.add_requests([text_request("x")])
            create(world, job_body(source, f"{OUTPUT}_1"))
            waiting = create(world, job_body(source, OUTPUT))
            self.cancel(world, waiting)
            assert self.state(world, waiting) == "JOB_STATE_CANCELLED"
            gate.opened.set()
            assert "responses" not in world.table_names()

    @pytest.mark.parametrize(
        "state",
        [
            "JOB_STATE_QUEUED",
            "JOB_STATE_PENDING",
            "JOB_STATE_RUNNING",
            "JOB_STATE_PAUSED",
            "JOB_STATE_UPDATING",
            "JOB_STATE_EXPIRED",
            "JOB_STATE_FAILED",
            "JOB_STATE_PARTIALLY_SUCCEEDED",
            "JOB_STATE_SUCCEEDED",
            "JOB_STATE_CANCELLED",
        ],
    )
    def test_a_job_can_be_forced_into_any_state_and_run_again(self, tmp_path: Path, state: str) -> None:
        gate = Gate()
        with vertex_world(tmp_path, backend=gate) as world:
            job = create(world, job_body(world.add_requests([text_request("x")]), OUTPUT))
            wait_until(lambda: gate.asked)
            url = f"{world.url}/localcloud/vertex/{job['name']}:setState"
            assert requests.post(url, json={"state": state}, timeout=LAST_LIMIT).json()["state"] == state
            gate.opened.set()
            wait_until(lambda: "responses" in world.table_names())  # The abandoned run has ended.
            assert self.state(world, job) == state
            shown = requests.get(f"{world.url}/v1/{job['name']}", timeout=LAST_LIMIT).json()
            assert ("error" in shown) == (state in ("JOB_STATE_FAILED", "JOB_STATE_CANCELLED"))
            requests.post(url, json={"state": None}, timeout=LAST_LIMIT)
            assert finish(world, job)["state"] == "JOB_STATE_SUCCEEDED"

    def test_an_unknown_state_is_rejected(self, world: World) -> None:
        job = create(world, job_body(world.add_requests([text_request("x")]), OUTPUT))
        for body in ({"state": "JOB_STATE_DREAMING"}, {}):
            answer = requests.post(
                f"{world.url}/localcloud/vertex/{job['name']}:setState", json=body, timeout=LAST_LIMIT
            )
            assert answer.status_code == 400

    def test_a_job_that_has_not_ended_cannot_be_deleted(self, world: World) -> None:
        job = create(world, job_body(world.add_requests([text_request("x")]), OUTPUT))
        world.vertex.force_state(job["name"], "JOB_STATE_RUNNING")
        answer = requests.delete(f"{world.url}/v1/{job['name']}", timeout=LAST_LIMIT)
        assert (answer.status_code, answer.json()["error"]["status"]) == (400, "FAILED_PRECONDITION")
        assert self.state(world, job) == "JOB_STATE_RUNNING"


class TestJobServiceClient:
    def test_the_official_client_creates_gets_lists_cancels_and_deletes(self, world: World) -> None:
        from google.cloud import aiplatform_v1

        client = world.job_client()
        source = world.add_requests([text_request("x"), {"contents": []}])
        created = client.create_batch_prediction_job(
            parent=PARENT,
            batch_prediction_job=aiplatform_v1.BatchPredictionJob(
                display_name="official",
                model="publishers/google/models/gemini-2.5-flash",
                input_config={"instances_format": "bigquery", "bigquery_source": {"input_uri": source}},
                output_config={"predictions_format": "bigquery", "bigquery_destination": {"output_uri": OUTPUT}},
                labels={"team": "films"},
            ),
        )
        assert created.state == aiplatform_v1.JobState.JOB_STATE_PENDING
        succeeded = aiplatform_v1.JobState.JOB_STATE_SUCCEEDED
        wait_until(lambda: client.get_batch_prediction_job(name=created.name).state == succeeded)
        job = client.get_batch_prediction_job(name=created.name)
        assert (job.completion_stats.successful_count, job.completion_stats.failed_count) == (1, 1)
        assert job.output_info.bigquery_output_table == "batches.responses"
        assert dict(job.labels) == {"team": "films"}
        listed = list(client.list_batch_prediction_jobs(parent=PARENT))
        assert [found.name for found in listed] == [created.name]
        masked = client.list_batch_prediction_jobs(request={"parent": PARENT, "read_mask": "name,state"})
        assert [(found.name, found.display_name) for found in masked] == [(created.name, "")]
        client.cancel_batch_prediction_job(name=created.name)
        operation = client.delete_batch_prediction_job(name=created.name)
        assert operation.done()
        operation.result(timeout=LAST_LIMIT)
        with pytest.raises(exceptions.NotFound):
            client.get_batch_prediction_job(name=created.name)
        assert len(world.rows(OUTPUT)) == 2

    def test_a_malformed_request_is_an_invalid_argument(self, world: World) -> None:
        with pytest.raises(exceptions.BadRequest, match="display_name"):
            world.job_client().create_batch_prediction_job(parent=PARENT, batch_prediction_job={})
