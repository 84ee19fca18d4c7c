"""Claims: what happens to a request whose key is new, under way, done or failed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shared.engine.claims import REMEMBERED_SOURCES, check_claim, claim_once, claim_request, hold, seconds_left
from shared.errors import LostRace, Problem, Rejected, TryLater
from shared.work import Item, Job, Kind, Outcome, Step, StepState, System
from tests.example_requests import NOW, prediction_item
from tests.unit.shared.conftest import World

ITEM = prediction_item(request_id="nightly", sources=("message-1",))
SENT_AGAIN = replace(ITEM, sources=("message-2",))
STEP = Step("predict", System.BIGQUERY)
SUBMITTED = replace(STEP, state=StepState.SUBMITTED, job=Job(System.BIGQUERY, "a-predict-1", "US"))


def stored(world: World) -> Item:
    """Return the item as the ledger has it."""
    found = world.services.ledger.read(Kind.PREDICT, ITEM.key)
    assert found is not None
    return found


def left(world: World, *, published: bool = True, **changes: object) -> None:
    """Leave the item in the ledger as an earlier call left it."""
    item = replace(world.services.ledger.claim(ITEM).item, claim=None, **changes)
    ended = item.ended and published
    write = world.services.ledger.finish if ended else world.services.ledger.write
    write(replace(item, event_published=ended))


def failed(world: World, *, published: bool = True) -> None:
    """Leave the item in the ledger as one that failed."""
    left(
        world,
        published=published,
        outcome=Outcome.FAILED,
        problem=Problem("stopped", "the job was stopped"),
        finished=NOW,
        steps=(SUBMITTED,),
    )


def test_a_new_key_is_claimed(world: World) -> None:
    claim = claim_request(ITEM, world.services)
    assert claim.mine
    assert stored(world).claim == claim.item.claim is not None


def test_work_that_another_call_holds_is_left_to_it(world: World) -> None:
    first = claim_request(ITEM, world.services)
    second = claim_request(ITEM, world.services)
    assert not second.mine
    assert stored(world).claim == first.item.claim


def test_a_claim_whose_lease_has_ended_is_taken_over(world: World) -> None:
    first = claim_request(ITEM, world.services)
    world.pass_time(world.services.settings.lease_seconds + 1)
    second = claim_request(ITEM, world.services)
    assert second.mine
    assert stored(world).claim == second.item.claim != first.item.claim


def test_open_work_without_a_claim_is_left_to_the_poller(world: World) -> None:
    left(world, steps=(SUBMITTED,))
    claim = claim_request(ITEM, world.services)
    assert not claim.mine
    assert stored(world).claim is None


def test_a_used_request_id_with_another_payload_is_rejected(world: World) -> None:
    claim_request(ITEM, world.services)
    with pytest.raises(Rejected, match="nightly was used before") as refusal:
        claim_request(replace(SENT_AGAIN, payload="c" * 32), world.services)
    assert (refusal.value.problem.code, refusal.value.problem.field) == ("request_id_reused", "request_id")


def test_a_corrected_request_has_the_id_of_one_that_was_rejected(world: World) -> None:
    left(world, outcome=Outcome.REJECTED, finished=NOW)
    corrected = replace(SENT_AGAIN, payload="c" * 32, message_id="message-2")
    assert claim_request(corrected, world.services).mine
    again = stored(world)
    assert (again.payload, again.run, again.sources, again.outcome) == ("c" * 32, 2, ("message-1", "message-2"), None)
    assert (again.message_id, again.steps) == ("message-2", (STEP,))
    assert world.indexed() == {ITEM.key}


def test_a_corrected_request_waits_for_the_event_of_the_rejected_one(world: World) -> None:
    left(world, published=False, outcome=Outcome.REJECTED, finished=NOW)
    with pytest.raises(TryLater, match="is being published"):
        claim_request(replace(SENT_AGAIN, payload="c" * 32), world.services)


def test_a_corrected_request_does_not_use_a_job_id_that_bigquery_may_have_refused(world: World) -> None:
    left(world, outcome=Outcome.REJECTED, finished=NOW, location="US")
    claim_request(replace(SENT_AGAIN, payload="c" * 32), world.services)
    assert stored(world).steps == (replace(STEP, attempt=2),)


def test_a_dry_run_leaves_its_id_free_for_the_request(world: World) -> None:
    left(world, outcome=Outcome.CHECKED, finished=NOW, location="US", steps=(SUBMITTED,))
    assert claim_request(replace(SENT_AGAIN, payload="c" * 32), world.services).mine
    again = stored(world)
    assert (again.run, again.outcome, again.steps) == (2, None, (replace(STEP, attempt=2),))


def test_a_rejected_message_that_is_delivered_again_changes_nothing_after_its_correction(world: World) -> None:
    left(world, outcome=Outcome.REJECTED, finished=NOW)
    claim_request(replace(SENT_AGAIN, payload="c" * 32), world.services)
    before = stored(world)
    assert not claim_request(ITEM, world.services).mine
    assert (stored(world), world.published()) == (before, [])


@pytest.mark.parametrize("outcome", [None, Outcome.SUCCEEDED, Outcome.FAILED])
def test_a_request_that_runs_or_has_run_keeps_its_id(world: World, outcome: Outcome | None) -> None:
    left(world, outcome=outcome, steps=(SUBMITTED,))
    with pytest.raises(Rejected, match="runs or has run"):
        claim_request(replace(SENT_AGAIN, payload="c" * 32), world.services)


@pytest.mark.parametrize("item", [ITEM, SENT_AGAIN], ids=["delivered again", "sent again"])
def test_the_event_of_work_that_succeeded_is_published_again(world: World, item: Item) -> None:
    left(world, outcome=Outcome.SUCCEEDED, finished=NOW)
    assert not claim_request(item, world.services).mine
    assert [event["type"] for event in world.published()] == ["modeldrop.prediction.succeeded.v1"]


def test_no_event_is_published_again_before_it_was_published(world: World) -> None:
    left(world, published=False, outcome=Outcome.SUCCEEDED, finished=NOW)
    assert not claim_request(SENT_AGAIN, world.services).mine
    assert world.published() == []


def test_a_message_of_failed_work_that_is_delivered_again_changes_nothing(world: World) -> None:
    failed(world)
    before = stored(world)
    assert not claim_request(ITEM, world.services).mine
    assert (stored(world), stored(world).generation) == (before, before.generation)
    assert world.published() == []


def test_failed_work_that_is_requested_again_becomes_the_next_attempt(world: World) -> None:
    failed(world)
    claim = claim_request(SENT_AGAIN, world.services)
    assert claim.mine
    again = stored(world)
    assert (again.run, again.sources, again.outcome) == (2, ("message-1", "message-2"), None)
    assert again.steps == (replace(STEP, attempt=2),)
    assert world.indexed() == {ITEM.key}


def test_a_step_that_was_never_submitted_keeps_its_attempt(world: World) -> None:
    left(world, outcome=Outcome.REJECTED, finished=NOW)
    claim_request(SENT_AGAIN, world.services)
    assert stored(world).steps == (STEP,)


def test_a_step_that_was_not_submitted_does_not_take_an_attempt_of_an_earlier_run(world: World) -> None:
    left(world, outcome=Outcome.FAILED, finished=NOW, run=2, steps=(replace(STEP, attempt=2),))
    claim_request(SENT_AGAIN, world.services)
    assert stored(world).steps == (replace(STEP, attempt=2),)


def test_a_step_that_the_last_run_did_not_have_does_not_take_an_attempt_of_an_earlier_run(world: World) -> None:
    left(world, outcome=Outcome.FAILED, finished=NOW, run=2, steps=(replace(STEP, name="another"),))
    claim_request(SENT_AGAIN, world.services)
    assert stored(world).steps == (replace(STEP, attempt=3),)


def test_failed_work_cannot_be_requested_again_before_its_event_is_published(world: World) -> None:
    failed(world, published=False)
    with pytest.raises(TryLater, match="is being published"):
        claim_request(SENT_AGAIN, world.services)


def test_a_request_that_is_sent_again_does_not_take_over_the_end_of_a_killed_call(world: World) -> None:
    claimed = world.services.ledger.claim(ITEM).item
    ended = replace(claimed, outcome=Outcome.FAILED, problem=Problem("stopped", "the job was stopped"), finished=NOW)
    world.services.ledger.end(ended)
    world.pass_time(world.services.settings.lease_seconds + 1)
    before = stored(world)
    with pytest.raises(TryLater, match="is being published"):
        claim_request(SENT_AGAIN, world.services)
    assert not claim_request(ITEM, world.services).mine
    assert stored(world) == before


def test_an_item_remembers_a_limited_number_of_messages(world: World) -> None:
    left(
        world,
        outcome=Outcome.FAILED,
        finished=NOW,
        sources=tuple(f"old-{number}" for number in range(REMEMBERED_SOURCES)),
    )
    claim_request(SENT_AGAIN, world.services)
    assert stored(world).sources == (*(f"old-{number}" for number in range(1, REMEMBERED_SOURCES)), "message-2")


def test_claiming_once_never_starts_failed_work_again(world: World) -> None:
    failed(world)
    assert not claim_once(SENT_AGAIN, world.services).mine
    assert stored(world).run == 1


def test_a_failed_request_is_not_repeated_while_another_call_deletes_what_it_left(world: World) -> None:
    failed(world)
    services = world.services
    services.ledger.take_over(stored(world))
    with pytest.raises(TryLater, match="another call works on"):
        claim_request(SENT_AGAIN, services)
    world.pass_time(services.settings.lease_seconds + 1)
    assert claim_request(SENT_AGAIN, services).mine


def test_a_claim_with_less_than_half_of_its_lease_left_is_renewed(world: World) -> None:
    lease = world.services.settings.lease_seconds
    claimed = claim_request(ITEM, world.services).item
    assert hold(claimed, world.services) is claimed
    world.pass_time(lease * 0.6)
    held = hold(claimed, world.services)
    assert seconds_left(held, world.services) == lease
    assert stored(world).claim == held.claim
    # Work that may be done twice has no claim.
    assert hold(replace(held, claim=None), world.services).claim is None


def test_a_claim_that_was_taken_over_cannot_be_held(world: World) -> None:
    first = claim_request(ITEM, world.services).item
    world.pass_time(world.services.settings.lease_seconds + 1)
    claim_request(ITEM, world.services)
    with pytest.raises(LostRace):
        hold(first, world.services)


def test_the_time_that_is_left_ends_with_the_lease(world: World) -> None:
    lease = world.services.settings.lease_seconds
    claimed = claim_request(ITEM, world.services).item
    assert seconds_left(claimed, world.services) == lease
    world.pass_time(lease - 1)
    assert seconds_left(claimed, world.services) == 1
    check_claim(claimed, world.services)
    world.pass_time(1)
    for expired in (claimed, replace(claimed, claim=None)):
        with pytest.raises(LostRace, match="has expired"):
            check_claim(expired, world.services)
