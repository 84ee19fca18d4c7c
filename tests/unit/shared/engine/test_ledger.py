"""The ledger on a real bucket: no index object is lost, whoever writes and removes at the same time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from google.cloud import storage

from shared.engine.ledger import PENDING, Ledger
from shared.errors import LostRace
from shared.keys import hash_of
from shared.work import Item, Outcome
from tests.example_requests import NOW, prediction_item

LEASE_SECONDS = 60.0


@pytest.fixture
def at(bucket: storage.Bucket) -> Callable[..., Ledger]:
    """Makes the ledger, on a clock that goes on by some seconds whenever somebody looks."""

    def make(seconds_a_look: float = 0) -> Ledger:
        looks = 0

        def clock() -> datetime:
            nonlocal looks
            looks += 1
            return NOW + timedelta(seconds=seconds_a_look * looks)

        return Ledger(bucket.client, bucket.name, clock=clock, lease_seconds=LEASE_SECONDS)

    return make


@pytest.fixture
def item(request: pytest.FixtureRequest) -> Item:
    return prediction_item(hash_of(request.node.name))


def index_of(bucket: storage.Bucket, item: Item) -> storage.Blob | None:
    return bucket.get_blob(f"{PENDING}{item.kind.value}/{item.key}")


def ended(item: Item) -> Item:
    return replace(item, outcome=Outcome.SUCCEEDED, event_published=True, claim=None)


def test_what_is_finished_has_no_index_object(bucket: storage.Bucket, at: Callable[..., Ledger], item: Item) -> None:
    claimed = at().claim(item)
    assert claimed.mine
    assert index_of(bucket, item) is not None
    at().finish(ended(claimed.item))
    assert index_of(bucket, item) is None
    stands = at().read(item.kind, item.key)
    assert stands is not None
    assert stands.final


def test_who_does_not_know_the_index_object_asks_for_it(
    bucket: storage.Bucket, at: Callable[..., Ledger], item: Item
) -> None:
    at().claim(item)
    stands = at().read(item.kind, item.key)
    assert stands is not None
    at().finish(ended(stands))
    assert index_of(bucket, item) is None


def test_the_index_object_of_work_that_begins_again_is_left(
    bucket: storage.Bucket, at: Callable[..., Ledger], item: Item
) -> None:
    claimed = at().claim(item).item
    # Somebody begins it again, and has come as far as the index object.
    again = at().index(claimed)
    at().finish(ended(claimed))
    index = index_of(bucket, item)
    assert index is not None
    assert index.generation == again.index_generation


def test_what_somebody_else_has_changed_keeps_its_index_object(
    bucket: storage.Bucket, at: Callable[..., Ledger], item: Item
) -> None:
    claimed = at().claim(item).item
    at().renew(claimed)
    with pytest.raises(LostRace):
        at().finish(ended(claimed))
    assert index_of(bucket, item) is not None


def test_a_write_whose_answer_was_lost_is_known_as_the_calls_own(at: Callable[..., Ledger], item: Item) -> None:
    claimed = at().claim(item).item
    changed = replace(claimed, claim=None, location="US")
    written = at().write(changed)
    # The client sends it again, under the generation that it was read at.
    assert at().write(changed).generation == written.generation
    with pytest.raises(LostRace):
        at().write(replace(changed, location="EU"))


@pytest.mark.parametrize("begin", ["claim", "create"])
def test_an_index_object_that_was_left_behind_is_written_again(
    bucket: storage.Bucket, at: Callable[..., Ledger], item: Item, begin: str
) -> None:
    left = bucket.blob(f"{PENDING}{item.kind.value}/{item.key}")
    left.upload_from_string(b"")
    getattr(at(), begin)(item)
    index = index_of(bucket, item)
    assert index is not None
    assert index.generation > left.generation


@pytest.mark.parametrize("begin", ["claim", "create", "reopen"])
@pytest.mark.parametrize(("seconds", "again"), [(0, False), (LEASE_SECONDS, True)], ids=["in time", "late"])
def test_an_index_object_is_written_again_if_its_item_came_late(
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
    # Generations are times here too.
    assert (index.generation > written.generation) is again
