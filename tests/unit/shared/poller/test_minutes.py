"""One call of the poller: it goes on within its minute while something is open."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from shared.drops.drop import DropPath
from shared.drops.intake import examine_drop
from shared.poller.minutes import LAST_TICK, Minute, poll
from shared.work import Outcome
from tests.example_requests import prediction_item
from tests.unit.shared.conftest import World

PATH = DropPath("films", "genres", "2")
TWO_MODELS = ("a.onnx", "b.onnx")


class Waits:
    """Waits for the poller by letting the world's time pass."""

    def __init__(self, world: World) -> None:
        """Note the moment at which the waits begin."""
        self.seconds: list[float] = []
        self._world = world
        self.imported: datetime | None = None

    def __call__(self, seconds: float) -> None:
        """Let the time pass, and note when the first import was there."""
        if self.imported is None and self._world.imports():
            self.imported = self._world.services.now()
        self.seconds.append(seconds)
        self._world.pass_time(seconds)


@pytest.fixture
def waits(world: World) -> Waits:
    """The poller's waits. A minute begins."""
    let_minute_come_to(world, 0)
    return Waits(world)


def let_minute_come_to(world: World, second: int) -> None:
    """Let the time pass until this second of a minute."""
    now = world.services.now()
    world.pass_time((second - now.second - now.microsecond / 1e6) % 60)


def test_a_call_without_open_work_is_one_tick(world: World, waits: Waits) -> None:
    assert poll(world.services, wait=waits) == Minute(pending=0, handled=0, left=0, ticks=1)
    assert waits.seconds == []


def test_a_call_is_one_tick_if_the_setting_is_off(world: World, waits: Waits) -> None:
    world.configure(poll_again_seconds=0.0)
    world.services.ledger.claim(replace(prediction_item(), created=world.services.now() - timedelta(seconds=90)))
    assert poll(world.services, wait=waits) == Minute(pending=1, handled=0, left=0, ticks=1, oldest_seconds=90)
    assert waits.seconds == []


def test_a_drop_is_imported_within_5_seconds_after_it_has_settled(world: World, waits: Waits) -> None:
    world.upload(PATH, *TWO_MODELS)
    settled = world.services.now() + timedelta(seconds=world.services.settings.settle_seconds)
    examine_drop(PATH, None, world.services)
    poll(world.services, wait=waits)
    assert [item.outcome for item in world.imports()] == [Outcome.FAILED]
    assert waits.imported is not None
    assert timedelta() <= waits.imported - settled <= timedelta(seconds=5)


def test_a_call_ends_when_nothing_is_open_any_more(world: World, waits: Waits) -> None:
    world.upload(PATH, *TWO_MODELS)
    examine_drop(PATH, None, world.services)
    assert poll(world.services, wait=waits).pending == 0
    assert sum(waits.seconds) < world.services.settings.settle_seconds + 10


def test_the_last_tick_begins_before_the_next_minute(world: World, waits: Waits) -> None:
    world.services.ledger.claim(replace(prediction_item(), created=world.services.now()))
    minute = poll(world.services, wait=waits)
    assert sum(waits.seconds) == LAST_TICK.total_seconds()
    assert max(waits.seconds) == world.services.settings.poll_again_seconds
    assert (minute.pending, minute.ticks) == (1, 1 + len(waits.seconds))


@pytest.mark.parametrize(("second", "seconds"), [(3, 56), (30, 35), (58, 7)])
def test_a_call_that_begins_within_a_minute_ends_when_the_next_one_can_begin(
    world: World, waits: Waits, second: int, seconds: float
) -> None:
    let_minute_come_to(world, second)
    world.services.ledger.claim(replace(prediction_item(), created=world.services.now()))
    poll(world.services, wait=waits)
    assert sum(waits.seconds) == pytest.approx(seconds, abs=0.01)


def test_a_call_ends_with_its_budget(world: World, waits: Waits) -> None:
    world.configure(poll_budget_seconds=10.0)
    world.services.ledger.claim(replace(prediction_item(), created=world.services.now()))
    poll(world.services, wait=waits)
    assert sum(waits.seconds) == 10.0
