"""Batches of files in Cloud Storage that can be interrupted, as ``deeds.py`` has other actions."""

from __future__ import annotations

import json
from typing import Any

from tests.e2e.deeds import BATCH_ENDS, Deed, appended, own_tables_of, send_action, tick
from tests.e2e.world import World

REQUESTS = 3
# In a world in which one job takes 20 requests, so many are divided into three jobs.
MANY_REQUESTS = 40
PARTS = 3


def file_of(world: World, name: str, count: int = REQUESTS) -> str:
    """Write a file of ``count`` requests, each with an id, and return its address."""
    lines = [
        json.dumps({"id": n, "request": {"contents": [{"role": "user", "parts": [{"text": f"prompt {n}"}]}]}})
        for n in range(count)
    ]
    bucket = world.storage.bucket(world.environment["OUTPUT_BUCKET"])
    bucket.blob(f"requests/{name}.jsonl").upload_from_string("\n".join(lines))
    return f"gs://{bucket.name}/requests/{name}.jsonl"


def publish_lines(world: World, name: str, **more: Any) -> None:
    """Ask for a batch from a file into a folder, with typed results."""
    request = world.batch(name, name, input=file_of(world, name), **more)
    request["output"] = f"gs://{world.environment['OUTPUT_BUCKET']}/answers/{name}"
    request["results"] = {"table": f"{world.regional}.{name}", "columns": {"answer": "STRING $"}}
    world.publish("BATCH_TOPIC", request)


def _key(world: World, name: str) -> str:
    item = world.until(lambda: world.item("batch", "request", name))
    assert item is not None
    return str(item["key"])


def written(world: World, name: str) -> None:
    """Bring a batch to where its job has written lines, one of them a failure, before the poller sees it."""
    world.order({"text": "prompt 1", "status": 503, "times": 1})
    publish_lines(world, name)
    key = _key(world, name)
    world.until(lambda: world.batches(key))
    world.until(lambda: [job["state"] for job in world.batches(key)] == ["JOB_STATE_SUCCEEDED"], ticking=False)


def loaded(world: World, name: str) -> None:
    """Bring a batch to where these lines are loaded, before the poller sees it."""
    written(world, name)
    key = _key(world, name)
    world.until(lambda: [job for job in world.jobs(key) if "-read-" in job.job_id])
    world.until(lambda: all(job.state == "DONE" for job in world.jobs(key)), ticking=False)


def flattening(world: World, name: str) -> None:
    """Bring a batch to where its results are written, before the poller sees it."""
    written(world, name)
    key = _key(world, name)
    world.until(lambda: [job for job in world.jobs(key) if "-flatten" in job.job_id])
    world.until(lambda: all(job.state == "DONE" for job in world.jobs(key)), ticking=False)


def failed_in_part(world: World, name: str) -> None:
    """Bring a batch to its end with a request that failed for good, and let that request be answered from now on."""
    world.order({"text": "prompt 1", "status": 400})
    publish_lines(world, name)
    world.event("batch.partially_succeeded", request_id=name)
    world.quiet()
    world.order()


def check_lines(world: World, name: str) -> None:
    key = _key(world, name)
    # One job for all lines, and one for the line that failed.
    paid = [job for job in world.batches(key) if job["state"] != "JOB_STATE_CANCELLED"]
    assert [job["state"] for job in paid] == ["JOB_STATE_SUCCEEDED"] * 2
    ended = world.event("batch.succeeded", request_id=name).data
    assert len(world.ids("batch.succeeded", request_id=name)) == 1
    assert ended["counts"] == {"succeeded": REQUESTS, "failed": 0, "incomplete": 0}
    answered = []
    for folder in ended["answer_folders"]:
        bucket, _, prefix = folder.removeprefix("gs://").partition("/")
        for blob in world.storage.list_blobs(bucket, prefix=f"{prefix}/predictions"):
            lines = [json.loads(line) for line in blob.download_as_bytes().splitlines()]
            answered += [line["id"] for line in lines if not line["status"]]
    assert sorted(answered) == list(range(REQUESTS))
    rows = world.rows(f"{world.regional}.{name}")
    assert sorted((row["id"], bool(row["answer"]), row["status"]) for row in rows) == [
        (n, True, "") for n in range(REQUESTS)
    ]


def _until_query_has_ended(world: World, name: str, step: str) -> None:
    """Wait until the query of a step of a batch has ended, before the poller sees it."""
    world.delivered()
    key = _key(world, name)
    world.until(lambda: [job for job in world.jobs(key) if job.job_id.startswith(f"{key}-{step}-")])
    world.until(lambda: all(job.state == "DONE" for job in world.jobs(key)), ticking=False)


def _after_query(world: World, name: str, step: str) -> None:
    """Bring a batch of many requests to where the query of a step has ended, before the poller sees it."""
    request = world.batch(name, name, input=file_of(world, name, MANY_REQUESTS), output=appended(world, name))
    world.publish("BATCH_TOPIC", request)
    _until_query_has_ended(world, name, step)


def many_loaded(world: World, name: str) -> None:
    """Bring a batch to where the lines of its file are loaded, before the poller sees it."""
    _after_query(world, name, "load")


