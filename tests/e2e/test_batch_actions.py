"""Actions on a batch, and rows that are sent again."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.world import World, fresh

pytestmark = pytest.mark.usefixtures("no_orders")


def _batch(world: World, name: str, *prompts: str, **more: Any) -> dict[str, Any]:
    rows = " UNION ALL ".join(f"SELECT {n} AS id, '{text}' AS prompt" for n, text in enumerate(prompts))
    return world.batch(name, name, input={"prompts": {"query": rows}}, **more)


def _statuses(world: World, table: str) -> dict[int, bool]:
    """Return whether each row of an output has an answer."""
    rows = world.rows(f"{world.regional}.{table}")
    found = {row["id"]: not row["status"] for row in rows}
    assert len(found) == len(rows), "a row is there twice"
    return found


def _ended_in_part(world: World, *, write: str) -> tuple[str, str]:
    """Return the name and the key of a batch that ended with one of two requests failed."""
    name = fresh("anew")
    world.order({"text": "wrong", "status": 400})
    output = {"table": f"bq://{world.project}.{world.regional}.{name}", "write": write}
    world.publish("BATCH_TOPIC", _batch(world, name, "fine", "wrong", output=output))
    return name, world.batch_ended(name)["key"]


def _own_tables(world: World, key: str) -> list[str]:
    return [each.table_id for each in world.bigquery.list_tables(world.regional) if key in each.table_id]


@pytest.mark.long
def test_a_row_that_fails_for_a_passing_reason_is_sent_again(world: World) -> None:
    name = fresh("again")
    world.order({"text": "busy", "status": 429, "times": 1})
    world.publish("BATCH_TOPIC", _batch(world, name, "fine", "busy", "fine too"))
    ended = world.batch_ended(name)
    assert ended["type"].endswith("batch.succeeded.v1"), ended["error"]
    assert ended["counts"] == {"succeeded": 3, "failed": 0, "incomplete": 0}
    assert _statuses(world, name) == {0: True, 1: True, 2: True}
    # One job for all rows, and one for the row that failed.
    assert len(world.batches(ended["key"])) == 2


@pytest.mark.long
def test_failed_rows_are_sent_again_on_demand_and_their_answers_replace_the_failures(world: World) -> None:
    name = fresh("retried")
    world.order({"text": "wrong", "status": 400})
    output = {"table": f"bq://{world.project}.{world.regional}.{name}", "write": "append"}
    world.publish("BATCH_TOPIC", _batch(world, name, "fine", "wrong", "wrong too", output=output))
    ended = world.batch_ended(name)
    assert ended["type"].endswith("batch.partially_succeeded.v1")
    assert _statuses(world, name) == {0: True, 1: False, 2: False}
    world.order()
    action = {"action": "retry_failed_rows", "request_id": name}
    world.publish("BATCH_TOPIC", action)
    again = world.batch_ended(name, count=2)
    assert again["type"].endswith("batch.succeeded.v1"), again["error"]
    assert again["counts"] == {"succeeded": 3, "failed": 0, "incomplete": 0}
    assert _statuses(world, name) == {0: True, 1: True, 2: True}
    assert len(world.batches(ended["key"])) == 2
    # Nothing is left to retry.
    refused = world.post_batch(action)
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "nothing_to_retry")


@pytest.mark.long
def test_a_retry_into_a_merge_keeps_the_answers_that_another_batch_has_written_since(world: World) -> None:
    table = fresh("merged")
    first, second = f"{table}-first", f"{table}-second"
    output = {"table": f"bq://{world.project}.{world.regional}.{table}", "write": "merge", "key": ["id"]}
    world.order({"text": "first wrong", "status": 400})
    world.publish("BATCH_TOPIC", _batch(world, first, "first a", "first wrong", "first c", output=output))
    assert world.batch_ended(first)["type"].endswith("batch.partially_succeeded.v1")
    world.order()
    world.publish("BATCH_TOPIC", _batch(world, second, "second a", "second b", "second c", output=output))
    assert world.batch_ended(second)["type"].endswith("batch.succeeded.v1")
    world.publish("BATCH_TOPIC", {"action": "retry_failed_rows", "request_id": first})
    assert world.batch_ended(first, count=2)["type"].endswith("batch.succeeded.v1")
    rows = world.rows(f"{world.regional}.{table}")
    texts = {row["id"]: str(row["response"]).partition("Echo: ")[2].partition('"')[0].partition("'")[0] for row in rows}
    # The retry's answer is the newest for its key.
    assert texts == {0: "second a", 1: "first wrong", 2: "second c"}
    assert len(rows) == 3


@pytest.mark.long
def test_a_batch_is_cancelled_while_its_job_runs(world: World) -> None:
    name = fresh("cancelled")
    # The job stops between two requests.
    world.order({"text": "slow", "seconds": 1})
    world.publish("BATCH_TOPIC", _batch(world, name, *["slow"] * 100))
    item = world.until(lambda: world.item("batch", "request", name))
    world.until(lambda: world.batches(item["key"]))
    for _ in range(2):
        assert world.post_batch({"action": "cancel", "key": item["key"]}).status_code == 202
    ended = world.batch_ended(name)
    assert ended["type"].endswith("batch.cancelled.v1")
    assert [job["state"] for job in world.batches(item["key"])] == ["JOB_STATE_CANCELLED"]
    # It is done, so that it may be sent twice.
    assert world.post_batch({"action": "cancel", "request_id": name}).json()["state"] == "cancelled"


@pytest.mark.long
def test_lines_that_a_cancelled_job_did_not_come_to_are_answered_into_the_table_on_demand(world: World) -> None:
    name, bucket = fresh("halfway"), world.storage.bucket(world.environment["OUTPUT_BUCKET"])
    texts = [{"contents": [{"role": "user", "parts": [{"text": f"slow {n}"}]}]} for n in range(500)]
    lines = [json.dumps({"id": n, "request": request, "about": {"n": n}}) for n, request in enumerate(texts)]
    bucket.blob(f"requests/{name}.jsonl").upload_from_string("\n".join(lines))
    # The job would take a minute, and stops between two requests.
    world.order({"text": "slow", "seconds": 1})
    world.publish("BATCH_TOPIC", world.batch(name, name, input=f"gs://{bucket.name}/requests/{name}.jsonl"))
    item = world.until(lambda: world.item("batch", "request", name), ticking=False)
    running = "JOB_STATE_RUNNING"
    world.until(lambda: [job for job in world.batches(item["key"]) if job["state"] == running], ticking=False)
    assert world.post_batch({"action": "cancel", "request_id": name}).status_code == 202
    cancelled = world.batch_ended(name)
    assert cancelled["type"].endswith("batch.cancelled.v1")
    assert cancelled["counts"]["incomplete"] > 0
    world.order()
    assert world.post_batch({"action": "retry_failed_rows", "request_id": name}).status_code == 202
    again = world.batch_ended(name, count=2)
    assert again["type"].endswith("batch.succeeded.v1"), again["error"]
    assert again["counts"] == {"succeeded": 500, "failed": 0, "incomplete": 0}
    assert _statuses(world, name) == dict.fromkeys(range(500), True)
    assert len(world.batches(item["key"])) == 2
    assert _own_tables(world, item["key"]) == []


@pytest.mark.long
def test_more_requests_than_one_job_takes_are_one_batch_of_several_jobs(impatient: World) -> None:
    name = fresh("divided")
    impatient.publish("BATCH_TOPIC", _batch(impatient, name, *(f"prompt {n}" for n in range(40))))
    ended = impatient.batch_ended(name)
    assert ended["type"].endswith("batch.succeeded.v1"), ended["error"]
    assert ended["counts"] == {"succeeded": 40, "failed": 0, "incomplete": 0}
    assert _statuses(impatient, name) == dict.fromkeys(range(40), True)
    assert len(impatient.batches(ended["key"])) == 3
    assert _own_tables(impatient, ended["key"]) == []


@pytest.mark.long
def test_the_tables_of_a_batch_that_ended_in_part_are_deleted_when_it_runs_again(world: World) -> None:
    name, key = _ended_in_part(world, write="truncate")
    assert _own_tables(world, key) != []
    world.order()
    world.publish("BATCH_TOPIC", {"action": "resubmit", "key": key})
    assert world.batch_ended(name, count=2)["type"].endswith("batch.succeeded.v1")
    assert _own_tables(world, key) == []


@pytest.mark.long
def test_the_tables_of_a_batch_that_failed_are_deleted_when_its_request_is_sent_again(world: World) -> None:
    names = fresh("anew"), fresh("refused")
    requests = [_batch(world, name, "fine") for name in names]
    for name, request in zip(names, requests, strict=True):
        assert world.post_batch(request).status_code == 202
        # Somebody writes the table after the batch has checked it, so that the answers cannot be moved.
        world.load(f"{world.regional}.{name}", [{"id": 7}])
    keys = []
    for name in names:
        failed = world.batch_ended(name)
        assert failed["type"].endswith("batch.failed.v1")
        assert _own_tables(world, failed["key"]) != []
        keys.append(failed["key"])
    world.bigquery.delete_table(f"{world.regional}.{names[0]}")
    assert world.post_batch(requests[0]).status_code == 202
    world.until(lambda: world.ids("batch.succeeded", request_id=names[0]))
    assert len(world.batches(keys[0])) == 2
    assert _own_tables(world, keys[0]) == []
    # A request that is refused leaves the answers that were paid.
    assert world.post_batch(requests[1]).json()["error"]["code"] == "output_not_empty"
    assert _own_tables(world, keys[1]) != []


@pytest.mark.long
def test_the_deletion_of_a_rejected_batch_is_no_refusal(world: World) -> None:
    name = fresh("rejected")
    world.publish("BATCH_TOPIC", _batch(world, name, ""))
    rejected = world.batch_ended(name)
    assert (rejected["type"], rejected["error"]["code"]) == ("modeldrop.request.rejected.v1", "empty_part")
    deleted = world.post_batch({"action": "delete", "key": rejected["key"]})
    assert (deleted.status_code, deleted.json()["state"]) == (202, "rejected")


@pytest.mark.long
def test_a_batch_runs_again_from_its_first_step_after_its_failed_rows_were_sent_again(world: World) -> None:
    name, key = _ended_in_part(world, write="append")
    world.order()
    for count, action in enumerate(("retry_failed_rows", "resubmit"), start=2):
        world.publish("BATCH_TOPIC", {"action": action, "key": key})
        assert world.batch_ended(name, count=count)["type"].endswith("batch.succeeded.v1")
    assert len(world.rows(f"{world.regional}.{name}")) == 4


@pytest.mark.matrix
def test_a_batch_runs_again_and_its_jobs_are_deleted(world: World) -> None:
    name = fresh("resubmitted")
    output = {"table": f"bq://{world.project}.{world.regional}.{name}", "write": "append"}
    world.publish("BATCH_TOPIC", _batch(world, name, "x", output=output))
    key = world.batch_ended(name)["key"]
    world.publish("BATCH_TOPIC", {"action": "resubmit", "key": key})
    assert world.batch_ended(name, count=2)["type"].endswith("batch.succeeded.v1")
    assert len(world.rows(f"{world.regional}.{name}")) == 2
    for _ in range(2):
        assert world.post_batch({"action": "delete", "key": key}).status_code == 202
    world.event("batch.deleted", key=key)
    assert len(world.ids("batch.deleted", key=key)) == 1
    # Those of the first run too.
    assert world.batches(key) == []
    assert len(world.rows(f"{world.regional}.{name}")) == 2


@pytest.mark.parametrize("action", ["cancel", "delete", "resubmit", "retry_failed_rows"])
def test_an_action_on_an_unknown_batch_is_rejected_with_its_field(world: World, action: str) -> None:
    answer = world.post_batch({"action": action, "request_id": fresh("unknown")})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "batch_not_found")
    assert answer.json()["error"]["field"] == "request_id"
