"""A message asks for predictions: one job writes ML.PREDICT's rows into a table."""

from __future__ import annotations

from cloudevents.http import CloudEvent

from shared.engine.answers import left_to_the_poller, rejections
from shared.engine.claims import claim_request
from shared.engine.services import services
from shared.engine.steps import record, submit
from shared.events.edge import cloud_event
from shared.events.incoming import Message
from shared.predictions.predicting import Predictions, plan
from shared.predictions.request import PredictRequest
from shared.work import Kind


@cloud_event
def predict(event: CloudEvent) -> None:
    """Start the prediction that a message asks for.

    A wrong message is acknowledged and told by a rejection event. Raises ``TryLater`` if the ledger does not answer: then
    the message comes again.
    """
    at = services()
    message = Message.from_event(event)
    with rejections(Kind.PREDICT, message, at):
        payload = message.payload()
        request = PredictRequest.parse(payload, at.settings, message.published)

        item = plan(request, payload, message, at.now())

        claim = claim_request(item, at)
        if not claim.mine:
            return

        with left_to_the_poller(claim.item):
            submitted = submit(claim.item, Predictions(), at)

            record(submitted, Predictions(), at)
