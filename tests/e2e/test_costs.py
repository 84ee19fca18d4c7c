"""What a piece of work costs in calls: the table of docs/runbook.md is what the functions call."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

import pytest

from tests.e2e.world import World, fresh
from tests.model_files import onnx_file
from tests.paths import ROOT

pytestmark = pytest.mark.long

RUNBOOK = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
# https://cloud.google.com/storage/pricing#operations-by-class; deletions are free.
CLASS_A = ("storage.objects.insert", "storage.objects.patch", "storage.objects.list", "storage.objects.update")
CLASS_B = ("storage.objects.get", "storage.buckets.get")
# What a call of the poller costs if nothing is open.
A_TICK, B_TICK = 1, 2


def listed(work: str) -> list[int]:
    """Return the figures of a row of the runbook."""
    [row] = re.findall(rf"^\| {re.escape(work)} \| (.*) \|$", RUNBOOK, re.MULTILINE)
    return [int(cell) for cell in row.split(" | ")]


def counted(world: World, function: str, ticks: int) -> list[int]:
    """Return the calls of class A, of class B, of BigQuery and of Pub/Sub since counting began.

    Those are left out that each of the poller's calls makes anyway: for the ledger, and to list BigQuery's jobs. There were
    ``ticks`` calls of the poller.
    """
    calls = Counter(world.calls("poll_jobs")) + Counter(world.calls(function))
    del calls["bigquery.jobs.list"]
    return [
        sum(calls[each] for each in CLASS_A) - A_TICK * ticks,
        sum(calls[each] for each in CLASS_B) - B_TICK * ticks,
        sum(count for each, count in calls.items() if each.startswith("bigquery.")),
        sum(count for each, count in calls.items() if each.startswith("pubsub.")),
    ]


def predict(world: World) -> None:
    name = fresh("costs")
    world.ask("seven", name, name)
    world.event("prediction.succeeded", request_id=name)


def import_a_file(world: World) -> None:
    name = fresh("costs")
    world.drop({"model.onnx": onnx_file()}, name)
    world.event("model.imported", model=f"{world.project}.{world.dataset}.{name}")


def answer_a_table(world: World) -> None:
    name = fresh("costs")
    world.publish("BATCH_TOPIC", world.batch_of_requests(name, name))
    world.event("batch.succeeded", request_id=name)


@pytest.mark.parametrize(
    ("work", "do", "function"),
    [
        ("a prediction", predict, "predict"),
        ("an import of one file", import_a_file, "import_model"),
        ("a batch from a table", answer_a_table, "submit_batch_message"),
    ],
)
def test_the_runbook_says_what_work_costs_in_calls(
    world: World, shifter: str, work: str, do: Callable[[World], None], function: str
) -> None:
    # A first piece of work of its kind reads what is cached then.
    do(world)
    world.quiet()
    world.count_calls()
    ticks = world.ticks
    do(world)
    world.quiet()
    assert counted(world, function, world.ticks - ticks) == listed(work)


def test_the_runbook_says_what_an_idle_call_of_the_poller_costs(world: World) -> None:
    world.quiet()
    world.count_calls()
    world.tick()
    assert counted(world, "predict", 0) == listed("a call of the poller")
