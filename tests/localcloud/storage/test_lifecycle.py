"""Lifecycle rules: what they delete, and which storage class they give."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localcloud.base.clock import ManualClock
from localcloud.storage.rules.fields import ObjectFields
from localcloud.storage.rules.resources import ARCHIVED, DELETED, METADATA_UPDATED
from localcloud.storage.service import Storage
from tests.localcloud.storage.world import BUCKET, PROJECT
from tests.waiting import wait_until

DAY = 86400.0


@pytest.fixture
def storage(tmp_path: Path, clock: ManualClock) -> Iterator[Storage]:
    """A Cloud Storage whose clock begins on 1 January 2026."""
    storage = Storage(tmp_path / "storage", clock=clock, project=PROJECT)
    storage.store.ensure_bucket(BUCKET, settings={"softDeletePolicy": {"retentionDurationSeconds": 0}})
    yield storage
    storage.close()


def delete_if(**condition: Any) -> dict[str, Any]:
    return {"action": {"type": "Delete"}, "condition": condition}


def move_to(storage_class: str, **condition: Any) -> dict[str, Any]:
    return {"action": {"type": "SetStorageClass", "storageClass": storage_class}, "condition": condition}


def write(storage: Storage, name: str, **fields: Any) -> None:
    with storage.store.begin_content() as writer:
        writer.write(b"x")
        storage.store.finalize(BUCKET, name, writer.finish(), ObjectFields.from_resource(fields))


@pytest.mark.parametrize(
    "condition,deleted",
    [
        ({"age": 2}, ["log/a", "log/b.txt"]),
        ({"age": 3}, []),
        ({"age": 0}, ["log/a", "log/b.txt", "log/new"]),
        ({"createdBefore": "2026-01-02"}, ["log/a", "log/b.txt"]),
        ({"createdBefore": "2026-01-01"}, []),
        ({"age": 2, "matchesSuffix": [".txt"]}, ["log/b.txt"]),
        ({"matchesPrefix": ["log/n", "tmp/"]}, ["log/new"]),
        ({"matchesStorageClass": ["NEARLINE"]}, ["log/b.txt"]),
        ({"customTimeBefore": "2025-06-01"}, ["log/a"]),
        ({"daysSinceCustomTime": 100}, ["log/a"]),
        ({"isLive": False}, []),
        ({"daysSinceNoncurrentTime": 0}, []),
        ({"numNewerVersions": 1}, []),
    ],
)
def test_a_rule_deletes_what_its_condition_selects(
    storage: Storage, clock: ManualClock, condition: dict[str, Any], deleted: list[str]
) -> None:
    write(storage, "log/a", customTime="2025-01-01T00:00:00Z")
    write(storage, "log/b.txt", storageClass="NEARLINE")
    clock.advance(2 * DAY)
    write(storage, "log/new")
    storage.store.patch_bucket(BUCKET, {"lifecycle": {"rule": [delete_if(**condition)]}})
    names = {stored.name for stored in storage.store.list(BUCKET)}
    storage.store.apply_lifecycle()
    assert sorted(names - {stored.name for stored in storage.store.list(BUCKET)}) == deleted


def test_rules_keep_some_noncurrent_generations(storage: Storage, clock: ManualClock) -> None:
    rules = [delete_if(numNewerVersions=2), delete_if(daysSinceNoncurrentTime=10)]
    storage.store.patch_bucket(BUCKET, {"versioning": {"enabled": True}, "lifecycle": {"rule": rules}})
    written = [storage.store.write(BUCKET, "a", b"x") for _ in range(4)]
    events: list[tuple[str, int]] = []
    storage.store.watch(lambda event: events.append((event.type, event.stored.generation)))
    storage.store.apply_lifecycle()
    assert sorted(events) == [(DELETED, written[0].generation), (DELETED, written[1].generation)]
    clock.advance(10 * DAY)
    storage.store.apply_lifecycle()
    assert events[2:] == [(DELETED, written[2].generation)]
    assert storage.store.get(BUCKET, "a") == written[3]


def test_a_deleted_object_of_a_bucket_with_versioning_becomes_noncurrent(storage: Storage) -> None:
    rules = [delete_if(age=0, isLive=True)]
    storage.store.patch_bucket(BUCKET, {"versioning": {"enabled": True}, "lifecycle": {"rule": rules}})
    written = storage.store.write(BUCKET, "a", b"x")
    events: list[str] = []
    storage.store.watch(lambda event: events.append(event.type))
    storage.store.apply_lifecycle()
    assert (events, storage.store.list(BUCKET)) == ([ARCHIVED], [])
    assert storage.store.get(BUCKET, "a", written.generation).deleted is not None


def test_a_rule_changes_the_storage_class_to_one_that_costs_less(storage: Storage, clock: ManualClock) -> None:
    rules = [move_to("NEARLINE", age=1), move_to("COLDLINE", age=2), delete_if(age=5)]
    storage.store.patch_bucket(BUCKET, {"lifecycle": {"rule": rules}})
    written = storage.store.write(BUCKET, "a", b"x")
    write(storage, "archived", storageClass="ARCHIVE")
    events: list[str] = []
    storage.store.watch(lambda event: events.append(event.type))
    clock.advance(2 * DAY)
    for _ in range(2):
        storage.store.apply_lifecycle()
    changed = storage.store.get(BUCKET, "a").resource()
    assert (changed["storageClass"], changed["generation"]) == ("COLDLINE", str(written.generation))
    assert changed["timeStorageClassUpdated"] == changed["updated"] == "2026-01-03T00:00:00.000Z"
    assert storage.store.get(BUCKET, "archived").storage_class == "ARCHIVE"
    assert events == [METADATA_UPDATED]


def test_a_rule_deletes_nothing_that_is_held(storage: Storage) -> None:
    storage.store.patch_bucket(BUCKET, {"lifecycle": {"rule": [delete_if(age=0)]}})
    write(storage, "held", temporaryHold=True)
    write(storage, "free")
    storage.store.apply_lifecycle()
    assert [stored.name for stored in storage.store.list(BUCKET)] == ["held"]


def test_a_running_service_carries_rules_out_by_itself(storage: Storage, clock: ManualClock) -> None:
    storage.store.patch_bucket(BUCKET, {"lifecycle": {"rule": [delete_if(age=1)]}})
    write(storage, "a")
    storage.start()
    clock.advance(2 * DAY)
    wait_until(lambda: storage.store.list(BUCKET) == [])
