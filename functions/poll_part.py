"""Continues a part of the open work, which the poller hands out when it finds more than one instance should continue."""

from __future__ import annotations

from cloudevents.http import CloudEvent

from shared.engine.services import services
from shared.errors import Rejected
from shared.events.edge import cloud_event
from shared.events.incoming import Message
from shared.log import log
from shared.poller.parts import is_late, parse_part
from shared.poller.ticks import continue_part


@cloud_event
def poll_part(event: CloudEvent) -> None:
    """Continue the work that a message of the poller names.

    The message is always acknowledged: the next call of the poller finds the work that is still open.
    """
    at, message = services(), Message.from_event(event)
    if is_late(message.published, at.now()):
        log("INFO", "dropped a part of the work, which is handed out again", message_id=message.id)
        return
    try:
        part = parse_part(message.payload())
    except Rejected as error:
        log(
            "WARNING",
            "ignored a message that the poller did not publish",
            message_id=message.id,
            code=error.problem.code,
        )
        return
    handled = continue_part(part, at)
    log("INFO", "part ended", message_id=message.id, count=len(part), handled=handled)
