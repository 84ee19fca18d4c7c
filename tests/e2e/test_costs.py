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
CLASS_A = {"storage.objects.insert", "storage.objects.patch", "storage.objects.list", "storage.objects.update"}


def listed(work: str) -> list[int]:
    """Return the figures of a row of the runbook."""
    [row] = re.findall(rf"^\| {re.escape(work)} \| (.*) \|$", RUNBOOK, re.MULTILINE)
    return [int(cell) for cell in row.split(" | ")]


def counted(world: World, function: str) -> tuple[int, int]:
    """Return the calls of class A and of Pub/Sub since counting began, without the list of each tick."""
    polled = Counter(world.calls("poll_jobs"))
    calls = polled + Counter(world.calls(function))
    writes = sum(calls[each] for each in CLASS_A) - polled["storage.objects.list"]
    return writes, sum(count for each, count in calls.items() if each.startswith("pubsub."))


def predict(world: World) -> None:
    name = fresh("costs")
    world.ask("seven", name, name)
    world.event("prediction.succeeded", request_id=name)


def import_a_file(world: World) -> None:
    name = fresh("costs")
    world.drop({"model.onnx": onnx_file()}, name)
    world.event("model.imported", model=f"{world.project}.{world.dataset}.{name}")


@pytest.mark.parametrize(
    ("work", "do", "function"),
    [
        ("a prediction", predict, "predict"),
        ("an import of one file", import_a_file, "import_model"),
    ],
)
def test_the_runbook_says_what_work_costs_in_calls(
    world: World, shifter: str, work: str, do: Callable[[World], None], function: str
) -> None:
    # A first piece of work of its kind reads what is cached then.
    do(world)
    world.quiet()
    world.count_calls()
    do(world)
    world.quiet()
    writes, _, _, messages = listed(work)
    assert counted(world, function) == (writes, messages)
