"""What a topic and a subscription are: the settings, not the messages in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from localcloud.pubsub.envelopes import Envelope, wrap_message

DELETED_TOPIC = "_deleted-topic_"
"""The topic that a subscription shows once its own was deleted."""

DAY = 24 * 60 * 60


@dataclass(frozen=True)
class Topic:
    """A name to publish to."""

    name: str
    """``projects/P/topics/T``."""
    labels: Mapping[str, str] = field(default_factory=dict)
    message_retention_seconds: int | None = None


@dataclass(frozen=True)
class Backoff:
    """How long a refused message rests: twice as long each time, between two bounds.

    https://cloud.google.com/pubsub/docs/handling-failures#exponential_backoff
    """

    minimum_seconds: float
    maximum_seconds: float

    def seconds(self, failures: int) -> float:
        """Return the rest after the ``failures``-th failure (from 1) in seconds."""
        # The exponent is bounded because a poisoned message may fail thousands of times.
        return min(self.minimum_seconds * 2.0 ** min(failures - 1, 64), self.maximum_seconds)


PUSH_BACKOFF = Backoff(0.1, 60.0)


@dataclass(frozen=True)
class DeadLetterPolicy:
    """Where a message goes that failed too often."""

    topic: str
    """``projects/P/topics/T``."""
    maximum_delivery_attempts: int = 5


@dataclass(frozen=True)
class RetryPolicy:
    """How an event that its receiver did not take is delivered again, as ``deploy/functions.yaml`` says it."""

    minimum_backoff_seconds: float
    maximum_backoff_seconds: float
    maximum_delivery_attempts: int
    dead_letter_topic: str | None
    """``projects/P/topics/T``; None: an event is tried until its retention ends."""

    @property
    def backoff(self) -> Backoff:
        """The part of it that is a subscription's retry policy."""
        return Backoff(self.minimum_backoff_seconds, self.maximum_backoff_seconds)

    @property
    def dead_letter(self) -> DeadLetterPolicy | None:
        """The part of it that is a subscription's dead-letter policy."""
        if self.dead_letter_topic is None:
            return None
        return DeadLetterPolicy(self.dead_letter_topic, self.maximum_delivery_attempts)


@dataclass(frozen=True)
class PushTarget:
    """Where a subscription pushes its messages, and in what form."""

    endpoint: str
    """The URL that gets a POST for each message."""
    attributes: Mapping[str, str] = field(default_factory=dict)
    oidc_service_account: str = ""
    oidc_audience: str = ""
    envelope: Envelope = wrap_message
    """Makes the HTTP request of a message; only the standard one is kept across a restart."""


@dataclass(frozen=True)
class Subscription:
    """Who gets the messages of a topic, and how."""

    name: str
    """``projects/P/subscriptions/S``."""
    topic: str
    """``projects/P/topics/T``."""
    ack_deadline_seconds: int = 10
    """How long a delivered message is left to its subscriber; for push, the timeout of the request."""
    push: PushTarget | None = None
    backoff: Backoff | None = None
    dead_letter: DeadLetterPolicy | None = None
    enable_message_ordering: bool = False
    enable_exactly_once_delivery: bool = False
    filter: str = ""
    message_retention_seconds: int = 7 * DAY
    retain_acked_messages: bool = False
    expiration_seconds: int | None = 31 * DAY
    labels: Mapping[str, str] = field(default_factory=dict)
    detached: bool = False

    @property
    def backoff_in_force(self) -> Backoff | None:
        """How a refused message rests; pushed ones rest without a retry policy too, or one would hammer its endpoint.

        https://cloud.google.com/pubsub/docs/push#push_backoff
        """
        return self.backoff or (PUSH_BACKOFF if self.push is not None else None)

    def record(self) -> dict[str, Any]:
        """Return what of it is kept on disk: whoever pushes in an envelope of its own has to connect again."""
        record = asdict(self)
        if self.push is not None:
            record["push"].pop("envelope")
            if self.push.envelope is not wrap_message:
                record["push"] = None
        return record

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Subscription:
        """Return the subscription that ``record`` was made of."""
        parts = {"push": PushTarget, "backoff": Backoff, "dead_letter": DeadLetterPolicy}
        built = {name: make(**record[name]) for name, make in parts.items() if record[name] is not None}
        return cls(**{**record, **built})
