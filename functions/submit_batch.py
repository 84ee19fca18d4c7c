"""A request, over HTTP or in a message, asks for a Gemini batch."""

from __future__ import annotations

import uuid

import flask
import functions_framework
from cloudevents.http import CloudEvent

from shared.batches.batching import Batches, plan
from shared.batches.request import BatchRequest
from shared.engine.answers import left_to_the_poller, reject, rejections
from shared.engine.claims import claim_request
from shared.engine.services import services
from shared.engine.steps import record, submit
from shared.errors import Rejected, TryLater
from shared.events.edge import cloud_event
from shared.events.incoming import Message
from shared.work import Item, Kind, System


@cloud_event
def submit_batch_message(event: CloudEvent) -> None:
    """Submit the batch that a message asks for.

    A wrong message is acknowledged and told by a rejection event. Raises ``TryLater`` if the ledger does not answer: then
    the message comes again.
    """
    message = Message.from_event(event)
    with rejections(Kind.BATCH, message, services()):
        _submit(message)


@functions_framework.http
def submit_batch(request: flask.Request) -> flask.typing.ResponseReturnValue:
    """Submit the batch that a POST asks for.

    Answers 202 with the key, the state, and the job's resource name once there is one; 400 with what is wrong, which is
    also told by a rejection event; 503 if the ledger does not answer, so that the caller may try again.
    """
    if request.method != "POST":
        return {"error": {"code": "method_not_allowed", "message": "send a POST with JSON", "field": None}}, 405
    at = services()
    # Without a request_id of the caller's, every request is one of its own.
    message = Message(id=uuid.uuid4().hex, data=request.get_data(), attributes={}, published=at.now())
    try:
        try:
            item = _submit(message)
        except Rejected as error:
            reject(Kind.BATCH, message, error, at)
            return {"error": error.problem.as_json()}, 400
    except TryLater as error:
        return {"error": {"code": "try_later", "message": str(error), "field": None}}, 503
    if item.outcome == "rejected" and item.problem is not None:
        return {"key": item.key, "error": item.problem.as_json()}, 400
    return _told(item), 202


def _submit(message: Message) -> Item:
    at = services()
    payload = message.payload()
    request = BatchRequest.parse(payload, at.settings, message.published)

    item = plan(request, payload, message.id, message.published, at.now())

    claim = claim_request(item, at)
    if not claim.mine:
        return claim.item

    item = claim.item
    with left_to_the_poller(item):
        item = submit(item, Batches(), at)

        return record(item, Batches(), at)
    return item


def _told(item: Item) -> dict[str, str | None]:
    job = next((step.job for step in item.steps if step.job and step.system is System.VERTEX), None)
    step = item.current
    state = item.outcome or item.waits_for or (step.state.value if step else "finished")
    return {
        "key": item.key,
        "state": state,
        "job": job.id if job else None,
        "output": item.facts.get("output"),
        "created": item.created.isoformat(),
    }
