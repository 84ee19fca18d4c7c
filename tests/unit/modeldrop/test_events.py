"""`modeldrop events -f`, as a process that is started and ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest
from google.cloud import pubsub_v1

from shared.errors import Problem
from shared.events.outgoing import RefusedRequest, rejection_event
from shared.work import Kind
from tests.example_requests import NOW, PROJECT
from tests.paths import ROOT
from tests.unit.shared.conftest import World
from tests.waiting import LAST_LIMIT, wait_until


@pytest.mark.usefixtures("running")
def test_following_prints_the_events_from_now_on_until_it_is_ended(world: World) -> None:
    refused = RefusedRequest(Kind.PREDICT, "a" * 32, NOW, request_id="nightly-1")
    world.services.events.publish(rejection_event(refused, NOW, Problem("before", "it was published before")))
    command = [sys.executable, "-m", "modeldrop", "events", "-f", "--json"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with (
        pubsub_v1.SubscriberClient() as client,
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process,
    ):

        def followers() -> list[str]:
            names = [each.name for each in client.list_subscriptions(project=f"projects/{PROJECT}")]
            return [name for name in names if "-follow-" in name]

        wait_until(followers)
        event = rejection_event(refused, NOW, Problem("missing_field", "model is missing"))
        world.services.events.publish(event)
        assert process.stdout is not None
        shown = json.loads(process.stdout.readline())
        assert (shown["type"], shown["data"]) == (event.type, dict(event.data))
        # A shell that runs in the background lets its processes ignore the other signal, Ctrl-C.
        process.send_signal(signal.SIGTERM)
        assert (process.wait(LAST_LIMIT), process.stdout.read()) == (0, "")
        assert followers() == []


@pytest.mark.parametrize("command", [["status"], ["why", "news.publisher"], ["events"]])
@pytest.mark.usefixtures("running")
def test_a_command_imports_only_what_it_needs(command: list[str]) -> None:
    # What takes long to import, so that a command answers in a second.
    heavy = {
        *("cloudevents", "flask", "functions_framework", "pydantic", "numpy", "pandas", "pyarrow", "duckdb", "onnx"),
        *("tensorflow", "google.cloud.aiplatform_v1", "google.cloud.bigquery", "google.cloud.pubsub_v1"),
    }
    code = (
        "import sys\n"
        "from modeldrop.__main__ import main\n"
        "try:\n"
        "    main(sys.argv[1:])\n"
        "finally:\n"
        f"    print(sorted({heavy!r} & set(sys.modules)))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code, *command], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines()[-1] == "[]", done.stderr
