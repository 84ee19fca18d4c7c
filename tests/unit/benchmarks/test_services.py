"""The services of the scale benchmark keep the rules that it is about."""

from __future__ import annotations

import json
from typing import Any

from benchmarks.services.bigquery import BigQuery
from benchmarks.services.http import Request, Response
from benchmarks.services.storage import Storage

OBJECTS, NOW = "/storage/v1/b/state/o", "2026-01-01T00:00:00Z"


def insert(storage: Storage, name: str, **query: str) -> Response:
    """Upload an object as the official client does."""
    parts = [json.dumps({"name": name, "metadata": {"state": "open"}}).encode(), b"content"]
    body = b"".join(b"--b\r\ncontent-type: x\r\n\r\n%s\r\n" % part for part in parts) + b"--b--"
    return storage.handle(Request("POST", "/upload/storage/v1/b/state/o", {"uploadType": "multipart", **query}, body))


def call(storage: Storage, method: str, path: str, **query: str) -> Response:
    """Make a call without a body."""
    return storage.handle(Request(method, path, query, b""))


def listed(storage: Storage, **query: str) -> dict[str, Any]:
    """Return a page of the list of objects."""
    page: dict[str, Any] = json.loads(call(storage, "GET", OBJECTS, **query).body)
    return page


def test_a_second_write_of_an_object_within_a_second_is_refused() -> None:
    storage = Storage(0.04)
    assert [insert(storage, name).status for name in ("a", "b", "a")] == [200, 200, 429]
    assert call(storage, "DELETE", f"{OBJECTS}/b").status == 429
    assert dict(storage.refused) == {"state/a": 1, "state/b": 1}


def test_each_call_takes_the_latency_of_the_service() -> None:
    storage = Storage(0.04)
    assert insert(storage, "a").seconds == 0.04
    assert call(storage, "GET", OBJECTS).seconds == 0.04
    assert call(storage, "GET", f"{OBJECTS}/missing").seconds == 0.04


def test_a_write_under_another_generation_is_refused() -> None:
    storage = Storage(0.0, write_seconds=0.0)
    generation = json.loads(insert(storage, "a", ifGenerationMatch="0").body)["generation"]
    assert insert(storage, "a", ifGenerationMatch="0").status == 412
    assert insert(storage, "a", ifGenerationMatch=generation).status == 200


def test_a_list_has_pages_of_a_thousand() -> None:
    storage = Storage(0.0)
    for number in range(1001):
        storage.put("state", f"open/{number:04}", b"", {}, NOW)
    storage.put("state", "other", b"", {}, NOW)
    first = listed(storage, prefix="open/")
    second = listed(storage, prefix="open/", pageToken=first["nextPageToken"])
    assert (len(first["items"]), [each["name"] for each in second["items"]]) == (1000, ["open/1000"])
    assert "nextPageToken" not in second


def test_a_job_runs_until_its_end() -> None:
    bigquery = BigQuery(0.0, job_seconds=60.0)
    bigquery.jobs |= {"over": (0.0, 0.0), "running": (0.0, 4e9)}
    jobs = json.loads(bigquery.handle(Request("GET", "/bigquery/v2/projects/p/jobs", {}, b"")).body)["jobs"]
    assert [job["jobReference"]["jobId"] for job in jobs] == ["running"]
    states = [
        json.loads(bigquery.handle(Request("GET", f"/bigquery/v2/projects/p/jobs/{name}", {}, b"")).body)["status"]
        for name in ("over", "running")
    ]
    assert [status["state"] for status in states] == ["DONE", "RUNNING"]
