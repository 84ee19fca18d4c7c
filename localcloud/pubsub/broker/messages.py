"""Messages: as published, as stored, and as received by a subscriber."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class PublishedMessage:
    """A message from a publisher."""

    data: bytes = b""
    """The payload, up to 10 MB."""
    attributes: Mapping[str, str] = field(default_factory=dict)
    """Names and values that accompany the payload."""
    ordering_key: str = ""
    """Messages with the same key are delivered in the order of publishing, if the subscription enables it."""


@dataclass(frozen=True, slots=True)
class Message:
    """A published message with the fields that the service adds."""

    id: str
    """Decimal digits, unique and increasing."""
    data: bytes
    attributes: Mapping[str, str]
    ordering_key: str
    published: datetime
    """The time of publishing, in UTC."""

    @property
    def size(self) -> int:
        """The number of bytes that flow control counts."""
        return len(self.data) + sum(len(key) + len(value) for key, value in self.attributes.items())


@dataclass(frozen=True, slots=True)
class ReceivedMessage:
    """A message leased to a subscriber, who has to acknowledge it."""

    ack_id: str
    """Identifies this delivery; each delivery of the same message has its own."""
    message: Message
    attempt: int
    """1 for the first delivery, one more after each negative acknowledgement or missed deadline."""
    delivery_attempt: int | None
    """``attempt`` if the subscription has a dead-letter policy, else None, as in the real service."""
