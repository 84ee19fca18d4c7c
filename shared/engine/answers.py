"""The edge of every function: what an error leads to for whoever sent the event."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from shared.checks.labels import fill_in_time
from shared.engine.services import Services
from shared.errors import LostRace, Rejected, TryLater
from shared.events.incoming import Message
from shared.events.outgoing import rejection_event
from shared.keys import hash_of
from shared.log import log
from shared.work import Item, Kind


@contextmanager
def rejections(kind: Kind, message: Message, services: Services) -> Iterator[None]:
    """Acknowledge a message that is refused, once its sender has been told by a rejection event.

    ``TryLater`` and bugs pass: the message is refused and comes again.
    """
    try:
        yield
    except Rejected as error:
        reject(kind, message, error, services)


def reject(kind: Kind, message: Message, error: Rejected, services: Services) -> None:
    """Publish the event that says why ``message`` is refused."""
    request_id = _request_id(message)
    key = hash_of(kind.value, "request", request_id) if request_id else hash_of(kind.value, "message", message.id)
    # The field's name may be the text of whoever sent it: the event tells it.
    log("NOTICE", "rejected", key=key, kind=kind.value, code=error.problem.code)
    event = rejection_event(kind, key, request_id, services.now(), error.problem, message.published)
    services.events.publish(event)


@contextmanager
def left_to_the_poller(item: Item) -> Iterator[None]:
    """Acknowledge an event whose work stands in the ledger, even if it could not be taken further now.

    So the outage of a service cannot use up deliveries. The poller goes on when the claim has run out.
    """
    try:
        yield
    except LostRace:
        log("INFO", "somebody else goes on", key=item.key, kind=item.kind.value)
    except TryLater as error:
        log("WARNING", "left to the poller", key=item.key, kind=item.kind.value, reason=str(error)[:200])


def _request_id(message: Message) -> str | None:
    try:
        value = json.loads(message.data)
    except (ValueError, RecursionError):
        return None
    found = value.get("request_id") if isinstance(value, dict) else None
    # Filled in, so that what is refused today is not taken for a repeat of what was refused yesterday.
    return fill_in_time(found, message.published)[:256] if isinstance(found, str) and found.isprintable() else None
