"""What can go wrong with a push delivery in real life, to be ordered here: late, twice, out of order, lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from localcloud.pubsub.messages import Message


@dataclass(frozen=True)
class Duplicate:
    """Send the message twice at the same time."""


@dataclass(frozen=True)
class Delay:
    """Send it only after ``seconds``."""

    seconds: float


@dataclass(frozen=True)
class Reorder:
    """Send it only after ``after`` later messages were taken, or ``at_most_seconds`` have passed.

    A later message that failed and comes again is not counted before it is taken.
    """

    after: int
    at_most_seconds: float = 10.0


@dataclass(frozen=True)
class LoseAcknowledgement:
    """Send it, ignore the answer, and deliver it again."""


@dataclass(frozen=True)
class Drop:
    """Never send it."""


@dataclass(frozen=True)
class Refuse:
    """Go on as if it was sent, and answered with an error."""


Disturbance = Duplicate | Delay | Reorder | LoseAcknowledgement | Drop | Refuse


class DeliveryFaults(Protocol):
    """Decides what goes wrong with a delivery."""

    def before(self, subscription: str, message: Message, attempt: int) -> Sequence[Disturbance]:
        """Return what is to happen to this delivery; called once before each, from several threads.

        ``subscription`` is the full name, ``attempt`` counts the deliveries of the message from 1.
        """
        ...


class Undisturbed:
    """Lets everything through as it is."""

    def before(self, subscription: str, message: Message, attempt: int) -> Sequence[Disturbance]:
        return ()
