"""An object of the state bucket that is damaged, or that somebody put there, holds up no other work.

It is reported once, with its name, and written again where the truth is known.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.checks.identifiers import ModelName
from shared.drops.drop import DropPath
from shared.drops.imports.turns import ModelRecord, ModelRecords, Turn
from shared.drops.intake import examine_drop, notice_file
from shared.engine.claims import claim_request
from shared.engine.ledger.index import INDEX
from shared.engine.ledger.objects import LARGEST_BYTES
from shared.engine.ledger.stored_items import item_to_json
from shared.errors import Problem, Rejected
from shared.events.incoming import StoredObject
from shared.poller.reconciliation import RECONCILED, reconcile
from shared.poller.ticks import tick
from shared.work import Claim, Item, Job, Outcome, Step, StepState, System
from shared.work_facts import ModelVersion, PredictionMessage
from tests.example_requests import NOW, PREDICT_MESSAGE, PROJECT, import_item, prediction_item
from tests.unit.shared.conftest import World
from tests.unit.shared.poller.open_work import reconcile_and_sweep

BAD, GOOD = "b" * 32, "a" * 32
STUCK = "modeldrop.job.stuck.v1"
FAILED = "modeldrop.prediction.failed.v1"
PATH = DropPath("films", "genres", "2")
TWO_MODELS = ("a.onnx", "b.onnx")
MODEL = ModelName(PROJECT, "films", "genres")


def ended(world: World, key: str) -> Item:
    """Leave work that a tick only has to publish."""
    item = world.services.ledger.claim(prediction_item(key, location="US")).item
    item = replace(item.end(Outcome.FAILED, NOW, Problem("invalidQuery", "no")), claim=None, not_before=None)
    return world.services.ledger.index(world.services.ledger.write(item))


def stuck(world: World) -> list[dict[str, Any]]:
    """Return the stuck events that were published since the last call."""
    return [event for event in world.published() if event["type"] == STUCK]


def put(world: World, name: str, content: bytes = b"", metadata: dict[str, str] | None = None) -> str:
    """Write an object as a person does; return its address."""
    blob = world.state.blob(name)
    blob.metadata = metadata
    blob.upload_from_string(content)
    return f"gs://{world.state.name}/{name}"


def open_prediction(world: World, key: str = BAD, **changes: Any) -> dict[str, Any]:
    """Leave an open prediction; return it as the ledger stores it, with changes."""
    item = ended(world, key)
    return {**json.loads(json.dumps(item_to_json(item))), **changes}


# --- index objects -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "metadata",
    [
        {"created": NOW.isoformat(), "due": "tomorrow"},
        {"created": "2026-01-01T00:00:00"},
        {"created": "0001-01-01T00:00:00+00:00", "state": "submitted", "system": "bigquery", "job_id": "a"},
        {"created": NOW.isoformat(), "deadline": "2026-13-01T00:00:00+00:00"},
        {"created": NOW.isoformat(), "looks": "many"},
        {},
    ],
    ids=str,
)
def test_a_damaged_index_object_is_reported_and_written_again(world: World, metadata: dict[str, str]) -> None:
    ended(world, GOOD)
    ended(world, BAD)
    address = put(world, f"{INDEX}predict/{BAD}", metadata=metadata)
    tick(world.services)
    events = world.published()
    assert sorted(event["type"] for event in events) == [STUCK, FAILED]
    assert [event["object"] for event in events if event["type"] == STUCK] == [address]
    tick(world.services)
    assert [event["type"] for event in world.published()] == [FAILED]
    assert world.indexed() == set()


@pytest.mark.parametrize(
    "name", ["x", "predict/deadbeef", f"predict/{BAD}/x", f"train/{BAD}", f"predict/{BAD.upper()}"]
)
def test_an_object_with_another_name_is_reported_once_and_left(world: World, name: str) -> None:
    ended(world, GOOD)
    address = put(world, INDEX + name, metadata={"due": "tomorrow"})
    tick(world.services)
    assert sorted((event["type"], event.get("object")) for event in world.published()) == [
        (STUCK, address),
        (FAILED, None),
    ]
    world.pass_time(10_000)
    tick(world.services)
    assert world.published() == []
    assert world.state.blob(INDEX + name).exists()


def test_a_folder_that_a_tool_created_is_not_reported(world: World) -> None:
    put(world, f"{INDEX}predict/")
    tick(world.services)
    assert world.published() == []


def test_an_index_object_whose_time_is_years_away_does_not_hide_its_work(world: World) -> None:
    item = ended(world, BAD)
    world.services.ledger.index(replace(item, not_before=NOW + timedelta(days=10_000)))
    tick(world.services)
    assert [event["type"] for event in world.published()] == [FAILED]


def test_an_index_object_of_no_work_is_removed_after_a_lease(world: World) -> None:
    put(world, f"{INDEX}predict/{BAD}", metadata={"due": "tomorrow"})
    tick(world.services)
    assert len(stuck(world)) == 1
    world.pass_time(world.services.settings.lease_seconds + 1)
    tick(world.services)
    assert stuck(world) == []
    assert not world.state.blob(f"{INDEX}predict/{BAD}").exists()


def test_work_whose_item_was_deleted_is_reported_with_its_job(world: World) -> None:
    job = Job(System.BIGQUERY, f"{BAD}-predict-1", "US")
    step = Step("predict", System.BIGQUERY, StepState.SUBMITTED, job=job)
    # A deadline has passed, so that BigQuery is not asked for the job.
    world.services.ledger.index(prediction_item(BAD, steps=(step,), location="US"), deadline=NOW)
    put(world, f"{INDEX}predict/{BAD}", metadata={**metadata_of(world, BAD), "system": ""})
    world.pass_time(world.services.settings.lease_seconds + 1)
    tick(world.services)
    [event] = stuck(world)
    assert (event["error"]["code"], event["key"], event["kind"]) == ("item_missing", BAD, "predict")
    assert f"{BAD}-predict-1" in event["error"]["message"]
    assert world.indexed() == set()


def metadata_of(world: World, key: str) -> dict[str, str]:
    """Return the metadata of an index object."""
    blob = world.state.get_blob(f"{INDEX}predict/{key}")
    assert blob is not None
    return dict(blob.metadata)


# --- items ---------------------------------------------------------------------------------------------------------------

UNREADABLE = {
    "no JSON": lambda stored: b"{",
    "an array": lambda stored: b"[]",
    "nothing": lambda stored: b"",
    "half a letter": lambda stored: b'"\xff"',
    "too deep": lambda stored: b"[" * 100_000,
    "too many values": lambda stored: b'{"a": [' + b"[]," * 1_500_000 + b"0]}",
    "too large": lambda stored: b" " * (LARGEST_BYTES + 1),
    "another schema": lambda stored: b'{"name": "x"}',
    "a newer version": lambda stored: json.dumps({**stored, "priority": 1}).encode(),
    "an older form": lambda stored: json.dumps({**stored, "steps": None}).encode(),
    "a wrong time": lambda stored: json.dumps({**stored, "created": "soon"}).encode(),
    "other work": lambda stored: json.dumps({**stored, "key": GOOD}).encode(),
}


@pytest.mark.parametrize("damage", UNREADABLE)
def test_an_item_that_cannot_be_read_is_reported_once_and_left(world: World, damage: str) -> None:
    content = UNREADABLE[damage](open_prediction(world))
    ended(world, GOOD)
    address = put(world, f"ledger/items/predict/{BAD}.json", content)
    tick(world.services)
    events = world.published()
    assert sorted(event["type"] for event in events) == [STUCK, FAILED]
    [report] = [event for event in events if event["type"] == STUCK]
    assert (report["object"], report["key"], report["error"]["code"]) == (address, BAD, "unreadable_object")
    for _ in range(3):
        world.pass_time(world.services.settings.lease_seconds + 1)
        tick(world.services)
        reconcile_and_sweep(world)
    assert world.published() == []
    assert world.state.blob(f"ledger/items/predict/{BAD}.json").download_as_bytes() == content


def test_an_item_that_is_readable_again_is_continued(world: World) -> None:
    stored = open_prediction(world)
    put(world, f"ledger/items/predict/{BAD}.json", b"{")
    tick(world.services)
    world.published()
    put(world, f"ledger/items/predict/{BAD}.json", json.dumps(stored).encode())
    world.pass_time(2 * world.services.settings.lease_seconds)
    tick(world.services)
    assert [event["type"] for event in world.published()] == [FAILED]
    assert world.indexed() == set()


def test_a_message_about_an_item_that_cannot_be_read_is_rejected(world: World) -> None:
    put(world, f"ledger/items/predict/{BAD}.json", b"{")
    with pytest.raises(Rejected, match=f"ledger/items/predict/{BAD}.json") as raised:
        claim_request(prediction_item(BAD), world.services)
    assert raised.value.problem.code == "unreadable_object"


def test_work_that_is_larger_than_the_ledger_reads_is_rejected(world: World) -> None:
    message = {**PREDICT_MESSAGE, "parameters": {"names": ["x" * 1000] * 5000}}
    large = prediction_item(BAD, request=PredictionMessage(message, NOW, "p.d.m", "p.d.t"))
    with pytest.raises(Rejected) as raised:
        claim_request(large, world.services)
    assert raised.value.problem.code == "too_large"


def test_a_claim_that_ends_in_years_is_taken_over(world: World) -> None:
    item = ended(world, BAD)
    world.services.ledger.write(replace(item, claim=Claim("a person", NOW + timedelta(days=100_000))))
    tick(world.services)
    assert [event["type"] for event in world.published()] == [FAILED]


def test_an_item_that_cannot_be_read_and_has_no_index_object_is_reported_once(world: World) -> None:
    address = put(world, f"ledger/items/predict/{BAD}.json", b"{")
    strange = put(world, "ledger/items/predict/notes.txt", b"hello")
    world.pass_time(world.services.settings.lease_seconds + 1)
    for _ in range(2):
        world.pass_time(world.services.settings.reconcile_seconds)
        reconcile_and_sweep(world)
    assert sorted(event["object"] for event in stuck(world)) == sorted([address, strange])


def test_an_item_without_metadata_gets_its_index_object_again(world: World) -> None:
    item = open_prediction(world, outcome=None, problem=None, finished=None)
    put(world, f"ledger/items/predict/{BAD}.json", json.dumps(item).encode())
    world.state.blob(f"{INDEX}predict/{BAD}").delete()
    world.pass_time(world.services.settings.reconcile_seconds)
    reconcile_and_sweep(world)
    assert world.indexed() == {BAD}


# --- watches -------------------------------------------------------------------------------------------------------------


def damaged_watch(world: World) -> str:
    """Leave a settled drop with a watch that cannot be read; return the watch's address."""
    world.upload(PATH, *TWO_MODELS)
    examine_drop(PATH, None, world.services)
    world.pass_time(world.services.settings.settle_seconds + 1)
    return put(world, f"ledger/items/drop/{PATH.key}.json", b"{")


