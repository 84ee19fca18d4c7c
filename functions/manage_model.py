"""A message asks for something to be done with a model: to import its drop, or to import it again."""

from __future__ import annotations

from cloudevents.http import CloudEvent

from shared.drops.intake import import_again
from shared.engine.answers import rejections
from shared.engine.services import services
from shared.errors import LostRace
from shared.events.edge import cloud_event
from shared.events.incoming import Message
from shared.models.request import ManageRequest
from shared.work import Kind


@cloud_event
def manage_model(event: CloudEvent) -> None:
    """Do what a message asks for.

    A wrong message is acknowledged and told by a rejection event. Raises ``TryLater`` if the ledger or the bucket does not
    answer: then the message comes again.
    """
    message = Message.from_event(event)
    with rejections(Kind.MANAGE, message, services()):
        request = ManageRequest.parse(message.payload(), services().settings)
        try:
            import_again(request.path, message.id, services())
        except LostRace:
            return
