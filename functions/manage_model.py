"""Does what a message asks for with a model: imports its drop again, rolls it back, unpins, deletes or describes it."""

from __future__ import annotations

from contextlib import suppress

from cloudevents.http import CloudEvent

from shared.drops.imports.importing import Imports
from shared.drops.imports.planning import plan_rollback
from shared.drops.intake import import_again
from shared.drops.settling import settling
from shared.drops.watches import Sender
from shared.engine.answers import left_to_the_poller, rejections
from shared.engine.claims import claim_request
from shared.engine.handler import Handler
from shared.engine.running.steps import advance
from shared.engine.services import services
from shared.errors import LostRace
from shared.events.edge import cloud_event
from shared.events.incoming import Message
from shared.models.managing import Manages, origin_of, plan
from shared.models.request import ROLLBACK, ManageRequest
from shared.work import Item, Kind


@cloud_event
def manage_model(event: CloudEvent) -> None:
    """Do what a message asks for, or publish a rejection event.

    Raises:
        TryLater: The ledger or the bucket did not answer; the message is delivered again.
    """
    message = Message.from_event(event)
    with rejections(Kind.MANAGE, message, services()), suppress(LostRace):
        payload = message.payload()
        request = ManageRequest.parse(payload, services().settings, message.published)
        sender = Sender(message.id, message.id, request.request_id, request.labels)
        if request.path is not None:
            if due := import_again(request.path, sender, services()):
                settling().wait_for(request.path, due, services())
        elif request.action == ROLLBACK:
            assert request.model is not None
            origin = origin_of(request, message)
            _start(sender.mark(plan_rollback(request.model, request.version, origin, services())), Imports())
        else:
            _start(plan(request, payload, message, services().now()), Manages())


def _start(item: Item, handler: Handler) -> None:
    """Begin the work of a message, unless it was begun before."""
    claim = claim_request(item, services())
    if claim.mine:
        with left_to_the_poller(claim.item):
            advance(claim.item, handler, services())
