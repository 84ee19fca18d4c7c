"""What an action leaves of a batch that it cannot change."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from shared.batch_work import BatchFacts, BatchRound
from shared.batches.actions import BatchAction, act
from shared.batches.batching import Batches, plan
from shared.batches.output.places import facts_of
from shared.batches.request import BatchRequest
from shared.engine.answers import reject
from shared.engine.claims import claim_request
from shared.engine.running.steps import record, submit
from shared.errors import LostRace, Problem, Rejected, TryLater
from shared.events.incoming import Message
from shared.events.outgoing import completion_event
from shared.keys import hash_of
from shared.work import Item, Kind, Outcome, Step, StepState, System
from tests.example_requests import BATCH_REQUEST, NOW, SETTINGS, prediction_item
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


def _act(world: World, action: dict[str, Any], message_id: str = "2") -> Item:
    return act(BatchAction.parse(action, NOW), Message(message_id, b"", {}, NOW), world.services)


def _problem(world: World, **action: Any) -> Problem:
    with pytest.raises(Rejected) as caught:
        _act(world, action)
    return caught.value.problem


def _refusal(world: World, item: Item, action: str) -> str:
    return _problem(world, action=action, key=item.key).message


def _open_plan(**changes: Any) -> Item:
    """Return a batch that is not in the ledger yet."""
    item = plan(BatchRequest.parse(BATCH_REQUEST, SETTINGS, NOW), BATCH_REQUEST, Message("1", b"", {}, NOW), NOW)
    return replace(item, **changes)


def _stored(world: World, item: Item) -> Item:
    found = world.services.ledger.read(item.kind, item.key)
    assert found is not None
    return found


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


# --- actions that name no batch ----------------------------------------------------------------------------------------

KEY = "0123456789abcdef" * 2


@pytest.mark.parametrize(
    ("action", "code", "text"),
    [
        ({"key": KEY, "request_id": "nightly"}, "invalid_field", "either key or request_id; not both"),
        ({}, "missing_field", "either key or request_id; it has neither"),
        ({"key": KEY.upper()}, "invalid_field", f"did you mean {KEY}?"),
        ({"key": "nightly"}, "invalid_field", "32 digits and letters from a to f"),
        ({"key": KEY, "action": "Cancel"}, "invalid_field", "did you mean cancel?"),
        ({"key": KEY, "model": "gemini-3.8-flash"}, "unknown_field", "model"),
        ({"key": KEY}, "batch_not_found", "it was never sent, or it is older than LEDGER_RETENTION_DAYS"),
        ({"request_id": "Nightly"}, "batch_not_found", "there is no batch with this request_id"),
    ],
)
def test_an_action_that_names_no_batch_is_refused_with_what_is_right(
    world: World, action: dict[str, Any], code: str, text: str
) -> None:
    problem = _problem(world, **{"action": "cancel", **action})
    assert problem.code == code
    assert text in problem.message


@pytest.mark.parametrize("field", ["key", "request_id"])
def test_an_action_on_a_prediction_says_that_it_is_one(world: World, field: str) -> None:
    prediction = prediction_item(request_id="nightly")
    prediction = replace(prediction, key=hash_of(Kind.PREDICT, "request", "nightly"))
    world.services.ledger.create(prediction)
    named = {"key": prediction.key, "request_id": "nightly"}[field]
    problem = _problem(world, action="cancel", **{field: named})
    assert (problem.code, problem.field) == ("batch_not_found", field)
    assert "it belongs to work of the kind predict" in problem.message


def test_an_action_on_a_request_that_was_rejected_says_why_it_was(world: World) -> None:
    request = Message("1", b'{"request_id": "nightly", "model": 7}', {}, NOW)
    reject(Kind.BATCH, request, Rejected("model must be a string, not a number", field="model"), world.services)
    action = Message("2", b'{"request_id": "nightly", "action": "cancel"}', {}, NOW)
    for _ in range(2):
        problem = _problem(world, action="cancel", request_id="nightly")
        assert "was rejected: model must be a string, not a number. Send it again" in problem.message
        # The rejection of the action is kept too, and is not taken for that of the request.
        reject(Kind.BATCH, action, Rejected(problem.message, field=problem.field, code=problem.code), world.services)


def test_a_retry_of_a_rejected_batch_says_to_correct_the_request(world: World) -> None:
    assert "send the request again, corrected" in _refusal(world, _ended(world, Outcome.REJECTED), "retry_failed_rows")


# --- two calls at the same moment --------------------------------------------------------------------------------------


def test_a_retry_of_rows_that_are_in_a_partition_is_refused_before_it_is_paid(world: World) -> None:
    item = _ended(world, Outcome.PARTIALLY_SUCCEEDED)
    facts = BatchFacts(output="bq://p.d.answers$20261126", answers="bq://p.d.modeldrop_answers_x")
    item = replace(item, facts=facts, steps=(Step("move", System.BIGQUERY, StepState.SUCCEEDED),))
    item = world.services.ledger.write(item)
    problem = _problem(world, action="retry_failed_rows", key=item.key)
    assert (problem.code, problem.field) == ("output_is_partition", "action")
    assert "p.d.answers$20261126" in problem.message


def test_a_batch_that_waits_for_nothing_is_cancelled_at_once_and_may_be_cancelled_twice(world: World) -> None:
    item = world.services.ledger.create(_open_plan())
    assert item is not None
    for message in ("2", "3"):
        assert _act(world, {"action": "cancel", "key": item.key}, message).outcome is Outcome.CANCELLED
    ids = [(event["type"], event["error"]["code"]) for event in world.published()]
    assert set(ids) == {("modeldrop.batch.cancelled.v1", "cancelled")}


def test_a_batch_that_is_cancelled_while_a_function_prepares_it_ends_as_cancelled(world: World) -> None:
    claimed = claim_request(_open_plan(), world.services)
    cancelled = _act(world, {"action": "cancel", "key": claimed.item.key})
    # The function that holds the claim comes after the cancellation: it may not store what it has prepared.
    with pytest.raises(LostRace):
        record(replace(claimed.item, location="US"), Batches(), world.services)
    assert cancelled.outcome is None
    world.pass_time(world.services.settings.lease_seconds + 1)
    left = world.services.ledger.take_over(_stored(world, cancelled))
    assert submit(left, Batches(), world.services).outcome is Outcome.CANCELLED


def test_a_cancelled_batch_of_several_parts_gets_no_further_job(world: World) -> None:
    rounds = (
        BatchRound("bq://p.d.requests", "bq://p.d.answers_1"),
        BatchRound("bq://p.d.part_2", "bq://p.d.answers_2"),
    )
    facts = BatchFacts(answers="bq://p.d.answers_3", parts=3, rounds=rounds, cancelling=True)
    steps = (Step("part-3", System.BIGQUERY), Step("submit-3", System.VERTEX))
    for done in range(2):
        left = tuple(replace(step, state=StepState.SUCCEEDED) for step in steps[:done]) + steps[done:]
        item = submit(_open_plan(facts=facts, steps=left, location="US"), Batches(), world.services)
        assert item.outcome is Outcome.CANCELLED
    event = completion_event(item).data
    assert event["answer_tables"] == ["bq://p.d.answers_1", "bq://p.d.answers_2"]
    assert event["answers"] == "bq://p.d.answers_2"


def test_a_batch_that_another_call_deletes_is_left_to_it(world: World) -> None:
    item = _ended(world, Outcome.FAILED)
    world.services.ledger.take_over(item)
    with pytest.raises(TryLater):
        _act(world, {"action": "delete", "key": item.key})
    assert not facts_of(_stored(world, item)).deleted


@pytest.mark.parametrize("action", ["delete", "resubmit", "retry_failed_rows"])
def test_an_action_on_a_batch_whose_end_is_being_published_is_tried_again(world: World, action: str) -> None:
    """It was opened again by a call that was killed after the index object, or its event is not published yet."""
    item = _ended(world, Outcome.FAILED)
    stored = world.services.ledger.write(replace(item, event_published=False))
    world.services.ledger.index(stored)
    with pytest.raises(TryLater, match="is being published"):
        _act(world, {"action": action, "key": item.key})
    assert _stored(world, item).run == item.run


def test_a_call_whose_lease_has_ended_does_not_delete_the_tables_of_the_next_run(world: World) -> None:
    item = _open_plan()
    facts = BatchFacts(requests=f"bq://my-project.films.modeldrop_requests_{item.key}")
    claimed = world.services.ledger.claim(replace(item, facts=facts, outcome=Outcome.SUCCEEDED)).item
    world.pass_time(world.services.settings.lease_seconds + 1)
    # BigQuery is not there: a call of it would be another error.
    with pytest.raises(LostRace):
        Batches().close(claimed, world.services)
