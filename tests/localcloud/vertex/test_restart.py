"""Batches of Vertex AI after a restart with the same directory: ended jobs are kept, the others run again."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from google.api_core import exceptions

from localcloud.gemini.echo import EchoBackend
from localcloud.vertex.pace import Pace
from tests.localcloud.gemini.prompts import text_request
from tests.localcloud.vertex.world import FINAL, PARENT, World, job_body, vertex_world
from tests.paths import ROOT
from tests.waiting import LAST_LIMIT, wait_until

ROWS = 3000
Start = Callable[..., AbstractContextManager[World]]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Starts a local Vertex AI on one directory, any number of times."""
    return lambda **options: vertex_world(tmp_path / "storage", kept=tmp_path / "vertex", **options)


class TellingBackend(EchoBackend):
    """A model that reports its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = threading.Event()

    def generate(self, model: str, request: dict[str, Any]) -> dict[str, Any]:
        self.asked.set()
        return super().generate(model, request)


def begin(world: World, rows: int, **more: Any) -> str:
    """Create a job from a file to a file, and return its name."""
    for bucket in ("asked", "answers"):
        world.store.ensure_bucket(bucket)
    lines = [json.dumps({"id": number, "request": text_request(f"poster {number}")}) for number in range(rows)]
    world.store.write("asked", "in.jsonl", "\n".join(lines).encode())
    body = job_body("gs://asked/in.jsonl", "gs://answers/out", **more)
    return str(world.vertex.jobs.create(PARENT, body)["name"])


def ended(world: World, name: str) -> dict[str, Any]:
    """Return a job's resource once it has ended."""
    wait_until(lambda: world.vertex.jobs.get(name)["state"] in FINAL)
    return world.vertex.jobs.get(name)


def answered(world: World) -> list[int]:
    """Return the number of lines of each file of answers."""
    files = world.store.list("answers")
    return [len(world.store.read("answers", file.name).splitlines()) for file in files]


def test_ended_jobs_are_unchanged_after_a_restart(start: Start) -> None:
    with start() as world:
        name = begin(world, 3, labels={"team": "films"})
        failed = str(world.vertex.jobs.create(PARENT, job_body("gs://asked/none.jsonl", "gs://answers/out"))["name"])
        before = [ended(world, name), ended(world, failed)]
        assert [job["state"] for job in before] == ["JOB_STATE_SUCCEEDED", "JOB_STATE_FAILED"]
        listed = world.vertex.jobs.list(PARENT)
    with start() as world:
        assert [world.vertex.jobs.get(job["name"]) for job in before] == before
        assert world.vertex.jobs.list(PARENT) == listed
        assert answered(world) == [3]


def test_a_deleted_job_stays_deleted(start: Start) -> None:
    with start() as world:
        name = begin(world, 1)
        ended(world, name)
        world.vertex.jobs.delete(name)
    with start() as world, pytest.raises(exceptions.NotFound):
        world.job_client().get_batch_prediction_job(name=name)


@pytest.mark.long
def test_a_running_job_runs_again_after_a_restart_and_writes_once(start: Start) -> None:
    backend = TellingBackend()
    with start(backend=backend) as world:
        name = begin(world, ROWS)
        assert backend.asked.wait(LAST_LIMIT)
        created = world.vertex.jobs.get(name)["createTime"]
        world.vertex.stop()
        assert answered(world) == []
    with start() as world:
        job = ended(world, name)
        assert (job["state"], job["createTime"]) == ("JOB_STATE_SUCCEEDED", created)
        assert job["completionStats"]["successfulCount"] == str(ROWS)
        assert answered(world) == [ROWS]


def test_a_queued_job_is_queued_again_after_a_restart(start: Start) -> None:
    with start(pace=Pace(concurrent_jobs=0)) as world:
        name = begin(world, 1)
        assert world.vertex.jobs.get(name)["state"] == "JOB_STATE_QUEUED"
    with start() as world:
        assert ended(world, name)["state"] == "JOB_STATE_SUCCEEDED"


KILLED = """
import os, signal, sys
from pathlib import Path
from localcloud.gemini.echo import EchoBackend
from tests.localcloud.vertex.test_restart import begin
from tests.localcloud.vertex.world import vertex_world
from tests.waiting import wait_until

class DeadlyBackend(EchoBackend):
    def generate(self, model, request):
        os.kill(os.getpid(), signal.SIGKILL)

home = Path(sys.argv[1])
with vertex_world(home / "storage", kept=home / "vertex", backend=DeadlyBackend()) as world:
    print(begin(world, 3), flush=True)
    wait_until(lambda: False)
"""


@pytest.mark.matrix
def test_a_job_of_a_killed_process_runs_again(start: Start, tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, timeout=LAST_LIMIT, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    with start() as world:
        # DuckDB prints a progress bar before the name when a query is slow.
        name = done.stdout.split()[-1]
        assert ended(world, name)["state"] == "JOB_STATE_SUCCEEDED"
        assert answered(world) == [3]
