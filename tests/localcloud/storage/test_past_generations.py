"""Noncurrent and soft-deleted generations, holds and retention, through Google's own Python client."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import storage as google_storage

from localcloud.base.clock import ManualClock
from localcloud.storage.service import Storage
from tests.localcloud.storage.world import BUCKET, PROJECT, Stage, StorageWorld, storage_world

DAY = 86400


@pytest.fixture
def world(stage: Stage, tmp_path: Path, clock: ManualClock) -> Iterator[StorageWorld]:
    with storage_world(stage, tmp_path / "storage", clock=clock) as running:
        yield running


def bucket_with(world: StorageWorld, name: str, **properties: object) -> google_storage.Bucket:
    bucket = world.client().bucket(name)
    for field, value in properties.items():
        setattr(bucket, field, value)
    bucket.create()
    return bucket


def upload(bucket: google_storage.Bucket, name: str, content: str) -> google_storage.Blob:
    blob = bucket.blob(name)
    blob.upload_from_string(content)
    return blob


def contents(bucket: google_storage.Bucket, **query: object) -> list[tuple[str, bytes, bool]]:
    """Return name, content and whether it is noncurrent, of each listed generation."""
    return [
        (found.name, bucket.blob(found.name, generation=found.generation).download_as_bytes(), bool(found.time_deleted))
        for found in bucket.list_blobs(**query)
    ]


def test_a_bucket_with_versioning_keeps_what_is_replaced_and_deleted(world: StorageWorld) -> None:
    bucket = bucket_with(world, "versioned", versioning_enabled=True)
    upload(bucket, "a", "one")
    upload(bucket, "a", "two")
    upload(bucket, "b/c", "other")
    assert contents(bucket) == [("a", b"two", False), ("b/c", b"other", False)]
    assert contents(bucket, versions=True) == [("a", b"one", True), ("a", b"two", False), ("b/c", b"other", False)]
    bucket.delete_blob("a")
    assert contents(bucket, versions=True, prefix="a") == [("a", b"one", True), ("a", b"two", True)]
    assert bucket.get_blob("a") is None
    assert [kind for kind, name in world.event_names() if name == "a"] == [
        "finalized", "finalized", "archived", "archived",
    ]  # fmt: skip
    assert [[found.generation for found in page] for page in bucket.list_blobs(versions=True, page_size=2).pages] == [
        [found.generation for found in list(bucket.list_blobs(versions=True))[:2]],
        [bucket.get_blob("b/c").generation],
    ]
    listed = bucket.list_blobs(versions=True, delimiter="/")
    assert ([found.name for found in listed], listed.prefixes) == (["a", "a"], {"b/"})


def test_a_generation_that_is_named_is_deleted_for_good(world: StorageWorld) -> None:
    bucket = bucket_with(world, "versioned", versioning_enabled=True)
    bucket.soft_delete_policy.retention_duration_seconds = 0
    bucket.patch()
    old, new = upload(bucket, "a", "one"), upload(bucket, "a", "two")
    bucket.delete_blob("a", generation=old.generation)
    assert contents(bucket, versions=True) == [("a", b"two", False)]
    bucket.delete_blob("a", generation=new.generation)
    assert contents(bucket, versions=True) == []
    assert world.files() == []
    bucket.delete()


def test_fields_of_a_noncurrent_generation_can_be_changed(world: StorageWorld) -> None:
    bucket = bucket_with(world, "versioned", versioning_enabled=True)
    old = upload(bucket, "a", "one")
    upload(bucket, "a", "two")
    past = bucket.get_blob("a", generation=old.generation)
    past.metadata = {"kept": "yes"}
    past.patch()
    assert bucket.get_blob("a", generation=old.generation).metadata == {"kept": "yes"}
    assert bucket.get_blob("a").metadata is None


def test_a_bucket_with_noncurrent_generations_is_not_empty(world: StorageWorld) -> None:
    bucket = bucket_with(world, "versioned", versioning_enabled=True)
    upload(bucket, "a", "one")
    bucket.delete_blob("a")
    with pytest.raises(exceptions.Conflict, match="not empty"):
        bucket.delete()


def test_what_is_deleted_can_be_restored_for_a_week(world: StorageWorld, clock: ManualClock) -> None:
    bucket = bucket_with(world, "soft")
    assert bucket.soft_delete_policy.retention_duration_seconds == 7 * DAY
    first, second = upload(bucket, "a", "one"), upload(bucket, "a", "two")
    second.delete()
    deleted = list(bucket.list_blobs(soft_deleted=True))
    assert [found.generation for found in deleted] == [first.generation, second.generation]
    assert deleted[1].hard_delete_time - deleted[1].soft_delete_time == timedelta(days=7)
    assert list(bucket.list_blobs(versions=True)) == []
    with pytest.raises(exceptions.NotFound):
        bucket.blob("a", generation=first.generation).download_as_bytes()
    content = f"/storage/v1/b/soft/o/a?alt=media&softDeleted=true&generation={first.generation}"
    assert "restore" in world.call("GET", content).json()["error"]["message"]

    restored = bucket.restore_blob("a", generation=first.generation)
    assert restored.generation > second.generation
    assert contents(bucket) == [("a", b"one", False)]

    clock.advance(7 * DAY + 1)
    assert list(bucket.list_blobs(soft_deleted=True)) == []
    with pytest.raises(exceptions.NotFound):
        bucket.restore_blob("a", generation=second.generation)
    assert len(world.files()) == 1


def test_past_generations_survive_a_restart(tmp_path: Path, clock: ManualClock) -> None:
    before = Storage(tmp_path, clock=clock, project=PROJECT)
    before.store.create_bucket(BUCKET, settings={"versioning": {"enabled": True}})
    noncurrent = before.store.write(BUCKET, "a", b"one")
    deleted = before.store.write(BUCKET, "b", b"other")
    before.store.write(BUCKET, "a", b"two")
    before.store.delete(BUCKET, "b", generation=deleted.generation)
    before.close()
    after = Storage(tmp_path, clock=clock, project=PROJECT)
    with after.store.open(after.store.get(BUCKET, "a", noncurrent.generation)) as content:
        assert content.read() == b"one"
    assert after.store.get_soft_deleted(BUCKET, "b", deleted.generation).hard_deleted == clock.now() + timedelta(days=7)
    after.store.restore(BUCKET, "b", deleted.generation)
    assert after.store.read(BUCKET, "b") == b"other"
    after.close()


@pytest.mark.parametrize("hold", ["temporary_hold", "event_based_hold"])
def test_an_object_under_a_hold_stays(world: StorageWorld, hold: str) -> None:
    bucket = world.bucket()
    blob = upload(bucket, "a", "one")
    setattr(blob, hold, True)
    blob.patch()
    for change in (blob.delete, lambda: upload(bucket, "a", "two"), lambda: bucket.move_blob(blob, "b")):
        with pytest.raises(exceptions.Forbidden, match=r"under active .* hold"):
            change()
    assert contents(bucket) == [("a", b"one", False)]
    blob.reload()
    setattr(blob, hold, False)
    blob.patch()
    blob.delete()
    assert contents(bucket) == []


def test_a_retention_policy_keeps_objects_until_their_time(world: StorageWorld, clock: ManualClock) -> None:
    bucket = bucket_with(world, "retained", retention_period=1000)
    assert bucket.retention_policy_effective_time == clock.now()
    blob = upload(bucket, "a", "one")
    assert blob.retention_expiration_time == clock.now() + timedelta(seconds=1000)
    for change in (blob.delete, lambda: upload(bucket, "a", "two")):
        with pytest.raises(exceptions.Forbidden, match="retention policy"):
            change()
    clock.advance(1001)
    blob.delete()
    assert contents(bucket) == []


def test_a_retention_policy_applies_to_existing_objects_and_from_the_end_of_a_hold(
    world: StorageWorld, clock: ManualClock
) -> None:
    bucket = bucket_with(world, "retained", default_event_based_hold=True)
    blob = upload(bucket, "a", "one")
    assert blob.event_based_hold is True
    bucket.retention_period = 1000
    bucket.patch()
    clock.advance(500)
    blob.reload()
    assert blob.retention_expiration_time is None
    blob.event_based_hold = False
    blob.patch()
    assert blob.retention_expiration_time == clock.now() + timedelta(seconds=1000)


def test_uniform_access_can_be_turned_off_for_ninety_days(world: StorageWorld, clock: ManualClock) -> None:
    def switch(enabled: bool) -> dict[str, Any]:
        sent = {"iamConfiguration": {"uniformBucketLevelAccess": {"enabled": enabled}}}
        answer: dict[str, Any] = world.call("PATCH", f"/storage/v1/b/{BUCKET}", json=sent).json()
        return answer

    locked = switch(True)["iamConfiguration"]["uniformBucketLevelAccess"]["lockedTime"]
    assert datetime.fromisoformat(locked) == clock.now() + timedelta(days=90)
    clock.advance(90 * DAY - 1)
    assert switch(True)["iamConfiguration"]["bucketPolicyOnly"] == {"enabled": True, "lockedTime": locked}
    assert switch(False)["iamConfiguration"]["bucketPolicyOnly"] == {"enabled": False}
    switch(True)
    clock.advance(90 * DAY)
    assert "cannot be disabled" in switch(False)["error"]["message"]
    assert world.store.bucket(BUCKET).is_uniform


def test_a_locked_retention_policy_can_only_become_longer(world: StorageWorld) -> None:
    bucket = bucket_with(world, "retained", retention_period=1000)
    bucket.lock_retention_policy()
    assert bucket.retention_policy_locked is True
    for period in (None, 999):
        bucket = world.client().get_bucket("retained")
        bucket.retention_period = period
        with pytest.raises(exceptions.Forbidden, match="locked"):
            bucket.patch()
    bucket = world.client().get_bucket("retained")
    bucket.retention_period = 2000
    bucket.patch()
    assert world.client().get_bucket("retained").retention_period == 2000


def test_an_object_with_a_retention_of_its_own_stays_until_then(world: StorageWorld, clock: ManualClock) -> None:
    bucket = world.client().bucket("locking")
    bucket.create(enable_object_retention=True)
    assert bucket.object_retention_mode == "Enabled"
    blob = upload(bucket, "a", "one")
    blob.retention.mode = "Unlocked"
    blob.retention.retain_until_time = clock.now() + timedelta(days=1)
    blob.patch(override_unlocked_retention=True)
    with pytest.raises(exceptions.Forbidden, match="object retention"):
        blob.delete()
    clock.advance(DAY + 1)
    blob.delete()

    weaker = upload(bucket, "b", "one")
    weaker.retention.mode = "Unlocked"
    weaker.retention.retain_until_time = clock.now() + timedelta(days=2)
    weaker.patch()
    weaker.retention.retain_until_time = clock.now() + timedelta(days=1)
    with pytest.raises(exceptions.Forbidden, match="overrideUnlockedRetention"):
        weaker.patch()
    weaker.patch(override_unlocked_retention=True)
    assert bucket.get_blob("b").retention.retain_until_time == clock.now() + timedelta(days=1)

    without = upload(world.bucket(), "a", "one")
    without.retention.mode = "Locked"
    without.retention.retain_until_time = clock.now() + timedelta(days=1)
    with pytest.raises(exceptions.BadRequest, match="object retention"):
        without.patch()


@pytest.mark.parametrize(
    "field,value",
    [
        ("softDeletePolicy", {"retentionDurationSeconds": "60"}),
        ("softDeletePolicy", {"retentionDurationSeconds": str(91 * DAY)}),
        ("softDeletePolicy", {"retentionDurationSeconds": "a week"}),
        ("retentionPolicy", {"retentionPeriod": "-1"}),
        ("retentionPolicy", {}),
        ("retentionPolicy", {"retentionPeriod": "0"}),
    ],
)
def test_a_policy_that_is_out_of_range_is_refused(world: StorageWorld, field: str, value: dict[str, str]) -> None:
    answer = world.call("POST", "/storage/v1/b?project=local-project", json={"name": "other", field: value})
    if value:
        assert (answer.status_code, field in answer.text or "retention" in answer.text) == (400, True)
    else:
        assert answer.status_code == 200
        assert "retentionPolicy" not in answer.json()


def test_a_custom_time_has_microseconds_and_does_not_go_back(world: StorageWorld) -> None:
    blob = world.bucket().blob("a")
    blob.custom_time = datetime(2026, 1, 1, 1, 1, 1, 123456, tzinfo=UTC)
    blob.upload_from_string("x")
    assert world.bucket().get_blob("a").custom_time == datetime(2026, 1, 1, 1, 1, 1, 123456, tzinfo=UTC)
    for earlier in ("2026-01-01T00:00:00Z", None):
        answer = world.call("PATCH", f"/storage/v1/b/{BUCKET}/o/a", json={"customTime": earlier})
        assert (answer.status_code, "Custom time" in answer.text) == (400, True)
