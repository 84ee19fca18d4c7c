"""What an action leaves of a batch that it cannot change."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from shared.batches.actions import BatchAction, act
from shared.batches.batching import plan
from shared.batches.request import BatchRequest
from shared.errors import Rejected
from shared.events.incoming import Message
from shared.work import Item, Outcome
from tests.example_requests import BATCH_REQUEST, NOW, SETTINGS
from tests.unit.shared.conftest import World


def _ended(world: World, outcome: Outcome) -> Item:
    """Return a batch of the ledger that has ended, whose input does not exist any more."""
    request: dict[str, Any] = {
        **BATCH_REQUEST,
        "input": f"gs://{world.models.name}/gone.jsonl",
        "output": f"gs://{world.models.name}-out",
    }
    item = plan(BatchRequest.parse(request, SETTINGS, NOW), request, Message("1", b"", {}, NOW), NOW)
    created = world.services.ledger.create(item)
    assert created is not None
    return world.services.ledger.write(
        replace(created, outcome=outcome, finished=NOW, event_published=True, claim=None)
    )


def _refusal(world: World, item: Item, action: str) -> str:
    with pytest.raises(Rejected) as caught:
        act(BatchAction(action, item.key, "key"), Message("2", b"", {}, NOW), world.services)
    return caught.value.problem.message


def test_a_batch_that_cannot_run_again_stays_as_it_ended(world: World) -> None:
    item = _ended(world, Outcome.SUCCEEDED)
    assert "there is no" in _refusal(world, item, "resubmit")
    left = world.services.ledger.read(item.kind, item.key)
    assert left is not None
    assert (left.outcome, left.run, left.event_published) == (Outcome.SUCCEEDED, item.run, True)


@pytest.mark.parametrize(
    ("outcome", "text"),
    [
        (Outcome.REJECTED, "it was rejected"),
        (Outcome.CHECKED, "it was checked"),
        (Outcome.EXPIRED, "it has expired"),
        (Outcome.PARTIALLY_SUCCEEDED, "it partially succeeded"),
    ],
)
def test_a_refused_action_says_how_the_batch_ended(world: World, outcome: Outcome, text: str) -> None:
    assert _refusal(world, _ended(world, outcome), "cancel").endswith(text)
