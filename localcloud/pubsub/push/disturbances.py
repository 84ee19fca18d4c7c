"""Disturbances of push deliveries that a test can request: late, repeated, out of order or lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from localcloud.pubsub.broker.messages import Message


@dataclass(frozen=True)
class Duplicate:
    """Send the message twice at the same time."""


@dataclass(frozen=True)
class Delay:
    """Send the message after ``seconds``."""

    seconds: float


@dataclass(frozen=True)
class Reorder:
    """Send the message after ``after`` later ones were acknowledged, or after ``at_most_seconds``.

    A later message that fails counts only once a retry succeeds.
    """

    after: int
    at_most_seconds: float = 10.0


@dataclass(frozen=True)
class LoseAcknowledgement:
    """Send the message, ignore the response, and deliver it again."""


@dataclass(frozen=True)
class Drop:
    """Never send the message."""


@dataclass(frozen=True)
class Refuse:
    """Do not send the message, and treat it as answered with an error."""


Disturbance = Duplicate | Delay | Reorder | LoseAcknowledgement | Drop | Refuse


class DeliveryFaults(Protocol):
    """Decides how deliveries are disturbed."""

    def before(self, subscription: str, message: Message, attempt: int) -> Sequence[Disturbance]:
        """Return the disturbances of a delivery. Called once before each delivery, from several threads.

        Args:
            subscription: The full name.
            message: The message to deliver.
            attempt: The number of this delivery of the message, counted from 1.
        """
        ...


class Undisturbed:
    """Disturbs no delivery."""

    def before(self, subscription: str, message: Message, attempt: int) -> Sequence[Disturbance]:
        """Return no disturbance."""
        return ()
