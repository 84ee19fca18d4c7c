"""The completion events, received as any subscriber of the events topic receives them."""

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
    """A CloudEvent, read from its Pub/Sub message."""

    id: str
    type: str
    subject: str
    data: dict[str, Any]

    @property
    def job(self) -> str:
        """The id of the job that the event is about; empty if there is none."""
        return str((self.data["job"] or {}).get("id", ""))


class ReceivedEvents:
    """Reads a subscription in the background and keeps its events."""

    def __init__(self, subscriber: pubsub_v1.SubscriberClient, subscription: str) -> None:
        """Start to read the subscription of full name ``subscription``."""
        self._arrived = threading.Condition()
        self._events: list[ReceivedEvent] = []
        self._stream = subscriber.subscribe(subscription, callback=self._keep)

    def all(self) -> list[ReceivedEvent]:
        """Return the events so far, in the order of their arrival."""
        with self._arrived:
            return list(self._events)

    def wait(self, fits: Callable[[ReceivedEvent], bool], seconds: float, *, after: int = 0) -> ReceivedEvent | None:
        """Wait for an event.

        Args:
            fits: Returns whether an event is the expected one.
            seconds: How long to wait.
            after: How many of the oldest events to skip.

        Returns:
            The first event that fits, or None if there is none in time.
        """

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
        message.ack()
        if "ce-type" not in attributes:
            # Somebody published another message to the topic for events.
            return
        event = ReceivedEvent(
            id=attributes["ce-id"],
            type=attributes["ce-type"],
            subject=attributes["ce-subject"],
            data=json.loads(message.data),
        )
        with self._arrived:
            self._events.append(event)
            self._arrived.notify_all()
