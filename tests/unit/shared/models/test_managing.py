"""Manage messages: who may change a model, and a call whose lease has ended does not undo a newer order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from shared.checks.identifiers import ModelName
from shared.drops.imports.turns import ModelRecords
from shared.engine.running.steps import advance
from shared.errors import LostRace, Rejected
from shared.events.incoming import Message
from shared.models.managing import Manages, plan
from shared.models.request import ManageRequest
from shared.work import Item, Outcome
from shared.work_facts import ModelVersion
from tests.example_requests import NOW, PROJECT, import_item
from tests.unit.shared.conftest import World

MODEL = ModelName(PROJECT, "films", "genres")
UNPIN = {"action": "unpin", "model": "films.genres", "request_id": "unpin-1"}


def _planned(world: World, payload: Mapping[str, Any]) -> Item:
    request = ManageRequest.parse(payload, world.services.settings, NOW)
    return plan(request, payload, Message("1", b"", {}, NOW), NOW)


def _claimed(world: World) -> Item:
    """Return the work of a message, which a call has claimed and prepared."""
    return replace(world.services.ledger.claim(_planned(world, UNPIN)).item, location="US")


def _roll_back(world: World, key: str) -> None:
    """Pin version 1 of the model, as a rollback does."""
    records = ModelRecords(world.services)
    world.services.ledger.create(import_item(key))
    records.take_turn(MODEL, "1", key, is_rollback=True)
    records.leave_turn(MODEL, key, ModelVersion("1", "f"), is_rollback=True)


@pytest.mark.parametrize(
    ("action", "fields"),
    [
        pytest.param(action, fields, id=action)
        for action, fields in {
            "unpin": {},
            "set_aliases": {"aliases": ["champion"]},
            "register": {"id": "genres"},
            "deploy": {"endpoint": "films"},
            "undeploy": {},
            "delete": {},
        }.items()
    ],
)
def test_a_model_outside_the_writable_datasets_is_not_changed(
    world: World, action: str, fields: Mapping[str, object]
) -> None:
    world.configure(writable_datasets=("others",))
    item = _planned(world, {"action": action, "model": "films.genres", **fields})
    with pytest.raises(Rejected) as rejection:
        Manages().prepare(item, world.services)
    assert (rejection.value.problem.field, rejection.value.problem.code) == ("model", "dataset_not_allowed")


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
