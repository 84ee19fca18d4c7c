"""The sweep of the ledger: what it deletes and restores, and how several calls share it."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.engine.ledger.index import INDEX
from shared.engine.ledger.refused import keep_rejection, listed_rejections
from shared.engine.services import Services
from shared.errors import Problem
from shared.events.outgoing import RefusedRequest, rejection_event
from shared.poller import sweep as sweeping
from shared.poller.reconciliation import read_record, reconcile, write_record
from shared.poller.sweep import sweep
from shared.poller.ticks import tick
from shared.work import Kind
from tests.example_requests import NOW, prediction_item
from tests.unit.shared.conftest import World
from tests.unit.shared.poller.open_work import ended_unpublished, prediction, reconcile_and_sweep


def time_left(world: World, seconds: float = 60.0) -> int:
    """Sweep with so many seconds left; return the number of objects that were examined."""
    return sweep(world.services, world.services.now() + timedelta(seconds=seconds))


def retention(world: World) -> float:
    """Return the seconds for which finished work is kept."""
    return timedelta(days=world.services.settings.ledger_retention_days).total_seconds()


def finished(world: World, count: int) -> None:
    """Leave finished work in the ledger."""
    for number in range(count):
        ended_unpublished(world, f"{number:032x}")
    tick(world.services)


def kept(world: World) -> int:
    """Return the number of items in the ledger."""
    return sum(1 for _ in world.services.ledger.items())


def test_open_work_that_lacks_its_index_object_gets_it_again(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.services.ledger.claim(prediction_item())
    world.state.blob(f"{INDEX}predict/{'a' * 32}").delete()
    world.pass_time(world.services.settings.lease_seconds + 1)
    reconcile_and_sweep(world)
    assert world.indexed() == {"a" * 32}
    assert json.loads(capsys.readouterr().err)["message"] == "open work had no index object"


def test_a_kept_rejection_is_forgotten_after_its_retention(world: World) -> None:
    refused = RefusedRequest(Kind.PREDICT, "a" * 32, NOW)
    objects = world.services.ledger.objects
    keep_rejection(rejection_event(refused, NOW, Problem("invalid_field", "model is wrong")), objects)
    reconcile_and_sweep(world)
    assert len(list(listed_rejections(objects))) == 1
    world.pass_time(timedelta(days=world.services.settings.ledger_retention_days, seconds=1).total_seconds())
    reconcile_and_sweep(world)
    assert list(listed_rejections(objects)) == []


def test_finished_work_is_forgotten_after_its_retention(world: World) -> None:
    ended_unpublished(world)
    tick(world.services)
    world.pass_time(timedelta(days=world.services.settings.ledger_retention_days).total_seconds())
    reconcile_and_sweep(world)
    assert prediction(world).final
    world.pass_time(world.services.settings.reconcile_seconds)
    reconcile_and_sweep(world)
    assert world.services.ledger.read(Kind.PREDICT, "a" * 32) is None


def test_there_is_no_sweep_without_a_reconciliation(world: World) -> None:
    finished(world, 1)
    assert time_left(world) == 0
    reconcile_and_sweep(world)
    assert time_left(world) == 0


def test_a_sweep_that_runs_out_of_time_is_continued_by_the_next_call(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "PAGE", 2)
    finished(world, 5)
    reconcile(world.services)
    examined = []
    while read_record(world.services)[0].after is not None:
        seconds = itertools.count()
        start = world.services.now()
        # Whenever the clock is read, a second passes: the first page takes the time of a call.
        services = Services(world.services.settings, clock=lambda: start + timedelta(seconds=next(seconds)))  # noqa: B023
        examined.append(sweep(services, start + timedelta(seconds=1)))
    assert examined == [2, 2, 1]


def test_a_page_that_was_not_finished_is_examined_again(world: World) -> None:
    finished(world, 3)
    world.pass_time(retention(world) + 1)
    reconcile(world.services)
    assert time_left(world, 0.0) == 0
    assert kept(world) == 3
    assert time_left(world) == 3
    assert kept(world) == 0


def test_a_sweep_that_another_call_has_begun_is_left_to_it(world: World) -> None:
    finished(world, 1)
    reconcile(world.services)
    record, generation = read_record(world.services)
    write_record(replace(record, begun=world.services.now()), generation, world.services)
    assert time_left(world) == 0
    world.pass_time(world.services.settings.poll_budget_seconds)
    assert time_left(world) == 1
