"""Turns: which version comes too late, and which import of a model goes first."""

from __future__ import annotations

import pytest
from google.cloud import storage

from shared.checks.identifiers import ModelName
from shared.drops.turns import ModelRecord, ModelRecords, Turn
from shared.engine.ledger import Ledger
from shared.work import ModelVersion, Outcome
from tests.example_requests import NOW, PROJECT, import_item

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


@pytest.fixture
def ledger(bucket: storage.Bucket) -> Ledger:
    """A ledger in an empty bucket."""
    for blob in list(bucket.list_blobs()):
        blob.delete()
    return Ledger(bucket.client, bucket.name, clock=lambda: NOW, lease_seconds=60)


def test_the_first_import_of_a_model_takes_the_turn(ledger: Ledger) -> None:
    record = ModelRecords(ledger).take_turn(MODEL, "1", "first")
    assert record == ModelRecords(ledger).read(MODEL) == ModelRecord(in_flight=Turn("first", "1"))


def test_another_import_waits_while_the_first_is_open(ledger: Ledger) -> None:
    ledger.create(import_item("first"))
    ModelRecords(ledger).take_turn(MODEL, "1", "first")
    assert ModelRecords(ledger).take_turn(MODEL, "2", "second").in_flight == Turn("first", "1")


def test_a_turn_is_taken_from_an_import_that_has_ended(ledger: Ledger) -> None:
    records = ModelRecords(ledger)
    first = ledger.create(import_item("first", outcome=Outcome.FAILED, event_published=True))
    assert first is not None
    records.take_turn(MODEL, "1", "first")
    assert records.take_turn(MODEL, "2", "second").in_flight == Turn("second", "2")


def test_a_turn_that_is_left_makes_the_import_current(ledger: Ledger) -> None:
    records = ModelRecords(ledger)
    records.take_turn(MODEL, "1", "first")
    records.leave_turn(MODEL, "first", ModelVersion("1", "f"))
    assert records.read(MODEL) == ModelRecord(current=ModelVersion("1", "f"))


def test_a_turn_that_is_left_after_a_failure_keeps_the_current_version(ledger: Ledger) -> None:
    records = ModelRecords(ledger)
    for key, imported in (("first", ModelVersion("1", "f")), ("second", None)):
        records.take_turn(MODEL, "2", key)
        records.leave_turn(MODEL, key, imported)
    assert records.read(MODEL) == ModelRecord(current=ModelVersion("1", "f"))


def test_only_the_import_that_has_the_turn_can_leave_it(ledger: Ledger) -> None:
    records = ModelRecords(ledger)
    records.take_turn(MODEL, "1", "first")
    records.leave_turn(MODEL, "second", ModelVersion("2", "g"))
    assert records.read(MODEL) == ModelRecord(in_flight=Turn("first", "1"))


def test_a_superseded_version_gets_no_turn(ledger: Ledger) -> None:
    records = ModelRecords(ledger)
    records.take_turn(MODEL, "2", "first")
    records.leave_turn(MODEL, "first", ModelVersion("2", "f"))
    assert records.take_turn(MODEL, "1", "second").in_flight is None
