"""Events that a function never acknowledges become dead letters after the declared deliveries, and can be sent again."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.e2e.deeds import check_import, publish_batch, upload_all_but_one, upload_the_last
from tests.e2e.world import World, fresh
from tests.waiting import LAST_LIMIT

pytestmark = pytest.mark.long

OUTAGE = {"service": "storage", "method": "storage.objects.*", "do": {"status": 403}}


def dead_letters(world: World, *arguments: str, expect: int) -> str:
    """Run `python -m deploy dead-letters` until it has as many letters as expected; return its output."""
    limits = ["--limit", str(expect), "--wait", "120"] if expect else ["--wait", "1"]
    command = [sys.executable, "-m", "deploy", "dead-letters", *arguments, *limits]
    done = subprocess.run(command, env=world.shell(), capture_output=True, text=True, timeout=LAST_LIMIT, check=True)
    return done.stdout


def test_events_that_no_function_acknowledged_are_held_and_sent_again(impatient: World) -> None:
    world = impatient
    name, request_id, batch = fresh("dead"), fresh("dead"), fresh("alive")
    upload_all_but_one(world, name, counted=False)
    attempts = world.cloud.declaration.retry.maximum_delivery_attempts
    with world.faults({**OUTAGE, "caller": "predict"}, {**OUTAGE, "caller": "import_model"}):
        world.ask("seven", request_id, request_id, output={"write": "append"})
        upload_the_last(world, name)
        # The other functions continue meanwhile.
        publish_batch(world, batch)
        world.event("batch.succeeded", request_id=batch)
        world.delivered()
    assert world.item("predict", "request", request_id) is None
    assert world.imports_of(name) == []

    listed = dead_letters(world, "list", expect=2)
    assert "2 held" in listed
    assert str(attempts) in listed
    assert "modeldrop-predict" in listed
    assert f"{world.dataset}/{name}/1/fingerprint.pb" in listed
    assert "2 sent again" in dead_letters(world, "replay", "--all", expect=2)

    world.event("prediction.succeeded", request_id=request_id)
    world.event("model.imported", model=f"{world.project}.{world.dataset}.{name}")
    world.delivered()
    world.quiet()
    check_import(world, name)
    assert len(world.rows(f"{world.dataset}.{request_id}")) == 10
    assert "0 held" in dead_letters(world, "list", expect=0)