def test_a_watch_that_cannot_be_read_is_replaced_and_its_drop_imported(world: World) -> None:
    address = damaged_watch(world)
    for _ in range(2):
        tick(world.services)
    events = world.published()
    assert [event["object"] for event in events if event["type"] == STUCK] == [address]
    assert [item.outcome for item in world.imports()] == [Outcome.FAILED]
    assert world.indexed() == set()


def test_an_event_replaces_a_watch_that_cannot_be_read(world: World) -> None:
    address = damaged_watch(world)
    file = StoredObject(world.models.name, PATH.prefix + TWO_MODELS[0], 1, world.services.now())
    notice_file(PATH, file, world.services)
    assert [event["object"] for event in stuck(world)] == [address]
    assert world.watch_of(PATH) is not None


def test_a_drop_is_not_imported_twice_because_its_watch_was_damaged(world: World) -> None:
    world.upload(PATH, *TWO_MODELS)
    world.pass_time(world.services.settings.settle_seconds + 1)
    examine_drop(PATH, None, world.services)
    put(world, f"ledger/items/drop/{PATH.key}.json", b"{")
    world.pass_time(world.services.settings.reconcile_seconds)
    world.published()
    reconcile_and_sweep(world)
    tick(world.services)
    assert [event["type"] for event in world.published()] == [STUCK]
    assert len(world.imports()) == 1


