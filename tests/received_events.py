"""Collects the completion events as a subscriber of the events topic."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from google.cloud import pubsub_v1

from tests.waiting import LAST_LIMIT


@dataclass(frozen=True)
class ReceivedEvent:
    """A CloudEvent in binary mode, taken out of its message."""

    id: str
    type: str
    source: str
    subject: str
    data: dict[str, Any]
    attributes: Mapping[str, str]

    def fits(self, *, event_type: str | None, fields: Mapping[str, Any]) -> bool:
        """Return whether the event is of that type (or one ending so) and its data has these fields."""
        if event_type is not None and event_type not in (self.type, self.type.removesuffix(".v1").split(".", 1)[1]):
            return False
        known = {**self.data, "subject": self.subject, "id": self.id}
        return all(known.get(name) == value for name, value in fields.items())


class ReceivedEvents:
    """Reads a subscription in the background and keeps its events."""

    def __init__(self, subscriber: pubsub_v1.SubscriberClient, subscription: str) -> None:
        self._arrived = threading.Condition()
        self._events: list[ReceivedEvent] = []
        self._stream = subscriber.subscribe(subscription, callback=self._keep)

    def wait_for(self, type: str | None = None, *, timeout: float = LAST_LIMIT, **fields: Any) -> ReceivedEvent:  # noqa: A002
        """Return the first event of ``type`` whose data has ``fields``; wait at most ``timeout`` seconds for it.

        ``type`` is the whole type or without its prefix and version: ``model.imported``.
        """
        with self._arrived:
            deadline = time.monotonic() + timeout
            while not (found := self._chosen(type, fields)):
                left = deadline - time.monotonic()
                assert left > 0, f"no event {type} {fields} came in {timeout} s; there are {self._latest()}"
                self._arrived.wait(left)
            return found[0]

    def all(self, type: str | None = None, **fields: Any) -> list[ReceivedEvent]:  # noqa: A002
        """Return the events of ``type`` whose data has ``fields`` that have come so far, in their order."""
        with self._arrived:
            return self._chosen(type, fields)

    def stop(self) -> None:
        """Stop reading."""
        self._stream.cancel()
        self._stream.result()

    def _chosen(self, event_type: str | None, fields: Mapping[str, Any]) -> list[ReceivedEvent]:
        return [event for event in self._events if event.fits(event_type=event_type, fields=fields)]

    def _latest(self) -> list[tuple[str, Any]]:
        return [(event.type, event.data.get("key")) for event in self._events[-20:]]

    def _keep(self, message: Any) -> None:
        attributes = dict(message.attributes)
        message.ack()
        if "ce-type" not in attributes:
            return
        event = ReceivedEvent(
            id=attributes.get("ce-id", ""),
            type=attributes.get("ce-type", ""),
            source=attributes.get("ce-source", ""),
            subject=attributes.get("ce-subject", ""),
            data=json.loads(message.data),
            attributes=attributes,
        )
        with self._arrived:
            self._events.append(event)
            self._arrived.notify_all()
