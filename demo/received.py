"""The completion events, as any subscriber of the events topic gets them."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from google.cloud import pubsub_v1
from google.cloud.pubsub_v1.subscriber.message import Message


@dataclass(frozen=True)
class ReceivedEvent:
    """A CloudEvent in binary mode, taken out of its message."""

    id: str
    type: str
    subject: str
    data: dict[str, Any]

    @property
    def job(self) -> str:
        """The id of the job that was told of, or nothing."""
        return (self.data["job"] or {}).get("id", "")


class ReceivedEvents:
    """Reads a subscription in the background and keeps what comes."""

    def __init__(self, subscriber: pubsub_v1.SubscriberClient, subscription: str) -> None:
        self._arrived = threading.Condition()
        self._events: list[ReceivedEvent] = []
        self._stream = subscriber.subscribe(subscription, callback=self._keep)

    def all(self) -> list[ReceivedEvent]:
        """Return what has come so far, in its order."""
        with self._arrived:
            return list(self._events)

    def wait(self, fits: Callable[[ReceivedEvent], bool], seconds: float, *, after: int = 0) -> ReceivedEvent | None:
        """Return the first event that fits, the first ``after`` ones left out; None if none comes in ``seconds``."""

        def first() -> ReceivedEvent | None:
            return next(filter(fits, self._events[after:]), None)

        with self._arrived:
            self._arrived.wait_for(lambda: first() is not None, seconds)
            return first()

    def stop(self) -> None:
        """Stop reading."""
        self._stream.cancel()
        self._stream.result()

    def _keep(self, message: Message) -> None:
        attributes = message.attributes
        event = ReceivedEvent(
            id=attributes["ce-id"],
            type=attributes["ce-type"],
            subject=attributes["ce-subject"],
            data=json.loads(message.data),
        )
        with self._arrived:
            self._events.append(event)
            self._arrived.notify_all()
        message.ack()
