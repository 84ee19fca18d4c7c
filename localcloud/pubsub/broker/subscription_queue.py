"""The queue of one subscription: its settings, its messages, its waiting callers and its journal.

The broker's lock guards it. Changes are stored in the journal before a caller sees their result.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from datetime import datetime

from localcloud.base.clock import rfc3339
from localcloud.pubsub.broker.backlog import Backlog, Delivery
from localcloud.pubsub.broker.filters import parse_filter
from localcloud.pubsub.broker.journal import Journal
from localcloud.pubsub.broker.messages import Message, PublishedMessage, ReceivedMessage
from localcloud.pubsub.broker.resources import Subscription


class SubscriptionQueue:
    """The messages of one subscription. Times are in seconds since 1970."""

    def __init__(self, settings: Subscription, journal: Journal) -> None:
        """Create an empty queue, which stores its changes in ``journal``."""
        self.settings = settings
        self.journal = journal
        self.backlog = Backlog(settings)
        self._accepts = parse_filter(settings.filter)
        self._waiting: set[threading.Event] = set()

    def configure(self, settings: Subscription) -> None:
        """Replace the settings and keep the messages."""
        self._accepts = parse_filter(settings.filter)
        self.settings = self.backlog.settings = settings
        self.journal.save(settings.name, settings.record())
        self.wake()

    def detach(self, settings: Subscription) -> None:
        """Drop all messages and replace the settings."""
        self.journal.forget(settings.name)
        self.backlog = Backlog(settings)
        self.configure(settings)

    def accept(self, messages: Iterable[Message], now: float, *, stored: bool) -> None:
        """Add those of ``messages`` that pass the filter.

        Raises:
            Unavailable: They must be ``stored`` and cannot be.
        """
        wanted = [message for message in messages if self._accepts(message.attributes)]
        if not wanted:
            return
        self.journal.add([self.settings.name], wanted, now=stored)
        for message in wanted:
            self.backlog.add(message, now)
        self.wake()

    def take(self, limit: int, now: float, lease_seconds: float | None, per_key: int | None) -> list[ReceivedMessage]:
        """Lease up to ``limit`` messages that are ready, at most ``per_key`` of one ordering key."""
        seconds = self.settings.ack_deadline_seconds if lease_seconds is None else lease_seconds
        return [self._received(each) for each in self.backlog.take(limit, now, seconds, per_key=per_key)]

    def settle(self, now: float) -> list[Delivery]:
        """Apply expired leases and retention; return the messages that have used up their delivery attempts."""
        too_old = self.backlog.drop_older(now - self.settings.message_retention_seconds)
        self._forget(too_old)
        return self._note_failures(self.backlog.expire(now))

    def acknowledge(self, ack_ids: Iterable[str]) -> list[str]:
        """Finish deliveries; return the ack ids that were not valid."""
        done = {ack_id: self.backlog.acknowledge(ack_id) for ack_id in ack_ids}
        self._forget([delivery for delivery in done.values() if delivery])
        self.wake()
        return [ack_id for ack_id, delivery in done.items() if delivery is None]

    def refuse(self, ack_ids: Iterable[str], now: float) -> tuple[list[str], list[Delivery]]:
        """Count failed deliveries.

        Returns:
            The ack ids that were not valid, and the messages that have used up their delivery attempts.
        """
        refused = {ack_id: self.backlog.refuse(ack_id, now) for ack_id in ack_ids}
        exhausted = self._note_failures([delivery for delivery in refused.values() if delivery])
        self.wake()
        return [ack_id for ack_id, delivery in refused.items() if delivery is None], exhausted

    def seek(self, moment: datetime, now: float) -> None:
        """Treat messages published before ``moment`` as acknowledged, and retained later ones as not acknowledged."""
        dropped, restored = self.backlog.seek(moment.timestamp(), now)
        self.journal.remove(self.settings.name, [message.id for message in dropped])
        self.journal.add([self.settings.name], restored, now=False)
        self.wake()

    def keep_trying(self, delivery: Delivery, now: float) -> None:
        """Deliver a message again that has used up its attempts while the dead-letter topic does not exist."""
        backoff = self.settings.backoff_in_force
        pause = backoff.seconds(delivery.failures) if backoff else 0.0
        self.backlog.add(delivery.message, now + pause, failures=delivery.failures)

    def dead_letter(self, delivery: Delivery) -> PublishedMessage:
        """Return the dead letter of a message: the message itself with attributes that name its source.

        https://cloud.google.com/pubsub/docs/handling-failures#track_delivery_attempts
        """
        message = delivery.message
        _, project, _, name = self.settings.name.split("/", 3)
        attributes = {
            **message.attributes,
            "CloudPubSubDeadLetterSourceSubscription": name,
            "CloudPubSubDeadLetterSourceSubscriptionProject": project,
            "CloudPubSubDeadLetterSourceDeliveryCount": str(delivery.failures),
            "CloudPubSubDeadLetterSourceTopicPublishTime": rfc3339(message.published),
        }
        return PublishedMessage(message.data, attributes, message.ordering_key)

    def forget(self, delivery: Delivery) -> None:
        """Forget a message that was published to the dead-letter topic."""
        self._forget([delivery])

    def add_waiter(self, event: threading.Event) -> None:
        """Set ``event`` whenever a message may have become deliverable, until ``remove_waiter``."""
        self._waiting.add(event)

    def remove_waiter(self, event: threading.Event) -> None:
        """Stop setting ``event``."""
        self._waiting.discard(event)

    def wake(self) -> None:
        """Make all waiting callers try again."""
        for event in self._waiting:
            event.set()

    def _received(self, delivery: Delivery) -> ReceivedMessage:
        assert delivery.ack_id is not None
        counted = delivery.attempt if self.settings.dead_letter else None
        return ReceivedMessage(delivery.ack_id, delivery.message, delivery.attempt, counted)

    def _note_failures(self, failed: Sequence[Delivery]) -> list[Delivery]:
        if failed:
            resting = [(delivery.message.id, delivery.failures) for delivery in failed if not delivery.gone]
            self.journal.count_failures(self.settings.name, resting)
        return [delivery for delivery in failed if delivery.gone]

    def _forget(self, done: Sequence[Delivery]) -> None:
        if done:
            self.journal.remove(self.settings.name, [delivery.message.id for delivery in done])
