"""Turns: which version comes too late, and which import of a model goes first."""

from __future__ import annotations

import pytest

from shared.checks.identifiers import ModelName
from shared.drops.turns import ModelRecord, ModelRecords, Turn
from shared.work import ModelVersion, Outcome
from tests.example_requests import PROJECT, import_item
from tests.unit.shared.conftest import World

MODEL = ModelName(PROJECT, "films", "genres")


def _record(current: str | None, pinned: str | None = None) -> ModelRecord:
    return ModelRecord(current=ModelVersion(current, "f") if current else None, pinned=pinned)


@pytest.mark.parametrize(
    ("record", "version", "superseded"),
    [
        (_record(None), "1", False),
        (_record("2"), "1", True),
        (_record("2"), "2", False),
        (_record("2"), "10", False),
        (_record("2"), "v10", True),
        (_record("v2"), "1", False),
        (_record("9", pinned="3"), "2", True),
        (_record("9", pinned="3"), "3", False),
        (_record("9", pinned="3"), "5", False),
    ],
)
def test_a_version_below_the_current_or_pinned_one_comes_too_late(
    record: ModelRecord, version: str, superseded: bool
) -> None:
    assert record.superseded(version) is superseded


def test_the_first_import_of_a_model_takes_the_turn(world: World) -> None:
    record = ModelRecords(world.services).take_turn(MODEL, "1", "first")
    assert record == ModelRecords(world.services).read(MODEL) == ModelRecord(in_flight=Turn("first", "1"))


def test_another_import_waits_while_the_first_is_open(world: World) -> None:
    world.services.ledger.create(import_item("first"))
    ModelRecords(world.services).take_turn(MODEL, "1", "first")
    assert ModelRecords(world.services).take_turn(MODEL, "2", "second").in_flight == Turn("first", "1")


def test_a_turn_is_taken_from_an_import_that_has_ended(world: World) -> None:
    records = ModelRecords(world.services)
    first = world.services.ledger.create(import_item("first", outcome=Outcome.FAILED, event_published=True))
    assert first is not None
    records.take_turn(MODEL, "1", "first")
    assert records.take_turn(MODEL, "2", "second").in_flight == Turn("second", "2")


def test_a_turn_that_is_left_makes_the_import_current(world: World) -> None:
    records = ModelRecords(world.services)
    records.take_turn(MODEL, "1", "first")
    records.leave_turn(MODEL, "first", ModelVersion("1", "f"))
    assert records.read(MODEL) == ModelRecord(current=ModelVersion("1", "f"))


def test_a_turn_that_is_left_after_a_failure_keeps_the_current_version(world: World) -> None:
    records = ModelRecords(world.services)
    for key, imported in (("first", ModelVersion("1", "f")), ("second", None)):
        records.take_turn(MODEL, "2", key)
        records.leave_turn(MODEL, key, imported)
    assert records.read(MODEL) == ModelRecord(current=ModelVersion("1", "f"))


def test_only_the_import_that_has_the_turn_can_leave_it(world: World) -> None:
    records = ModelRecords(world.services)
    records.take_turn(MODEL, "1", "first")
    records.leave_turn(MODEL, "second", ModelVersion("2", "g"))
    assert records.read(MODEL) == ModelRecord(in_flight=Turn("first", "1"))


def test_a_superseded_version_gets_no_turn(world: World) -> None:
    records = ModelRecords(world.services)
    records.take_turn(MODEL, "2", "first")
    records.leave_turn(MODEL, "first", ModelVersion("2", "f"))
    assert records.take_turn(MODEL, "1", "second").in_flight is None
