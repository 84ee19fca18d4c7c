"""A message on its way: as it is published, as it is kept, and as a subscriber gets it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class PublishedMessage:
    """What a publisher hands in."""

    data: bytes = b""
    """The payload, up to 10 MB."""
    attributes: Mapping[str, str] = field(default_factory=dict)
    """Names and values that travel beside the payload."""
    ordering_key: str = ""
    """Messages with the same key are delivered in the order of publishing, if the subscription asks for it."""


@dataclass(frozen=True, slots=True)
class Message:
    """A published message with what the service adds to it."""

    id: str
    """Decimal digits, unique and growing."""
    data: bytes
    attributes: Mapping[str, str]
    ordering_key: str
    published: datetime
    """When it was accepted, in UTC."""

    @property
    def size(self) -> int:
        """The number of bytes that flow control counts."""
        return len(self.data) + sum(len(key) + len(value) for key, value in self.attributes.items())


@dataclass(frozen=True, slots=True)
class ReceivedMessage:
    """A message that was handed to a subscriber, who has to acknowledge it."""

    ack_id: str
    """Names this one delivery; the next delivery of the same message has another."""
    message: Message
    attempt: int
    """1 for the first delivery, one more after each negative acknowledgement or missed deadline."""
    delivery_attempt: int | None
    """``attempt`` where the subscription has a dead-letter policy; without one Pub/Sub does not tell."""