# --- other records -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"{", b"[]", b"", b'{"model": "other"}', b'{"current": 1}'], ids=str)
def test_the_record_of_a_model_is_restored_from_its_imports(world: World, content: bytes) -> None:
    done = {"outcome": Outcome.SUCCEEDED, "event_published": True, "finished": NOW}
    world.services.ledger.create(import_item(GOOD, **done))
    world.services.ledger.create(import_item("c" * 32, location="US"))
    put(world, "ledger/items/import/notes.txt", b"hello")
    put(world, f"ledger/items/import/{BAD}.json", b"{")
    records = ModelRecords(world.services)
    records.take_turn(MODEL, "1", "e" * 32)
    [name] = [blob.name for blob in world.state.list_blobs(prefix="ledger/models/")]
    address = put(world, name, content)
    assert records.read(MODEL) == ModelRecord(ModelVersion("2", "f" * 32), in_flight=Turn("c" * 32, "2"))
    records.read(MODEL)
    assert [event["object"] for event in stuck(world)] == [address]


def test_an_import_that_cannot_be_read_does_not_hold_up_the_next_one_of_its_model(world: World) -> None:
    ModelRecords(world.services).take_turn(MODEL, "1", BAD)
    put(world, f"ledger/items/import/{BAD}.json", b"{")
    assert ModelRecords(world.services).take_turn(MODEL, "2", GOOD).in_flight == Turn(GOOD, "2")


@pytest.mark.parametrize("content", [b"{", b'{"done": "yesterday", "begun": null}', b"7"], ids=str)
def test_a_reconciliation_replaces_its_record_if_it_cannot_be_read(world: World, content: bytes) -> None:
    address = put(world, RECONCILED, content)
    assert reconcile(world.services) == 0
    assert [event["object"] for event in stuck(world)] == [address]
    assert reconcile(world.services) is None


def test_a_reconciliation_that_was_done_in_the_future_is_repeated(world: World) -> None:
    put(world, RECONCILED, b'{"done": "9999-01-01T00:00:00+00:00", "begun": "9999-01-01T00:00:00+00:00"}')
    assert reconcile(world.services) == 0
