"""Writes predictions into a table, as a message asks: one BigQuery job runs ML.PREDICT."""

from __future__ import annotations

from cloudevents.http import CloudEvent

from shared.engine.answers import left_to_the_poller, rejections
from shared.engine.claims import claim_request
from shared.engine.running.steps import advance
from shared.engine.services import services
from shared.events.edge import cloud_event
from shared.events.incoming import Message
from shared.messages.predict_request import PredictRequest
from shared.predictions.predicting import Predictions, plan
from shared.work import Kind


@cloud_event
def predict(event: CloudEvent) -> None:
    """Start the prediction that a message asks for, or publish a rejection event.

    Raises:
        TryLater: The ledger did not answer; the message is delivered again.
    """
    at = services()
    message = Message.from_event(event)
    with rejections(Kind.PREDICT, message, at):
        payload = message.payload()
        request = PredictRequest.parse(payload, at.settings, message.published)
        claim = claim_request(plan(request, payload, message, at.now()), at)
        if claim.mine:
            with left_to_the_poller(claim.item):
                at.waker.wake_for(advance(claim.item, Predictions(), at))
