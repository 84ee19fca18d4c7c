"""Batches with files in Cloud Storage that can be interrupted, as ``deeds.py`` has other actions."""

from __future__ import annotations

import json
from typing import Any

from tests.e2e.deeds import Deed, send_action, tick
from tests.e2e.world import World

REQUESTS = 3


def file_of(world: World, name: str) -> str:
    """Write a file of requests, each with an id, and return its address."""
    lines = [
        json.dumps({"id": n, "request": {"contents": [{"role": "user", "parts": [{"text": f"prompt {n}"}]}]}})
        for n in range(REQUESTS)
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


FOLDER_DEEDS = {
    "polling lines that were written": Deed("poll_jobs", written, tick, check_lines, by_event=False),
    "polling loaded lines": Deed("poll_jobs", loaded, tick, check_lines, by_event=False),
    "polling results of lines": Deed("poll_jobs", flattening, tick, check_lines, by_event=False),
}
# Nothing but the message knows of it before it changes the ledger, so its delivery must be repeated.
REDELIVERED_FOLDER_DEEDS = {
    "retrying lines that failed": Deed(
        "submit_batch_message", failed_in_part, send_action("retry_failed_rows"), check_lines
    ),
}
