"""Work that ends the poller again and again is set aside, reported once, and looked at ever more rarely.

A process is killed here when it calls BigQuery: the call raises ``SystemExit``, which no code of Modeldrop catches.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from shared.drops.drop import DropPath
from shared.drops.intake import LATE, examine_drop, notice_file
from shared.engine.ledger.index import INDEX
from shared.engine.services import Services
from shared.errors import Problem, TryLater
from shared.events.incoming import StoredObject
from shared.poller.ticks import tick
from shared.work import Item, Outcome
from tests.example_requests import NOW, import_item, prediction_item
from tests.unit.shared.conftest import World

if TYPE_CHECKING:
    from shared.cloud.bigquery import BigQueryJobs

KILLER, OTHER = "b" * 32, "a" * 32
STUCK = "modeldrop.job.stuck.v1"
FAILED = "modeldrop.prediction.failed.v1"
PATH = DropPath("films", "genres", "2")


class MortalServices(Services):
    """Services of a process that is killed when it calls BigQuery."""

    @property
    def bigquery(self) -> BigQueryJobs:  # type: ignore[override]
        raise SystemExit("killed")


class BrokenServices(Services):
    """Services of a process in which BigQuery does not answer."""

    @property
    def bigquery(self) -> BigQueryJobs:  # type: ignore[override]
        raise TryLater("BigQuery does not answer")


def killed(world: World) -> bool:
    """Let the next process do a tick; return whether it was killed."""
    try:
        tick(MortalServices(world.services.settings, world.services.clock))
    except SystemExit:
        return True
    return False


def killer(world: World) -> None:
    """Leave a prediction that calls BigQuery."""
    item = world.services.ledger.create(prediction_item(KILLER))
    assert item is not None


def ended(world: World, key: str = OTHER) -> Item:
    """Leave work that a tick only has to publish."""
    item = world.services.ledger.claim(prediction_item(key, location="US")).item
    item = replace(item.end(Outcome.FAILED, NOW, Problem("invalidQuery", "no")), claim=None, not_before=None)
    return world.services.ledger.index(world.services.ledger.write(item))


def settled(world: World) -> None:
    """Leave the watch of a settled drop, whose import calls BigQuery."""
    world.upload(PATH, "model.onnx")
    examine_drop(PATH, None, world.services)
    world.pass_time(world.services.settings.settle_seconds + 1)


def lease(world: World, times: float = 1) -> None:
    """Let leases pass."""
    world.pass_time(times * world.services.settings.lease_seconds + 1)


def index_metadata(world: World, name: str) -> dict[str, str]:
    """Return the metadata of an index object."""
    blob = world.state.get_blob(INDEX + name)
    assert blob is not None
    return dict(blob.metadata)


def test_work_that_kills_the_poller_is_reported_once_and_set_aside(world: World) -> None:
    killer(world)
    for process in range(4):
        assert killed(world) is (process < 3)
        lease(world)
    [event] = [each for each in world.published() if each["type"] == STUCK]
    assert (event["key"], event["error"]["code"], event["step"]) == (KILLER, "look_not_ended", "look")
    for _ in range(10):
        lease(world, 0.3)
        killed(world)
    assert world.published() == []


def test_other_work_continues_beside_work_that_kills_the_poller(world: World) -> None:
    killer(world)
    killed(world)
    lease(world)
    ended(world)
    killed(world)
    assert FAILED in [event["type"] for event in world.published()]


def test_looks_at_work_that_was_set_aside_become_rarer(world: World) -> None:
    killer(world)
    for _ in range(4):
        killed(world)
        lease(world)
    kills = []
    for quarter in range(24):
        world.pass_time(15 * 60)
        if killed(world):
            kills.append(quarter)
    gaps = [after - before for before, after in pairwise(kills)]
    assert gaps == sorted(gaps)
    # The longest delay is an hour: four quarters, or five with the time until the next tick.
    assert 4 <= gaps[-1] <= 5


def test_a_watched_drop_that_kills_the_poller_is_reported_and_set_aside(world: World) -> None:
    settled(world)
    for _ in range(8):
        killed(world)
        lease(world)
    stuck = [event for event in world.published() if event["type"] == STUCK]
    assert [event["error"]["code"] for event in stuck] == ["look_not_ended"] * len(stuck)
    assert len({event["kind"] for event in stuck}) == len(stuck)
    ended(world)
    killed(world)
    assert FAILED in [event["type"] for event in world.published()]


def test_a_look_that_ends_well_clears_the_count(world: World) -> None:
    world.upload(PATH, "variables/variables.index")
    examine_drop(PATH, None, world.services)
    lease(world)
    tick(world.services)
    assert "looks" not in index_metadata(world, f"drop/{PATH.key}")


def test_an_ordinary_look_writes_no_count(world: World) -> None:
    world.upload(PATH, "variables/variables.index")
    examine_drop(PATH, None, world.services)
    index = world.state.get_blob(f"{INDEX}drop/{PATH.key}")
    assert index is not None
    world.pass_time(world.services.settings.settle_seconds + 1)
    tick(world.services)
    after = world.state.get_blob(f"{INDEX}drop/{PATH.key}")
    assert after is not None
    # The look wrote the index object again, and changed no metadata of the old or the new one.
    assert (after.generation != index.generation, after.metageneration) == (True, 1)


def test_an_outage_does_not_count(world: World) -> None:
    killer(world)
    for _ in range(6):
        tick(BrokenServices(world.services.settings, world.services.clock))
        lease(world)
    assert [event for event in world.published() if event["type"] == STUCK] == []
    assert "looks" not in index_metadata(world, f"predict/{KILLER}")


def test_work_that_always_fails_is_reported_and_set_aside(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    # An import never expires, so there is no event for it.
    changes: dict[str, Any] = {"outcome": Outcome.EXPIRED, "finished": NOW, "location": None}
    world.services.ledger.create(import_item(KILLER, **changes))
    for _ in range(5):
        tick(world.services)
        lease(world)
    [event] = [each for each in world.published() if each["type"] == STUCK]
    assert event["error"]["code"] == "look_failed"
    assert "KeyError" in event["error"]["message"]
    tick(world.services)
    capsys.readouterr()
    tick(world.services)
    assert "a bug" not in capsys.readouterr().err


def test_an_event_that_arrives_late_leaves_its_drop_to_the_poller(world: World) -> None:
    world.upload(PATH, "model.onnx")
    file = StoredObject(world.models.name, f"{PATH.prefix}model.onnx", 1, world.services.now())
    world.pass_time(LATE.total_seconds() + 1)
    notice_file(PATH, file, MortalServices(world.services.settings, world.services.clock))
    assert world.imports() == []
    assert world.indexed() == {PATH.key}
