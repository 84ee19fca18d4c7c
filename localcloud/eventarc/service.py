"""Triggers, which route events to functions.

As in the real service, a trigger is a push subscription: Pub/Sub retries, backs off and publishes dead letters.
https://cloud.google.com/eventarc/docs/retry-events
"""

from __future__ import annotations

import threading
import zlib
from collections import defaultdict

from localcloud.base.clock import Clock
from localcloud.eventarc.events import message_event, storage_event, storage_message
from localcloud.pubsub.broker.broker import Broker
from localcloud.pubsub.broker.envelopes import Envelope
from localcloud.pubsub.broker.resources import DAY, PushTarget, RetryPolicy, Subscription
from localcloud.storage.objects.store import ObjectStore
from localcloud.storage.rules.resources import StorageEvent

ACK_DEADLINE_SECONDS = 600
"""The longest time that a function may process an event: Pub/Sub's maximum."""


class Eventarc:
    """Delivers events of the local Cloud Storage and Pub/Sub to functions."""

    def __init__(self, broker: Broker, store: ObjectStore, *, clock: Clock, project: str, location: str) -> None:
        """Watch ``store``. Events are delivered once a trigger is connected and Pub/Sub is started."""
        self._broker = broker
        self._project = project
        self._location = location
        self._lock = threading.Lock()
        self._storage_topics: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        store.watch(self._publish)

    def connect_storage(self, trigger: str, *, event_type: str, bucket: str, url: str, retry: RetryPolicy) -> None:
        """Deliver events of ``event_type`` on objects of ``bucket`` to ``url``. Connecting again replaces the URL.

        Events that an earlier run did not deliver are delivered too, if the broker has stored them.
        """
        topic = f"projects/{self._project}/topics/{self._transport_name(trigger)}"
        self._broker.ensure_topic(topic)
        self._subscribe(trigger, topic, url, retry, storage_event)
        with self._lock:
            topics = self._storage_topics[event_type, bucket]
            if topic not in topics:
                topics.append(topic)

    def connect_topic(self, trigger: str, *, topic: str, url: str, retry: RetryPolicy) -> None:
        """Deliver messages published to ``topic`` (``projects/P/topics/T``) to ``url``. Raises ``NotFound``."""
        self._subscribe(trigger, topic, url, retry, message_event)

    def subscription_name(self, trigger: str) -> str:
        """Return the full name of the push subscription of ``trigger``."""
        transport = self._transport_name(trigger)
        stem, _, number = transport.rpartition("-")
        return f"projects/{self._project}/subscriptions/{stem}-sub-{number}"

    def _transport_name(self, trigger: str) -> str:
        # The real service appends three digits to its names.
        return f"eventarc-{self._location}-{trigger}-{zlib.crc32(trigger.encode()) % 1000:03d}"

    def _subscribe(self, trigger: str, topic: str, url: str, retry: RetryPolicy, envelope: Envelope) -> None:
        self._broker.put_subscription(
            Subscription(
                name=self.subscription_name(trigger),
                topic=topic,
                ack_deadline_seconds=ACK_DEADLINE_SECONDS,
                push=PushTarget(url, envelope=envelope),
                backoff=retry.backoff,
                dead_letter=retry.dead_letter,
                message_retention_seconds=DAY,
                expiration_seconds=None,
            )
        )

    def _publish(self, event: StorageEvent) -> None:
        """Publish a storage event to the triggers that match it."""
        with self._lock:
            topics = list(self._storage_topics.get((event.type, event.stored.bucket), ()))
        for topic in topics:
            # The object exists already, so its event must not be refused.
            self._broker.publish(topic, [storage_message(event)], stored=False)
