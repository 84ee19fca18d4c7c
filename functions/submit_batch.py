"""Submits a Gemini batch, as an HTTP request or a message asks."""

from __future__ import annotations

import uuid
from dataclasses import asdict
from typing import Any

import flask
from cloudevents.http import CloudEvent

from shared.batches.actions import BatchAction, act
from shared.batches.again import delete_former_tables
from shared.batches.batching import Batches, output_of, plan
from shared.batches.output.places import facts_of
from shared.batches.request import BatchRequest
from shared.engine.answers import left_to_the_poller, reject, rejections
from shared.engine.claims import claim_request
from shared.engine.running.steps import advance
from shared.engine.services import services
from shared.errors import Rejected, TryLater
from shared.events.edge import cloud_event, http_function
from shared.events.incoming import Message
from shared.work import Item, Kind, Outcome, System


@cloud_event
def submit_batch_message(event: CloudEvent) -> None:
    """Submit the batch that a message asks for, or publish a rejection event.

    Raises:
        TryLater: The ledger did not answer; the message is delivered again.
    """
    message = Message.from_event(event)
    with rejections(Kind.BATCH, message, services()):
        _submit(message)


@http_function
def submit_batch(request: flask.Request) -> flask.typing.ResponseReturnValue:
    """Submit the batch that a POST asks for.

    Returns:
        202 with the key, the state, and the job's resource name once there is one; 400 with the problem, after a rejection
        event is published; 503 if the ledger did not answer, so that the caller can try again.
    """
    if request.method != "POST":
        return {"error": {"code": "method_not_allowed", "message": "send a POST with JSON", "field": None}}, 405
    at = services()
    # Without a request_id of the caller's, every request is a piece of work of its own.
    message = Message(id=uuid.uuid4().hex, data=request.get_data(), attributes={}, published=at.now(), over_http=True)
    try:
        try:
            item = _submit(message)
        except Rejected as error:
            return {"error": reject(Kind.BATCH, message, error, at).as_json()}, 400
    except TryLater as error:
        return {"error": {"code": "try_later", "message": str(error), "field": None}}, 503
    # A batch that was rejected before may be deleted.
    if item.outcome is Outcome.REJECTED and item.problem is not None and not facts_of(item).deleted:
        return {"key": item.key, "error": item.problem.as_json()}, 400
    return _response_body(item), 202


def _submit(message: Message) -> Item:
    """Return the batch that ``message`` asks for, or acts on, as far as it has come."""
    at = services()
    payload = message.payload()
    if "action" in payload:
        item = act(BatchAction.parse(payload, message.published), message, at)
        at.waker.wake_for(item)
        return item
    request = BatchRequest.parse(payload, at.settings, message.published)
    claim = claim_request(plan(request, payload, message, at.now()), at)
    if claim.mine:
        with left_to_the_poller(claim.item):
            if claim.former is not None:
                delete_former_tables(claim.former, claim.item, at)
            item = advance(claim.item, Batches(), at)
            at.waker.wake_for(item)
            return item
    return claim.item


def _response_body(item: Item) -> dict[str, Any]:
    job = next((step.job for step in item.steps if step.job and step.system is System.VERTEX), None)
    step = item.current
    return {
        "key": item.key,
        "state": item.outcome or item.waits_for or (step.state.value if step else "finished"),
        "job": job.id if job else None,
        "output": output_of(item),
        "created": item.created.isoformat(),
        # The requests in files are checked at once, those in a table by a query.
        **({"check": asdict(check)} if (check := facts_of(item).check) is not None else {}),
    }
