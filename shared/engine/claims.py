"""Claims a piece of work, depending on what happened to its key before.

A new key is claimed. Work that is under way is left to the call that holds it, or to the poller. For work that succeeded,
the event is published again, under the same event id. Work that failed may be requested again, in another message, and
becomes the next attempt. Work that was rejected has run nothing, so that a corrected request may have its id.
"""

from __future__ import annotations

from dataclasses import replace

from shared.engine.ledger.ledger import Claimed
from shared.engine.services import Services
from shared.engine.stuck import UNREADABLE
from shared.errors import LostRace, Rejected, TryLater, Unreadable
from shared.events.outgoing import completion_event
from shared.log import log
from shared.work import Item, Outcome, Step, StepState
from shared.work_facts import DropRequest

# How many message ids an item remembers: a message whose id is not among them is a request that is sent again.
REMEMBERED_SOURCES = 50


def claim_once(item: Item, services: Services) -> Claimed:
    """Claim ``item`` if its key is new, or if the lease of its claim has ended.

    Raises:
        TryLater: The ledger did not answer; the event must be delivered again.
    """
    claimed = services.ledger.claim(item)
    stored = claimed.item
    # An open item without a claim was submitted, or waits for something: the poller continues it. It also publishes the event
    # of an end that a killed call left. A message that took over such an item would be lost with it, if it asks for a new run.
    if claimed.mine or stored.ended or stored.claim is None or stored.claim.until > services.now():
        return claimed
    try:
        return Claimed(services.ledger.take_over(stored), True)
    except LostRace:
        return claimed


def claim_request(item: Item, services: Services) -> Claimed:
    """Claim the work that a caller's request asks for; ``item.sources`` holds the id of the message that it came in.

    Raises:
        Rejected: The same request_id was used for another request that runs or has run, or its item in the ledger cannot
            be read.
        TryLater: The ledger did not answer; the message must be delivered again.
    """
    try:
        claimed = claim_once(item, services)
    except Unreadable as error:
        raise Rejected(f"{error}; delete the object, or send another request_id", code=UNREADABLE) from error
    if claimed.mine:
        return claimed
    stored = claimed.item
    sent_again = not set(item.sources) <= set(stored.sources)
    if sent_again and stored.payload == item.payload:
        # The events of the work have the id of the first message.
        log("INFO", "the request was sent before", **{**stored.log_fields(), "message_id": item.message_id})
    if stored.payload != item.payload:
        if not sent_again:
            # The corrected request has taken the place of the one in this message, which is delivered again.
            return claimed
        if stored.outcome in {Outcome.REJECTED, Outcome.CHECKED}:
            # A rejected request and a dry run have run nothing: the request that comes after them may have their id.
            return next_attempt(stored, item, services)
        raise Rejected(
            f"the request_id {item.request_id} was used before, for another request that runs or has run; use a new one",
            field="request_id",
            code="request_id_reused",
        )
    if stored.outcome is None:
        return claimed
    if stored.outcome.is_success:
        if stored.final:
            services.events.publish(completion_event(_for_sender(stored, item)))
        return claimed
    if not sent_again:
        return claimed
    return next_attempt(stored, item, services)


def _for_sender(stored: Item, item: Item) -> Item:
    """Return work that succeeded, for its event: an import that is requested again has another request id and other labels."""
    if not isinstance(stored.request, DropRequest):
        return stored
    request = replace(stored.request, labels=item.labels)
    return replace(stored, request=request, request_id=item.request_id, message_id=item.message_id)


def next_attempt(failed: Item, item: Item, services: Services) -> Claimed:
    """Claim ``item`` as the next attempt of work that failed, was rejected or was only checked.

    Raises:
        TryLater: The event of its end is not published yet, or another call deletes what the work left.
    """
    if not failed.final:
        raise TryLater(f"the event of {failed.key} is being published; the request can be repeated after that")
    if failed.claimed_by_another("", services.now()):
        raise TryLater(f"another call works on {failed.key}; the request can be repeated after that")
    # BigQuery may have kept the id of a job that it refused, with the label of the other request.
    refused = failed.payload != item.payload and failed.location is not None
    again = replace(
        item,
        run=failed.run + 1,
        sources=(*failed.sources, *item.sources)[-REMEMBERED_SOURCES:],
        steps=tuple(_with_next_id(step, failed, refused=refused) for step in item.steps),
        generation=failed.generation,
    )
    try:
        return Claimed(services.ledger.reopen(again, claimed=True), True, former=failed)
    except LostRace:
        return Claimed(failed, False)


def _with_next_id(step: Step, failed: Item, *, refused: bool) -> Step:
    """Return ``step`` with an attempt that was not used for a job yet; ``refused``: pending ones may have been, too."""
    before = next((each for each in failed.steps if each.name == step.name), None)
    if before is None:
        # A run before that one may have had the step: a retry of failed rows has other steps than the run before it.
        return replace(step, attempt=max(step.attempt, failed.run + 1))
    if before.state is StepState.PENDING and before.job is None and not refused:
        # Runs before that one may have used the lower numbers.
        return replace(step, attempt=before.attempt)
    return replace(step, attempt=before.attempt + 1)


def hold(item: Item, services: Services) -> Item:
    """Return an item that this call has claimed with at least half of its lease left: the claim is renewed if less is left.

    An item without a claim is returned as it is.

    Raises:
        LostRace: The lease has ended, and another call has taken over the item.
        TryLater: The ledger did not answer.
    """
    lease = services.settings.lease_seconds
    if item.claim is None or (item.claim.until - services.now()).total_seconds() >= lease / 2:
        return item
    return services.ledger.renew(item)


def seconds_left(item: Item, services: Services) -> float:
    """Return how long this call may still work on an item that it has claimed, in seconds.

    After that another call may take over the item and complete it, and newer requests may be carried out. So a change that
    would undo those must end within this time: the aliases of a model, the traffic of an endpoint, a pin, and the deletion of
    what a later run of the same work creates under the same name.

    Raises:
        LostRace: The lease has ended.
    """
    left = (item.claim.until - services.now()).total_seconds() if item.claim is not None else 0.0
    if left <= 0:
        raise LostRace(f"the claim on {item.kind} {item.key} has expired")
    return left


def check_claim(item: Item, services: Services) -> None:
    """Raise ``LostRace`` if this call may not work on an item any more; see ``seconds_left``."""
    seconds_left(item, services)
