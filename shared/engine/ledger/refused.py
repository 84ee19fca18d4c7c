"""Requests that were rejected before an item was created: the ledger keeps their events, so that their senders find the reason.

ledger/rejected/<event id>.json    the event; the metadata has the ids by which a sender knows the request
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime

from shared.engine.ledger.decoding import moment
from shared.engine.ledger.objects import ListedObject, StateObjects
from shared.errors import LostRace, Unreadable
from shared.events.outgoing import Event

FOLDER = "ledger/rejected/"
# The names of the metadata.
IDS = ("key", "request_id", "message_id")


def keep_rejection(event: Event, objects: StateObjects) -> None:
    """Store the event of a rejected request. An event that is published again is stored once.

    Raises:
        TryLater: The ledger does not answer; the message is delivered again.
    """
    value = {
        "id": event.id,
        "type": event.type,
        "subject": event.subject,
        "time": event.time.isoformat(),
        "data": dict(event.data),
    }
    metadata = {name: str(event.data[name]) for name in IDS if event.data.get(name)}
    with suppress(LostRace):
        objects.write(f"{FOLDER}{event.id}.json", value, generation=0, metadata=metadata)


def listed_rejections(objects: StateObjects) -> Iterator[ListedObject]:
    """Yield the objects of all kept rejections. One call lists 1,000."""
    return objects.listed(FOLDER)


def read_rejection(name: str, objects: StateObjects) -> Event | None:
    """Return a kept event; None if it was deleted or is damaged."""
    with suppress(Unreadable, KeyError, ValueError, TypeError):
        record = objects.read(name)
        if record is not None:
            value = record.value
            return Event(
                str(value["id"]), str(value["type"]), str(value["subject"]), _time(value["time"]), dict(value["data"])
            )
    return None


def _time(value: object) -> datetime:
    return moment(str(value))
