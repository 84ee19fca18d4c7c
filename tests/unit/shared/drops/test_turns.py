"""Turns: which version comes too late, and which import of a model goes first."""

from __future__ import annotations

import pytest

from shared.checks.identifiers import ModelName
from shared.drops.imports.turns import ModelRecord, ModelRecords, Turn
from shared.work import Outcome
from shared.work_facts import ModelVersion
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
        (ModelRecord(ModelVersion("2", "f"), pinned="2", withdrawn="4"), "1", True),
        (ModelRecord(ModelVersion("2", "f"), pinned="2", withdrawn="4"), "2", False),
        (ModelRecord(ModelVersion("2", "f"), pinned="2", withdrawn="4"), "3", True),
        (ModelRecord(ModelVersion("2", "f"), pinned="2", withdrawn="4"), "4", True),
        (ModelRecord(ModelVersion("2", "f"), pinned="2", withdrawn="4"), "5", False),
    ],
)
def test_a_version_below_the_current_pinned_or_withdrawn_one_comes_too_late(
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


def _imported(records: ModelRecords, version: str, *, is_rollback: bool = False) -> ModelRecord:
    taken = records.take_turn(MODEL, version, f"key-{version}", is_rollback=is_rollback)
    assert taken.in_flight == Turn(f"key-{version}", version)
    records.leave_turn(MODEL, f"key-{version}", ModelVersion(version, "f"), is_rollback=is_rollback)
    return records.read(MODEL)


def test_a_rollback_pins_its_version_until_a_higher_one_is_imported(world: World) -> None:
    records = ModelRecords(world.services)
    _imported(records, "3")
    assert _imported(records, "2", is_rollback=True) == ModelRecord(ModelVersion("2", "f"), None, "2", "3")
    assert _imported(records, "1", is_rollback=True) == ModelRecord(ModelVersion("1", "f"), None, "1", "3")
    assert _imported(records, "1").pinned == "1"
    assert _imported(records, "4") == ModelRecord(ModelVersion("4", "f"))


def test_without_its_pin_a_model_takes_versions_that_were_withdrawn(world: World) -> None:
    records = ModelRecords(world.services)
    _imported(records, "3")
    _imported(records, "2", is_rollback=True)
    assert records.unpin(MODEL) == ModelRecord(ModelVersion("2", "f"))
    assert _imported(records, "3").current == ModelVersion("3", "f")


def test_the_record_of_a_deleted_model_is_forgotten_by_the_work_that_has_the_turn(world: World) -> None:
    records = ModelRecords(world.services)
    _imported(records, "3")
    records.take_turn(MODEL, "", "deletion", is_rollback=True)
    records.forget(MODEL, "another")
    assert records.read(MODEL).current == ModelVersion("3", "f")
    records.forget(MODEL, "deletion")
    assert records.read(MODEL) == ModelRecord()