def many_divided(world: World, name: str) -> None:
    """Bring a batch to where its requests are divided, before the poller sees it."""
    _after_query(world, name, "divide")


def part_prepared(world: World, name: str) -> None:
    """Bring a batch to where the requests of its first job are in a table, before the poller sees it."""
    _after_query(world, name, "part")


def second_part_prepared(world: World, name: str) -> None:
    """Bring a batch to where the requests of its second job are in a table, before the poller sees it."""
    _after_query(world, name, "part-2")


def part_reviewed(world: World, name: str) -> None:
    """Bring a batch to where the answers of its first job are counted, before the poller sees it."""
    _after_query(world, name, "review")


def _check_answers(world: World, name: str, key: str, *, jobs: int, requests: int) -> None:
    """Check that ``jobs`` jobs were not cancelled, and that the output has one answer for each request."""
    paid = [job["state"] for job in world.batches(key) if job["state"] != "JOB_STATE_CANCELLED"]
    assert paid == ["JOB_STATE_SUCCEEDED"] * jobs
    rows = world.rows(f"{world.regional}.{name}")
    assert sorted((row["id"], row["status"] or "") for row in rows) == [(n, "") for n in range(requests)]


def check_many(world: World, name: str) -> None:
    item = world.item("batch", "request", name)
    assert item is not None
    assert item["outcome"] == "succeeded"
    _check_answers(world, name, item["key"], jobs=PARTS, requests=MANY_REQUESTS)
    assert len(world.ids(*BATCH_ENDS, request_id=name)) == 1
    assert own_tables_of(world, item["key"]) == []


# So many slow requests that their job can be cancelled before it comes to all of them.
SLOW_REQUESTS = 60


def cancelled_halfway(world: World, name: str) -> None:
    """Bring a batch of lines into a table to its end by a cancellation, with requests that its job has not come to."""
    world.order({"text": "prompt", "seconds": 1})
    request = world.batch(name, name, input=file_of(world, name, SLOW_REQUESTS), output=appended(world, name))
    world.publish("BATCH_TOPIC", request)
    key = _key(world, name)
    world.until(lambda: [job for job in world.batches(key) if job["state"] == "JOB_STATE_RUNNING"], ticking=False)
    assert world.post_batch({"action": "cancel", "request_id": name}).status_code == 202
    counts = world.event("batch.cancelled", request_id=name).data["counts"]
    assert counts["incomplete"] > 0
    world.quiet()
    world.order()


def _retried(world: World, name: str, step: str) -> None:
    """Bring such a batch, sent again, to where the query of a step has ended, before the poller sees it."""
    cancelled_halfway(world, name)
    world.publish("BATCH_TOPIC", {"action": "retry_failed_rows", "request_id": name})
    _until_query_has_ended(world, name, step)


def missing_loaded(world: World, name: str) -> None:
    """Bring a batch to where the lines of its file are loaded, to be compared with its answers."""
    _retried(world, name, "load-2")


def missing_collected(world: World, name: str) -> None:
    """Bring a batch to where the requests without an answer are in a table."""
    _retried(world, name, "repeat-2")


def check_missing(world: World, name: str) -> None:
    item = world.item("batch", "request", name)
    assert item is not None
    assert (item["outcome"], item["run"]) == ("succeeded", 2)
    # The first job was cancelled.
    _check_answers(world, name, item["key"], jobs=1, requests=SLOW_REQUESTS)
    assert len(world.ids(*BATCH_ENDS, request_id=name)) == 2
    assert own_tables_of(world, item["key"]) == []


FOLDER_DEEDS = {
    "polling lines that were written": Deed("poll_jobs", written, tick, check_lines, by_event=False),
    "polling loaded lines": Deed("poll_jobs", loaded, tick, check_lines, by_event=False),
    "polling results of lines": Deed("poll_jobs", flattening, tick, check_lines, by_event=False),
    "polling loaded lines of a retry": Deed("poll_jobs", missing_loaded, tick, check_missing, by_event=False),
    "polling requests to send again": Deed("poll_jobs", missing_collected, tick, check_missing, by_event=False),
}
# Nothing but the message knows of it before it changes the ledger, so its delivery must be repeated.
REDELIVERED_FOLDER_DEEDS = {
    "retrying lines that failed": Deed(
        "submit_batch_message", failed_in_part, send_action("retry_failed_rows"), check_lines
    ),
    "retrying lines that have no answer": Deed(
        "submit_batch_message", cancelled_halfway, send_action("retry_failed_rows"), check_missing
    ),
}

# In a world in which one job takes 20 requests.
DIVIDED_DEEDS = {
    "polling loaded requests": Deed("poll_jobs", many_loaded, tick, check_many, by_event=False),
    "polling divided requests": Deed("poll_jobs", many_divided, tick, check_many, by_event=False),
    "polling a prepared part": Deed("poll_jobs", part_prepared, tick, check_many, by_event=False),
    "polling a second part": Deed("poll_jobs", second_part_prepared, tick, check_many, by_event=False),
    "polling a reviewed part": Deed("poll_jobs", part_reviewed, tick, check_many, by_event=False),
}
