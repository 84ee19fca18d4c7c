"""How a function answers the sender of an event when an error is raised."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from shared.checks.labels import fill_in_time, right_labels
from shared.engine.ledger.refused import keep_rejection
from shared.engine.recognition import wrong_topic
from shared.engine.services import Services
from shared.errors import LostRace, Problem, Rejected, TryLater, Unreadable, short_reason
from shared.events.incoming import Message
from shared.events.outgoing import RefusedRequest, rejection_event
from shared.keys import hash_of
from shared.log import log
from shared.work import Item, Kind


@contextmanager
def rejections(kind: Kind, message: Message, services: Services) -> Iterator[None]:
    """Acknowledge a message that is rejected, after the rejection event is published.

    ``TryLater`` and bugs are raised further, so that the message is delivered again.
    """
    try:
        yield
    except Rejected as error:
        reject(kind, message, error, services)


def reject(kind: Kind, message: Message, error: Rejected, services: Services) -> Problem:
    """Publish and keep the event that says why ``message`` is rejected; return the problem that it has."""
    problem = wrong_topic(kind, message, error, services.settings) or error.problem
    if message.is_event:
        log("WARNING", "ignored an event of Modeldrop on a topic for requests", message_id=message.id)
        return problem
    request_id, labels = _identity(message)
    key = hash_of(kind.value, "request", request_id) if request_id else hash_of(kind.value, "message", message.id)
    # The problem's text and field can quote the message, so only the event has them.
    log("NOTICE", "rejected", key=key, kind=kind.value, message_id=message.id, code=problem.code)
    refused = RefusedRequest(kind, key, message.published, request_id, message.publishers_id, labels)
    event = rejection_event(refused, services.now(), problem)
    services.events.publish(event)
    keep_rejection(event, services.ledger.objects)
    return problem


@contextmanager
def left_to_the_poller(item: Item) -> Iterator[None]:
    """Acknowledge an event whose work is in the ledger, even if a service did not answer.

    So the outage of a service cannot use up deliveries. The poller continues the work when the lease has ended.
    """
    try:
        yield
    except LostRace:
        log("INFO", "another call continues the work", **item.log_fields())
    except (TryLater, Unreadable) as error:
        log("WARNING", "left to the poller", **item.log_fields(), reason=short_reason(error))


def _identity(message: Message) -> tuple[str | None, dict[str, str]]:
    """Return the request id and the labels of a message that may be wrong in any way, as far as they are right."""
    try:
        value = json.loads(message.data)
    except (ValueError, RecursionError):
        return None, {}
    if not isinstance(value, dict):
        return None, {}
    found, labels = value.get("request_id"), value.get("labels")
    right = right_labels(labels) if isinstance(labels, dict) else {}
    if not isinstance(found, str) or not found.isprintable():
        return None, right
    # Filled in, so that a rejection of today is not taken for a repeat of yesterday's.
    return fill_in_time(found, message.published)[:256], right
