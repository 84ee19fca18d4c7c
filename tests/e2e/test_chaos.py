"""Random faults of every kind at once: functions are killed, calls fail, events come twice, late and in any order.

A seed repeats its faults as far as the processes run in the same order.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from tests.e2e.deeds import (
    SHIFT,
    ask,
    ask_to_merge,
    check_batch,
    check_import,
    check_merge,
    check_prediction,
    publish_batch,
    publish_requests,
)
from tests.e2e.world import World, fresh, together

FUNCTIONS = ("import_model", "predict", "submit_batch_message", "manage_model", "poll_jobs")
BROKEN: tuple[dict[str, Any], ...] = ({"status": 503}, {"status": 429}, {"reset": True}, {"lose_answer": True})
DISTURBED: tuple[dict[str, Any], ...] = (
    {"duplicate": True},
    {"lose_acknowledgement": True},
    {"reorder": 3},
    {"delay_seconds": 2},
)


def drop_in_any_order(world: World, name: str) -> None:
    world.drop(world.shifter(SHIFT), name, seed=7)


def drop_two_versions(world: World, name: str) -> None:
    together(
        partial(world.drop, world.shifter(SHIFT), name, "12", seed=5),
        partial(world.drop, world.shifter(SHIFT + 1), name, "3", seed=2),
    )


def drop_and_ask_for_it(world: World, name: str) -> None:
    path = world.drop(world.shifter(SHIFT), name, seed=6)
    world.publish("MODELS_TOPIC", {"action": "import", "path": path})


def ask_twice(world: World, name: str) -> None:
    together(partial(ask, world, name), partial(ask, world, name))


def check_higher_version(world: World, name: str) -> None:
    model = f"{world.project}.{world.dataset}.{name}"
    assert world.shift_of(name) == SHIFT
    assert len(world.ids("model.imported", model=model, version="12")) == 1
    assert len(world.ids("model.imported", "model.import_failed", model=model, version="3")) == 1


DEEDS = (
    (drop_in_any_order, check_import),
    (drop_two_versions, check_higher_version),
    (drop_and_ask_for_it, check_import),
    (ask, check_prediction),
    (ask_twice, check_prediction),
    (ask_to_merge, check_merge),
    (publish_batch, check_batch),
    (publish_requests, check_batch),
)


def everything_goes_wrong(chance: random.Random) -> Iterator[dict[str, Any]]:
    """Yield random rules. Events of files are lost for good; those of messages are not, since nothing else records them."""
    for function in FUNCTIONS:
        for when in ("before", "after"):
            nth = chance.sample(range(1, 80), 4)
            yield {"caller": function, "nth": nth, "when": when, "do": {"kill": True}}
        yield from (
            {"caller": function, "rate": 0.04, "seed": chance.randrange(1_000_000), "do": each} for each in BROKEN
        )
    for each in DISTURBED:
        yield {"service": "eventarc", "rate": 0.15, "seed": chance.randrange(1_000_000), "do": each}
    yield {
        "service": "eventarc",
        "receiver": "import_model",
        "rate": 0.2,
        "seed": chance.randrange(1_000_000),
        "do": {"drop": True},
    }


@pytest.mark.matrix
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("seed", "rounds"), [(1, 1), *[(seed, 2) for seed in range(1, 11)]])
def test_everything_is_done_once_whatever_fails(world: World, shifter: str, seed: int, rounds: int) -> None:
    chance = random.Random(seed)
    todo = [(do, check, fresh("chaos")) for do, check in DEEDS * rounds]
    chance.shuffle(todo)
    with world.faults(*everything_goes_wrong(chance)):
        for do, _, name in todo:
            do(world, name)
            if chance.random() < 0.3:
                together(world.tick, world.tick)
        for _ in range(15):
            world.tick()
        assert sum(world.faults_met()) > 25 * rounds
    world.ready()
    world.delivered()
    world.quiet()
    world.reconcile()
    world.quiet()
    for _, check, name in todo:
        check(world, name)
