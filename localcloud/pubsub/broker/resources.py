"""The settings of topics and subscriptions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from localcloud.pubsub.broker.envelopes import Envelope, PushedMessage, PushRequest, unwrap_message, wrap_message

DELETED_TOPIC = "_deleted-topic_"
"""The topic name of a subscription whose topic was deleted."""

DAY = 24 * 60 * 60


@dataclass(frozen=True)
class Topic:
    """A topic."""

    name: str
    """``projects/P/topics/T``."""
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Backoff:
    """How long a refused message waits for its next delivery: twice as long each time, between two bounds.

    https://cloud.google.com/pubsub/docs/handling-failures#exponential_backoff
    """

    minimum_seconds: float
    maximum_seconds: float

    def seconds(self, failures: int) -> float:
        """Return the wait in seconds after the ``failures``-th failure, counted from 1."""
        # The exponent is bounded, because a message may fail thousands of times.
        return min(self.minimum_seconds * 2.0 ** min(failures - 1, 64), self.maximum_seconds)


PUSH_BACKOFF = Backoff(0.1, 60.0)


@dataclass(frozen=True)
class DeadLetterPolicy:
    """The topic for messages that failed too often."""

    topic: str
    """``projects/P/topics/T``."""
    maximum_delivery_attempts: int = 5


@dataclass(frozen=True)
class RetryPolicy:
    """How a refused event is delivered again, from ``deploy/functions.yaml``."""

    minimum_backoff_seconds: float
    maximum_backoff_seconds: float
    maximum_delivery_attempts: int
    dead_letter_topic: str | None
    """``projects/P/topics/T``; None: an event is retried until its retention ends."""

    @property
    def backoff(self) -> Backoff:
        """The retry policy of the subscription."""
        return Backoff(self.minimum_backoff_seconds, self.maximum_backoff_seconds)

    @property
    def dead_letter(self) -> DeadLetterPolicy | None:
        """The dead-letter policy of the subscription."""
        if self.dead_letter_topic is None:
            return None
        return DeadLetterPolicy(self.dead_letter_topic, self.maximum_delivery_attempts)


@dataclass(frozen=True)
class PushTarget:
    """The endpoint that a subscription pushes to, and the form of its requests."""

    endpoint: str
    """The URL that receives a POST for each message."""
    attributes: Mapping[str, str] = field(default_factory=dict)
    oidc_service_account: str = ""
    oidc_audience: str = ""
    envelope: Envelope = wrap_message
    """Builds the HTTP request of a wrapped message. Only the standard envelope survives a restart."""
    wrapped: bool = True
    """Whether the body of a request is more than the data of the message."""
    write_metadata: bool = False
    """Whether requests without the wrapper carry the rest of the message in headers."""

    def request_of(self, pushed: PushedMessage) -> PushRequest:
        """Return the HTTP request that carries a message."""
        return self.envelope(pushed) if self.wrapped else unwrap_message(pushed, with_metadata=self.write_metadata)


@dataclass(frozen=True)
class Subscription:
    """The settings of a subscription."""

    name: str
    """``projects/P/subscriptions/S``."""
    topic: str
    """``projects/P/topics/T``."""
    ack_deadline_seconds: int = 10
    """How long a subscriber has to acknowledge a message; for push, the timeout of the request."""
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
        """The retry policy, or for push a default one, so that refused messages do not flood the endpoint.

        https://cloud.google.com/pubsub/docs/push#push_backoff
        """
        return self.backoff or (PUSH_BACKOFF if self.push is not None else None)

    def record(self) -> dict[str, Any]:
        """Return the settings as stored on disk; a push target with an envelope of its own is left out."""
        record = asdict(self)
        if self.push is not None:
            record["push"].pop("envelope")
            if self.push.envelope is not wrap_message:
                record["push"] = None
        return record

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Subscription:
        """Return the subscription stored as ``record``."""
        parts = {"push": PushTarget, "backoff": Backoff, "dead_letter": DeadLetterPolicy}
        built = {name: build(**record[name]) for name, build in parts.items() if record[name] is not None}
        return cls(**{**record, **built})
