"""Work that the tests of the poller find in the ledger."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from shared.errors import Problem
from shared.poller.reconciliation import reconcile
from shared.poller.sweep import sweep
from shared.work import Item, Kind, Outcome
from tests.example_requests import NOW, prediction_item
from tests.unit.shared.conftest import World


def ended_unpublished(world: World, key: str = "a" * 32) -> None:
    """Leave work whose call was killed between storing its outcome and publishing its event."""
    item = world.services.ledger.claim(prediction_item(key, location="US")).item
    problem = Problem("invalidQuery", "Division by zero")
    world.services.ledger.write(replace(item.end(Outcome.FAILED, NOW, problem), claim=None, not_before=None))
    world.services.ledger.index(replace(item.end(Outcome.FAILED, NOW, problem), not_before=None))


def prediction(world: World, key: str = "a" * 32) -> Item:
    """Return the prediction as the ledger has it."""
    item = world.services.ledger.read(Kind.PREDICT, key)
    assert item is not None
    return item


def reconcile_and_sweep(world: World) -> None:
    """Do what one call of the poller does beside its ticks."""
    reconcile(world.services)
    sweep(world.services, world.services.now() + timedelta(seconds=60))
