"""Manage messages: a call whose lease has ended does not undo a newer order."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shared.checks.identifiers import ModelName
from shared.drops.turns import ModelRecords
from shared.engine.steps import advance
from shared.errors import LostRace
from shared.events.incoming import Message
from shared.models.managing import Manages, plan
from shared.models.request import ManageRequest
from shared.work import Item, ModelVersion, Outcome
from tests.example_requests import NOW, PROJECT, import_item
from tests.unit.shared.conftest import World

MODEL = ModelName(PROJECT, "films", "genres")
UNPIN = {"action": "unpin", "model": "films.genres", "request_id": "unpin-1"}


def _claimed(world: World) -> Item:
    """Return the work of a message, which a call has claimed and prepared."""
    services = world.services
    request = ManageRequest.parse(UNPIN, services.settings, NOW)
    item = plan(request, UNPIN, Message("1", b"", {}, NOW), NOW)
    return replace(services.ledger.claim(item).item, location="US")


def _roll_back(world: World, key: str) -> None:
    """Pin version 1 of the model, as a rollback does."""
    records = ModelRecords(world.services)
    world.services.ledger.create(import_item(key))
    records.take_turn(MODEL, "1", key, is_rollback=True)
    records.leave_turn(MODEL, key, ModelVersion("1", "f"), is_rollback=True)


def test_a_model_is_unpinned_by_the_call_that_holds_the_claim(world: World) -> None:
    _roll_back(world, "a" * 32)
    assert advance(_claimed(world), Manages(), world.services).outcome is Outcome.UNPINNED
    assert ModelRecords(world.services).read(MODEL).pinned is None


def test_a_call_that_stalls_longer_than_its_lease_does_not_lift_a_newer_pin(world: World) -> None:
    services = world.services
    _roll_back(world, "a" * 32)
    stalled = _claimed(world)
    world.pass_time(services.settings.lease_seconds + 1)
    stored = services.ledger.read(stalled.kind, stalled.key)
    assert stored is not None
    taken_over = replace(services.ledger.take_over(stored), location="US")
    assert advance(taken_over, Manages(), services).outcome is Outcome.UNPINNED
    _roll_back(world, "b" * 32)
    with pytest.raises(LostRace):
        advance(stalled, Manages(), services)
    with pytest.raises(LostRace):
        Manages().conclude(stalled, services)
    assert ModelRecords(services).read(MODEL).pinned == "1"
