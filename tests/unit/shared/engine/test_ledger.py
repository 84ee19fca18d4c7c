"""The ledger on a real bucket: open work keeps its index object, whatever other calls write at the same time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from google.cloud import storage

from shared.engine.ledger.index import INDEX
from shared.engine.ledger.ledger import Ledger
from shared.errors import LostRace
from shared.keys import hash_of
from shared.work import Item, Outcome
from tests.example_requests import NOW, prediction_item

LEASE_SECONDS = 60.0


@pytest.fixture
def at(bucket: storage.Bucket) -> Callable[..., Ledger]:
    """Return a function that creates the ledger, with a clock that advances by some seconds whenever it is read."""

    def make(seconds_a_reading: float = 0) -> Ledger:
        readings = 0

        def clock() -> datetime:
            nonlocal readings
            readings += 1
            return NOW + timedelta(seconds=seconds_a_reading * readings)

        return Ledger(bucket.client, bucket.name, clock=clock, lease_seconds=LEASE_SECONDS)

    return make


@pytest.fixture
def item(request: pytest.FixtureRequest) -> Item:
    return prediction_item(hash_of(request.node.name))


def index_of(bucket: storage.Bucket, item: Item) -> storage.Blob | None:
    return bucket.get_blob(f"{INDEX}{item.kind.value}/{item.key}")


def ended(item: Item) -> Item:
    return replace(item, outcome=Outcome.SUCCEEDED, event_published=True, claim=None)


def test_a_finished_item_has_no_index_object(bucket: storage.Bucket, at: Callable[..., Ledger], item: Item) -> None:
    claimed = at().claim(item)
    assert claimed.mine
    assert index_of(bucket, item) is not None
    at().finish(ended(claimed.item))
    assert index_of(bucket, item) is None
    stored = at().read(item.kind, item.key)
    assert stored is not None
    assert stored.final


def test_an_item_that_has_ended_is_final_when_its_index_object_is_gone(
    bucket: storage.Bucket, at: Callable[..., Ledger], item: Item
) -> None:
    claimed = at().claim(item).item
    written = at().end(replace(claimed, outcome=Outcome.FAILED))
    stored = at().read(item.kind, item.key)
    assert stored is not None
    assert (stored.outcome, stored.final) == (Outcome.FAILED, False)
    assert at().close(written).final
    stored = at().read(item.kind, item.key)
    assert stored is not None
    assert (stored.final, stored.claim) == (True, None)
    # The outcome was the last write.
    assert stored.generation == written.generation
    assert index_of(bucket, item) is None


def test_the_end_of_an_item_that_lost_its_index_object_is_not_final_before_its_event_is_published(
    bucket: storage.Bucket, at: Callable[..., Ledger], item: Item
) -> None:
    at().claim(item)
    index = index_of(bucket, item)
    assert index is not None
    index.delete()
    stored = at().read(item.kind, item.key)
    assert stored is not None
    written = at().end(replace(stored, outcome=Outcome.FAILED))
    stored = at().read(item.kind, item.key)
    assert stored is not None
    assert not stored.final
    assert at().close(written).final
    assert index_of(bucket, item) is None


@pytest.mark.parametrize("published", [True, False], ids=["final", "not published"])
def test_a_claim_finds_out_whether_the_end_of_the_work_was_published(
    bucket: storage.Bucket, at: Callable[..., Ledger], item: Item, published: bool
) -> None:
    ended_item = at().end(replace(at().claim(item).item, outcome=Outcome.FAILED))
    if published:
        at().close(ended_item)
    claimed = at().claim(item)
    assert not claimed.mine
    assert claimed.item.final is published
    assert (index_of(bucket, item) is None) is published


def test_the_index_object_of_an_item_that_was_only_read_is_removed(
    bucket: storage.Bucket, at: Callable[..., Ledger], item: Item
) -> None:
    at().claim(item)
    stored = at().read(item.kind, item.key)
    assert stored is not None
    at().finish(ended(stored))
    assert index_of(bucket, item) is None


def test_the_index_object_of_work_that_is_opened_again_stays(
    bucket: storage.Bucket, at: Callable[..., Ledger], item: Item
) -> None:
    claimed = at().claim(item).item
    # Another call opens the work again, and has written the index object but not yet the item.
    again = at().index(claimed)
    at().finish(ended(claimed))
    index = index_of(bucket, item)
    assert index is not None
    assert index.generation == again.index_generation


def test_an_item_that_was_indexed_again_after_it_was_listed_is_final_when_it_is_closed(
    bucket: storage.Bucket, at: Callable[..., Ledger], item: Item
) -> None:
    listed = at().claim(item).item
    at().index(listed)
    at().close(at().end(replace(listed, outcome=Outcome.SUCCEEDED)))
    assert index_of(bucket, item) is None
    stored = at().read(item.kind, item.key)
    assert stored is not None
    assert stored.final


def test_the_index_object_of_a_next_run_stays_when_another_call_closes_the_run_before(
    bucket: storage.Bucket, at: Callable[..., Ledger], item: Item
) -> None:
    written = at().end(replace(at().claim(item).item, outcome=Outcome.FAILED))
    # The lease has ended, and other calls have closed the item and opened it again.
    at().close(written)
    again = at().reopen(replace(item, generation=written.generation), claimed=True)
    at().close(written)
    index = index_of(bucket, item)
    assert index is not None
    assert index.generation == again.index_generation


def test_an_item_that_another_call_changed_keeps_its_index_object(
    bucket: storage.Bucket, at: Callable[..., Ledger], item: Item
) -> None:
    claimed = at().claim(item).item
    at().renew(claimed)
    with pytest.raises(LostRace):
        at().finish(ended(claimed))
    assert index_of(bucket, item) is not None


def test_a_repeated_write_of_the_same_item_succeeds(at: Callable[..., Ledger], item: Item) -> None:
    claimed = at().claim(item).item
    changed = replace(claimed, claim=None, location="US")
    written = at().write(changed)
    # The answer is lost, and the client repeats the write with the generation that was read.
    assert at().write(changed).generation == written.generation
    with pytest.raises(LostRace):
        at().write(replace(changed, location="EU"))


@pytest.mark.parametrize("begin", ["claim", "create"])
def test_an_index_object_that_already_exists_is_written_again(
    bucket: storage.Bucket, at: Callable[..., Ledger], item: Item, begin: str
) -> None:
    left = bucket.blob(f"{INDEX}{item.kind.value}/{item.key}")
    left.upload_from_string(b"")
    getattr(at(), begin)(item)
    index = index_of(bucket, item)
    assert index is not None
    assert index.generation > left.generation


@pytest.mark.parametrize("begin", ["claim", "create", "reopen"])
@pytest.mark.parametrize(("seconds", "again"), [(0, False), (LEASE_SECONDS, True)], ids=["in time", "late"])
def test_an_index_object_is_written_again_if_its_item_is_written_late(
    bucket: storage.Bucket, at: Callable[..., Ledger], item: Item, begin: str, seconds: float, again: bool
) -> None:
    ledger = at(seconds)
    if begin == "reopen":
        ledger.reopen(at().finish(ended(at().claim(item).item)), claimed=True)
    else:
        getattr(ledger, begin)(item)
    written = at().read(item.kind, item.key)
    index = index_of(bucket, item)
    assert written is not None
    assert index is not None
    # The generations of the local Cloud Storage are times, as Google's are.
    assert (index.generation > written.generation) is again
