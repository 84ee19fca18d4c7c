"""Two open batches with one output: which of them are refused, and when a claim ends."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from shared.batches.batching import plan
from shared.batches.output.claims import CLAIMS, claim_outputs
from shared.batches.request import BatchRequest
from shared.errors import Rejected
from shared.events.incoming import Message
from shared.work import Item, Outcome
from tests.example_requests import BATCH_REQUEST, NOW, SETTINGS
from tests.unit.shared.conftest import World

TABLE = "bq://my-project.my_dataset.answers"
RESULTS = {"table": "bq://my-project.my_dataset.films", "columns": {"title": "STRING $.title"}}


def _request(name: str, **changes: Any) -> tuple[Item, BatchRequest]:
    """Return a batch of this request_id and its request."""
    given = {**BATCH_REQUEST, "output": {"table": TABLE}, "request_id": name, **changes}
    request = BatchRequest.parse(given, SETTINGS, NOW)
    return plan(request, given, Message(name, b"", {}, NOW), NOW), request


def _open(world: World, name: str, **changes: Any) -> Item:
    """Create an open batch that has claimed its output, and return it."""
    item, request = _request(name, **changes)
    created = world.services.ledger.create(item)
    assert created is not None
    claim_outputs(created, request, world.services)
    return created


def _claim(world: World, name: str, **changes: Any) -> None:
    claim_outputs(*_request(name, **changes), world.services)


def _write(write: str) -> dict[str, Any]:
    return {"output": {"table": TABLE, "write": write, **({"key": ["id"]} if write == "merge" else {})}}


@pytest.mark.parametrize(("first", "second"), [("empty", "empty"), ("empty", "append"), ("truncate", "empty")])
def test_a_table_that_an_open_batch_needs_empty_is_refused_with_its_key(world: World, first: str, second: str) -> None:
    other = _open(world, "first", **_write(first))
    with pytest.raises(Rejected) as caught:
        _claim(world, "second", **_write(second))
    assert (caught.value.problem.code, caught.value.problem.field) == ("output_in_use", "output")
    assert other.key in caught.value.problem.message


@pytest.mark.parametrize(("first", "second"), [("append", "append"), ("merge", "truncate"), ("truncate", "truncate")])
def test_batches_that_may_write_beside_each_other_are_accepted(world: World, first: str, second: str) -> None:
    _open(world, "first", **_write(first))
    _claim(world, "second", **_write(second))


def _partition(id_: str) -> dict[str, Any]:
    return {"output": {"table": f"{TABLE}${id_}"}}


@pytest.mark.parametrize(
    ("first", "second"), [(_partition("20260101"), _partition("20260102")), (_write("append"), _partition("20260101"))]
)
def test_a_partition_is_claimed_beside_other_partitions(
    world: World, first: dict[str, Any], second: dict[str, Any]
) -> None:
    _open(world, "first", **first)
    if "write" in first["output"]:
        with pytest.raises(Rejected):
            _claim(world, "second", **second)
    else:
        _open(world, "second", **second)
        with pytest.raises(Rejected):
            _claim(world, "third", **second)


def test_a_batch_has_its_own_claim_however_often_it_is_prepared(world: World) -> None:
    item = _open(world, "first")
    for _ in range(2):
        claim_outputs(item, _request("first")[1], world.services)


def test_the_claim_of_a_batch_that_has_ended_does_not_count(world: World) -> None:
    item = _open(world, "first")
    ended = replace(item, outcome=Outcome.FAILED, finished=NOW, event_published=True)
    world.services.ledger.write(ended)
    _claim(world, "second")
    # A call that ended before its item was written has left a claim, too.
    world.state.blob(f"ledger/items/batch/{item.key}.json").delete()
    _claim(world, "third")


def test_the_results_of_a_batch_are_claimed_too(world: World) -> None:
    _open(world, "first", results=RESULTS)
    other = {"output": {"table": "bq://my-project.my_dataset.other"}}
    with pytest.raises(Rejected) as caught:
        _claim(world, "second", results=RESULTS, **other)
    assert caught.value.problem.field == "results.table"
    _claim(world, "third", **other)
    with pytest.raises(Rejected):
        _claim(world, "fourth", output={"table": "bq://my-project.my_dataset.films", "write": "append"})


def test_a_table_that_modeldrop_names_is_not_claimed(world: World) -> None:
    _claim(world, "first", output="bq://my-project.my_dataset")
    assert list(world.state.list_blobs(prefix=CLAIMS)) == []


def test_claims_that_cannot_be_read_reserve_nothing(world: World) -> None:
    _open(world, "first")
    [blob] = world.state.list_blobs(prefix=CLAIMS)
    for damaged in (b"{", b'{"claims": [1]}', b""):
        blob.upload_from_string(damaged)
        _claim(world, "second")
