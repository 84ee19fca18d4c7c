"""Answers in Cloud Storage: rows that are sent again, several jobs, and typed results, as for answers in a table."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.world import World, fresh

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("no_orders")]


def _folder(world: World, name: str) -> str:
    return f"gs://{world.environment['OUTPUT_BUCKET']}/{name}"


def _file(world: World, name: str, *prompts: str) -> str:
    """Write a file of requests, each with an id beside it, and return its address."""
    lines = [
        {"id": n, "request": {"contents": [{"role": "user", "parts": [{"text": text}]}]}}
        for n, text in enumerate(prompts)
    ]
    bucket = world.storage.bucket(world.environment["OUTPUT_BUCKET"])
    bucket.blob(f"requests/{name}.jsonl").upload_from_string("\n".join(map(json.dumps, lines)))
    return f"gs://{bucket.name}/requests/{name}.jsonl"


def _batch(world: World, name: str, *prompts: str, **more: Any) -> dict[str, Any]:
    request = world.batch(name, name, input=_file(world, name, *prompts))
    return {**request, "output": f"{_folder(world, name)}/answers", **more}


def _folders(ended: dict[str, Any]) -> list[str]:
    return ended.get("answer_folders") or [ended["answers"]]


def _lines(world: World, ended: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the lines of all folders that an event names."""
    found = []
    for folder in _folders(ended):
        bucket, _, prefix = folder.removeprefix("gs://").partition("/")
        for blob in world.storage.list_blobs(bucket, prefix=f"{prefix}/predictions"):
            found += [json.loads(line) for line in blob.download_as_bytes().splitlines()]
    return found


def _answered(world: World, ended: dict[str, Any]) -> list[int]:
    """Return the ids of the requests with an answer, once for each answer."""
    return sorted(line["id"] for line in _lines(world, ended) if not line["status"])


def _own_tables(world: World, key: str) -> list[str]:
    default = f"{world.project}.gen_ai_batch_prediction"
    datasets = [world.regional, *([default] if default.split(".")[1] in _datasets(world) else [])]
    return [each.table_id for name in datasets for each in world.bigquery.list_tables(name) if key in each.table_id]


def _datasets(world: World) -> set[str]:
    return {each.dataset_id for each in world.bigquery.list_datasets()}


def test_a_line_that_fails_for_a_passing_reason_is_sent_again_and_results_are_typed(world: World) -> None:
    name = fresh("lines")
    world.order({"text": "busy", "status": 429, "times": 1}, {"text": "film", "answer": '{"title": "It", "year": 7}'})
    results = {"table": f"{world.regional}.{name}", "columns": {"title": "STRING $.title", "year": "INT64 $.year"}}
    world.publish("BATCH_TOPIC", _batch(world, name, "film", "busy film", "plain", results=results))
    ended = world.batch_ended(name)
    assert ended["type"].endswith("batch.succeeded.v1"), ended["error"]
    assert ended["counts"] == {"succeeded": 3, "failed": 0, "incomplete": 0}
    assert ended["tokens"]["prompt"] > 0
    # The event names both folders; each request has one answer in them.
    assert len(ended["answer_folders"]) == 2 and ended["answers"] == ended["answer_folders"][1]
    assert all(folder.startswith(f"{ended['output']}/") for folder in ended["answer_folders"])
    assert _answered(world, ended) == [0, 1, 2]
    assert len(world.batches(ended["key"])) == 2
    found = {row["id"]: (row["title"], row["year"], row["status"]) for row in world.rows(f"{world.regional}.{name}")}
    assert found == {0: ("It", 7, ""), 1: ("It", 7, ""), 2: (None, None, "the answer has no JSON")}
    assert _own_tables(world, ended["key"]) == []


def test_lines_that_failed_are_sent_again_on_demand(world: World) -> None:
    name = fresh("retried")
    world.order({"text": "wrong", "status": 400})
    world.publish("BATCH_TOPIC", _batch(world, name, "fine", "wrong", "wrong too", retries=0))
    ended = world.batch_ended(name)
    assert ended["type"].endswith("batch.partially_succeeded.v1"), ended["error"]
    assert "answer_folders" not in ended
    assert ended["answers"] == ended["output"]
    world.order()
    assert world.post_batch({"action": "retry_failed_rows", "request_id": name}).status_code == 202
    again = world.batch_ended(name, count=2)
    assert again["type"].endswith("batch.succeeded.v1"), again["error"]
    assert again["counts"] == {"succeeded": 3, "failed": 0, "incomplete": 0}
    assert _answered(world, again) == [0, 1, 2]
    assert len(world.batches(ended["key"])) == 2
    refused = world.post_batch({"action": "retry_failed_rows", "request_id": name})
    assert refused.json()["error"]["code"] == "nothing_to_retry"


