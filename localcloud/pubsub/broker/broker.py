"""The core of the local Pub/Sub, without a network: topics, subscriptions and their messages.

One lock guards everything, and no blocking call is made while it is held. Each waiting caller has its own event, which
is set whenever a message may have become deliverable.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime

from localcloud.base.clock import Clock, monotonic
from localcloud.pubsub.broker.backlog import Delivery
from localcloud.pubsub.broker.journal import Journal, NoJournal
from localcloud.pubsub.broker.messages import Message, PublishedMessage, ReceivedMessage
from localcloud.pubsub.broker.resources import DELETED_TOPIC, Subscription, Topic
from localcloud.pubsub.broker.subscription_queue import SubscriptionQueue
from localcloud.pubsub.errors import AlreadyExists, FailedPrecondition, InvalidArgument
from localcloud.pubsub.names import missing

log = logging.getLogger(__name__)

LONGEST_WAIT_SECONDS = 3600.0


class Broker:
    """The thread-safe core of the local Pub/Sub. Names are full: ``projects/P/topics/T``.

    Every method raises ``NotFound`` if the topic or subscription does not exist, ``InvalidArgument`` if none can have the name.
    """

    def __init__(self, *, clock: Clock, journal: Journal | None = None) -> None:
        """Restore topics, subscriptions and messages from ``journal``; without one the broker lives in memory."""
        self._clock = clock
        self._journal: Journal = journal or NoJournal()
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._topics: dict[str, Topic] = {}
        self._queues: dict[str, SubscriptionQueue] = {}
        self._watchers: list[Callable[[str], None]] = []
        # Ids start from the system time, so that none repeats after a restart.
        self._last_id = time.time_ns() // 1000
        self._closed = False
        self._restore()

    # Topics

    def create_topic(self, name: str, *, labels: Mapping[str, str] | None = None) -> Topic:
        """Create the topic ``name``. Raises ``AlreadyExists``."""
        return self.put_new_topic(Topic(name, labels or {}))

    def put_new_topic(self, topic: Topic) -> Topic:
        """Create ``topic`` with all its settings. Raises ``AlreadyExists``."""
        with self._lock:
            if topic.name in self._topics:
                raise AlreadyExists.resource(topic.name)
            return self.replace_topic(topic)

    def ensure_topic(self, name: str) -> Topic:
        """Return the topic ``name``, creating it if it does not exist."""
        with self._lock:
            return self._topics.get(name) or self.create_topic(name)

    def replace_topic(self, topic: Topic) -> Topic:
        """Create the topic ``topic.name``, or replace its settings."""
        with self._lock:
            self._topics[topic.name] = topic
            self._journal.save(topic.name, asdict(topic))
            return topic

    def topic(self, name: str) -> Topic:
        """Return the topic ``name``."""
        with self._lock:
            if name not in self._topics:
                raise missing(name, "topics")
            return self._topics[name]

    def has_topic(self, name: str) -> bool:
        """Return whether the topic ``name`` exists."""
        with self._lock:
            return name in self._topics

    def topics(self) -> list[Topic]:
        """Return all topics, sorted by name."""
        with self._lock:
            return [self._topics[name] for name in sorted(self._topics)]

    def delete_topic(self, name: str) -> None:
        """Delete a topic. Its subscriptions keep their messages and show the topic ``_deleted-topic_``."""
        with self._lock:
            self.topic(name)
            del self._topics[name]
            self._journal.forget(name)
            for queue in self._queues.values():
                if queue.settings.topic == name:
                    queue.configure(replace(queue.settings, topic=DELETED_TOPIC))

    def publish(self, topic: str, messages: Iterable[PublishedMessage], *, stored: bool = True) -> list[str]:
        """Add ``messages`` to every subscription of ``topic``, and return their ids in order.

        Args:
            topic: The full name.
            messages: The messages.
            stored: Whether to refuse messages that cannot be stored now, because the publisher can send them again. If
                not, they are delivered, and stored once the disk has room.

        Raises:
            Unavailable: The messages must be ``stored`` and cannot be.
        """
        with self._lock:
            self.topic(topic)
            now = self._clock.now()
            accepted = [self._stamp(message, now) for message in messages]
            for queue in self._queues.values():
                if queue.settings.topic == topic and not queue.settings.detached:
                    queue.accept(accepted, now.timestamp(), stored=stored)
            return [message.id for message in accepted]

    # Subscriptions

    def create_subscription(self, settings: Subscription) -> Subscription:
        """Create a subscription. Raises ``AlreadyExists``, and ``NotFound`` if its topic does not exist."""
        with self._lock:
            if settings.name in self._queues:
                raise AlreadyExists.resource(settings.name)
            return self.put_subscription(settings)

    def put_subscription(self, settings: Subscription) -> Subscription:
        """Create the subscription ``settings.name``, or replace its settings and keep its messages."""
        with self._lock:
            self.topic(settings.topic)
            queue = self._queues.get(settings.name)
            if queue is None:
                queue = self._queues[settings.name] = SubscriptionQueue(settings, self._journal)
            queue.configure(settings)
            self._changed.notify_all()
        self._notify_watchers(settings.name)
        return settings

    def update_subscription(self, settings: Subscription) -> Subscription:
        """Replace the settings of an existing subscription."""
        with self._lock:
            self._queue(settings.name).configure(settings)
            self._changed.notify_all()
        self._notify_watchers(settings.name)
        return settings

    def subscription(self, name: str) -> Subscription:
        """Return the settings of the subscription ``name``."""
        with self._lock:
            return self._queue(name).settings

    def subscriptions(self) -> list[Subscription]:
        """Return the settings of all subscriptions, sorted by name."""
        with self._lock:
            return [self._queues[name].settings for name in sorted(self._queues)]

    def detach_subscription(self, name: str) -> None:
        """Detach the subscription from its topic: its messages are dropped, and it receives no more."""
        with self._lock:
            queue = self._queue(name)
            queue.detach(replace(queue.settings, detached=True))
            self._changed.notify_all()
        self._notify_watchers(name)

    def delete_subscription(self, name: str) -> None:
        """Delete the subscription and its messages."""
        with self._lock:
            queue = self._queue(name)
            del self._queues[name]
            self._journal.forget(name)
            queue.wake()
            self._changed.notify_all()
        self._notify_watchers(name)

    def watch(self, watcher: Callable[[str], None]) -> None:
        """Call ``watcher`` with each subscription's name, now and whenever one is created, changed or deleted."""
        with self._lock:
            self._watchers.append(watcher)
            names = list(self._queues)
        for name in names:
            watcher(name)

    # Delivery

    def pull(
        self,
        subscription: str,
        maximum: int,
        *,
        wait_seconds: float = 0.0,
        lease_seconds: float | None = None,
        interrupted: threading.Event | None = None,
        per_key: int | None = None,
        room: Callable[[], int] | None = None,
    ) -> list[ReceivedMessage]:
        """Lease up to ``maximum`` messages, waiting up to ``wait_seconds`` for the first.

        Args:
            subscription: The full name.
            maximum: The largest number of messages to return.
            wait_seconds: How long to wait for the first message.
            lease_seconds: How long the caller keeps the messages; None means the subscription's ack deadline.
            interrupted: Ends the wait once it is set and ``wake`` is called.
            per_key: The largest number of messages of one ordering key; None means no limit.
            room: Returns how many messages the caller can accept; called before each attempt.

        Raises:
            FailedPrecondition: The subscription is detached.
        """
        until = self._clock.now().timestamp() + wait_seconds
        wakeup = threading.Event()
        while True:
            with self._lock:
                queue = self._queue(subscription)
                if queue.settings.detached:
                    raise FailedPrecondition(f"Subscription {subscription} is detached from its topic.")
                wakeup.clear()
                now = self._settle(queue)
                ended = self._closed or (interrupted is not None and interrupted.is_set())
                limit = 0 if ended else maximum if room is None else min(maximum, room())
                taken = queue.take(limit, now, lease_seconds, per_key)
                if taken or now >= until or ended:
                    queue.remove_waiter(wakeup)
                    return taken
                # Without room, only an acknowledgement is a reason to try again; a ready message is not.
                change = queue.backlog.next_change() if limit > 0 else None
                pause = min(until, now + LONGEST_WAIT_SECONDS if change is None else change) - now
                queue.add_waiter(wakeup)
            self._clock.wait(wakeup, max(pause, 0.0))

    def wake(self, subscription: str) -> None:
        """Make every waiting ``pull`` of ``subscription`` try again; ignore a subscription that does not exist."""
        with self._lock:
            if queue := self._queues.get(subscription):
                queue.wake()

    def acknowledge(self, subscription: str, ack_ids: Iterable[str]) -> list[str]:
        """Finish deliveries; return the ack ids that were not valid, whose messages may be delivered again."""
        with self._lock:
            queue = self._queue(subscription)
            self._settle(queue)
            invalid = queue.acknowledge(ack_ids)
            self._changed.notify_all()
            return invalid

    def modify_ack_deadline(self, subscription: str, ack_ids: Iterable[str], seconds: float) -> list[str]:
        """Set leases to end ``seconds`` from now; 0 refuses the messages. Return the ack ids that were not valid."""
        with self._lock:
            queue = self._queue(subscription)
            now = self._settle(queue)
            if seconds > 0:
                return [ack_id for ack_id in ack_ids if not queue.backlog.extend(ack_id, now + seconds)]
            invalid, exhausted = queue.refuse(ack_ids, now)
            self._forward_dead_letters(queue, exhausted, now)
            return invalid

    def give_back(self, subscription: str, ack_ids: Iterable[str]) -> None:
        """End the leases of messages that the subscriber did not try, without counting failures."""
        with self._lock:
            queue = self._queue(subscription)
            for ack_id in ack_ids:
                queue.backlog.give_back(ack_id)
            queue.wake()

    def unanswered(self, subscription: str, ack_ids: Iterable[str]) -> list[str]:
        """Return those of ``ack_ids`` whose leases are still valid."""
        with self._lock:
            queue = self._queue(subscription)
            self._settle(queue)
            return [ack_id for ack_id in ack_ids if queue.backlog.is_out(ack_id)]

    def seek(self, subscription: str, moment: datetime) -> None:
        """Treat messages published before ``moment`` as acknowledged, and retained later ones as not acknowledged."""
        with self._lock:
            self._queue(subscription).seek(moment, self._clock.now().timestamp())
            self._changed.notify_all()

    def backlog_size(self, subscription: str) -> int:
        """Return the number of unacknowledged messages, leased ones included."""
        with self._lock:
            queue = self._queue(subscription)
            self._settle(queue)
            return len(queue.backlog)

    def outstanding(self, subscription: str) -> int:
        """Return the number of leased messages."""
        with self._lock:
            queue = self._queue(subscription)
            self._settle(queue)
            return queue.backlog.out

    def wait_until_idle(self, timeout: float, subscriptions: Sequence[str] | None = None) -> bool:
        """Wait until every push subscription, or each of ``subscriptions``, is empty; return whether they are.

        Args:
            timeout: The longest wait in seconds of real time, independent of the broker's clock.
            subscriptions: Full names; None means all push subscriptions.
        """
        until = monotonic() + timeout
        with self._lock:
            while self._busy(subscriptions):
                left = until - monotonic()
                if left <= 0:
                    return False
                self._changed.wait(left)
            return True

    def close(self) -> None:
        """End all waiting calls and close the journal."""
        with self._lock:
            self._closed = True
            self._journal.close()
            self._journal = NoJournal()
            for queue in self._queues.values():
                queue.journal = self._journal
                queue.wake()

    # Under the lock

    def _busy(self, subscriptions: Sequence[str] | None) -> bool:
        return any(
            len(queue.backlog) > 0 and not queue.settings.detached
            for name, queue in self._queues.items()
            if (name in subscriptions if subscriptions is not None else queue.settings.push is not None)
        )

    def _queue(self, name: str) -> SubscriptionQueue:
        if name not in self._queues:
            raise missing(name, "subscriptions")
        return self._queues[name]

    def _notify_watchers(self, name: str) -> None:
        for watcher in list(self._watchers):
            watcher(name)

    def _stamp(self, message: PublishedMessage, now: datetime) -> Message:
        self._last_id += 1
        return Message(str(self._last_id), message.data, dict(message.attributes), message.ordering_key, now)

    def _settle(self, queue: SubscriptionQueue) -> float:
        """Apply expired leases and retention to a subscription; return the current time."""
        self._journal.catch_up()
        now = self._clock.now().timestamp()
        size = len(queue.backlog)
        self._forward_dead_letters(queue, queue.settle(now), now)
        if len(queue.backlog) < size:
            self._changed.notify_all()
        return now

    def _forward_dead_letters(self, queue: SubscriptionQueue, exhausted: Sequence[Delivery], now: float) -> None:
        """Publish messages that have used up their delivery attempts to the dead-letter topic."""
        for delivery in exhausted:
            policy = queue.settings.dead_letter
            if policy is None or policy.topic not in self._topics:
                # As in the real service, a missing dead-letter topic does not lose the message.
                queue.keep_trying(delivery, now)
            else:
                self.publish(policy.topic, [queue.dead_letter(delivery)], stored=False)
                queue.forget(delivery)
        if exhausted:
            self._changed.notify_all()

    def _restore(self) -> None:
        now = self._clock.now().timestamp()
        for name, resource in self._journal.resources().items():
            if "/topics/" in name:
                self._topics[name] = Topic(name, resource["labels"])
                continue
            try:
                self._queues[name] = SubscriptionQueue(Subscription.from_record(resource), self._journal)
            except InvalidArgument as error:
                # A former version took filters that this one refuses.
                log.error("%s is not restored: %s", name, error.message)
        for kept in self._journal.messages():
            if queue := self._queues.get(kept.subscription):
                queue.backlog.add(kept.message, now, failures=kept.failures)
