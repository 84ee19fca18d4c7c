"""Where a batch writes its answers: tables and datasets that exist or not, column types, and the order of rows."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.localcloud.gemini.prompts import text_request
from tests.localcloud.vertex.world import (
    FINAL,
    LOCATION,
    PARENT,
    PROJECT,
    World,
    job_body,
    vertex_world,
)
from tests.waiting import wait_until

OUTPUT = f"bq://{PROJECT}.batches.answers"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with vertex_world(tmp_path) as running:
        yield running


def run(world: World, source: str, destination: str, parent: str = PARENT, **more: Any) -> dict[str, Any]:
    name = world.vertex.jobs.create(parent, job_body(source, destination, **more))["name"]
    wait_until(lambda: world.vertex.jobs.get(name)["state"] in FINAL)
    return world.vertex.jobs.get(name)


def lines(world: World, job: dict[str, Any]) -> list[dict[str, Any]]:
    folder = job["outputInfo"]["gcsOutputDirectory"].removeprefix("gs://answers/")
    return [json.loads(line) for line in world.store.read("answers", f"{folder}/predictions.jsonl").splitlines()]


def test_an_existing_table_is_not_replaced(world: World) -> None:
    source = world.add_requests([text_request("x")])
    world.bigquery.query("CREATE TABLE batches.answers AS SELECT 'keep me' AS note", location=LOCATION).result()

    job = run(world, source, OUTPUT)

    assert job["state"] == "JOB_STATE_FAILED"
    assert job["error"]["message"] == f"Failed to export data. Already Exists: Table {PROJECT}:batches.answers"
    assert world.columns(OUTPUT) == [("note", "STRING")]


def test_the_input_table_is_not_replaced(world: World) -> None:
    source = world.add_requests([text_request("x")])
    assert run(world, source, source)["state"] == "JOB_STATE_FAILED"
    assert world.columns(source) == [("id", "INTEGER"), ("request", "JSON")]


def test_a_job_that_runs_again_replaces_the_table_of_its_first_run(world: World) -> None:
    job = run(world, world.add_requests([text_request("x")]), OUTPUT)

    world.vertex.force_state(job["name"], None)
    wait_until(lambda: world.vertex.jobs.get(job["name"])["state"] in FINAL)

    assert world.vertex.jobs.get(job["name"])["state"] == "JOB_STATE_SUCCEEDED"
    assert len(world.rows(OUTPUT)) == 1


def test_a_missing_dataset_fails_the_job(world: World) -> None:
    job = run(world, world.add_requests([text_request("x")]), f"bq://{PROJECT}.nowhere.answers")
    assert job["error"]["message"] == f"Failed to export data. Not found: Dataset {PROJECT}:nowhere"
    assert [dataset.dataset_id for dataset in world.bigquery.list_datasets()] == ["batches"]


@pytest.mark.parametrize(
    ("location", "model", "dataset_location"),
    [
        ("us-central1", "gemini-2.5-flash", "us-central1"),
        ("eu", "gemini-3.8-flash", "EU"),
        ("global", "gemini-3.8-flash", "US"),
    ],
)
def test_the_default_dataset_is_created_in_the_location_of_the_job(
    world: World, location: str, model: str, dataset_location: str
) -> None:
    source = world.add_requests([text_request("x")])
    job = run(
        world,
        source,
        f"bq://{PROJECT}.gen_ai_batch_prediction.predictions_1",
        f"projects/{PROJECT}/locations/{location}",
        model=f"publishers/google/models/{model}",
    )
    assert job["state"] == "JOB_STATE_SUCCEEDED"
    assert world.bigquery.get_dataset("gen_ai_batch_prediction").location == dataset_location
    assert len(world.rows(f"{PROJECT}.gen_ai_batch_prediction.predictions_1")) == 1


def test_a_project_as_destination_gets_a_dataset_named_after_model_and_time(world: World) -> None:
    job = run(world, world.add_requests([text_request("x")]), f"bq://{PROJECT}")
    dataset, table = job["outputInfo"]["bigqueryOutputTable"].split(".")
    stamp = job["createTime"][:23].replace("-", "_").replace(":", "_").replace(".", "_")
    assert dataset == f"prediction_gemini_2_5_flash_{stamp}Z"
    assert table == "predictions"
    assert len(world.rows(f"{dataset}.{table}")) == 1


def test_answers_come_back_in_another_order_which_is_the_same_each_time(world: World) -> None:
    world.store.create_bucket("answers")
    source = world.add_requests([text_request(f"poster {number}") for number in range(20)])

    first, second = ([line["id"] for line in lines(world, run(world, source, "gs://answers"))] for _ in range(2))

    assert sorted(first) == list(range(20))
    assert first != sorted(first)
    assert first == second


@pytest.mark.parametrize("count", [2, 3])
def test_even_two_answers_change_places(world: World, count: int) -> None:
    run(world, world.add_requests([text_request("x")] * count), OUTPUT)
    ids = [row["id"] for row in world.bigquery.list_rows("batches.answers")]
    assert ids != list(range(count))
    assert sorted(ids) == list(range(count))


def test_every_allowed_type_of_column_is_copied(world: World) -> None:
    columns = (
        "BIGNUMERIC '1.5' AS big, NUMERIC '12345678901234567890.5' AS wide, INTERVAL 1 DAY AS gap, "
        "CAST('nan' AS FLOAT64) AS hole, CAST('-inf' AS FLOAT64) AS low, TRUE AS yes, b'ab' AS raw, "
        "TIME '01:02:03.5' AS hour, CAST(NULL AS INTERVAL) AS none"
    )
    source = world.add_selected(f"JSON '{json.dumps(text_request('x'))}' AS request, {columns}")

    job = run(world, source, OUTPUT)

    assert job["state"] == "JOB_STATE_SUCCEEDED", job["error"]

    def shown(table: str) -> dict[str, str]:
        cast = f"SELECT TO_JSON_STRING(t) AS row FROM (SELECT * EXCEPT (request) FROM {table}) AS t"
        (row,) = world.bigquery.query(cast, location=LOCATION).result()
        return {key: value for key, value in json.loads(row["row"]).items() if key not in ("response", "status")}

    assert shown("batches.answers") == shown("batches.requests")
    types = dict(world.columns(OUTPUT))
    assert {name: types[name] for name in ("big", "wide", "gap", "hole")} == {
        "big": "BIGNUMERIC",
        "wide": dict(world.columns(source))["wide"],
        "gap": "INTERVAL",
        "hole": "FLOAT",
    }


def test_values_without_json_are_written_to_files_as_bigquery_exports_them(world: World) -> None:
    world.store.create_bucket("answers")
    columns = "CAST('nan' AS FLOAT64) AS hole, CAST('-inf' AS FLOAT64) AS low, MAKE_INTERVAL(1, 2, 3, 4, 5, 6) AS gap"
    source = world.add_selected(f"JSON '{json.dumps(text_request('x'))}' AS request, {columns}")

    (line,) = lines(world, run(world, source, "gs://answers"))

    assert (line["hole"], line["low"], line["gap"]) == ("NaN", "-Infinity", "1-2 3 4:5:6")


def test_half_of_a_surrogate_pair_fails_the_batch_as_other_broken_json_does(world: World) -> None:
    world.store.create_bucket("asked")
    world.store.create_bucket("answers")
    rows = [{"id": 1, "request": text_request("\ud800")}, {"id": 2, "request": text_request("x")}]
    world.store.write("asked", "in.jsonl", "\n".join(map(json.dumps, rows)).encode())

    job = run(world, "gs://asked/in.jsonl", "gs://answers")

    assert job["state"] == "JOB_STATE_FAILED"
    assert "half of a surrogate pair" in job["error"]["message"]
    assert world.store.list("answers") == []


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ("'{}' AS Request", "Column `request` is not found in local-project.batches.requests; `Request` has other"),
        ("'{}' AS prompt", "Column `request` is not found"),
        ("1 AS request", "must be of type JSON or STRING, not INTEGER"),
        (
            "'{}' AS request, 1 AS Status",
            "Column `status` of local-project.batches.requests has a name that is reserved",
        ),
        ("'{}' AS request, DATETIME '2026-01-01 00:00:00' AS at", "Column `at` of .* is of type DATETIME"),
        ("'{}' AS request, [1] AS list", "Column `list` of .* is of type ARRAY"),
    ],
)
def test_a_table_with_a_wrong_column_fails_the_job(world: World, columns: str, message: str) -> None:
    source = world.add_selected(columns)
    error = run(world, source, OUTPUT)["error"]
    assert error["code"] == 3
    assert re.search(message, error["message"])


@pytest.mark.parametrize("line", ['{"request": NaN}', '{"request": {}, "n": Infinity}', '{"request": ', "[]"])
def test_a_line_that_is_not_a_json_object_fails_the_job(world: World, line: str) -> None:
    world.store.create_bucket("asked")
    world.store.write("asked", "in.jsonl", line.encode())
    world.add_dataset("batches")
    error = run(world, "gs://asked/in.jsonl", OUTPUT)["error"]
    assert (error["code"], "line 1 of gs://asked/in.jsonl" in error["message"]) == (3, True)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([{"prompt": "x"}], "Column `request` is not found in the input file."),
        ([{"Request": {}}], "Column `request` is not found in the input file; `Request` has other"),
        (
            [{"key": 1, "request": {}}, {"Key": 2, "request": {}}],
            "Duplicate column names in the input file: `key` and `Key`",
        ),
        ([{"request": {}, "response": 1}], "Column `response` of the input file has a name that is reserved"),
    ],
)
def test_lines_with_a_wrong_key_fail_the_job(world: World, lines: list[dict[str, Any]], message: str) -> None:
    world.store.create_bucket("asked")
    world.store.write("asked", "in.jsonl", "\n".join(map(json.dumps, lines)).encode())
    world.add_dataset("batches")
    error = run(world, "gs://asked/in.jsonl", OUTPUT)["error"]
    assert error["code"] == 3
    assert message in error["message"]


@pytest.mark.parametrize("name", ["a.b", "what?", "_TABLE_x", "n" * 301])
def test_a_field_that_cannot_be_a_column_fails_the_job_only_if_its_output_is_a_table(world: World, name: str) -> None:
    world.store.create_bucket("asked")
    world.store.write("asked", "in.jsonl", json.dumps({name: 1, "request": text_request("x")}).encode())
    world.add_dataset("batches")
    job = run(world, "gs://asked/in.jsonl", OUTPUT)
    assert (job["state"], job["error"]["code"]) == ("JOB_STATE_FAILED", 13)
    assert f'Invalid field name "{name}"' in job["error"]["message"]
    world.store.create_bucket("answers")
    assert run(world, "gs://asked/in.jsonl", "gs://answers")["state"] == "JOB_STATE_SUCCEEDED"


def test_numbers_beyond_int64_become_floats(world: World) -> None:
    world.store.create_bucket("asked")
    world.store.write("asked", "in.jsonl", json.dumps({"n": 2**70, "request": text_request("x")}).encode())
    world.add_dataset("batches")
    assert run(world, "gs://asked/in.jsonl", OUTPUT)["state"] == "JOB_STATE_SUCCEEDED"
    assert world.rows(OUTPUT)[0]["n"] == float(2**70)


def test_a_table_of_more_requests_than_allowed_fails_the_job(world: World) -> None:
    world.add_dataset("batches")
    make = "CREATE TABLE batches.requests AS SELECT '{}' AS request FROM UNNEST(GENERATE_ARRAY(1, 200001))"
    world.bigquery.query(make, location=LOCATION).result()
    error = run(world, f"bq://{PROJECT}.batches.requests", OUTPUT)["error"]
    assert (
        error["message"] == "Failed to import data. The input has more than 200,000 requests, the maximum of a batch."
    )
