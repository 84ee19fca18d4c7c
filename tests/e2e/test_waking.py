"""On an idle project a function wakes the poller, so that events come although no schedule and no test calls the poller."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest

from tests.e2e.deeds import (
    FILES_COUNTED,
    SHIFT,
    ask,
    check_batch,
    check_import,
    check_prediction,
    publish_requests,
)
from tests.e2e.world import World, fresh
from tests.waiting import wait_until

RUN_JOB = "cloudscheduler.projects.locations.jobs.run"


def event_comes(world: World, function: str, do: Callable[[], None], *types: str, **fields: Any) -> None:
    """Do what makes ``function`` work; wait for the event of its work, and until nothing is open, without calling the poller.

    Only if a new minute begins is the poller called, as Cloud Scheduler would: a function does not wake it for older work.
    """
    world.count_calls()
    begun = [_minute()]
    do()

    def ended() -> bool:
        if _minute() != begun[-1]:
            begun.append(_minute())
            world.tick()
        return bool(world.ids(*types, **fields)) and not world.pending()

    world.until(ended, ticking=False)
    assert RUN_JOB in world.calls(function) or len(begun) > 1


def _minute() -> int:
    return datetime.now(UTC).minute


def woken_with(world: World, rule: Mapping[str, Any]) -> str:
    """Ask for a prediction while the fault ``rule`` is in force for the wake of the poller; return its name.

    Ask again if no wake was necessary, because a minute began at the same time.
    """

    def attempt() -> str | None:
        name = fresh("waking")
        with world.faults({"caller": "predict", "method": RUN_JOB, **rule}):
            ask(world, name)
            world.delivered()
            world.ready()
            met = world.faults_met()
        world.quiet()
        return name if met == [1] else None

    return str(wait_until(attempt))


def drop(world: World, name: str, *, counted: bool) -> None:
    """Drop a model, which the call that notices it imports: at once if its files are ``counted``, or once it has settled."""
    files = dict(world.shifter(SHIFT))
    if counted:
        files["modeldrop.yaml"] = FILES_COUNTED
    world.drop(files, name, seed=2)


@pytest.mark.long
@pytest.mark.parametrize("counted", [False, True], ids=["settled", "counted"])
def test_an_import_wakes_the_poller_for_its_event(new_deployment: World, counted: bool) -> None:
    name = fresh("waking")
    model = f"{new_deployment.project}.{new_deployment.dataset}.{name}"
    event_comes(
        new_deployment,
        "import_model",
        lambda: drop(new_deployment, name, counted=counted),
        "model.imported",
        model=model,
    )
    check_import(new_deployment, name)


@pytest.mark.long
def test_a_prediction_wakes_the_poller_for_its_event(new_deployment: World) -> None:
    name = fresh("waking")
    event_comes(new_deployment, "predict", lambda: ask(new_deployment, name), "prediction.succeeded", request_id=name)
    check_prediction(new_deployment, name)


@pytest.mark.long
def test_a_batch_wakes_the_poller_for_its_event(new_deployment: World) -> None:
    name = fresh("waking")
    submit = partial(publish_requests, new_deployment, name)
    event_comes(new_deployment, "submit_batch_message", submit, "batch.succeeded", request_id=name)
    check_batch(new_deployment, name)


@pytest.mark.long
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_kill_at_the_wake_changes_nothing(new_deployment: World, when: str) -> None:
    check_prediction(
        new_deployment, woken_with(new_deployment, {"nth": 1, "when": when, "times": 1, "do": {"kill": True}})
    )


@pytest.mark.long
def test_a_wake_that_is_refused_changes_nothing(new_deployment: World) -> None:
    check_prediction(new_deployment, woken_with(new_deployment, {"do": {"status": 403}}))
