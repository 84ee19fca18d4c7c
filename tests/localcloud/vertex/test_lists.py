"""Lists of batch prediction jobs: filters, pages and time limits."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from localcloud.apis.discovery import read_document
from localcloud.base.clock import ManualClock
from localcloud.vertex.base import rest
from localcloud.vertex.base.errors import RequestError
from localcloud.vertex.base.filters import compile_filter
from localcloud.vertex.base.pages import page
from localcloud.vertex.batch import job_requests
from localcloud.vertex.batch.jobs import FILTER_FIELDS
from localcloud.vertex.models import endpoints, transfers
from localcloud.vertex.pace import Pace
from tests.localcloud.gemini.prompts import text_request
from tests.localcloud.vertex.world import PARENT, World, job_body, vertex_world
from tests.paths import ROOT
from tests.waiting import LAST_LIMIT, wait_until

PAGE = (ROOT / "docs/gemini.md").read_text()

JOBS: list[dict[str, Any]] = [
    {
        "displayName": "posters one",
        "state": "JOB_STATE_SUCCEEDED",
        "createTime": "2026-01-01T00:00:00.000001Z",
        "labels": {"team": "films", "modeldrop-key": "a1"},
    },
    {"displayName": "posters two", "state": "JOB_STATE_FAILED", "createTime": "2026-01-02T00:00:00.000000Z"},
    {"displayName": "titles", "state": "JOB_STATE_RUNNING", "createTime": "2026-01-03T00:00:00Z", "labels": {"x": ""}},
]


class TestFilter:
    @pytest.mark.parametrize(
        ("text", "passing"),
        [
            ("", [0, 1, 2]),
            ('display_name="titles"', [2]),
            ("display_name=titles", [2]),
            ("displayName=titles", [2]),
            ("labels:team", [0]),
            ('display_name!="titles"', [0, 1]),
            ('display_name:"posters*"', [0, 1]),
            ('display_name:"*t*o*"', [0, 1]),
            ('display_name:"posters"', []),
            ('state="JOB_STATE_FAILED"', [1]),
            ("state!=JOB_STATE_FAILED", [0, 2]),
            ('create_time>"2026-01-01T00:00:00Z"', [0, 1, 2]),
            ('create_time>="2026-01-02T00:00:00Z"', [1, 2]),
            ('create_time="2026-01-02T01:00:00+01:00"', [1]),
            ("create_time<2026-01-02T00:00:00Z", [0]),
            ("labels.team=films", [0]),
            ('labels.team="films"', [0]),
            ("labels.modeldrop-key=a1", [0]),
            ('labels."modeldrop-key"=a1', [0]),
            ("labels.x:*", [2]),
            ("NOT labels.team:*", [1, 2]),
            ("-labels.team:*", [1, 2]),
            ("labels.team!=films", [1, 2]),
            ('state="JOB_STATE_SUCCEEDED" AND display_name:"posters*"', [0]),
            ('state="JOB_STATE_SUCCEEDED" OR state="JOB_STATE_RUNNING"', [0, 2]),
            ('state!="JOB_STATE_FAILED" OR display_name="posters two"', [0, 1, 2]),
            ('display_name:"posters*" state=JOB_STATE_FAILED', [1]),
            # OR binds tighter than AND.
            ("display_name=titles OR state=JOB_STATE_FAILED AND labels.x:*", [2]),
            ("display_name=titles OR (state=JOB_STATE_FAILED AND labels.x:*)", [2]),
            ("display_name=titles AND (state=JOB_STATE_FAILED OR NOT labels.team:*)", [2]),
            ("NOT (display_name=titles OR state=JOB_STATE_FAILED)", [0]),
            (r'display_name="a \"quoted\" name"', []),
        ],
    )
    def test_passes(self, text: str, passing: list[int]) -> None:
        passes = compile_filter(text, FILTER_FIELDS)
        assert [number for number, job in enumerate(JOBS) if passes(job)] == passing

    @pytest.mark.parametrize(
        "text",
        [
            "display_name",
            'display_name>"a"',
            'state:"JOB*"',
            'state="SLEEPING"',
            'create_time>"yesterday"',
            'create_time>"2026-01-01T00:00:00"',
            'nonsense="a"',
            'display_name="a" AND',
            "(display_name=a",
            "display_name=a)",
            'display_name="a',
            "labels.a>b",
            "OR display_name=a",
        ],
    )
    def test_refuses(self, text: str) -> None:
        with pytest.raises(RequestError) as refused:
            compile_filter(text, FILTER_FIELDS)
        assert refused.value.status == "INVALID_ARGUMENT"


class TestPage:
    def test_continues_at_its_position_when_items_are_added_and_removed(self) -> None:
        items = {number: f"item {number}" for number in range(5)}
        first, token = page(items.items(), 2, "")
        assert first == ["item 4", "item 3"]
        del items[3]
        items[9] = "new"
        second, token = page(items.items(), 2, token)
        assert second == ["item 2", "item 1"]
        assert page(items.items(), 2, token) == (["item 0"], "")

    def test_has_at_most_a_hundred_items(self) -> None:
        items = [(number, number) for number in range(150)]
        assert len(page(items, 0, "")[0]) == len(page(items, 1000, "")[0]) == 100

    @pytest.mark.parametrize(("size", "token"), [(-1, ""), (1, "!"), (1, "bm9wZQ==")])
    def test_rejects_an_invalid_size_or_token(self, size: int, token: str) -> None:
        with pytest.raises(RequestError):
            page([], size, token)


class TestService:
    @pytest.fixture
    def world(self, tmp_path: Path) -> Iterator[World]:
        with vertex_world(tmp_path, clock=ManualClock()) as running:
            yield running

    def test_the_official_client_pages_through_the_newest_first(self, world: World) -> None:
        source = world.add_requests([])
        for number in range(5):
            body = job_body(source, "bq://local-project.batches.o", labels={"n": str(number % 2)})
            world.vertex.jobs.create(PARENT, body | {"displayName": f"job {number}"})
        client = world.job_client()
        pager = client.list_batch_prediction_jobs(request={"parent": PARENT, "page_size": 2})
        assert [len(one.batch_prediction_jobs) for one in pager.pages] == [2, 2, 1]
        found = client.list_batch_prediction_jobs(request={"parent": PARENT, "page_size": 2, "filter": "labels.n=0"})
        assert [job.display_name for job in found] == ["job 4", "job 2", "job 0"]
        elsewhere = client.list_batch_prediction_jobs(parent="projects/local-project/locations/europe-west4")
        assert list(elsewhere) == []

    def test_an_invalid_filter_or_page_is_rejected(self, world: World) -> None:
        for query in ("filter=x", "pageSize=-1", "pageSize=many", "pageToken=x"):
            answer = requests.get(f"{world.url}/v1/{PARENT}/batchPredictionJobs?{query}", timeout=LAST_LIMIT)
            assert answer.status_code == 400


class TestTime:
    def test_a_job_that_waits_for_three_days_expires(self, tmp_path: Path) -> None:
        clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
        release = threading.Event()

        class Stuck:
            def generate(self, model: str, request: dict[str, Any]) -> dict[str, Any]:
                release.wait(LAST_LIMIT)
                return {"candidates": []}

        with vertex_world(tmp_path, clock=clock, backend=Stuck(), pace=Pace(0, concurrent_jobs=1)) as world:
            body = job_body(world.add_requests([text_request("x")]), "bq://local-project.batches.o")
            _, waiting = (world.vertex.jobs.create(PARENT, body) for _ in range(2))
            clock.advance(72 * 3600)
            assert world.vertex.jobs.get(waiting["name"])["state"] == "JOB_STATE_QUEUED"  # a microsecond younger
            clock.advance(0.000_001)
            expired = requests.get(f"{world.url}/v1/{waiting['name']}", timeout=LAST_LIMIT).json()
            release.set()
            assert expired["state"] == "JOB_STATE_EXPIRED"
            assert expired["endTime"] == "2026-01-04T00:00:00.000001Z"
            assert "error" not in expired

    def test_a_job_that_runs_for_a_day_ends_with_the_answers_that_it_has(self, tmp_path: Path) -> None:
        clock = ManualClock()

        class Slow:
            def generate(self, model: str, request: dict[str, Any]) -> dict[str, Any]:
                clock.advance(3600)
                return {"candidates": [], "modelVersion": model}

        with vertex_world(tmp_path, clock=clock, backend=Slow(), pace=Pace(pending_seconds=0)) as world:
            source = world.add_requests([text_request("x")] * 100)
            job = world.vertex.jobs.create(PARENT, job_body(source, "bq://local-project.batches.o"))
            ended = wait_until(lambda: (found := world.vertex.jobs.get(job["name"])) and "endTime" in found and found)
            rows = world.rows("local-project.batches.o")
            assert ended["state"] == "JOB_STATE_CANCELLED"
            assert 0 < len(rows) < 100
            assert ended["completionStats"]["incompleteCount"] == str(100 - len(rows))

    def test_a_job_is_pending_for_the_configured_time(self, tmp_path: Path) -> None:
        clock = ManualClock()
        with vertex_world(tmp_path, clock=clock, pace=Pace(pending_seconds=60)) as world:
            body = job_body(world.add_requests([text_request("x")]), "bq://local-project.batches.o")
            job = world.vertex.jobs.create(PARENT, body)
            clock.advance(59)
            assert world.vertex.jobs.get(job["name"])["state"] == "JOB_STATE_PENDING"
            clock.advance(1)
            wait_until(lambda: world.vertex.jobs.get(job["name"])["state"] == "JOB_STATE_SUCCEEDED")
            shown = world.vertex.jobs.get(job["name"])
            assert (shown["createTime"], shown["startTime"]) == (
                "2026-01-01T00:00:00.000000Z",
                "2026-01-01T00:01:00.000000Z",
            )


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with vertex_world(tmp_path, clock=ManualClock()) as running:
        yield running


def fields_of(message: str) -> set[str]:
    """Return the fields of a message of Vertex AI that a caller can set."""
    properties = read_document("aiplatform.v1").schemas[f"GoogleCloudAiplatformV1{message}"]["properties"]
    return {
        name
        for name, of in properties.items()
        if not of.get("readOnly") and "Output only" not in of.get("description", "")
    }


def test_each_field_of_a_job_is_carried_out_or_kept() -> None:
    assert fields_of("BatchPredictionJob") <= job_requests.SETTABLE | job_requests.OUTPUT_ONLY


@pytest.mark.parametrize(
    ("message", "kept"),
    [("BatchPredictionJob", job_requests.KEPT), ("DeployedModel", endpoints.KEPT), ("Model", transfers.KEPT)],
)
def test_the_page_lists_the_fields_that_are_only_kept(message: str, kept: frozenset[str]) -> None:
    [row] = re.findall(rf"^\| `{message}` \| (.+) \|$", PAGE, re.MULTILINE)
    assert re.findall(r"`(\w+)`", row) == sorted(kept)
    assert kept <= fields_of(message)


def test_the_page_lists_the_parameters_that_are_kept_or_refused() -> None:
    rows = dict(re.findall(r"^\| `([\w$.]+)` \| ([^`|]+) \|$", PAGE, re.MULTILINE))
    assert rows.items() >= (rest.KEPT_PARAMETERS | rest.REFUSED_PARAMETERS).items()


def test_each_parameter_of_a_method_is_read_or_listed() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "localcloud/vertex").rglob("*.py"))
    listed = {"alt", "fields", *rest.KEPT_PARAMETERS, *rest.REFUSED_PARAMETERS}
    document = read_document("aiplatform.v1")
    assert set(document.parameters) <= listed
    served = re.compile(
        r"aiplatform\.(projects\.locations\.(models|endpoints|batchPredictionJobs)(\.operations)?|publishers\.models)\.\w+"
    )
    for method in document.methods:
        if served.fullmatch(method.id) and "IamPolicy" not in method.id and "IamPermissions" not in method.id:
            for name, of in method.parameters.items():
                assert of["location"] == "path" or name in listed or f'"{name}"' in sources, f"{method.id}: {name}"


@pytest.mark.parametrize(
    ("path", "named"),
    [
        (f"{PARENT}/models?orderBy=create_time", "orderBy"),
        (f"{PARENT}/endpoints?gdcZone=a", "gdcZone"),
        (f"{PARENT}/operations?filter=done=true", "Filters of operations"),
        (f"{PARENT}/customJobs", "aiplatform.projects.locations.customJobs.list"),
        (
            f"{PARENT}/endpoints/1:fetchPredictOperation",
            "aiplatform.projects.locations.endpoints.fetchPredictOperation",
        ),
    ],
)
def test_what_is_not_carried_out_is_refused_by_name(world: World, path: str, named: str) -> None:
    verb = "POST" if path.endswith("Operation") else "GET"
    answer = requests.request(verb, f"{world.url}/v1/{path}", timeout=LAST_LIMIT)
    assert (answer.status_code, named in answer.json()["error"]["message"]) == (501, True)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/endpoints", {"displayName": "e", "labelz": {}}),
        ("/models:upload", {"model": {"displayName": "m"}, "modelName": "m"}),
        ("/endpoints/1:deployModel", {"deployedModels": {}}),
    ],
)
def test_a_field_that_no_request_has_is_refused(world: World, path: str, body: dict[str, Any]) -> None:
    answer = requests.post(f"{world.url}/v1/{PARENT}{path}", json=body, timeout=LAST_LIMIT)
    assert (answer.status_code, "Unknown name" in answer.json()["error"]["message"]) == (400, True)


def test_an_answer_has_the_fields_that_its_call_names(world: World) -> None:
    url = f"{world.url}/v1/{PARENT}/endpoints"
    operation = requests.post(url, json={"displayName": "e"}, params={"fields": "name"}, timeout=LAST_LIMIT).json()
    assert list(operation) == ["name"]
    answer = requests.get(url, params={"fields": "endpoints("}, timeout=LAST_LIMIT)
    assert answer.status_code == 400


def test_operations_are_listed_in_pages(world: World) -> None:
    model = f"{PARENT}/models/m"
    for parent in ({"modelId": "m"}, {"parentModel": model}, {"parentModel": model}):
        body = {"model": {"displayName": "m"}, **parent}
        requests.post(f"{world.url}/v1/{PARENT}/models:upload", json=body, timeout=LAST_LIMIT).raise_for_status()
    url = f"{world.url}/v1/{model}/operations"
    first = requests.get(url, params={"pageSize": 2}, timeout=LAST_LIMIT).json()
    second = requests.get(url, params={"pageSize": 2, "pageToken": first["nextPageToken"]}, timeout=LAST_LIMIT).json()
    names = [operation["name"] for operation in first["operations"] + second["operations"]]
    assert (len(set(names)), "nextPageToken" in second) == (3, False)
