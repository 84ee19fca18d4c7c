"""Does what a message asks for with a model: imports its drop, also if it was imported before."""

from __future__ import annotations

from contextlib import suppress

from cloudevents.http import CloudEvent

from shared.drops.intake import import_again
from shared.drops.settling import settling
from shared.drops.watches import Sender
from shared.engine.answers import rejections
from shared.engine.services import services
from shared.errors import LostRace
from shared.events.edge import cloud_event
from shared.events.incoming import Message
from shared.models.request import ManageRequest
from shared.work import Kind


@cloud_event
def manage_model(event: CloudEvent) -> None:
    """Do what a message asks for, or publish a rejection event.

    Raises:
        TryLater: The ledger or the bucket did not answer; the message is delivered again.
    """
    message = Message.from_event(event)
    with rejections(Kind.MANAGE, message, services()), suppress(LostRace):
        request = ManageRequest.parse(message.payload(), services().settings, message.published)
        sender = Sender(message.id, message.id, request.request_id, request.labels)
        if due := import_again(request.path, sender, services()):
            settling().wait_for(request.path, due, services())
