"""Applies fault rules to the deliveries of events and pushed messages."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from localcloud.faults.active import Faults
from localcloud.faults.rules import (
    Delay,
    Drop,
    Duplicate,
    LoseAcknowledgement,
    Reorder,
    Status,
)
from localcloud.pubsub.broker.messages import Message
from localcloud.pubsub.push import disturbances


class RuleDeliveryFaults:
    """Disturbs each delivery as the active rules require."""

    def __init__(self, faults: Faults, receiver_of: Callable[[str], str | None]) -> None:
        """Apply the rules of ``faults``.

        Args:
            faults: The active rules.
            receiver_of: Returns the function that an Eventarc subscription delivers to, or None for any other
                subscription, by the subscription's full name.
        """
        self._faults = faults
        self._receiver_of = receiver_of

    def before(self, subscription: str, message: Message, attempt: int) -> Sequence[disturbances.Disturbance]:
        """Return the disturbances of the next delivery of ``subscription``."""
        if not self._faults:
            return ()
        receiver = self._receiver_of(subscription)
        rule = self._faults.of_event(receiver) if receiver is not None else self._faults.of_push()
        match rule and rule.effect:
            case Duplicate():
                return (disturbances.Duplicate(),)
            case Delay(seconds=seconds):
                return (disturbances.Delay(seconds),)
            case Reorder(places=places):
                return (disturbances.Reorder(places),)
            case LoseAcknowledgement():
                return (disturbances.LoseAcknowledgement(),)
            case Drop():
                return (disturbances.Drop(),)
            case Status():
                return (disturbances.Refuse(),)
        return ()
