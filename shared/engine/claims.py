"""Claims a piece of work, whatever its key has been through before.

A key that is new is claimed. One that is under way is left to whoever works on it. One that succeeded is told again, under
the same event id. One that failed may be sent again, in another message, and becomes the next attempt.
"""

from __future__ import annotations

from dataclasses import replace

from shared.engine.ledger import Claimed
from shared.engine.services import Services
from shared.errors import LostRace, Rejected, TryLater
from shared.events.outgoing import completion_event
from shared.work import Item, Step, StepState

# How many message ids an item remembers, to tell a message that comes again from one that was sent again.
REMEMBERED_SOURCES = 50

_SUCCESSES = frozenset(
    {"succeeded", "partially_succeeded", "settled", "registered", "deployed", "undeployed", "deleted", "described"}
)


def claim_once(item: Item, services: Services) -> Claimed:
    """Claim ``item`` if its key is new, or if whoever claimed it has not come back.

    Raises ``TryLater`` if the ledger does not answer: then the event must come again.
    """
    claimed = services.ledger.claim(item)
    stands = claimed.item
    # What nobody holds a claim of was submitted, or waits for something: the poller goes on with it.
    if claimed.mine or stands.final or stands.claim is None or stands.claim.until > services.now():
        return claimed
    try:
        return Claimed(services.ledger.take_over(stands), True)
    except LostRace:
        return claimed


def claim_request(item: Item, services: Services) -> Claimed:
    """Claim the work that a caller's request asks for; ``item.sources`` holds the id of the message it came in.

    Raises ``Rejected`` if the same id was used for another request, and ``TryLater`` if the ledger does not answer.
    """
    claimed = claim_once(item, services)
    if claimed.mine:
        return claimed
    stands = claimed.item
    if stands.payload != item.payload:
        raise Rejected(
            f"the request_id {item.request_id} was used before, for another request; use a new one",
            field="request_id",
            code="request_id_reused",
        )
    again = not set(item.sources) <= set(stands.sources)
    if stands.ended and not stands.final and again and stands.outcome not in _SUCCESSES:
        raise TryLater(f"the end of {stands.key} is just being told; it can be sent again after that")
    if not stands.final:
        return claimed
    if stands.outcome in _SUCCESSES:
        services.events.publish(completion_event(stands))
        return claimed
    if not again:
        return claimed
    return _next_attempt(stands, item, services)


def _next_attempt(failed: Item, item: Item, services: Services) -> Claimed:
    again = replace(
        item,
        run=failed.run + 1,
        sources=(*failed.sources, *item.sources)[-REMEMBERED_SOURCES:],
        steps=tuple(_after(step, failed) for step in item.steps),
        generation=failed.generation,
    )
    try:
        return Claimed(services.ledger.reopen(again, claimed=True), True)
    except LostRace:
        return Claimed(failed, False)


def _after(step: Step, failed: Item) -> Step:
    before = next((each for each in failed.steps if each.name == step.name), None)
    if before is None or (before.state is StepState.PENDING and before.job is None):
        return step
    return replace(step, attempt=before.attempt + 1)