@pytest.mark.parametrize("source", ["file", "table", "prompts"])
def test_more_requests_than_one_job_takes_are_several_jobs_with_a_folder_each(impatient: World, source: str) -> None:
    world, name = impatient, fresh("divided")
    prompts = [f"prompt {n}" for n in range(40)]
    request = _batch(world, name, *prompts)
    rows = " UNION ALL ".join(f"SELECT {n} AS id, '{text}' AS prompt" for n, text in enumerate(prompts))
    if source == "prompts":
        request["input"] = {"prompts": {"query": rows}}
    elif source == "table":
        text = "TO_JSON_STRING(JSON_OBJECT('contents', [JSON_OBJECT('role', 'user', 'parts', [JSON_OBJECT('text', prompt)])]))"
        query = f"CREATE TABLE {world.regional}.{name} AS SELECT id, {text} AS request FROM ({rows})"
        world.bigquery.query_and_wait(query)
        request["input"] = f"bq://{world.project}.{world.regional}.{name}"
    world.publish("BATCH_TOPIC", request)
    ended = world.batch_ended(name)
    assert ended["type"].endswith("batch.succeeded.v1"), ended["error"]
    assert ended["counts"] == {"succeeded": 40, "failed": 0, "incomplete": 0}
    assert len(ended["answer_folders"]) == 3
    assert _answered(world, ended) == list(range(40))
    assert len(world.batches(ended["key"])) == 3
    assert _own_tables(world, ended["key"]) == []


def test_a_file_of_more_requests_than_one_job_takes_is_answered_into_a_table(impatient: World) -> None:
    world, name = impatient, fresh("table")
    request = _batch(world, name, *(f"prompt {n}" for n in range(40)))
    request["output"] = f"bq://{world.project}.{world.regional}.{name}"
    world.publish("BATCH_TOPIC", request)
    ended = world.batch_ended(name)
    assert ended["type"].endswith("batch.succeeded.v1"), ended["error"]
    rows = world.rows(f"{world.regional}.{name}")
    assert sorted(row["id"] for row in rows if not row["status"]) == list(range(40))
    assert len(world.batches(ended["key"])) == 3
    assert _own_tables(world, ended["key"]) == []


@pytest.mark.matrix
def test_a_file_that_is_too_large_to_be_read_at_once_is_checked_as_a_whole(world: World) -> None:
    name, bucket = fresh("large"), world.storage.bucket(world.environment["OUTPUT_BUCKET"])
    request = {"contents": [{"role": "user", "parts": [{"text": "x" * 900}]}]}
    lines = [json.dumps({"id": n, "request": request}) for n in range(140_000)]
    lines.append(json.dumps({"id": len(lines), "request": {"contents": [{"parts": [{"text": "no role"}]}]}}))
    bucket.blob(f"{name}.jsonl").upload_from_string("\n".join(lines))
    file = f"gs://{bucket.name}/{name}.jsonl"
    world.publish("BATCH_TOPIC", world.batch(name, name, input=file, output=f"{_folder(world, name)}/answers"))
    refused = world.event("request.rejected", timeout=800, request_id=name).data
    assert (refused["error"]["code"], refused["error"]["field"]) == ("wrong_role", "input")
    assert "1 of 140,001 requests have a content without a valid role" in refused["error"]["message"]
    assert world.batches(refused["key"]) == []
    assert _own_tables(world, refused["key"]) == []


def test_requests_that_are_in_no_line_of_the_answers_are_sent_on_demand(world: World) -> None:
    name = fresh("absent")
    world.order({"text": "wrong", "status": 400})
    world.publish("BATCH_TOPIC", _batch(world, name, "fine", "wrong", "fine too", retries=0))
    ended = world.batch_ended(name)
    assert ended["counts"] == {"succeeded": 2, "failed": 1, "incomplete": 0}
    # As if the job had not come to the last request.
    bucket, _, prefix = ended["answers"].removeprefix("gs://").partition("/")
    kept = [json.dumps(line) for line in _lines(world, ended) if line["id"] != 2]
    world.storage.bucket(bucket).blob(f"{prefix}/predictions.jsonl").upload_from_string("\n".join(kept))
    world.order()
    assert world.post_batch({"action": "retry_failed_rows", "request_id": name}).status_code == 202
    again = world.batch_ended(name, count=2)
    assert again["type"].endswith("batch.succeeded.v1"), again["error"]
    assert again["counts"] == {"succeeded": 3, "failed": 0, "incomplete": 0}
    assert _answered(world, again) == [0, 1, 2]
    assert len(world.batches(ended["key"])) == 2


@pytest.mark.matrix
def test_answers_that_bigquery_does_not_load_stay_and_the_event_says_why(world: World) -> None:
    name = fresh("unread")
    world.order({"text": "busy", "status": 429})
    refused = {"service": "bigquery", "method": "bigquery.jobs.insert", "do": {"status": 403}}
    request = _batch(world, name, "fine", "busy")
    with world.faults({"caller": "poll_jobs", **refused}):
        world.publish("BATCH_TOPIC", request)
        ended = world.batch_ended(name)
    assert ended["type"].endswith("batch.partially_succeeded.v1"), ended
    assert ended["error"]["code"] and ended["counts"] == {"succeeded": 1, "failed": 1, "incomplete": 0}
    assert _answered(world, ended) == [0]
    world.order()
    assert world.post_batch({"action": "retry_failed_rows", "request_id": name}).status_code == 202
    again = world.batch_ended(name, count=2)
    assert again["type"].endswith("batch.succeeded.v1"), again["error"]
    assert _answered(world, again) == [0, 1]
