"""Topics, subscriptions and the messages between them: Pub/Sub without a network.

One lock guards everything; no call is made under it that waits. Who waits for messages does so on an event of its own
that is set whenever something may have become deliverable.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime

from localcloud.clock import Clock, monotonic, rfc3339
from localcloud.pubsub.backlog import Backlog, Delivery
from localcloud.pubsub.errors import AlreadyExists, FailedPrecondition, NotFound
from localcloud.pubsub.filters import Filter, parse_filter
from localcloud.pubsub.journal import Journal, NoJournal
from localcloud.pubsub.messages import Message, PublishedMessage, ReceivedMessage
from localcloud.pubsub.resources import DELETED_TOPIC, Subscription, Topic

LONGEST_WAIT_SECONDS = 3600.0


@dataclass(eq=False)
class _Line:
    """A subscription at work: its settings, its messages, and who waits for them."""

    settings: Subscription
    backlog: Backlog
    accepts: Filter
    waiting: set[threading.Event] = field(default_factory=set)

    def wake(self) -> None:
        for event in self.waiting:
            event.set()


class Broker:
    """The thread-safe core of the local Pub/Sub. Names are full: ``projects/P/topics/T``.

    Every method raises ``NotFound`` for a topic or subscription that is not there.
    """

    def __init__(self, *, clock: Clock, journal: Journal | None = None) -> None:
        """Start with what ``journal`` has kept; without one nothing is kept."""
        self._clock = clock
        self._journal: Journal = journal or NoJournal()
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._topics: dict[str, Topic] = {}
        self._lines: dict[str, _Line] = {}
        self._watchers: list[Callable[[str], None]] = []
        # An id must never come again, not even after a restart, so it is taken from the machine's own time.
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
        """Return the topic ``name``, creating it if it is not there."""
        with self._lock:
            return self._topics.get(name) or self.create_topic(name)

    def replace_topic(self, topic: Topic) -> Topic:
        """Set the settings of the topic ``topic.name``."""
        with self._lock:
            self._topics[topic.name] = topic
            self._journal.save(topic.name, asdict(topic))
            return topic

    def topic(self, name: str) -> Topic:
        """Return the topic ``name``."""
        with self._lock:
            if name not in self._topics:
                raise NotFound.resource(name)
            return self._topics[name]

    def topics(self) -> list[Topic]:
        """Return all topics by name."""
        with self._lock:
            return [self._topics[name] for name in sorted(self._topics)]

    def delete_topic(self, name: str) -> None:
        """Delete the topic; its subscriptions stay, with the topic ``_deleted-topic_`` and the messages they have."""
        with self._lock:
            self.topic(name)
            del self._topics[name]
            self._journal.forget(name)
            for line in self._lines.values():
                if line.settings.topic == name:
                    self._configure(line, replace(line.settings, topic=DELETED_TOPIC))

    def publish(self, topic: str, messages: Iterable[PublishedMessage]) -> list[str]:
        """Accept ``messages`` for every subscription of ``topic`` and return their ids, in order."""
        with self._lock:
            self.topic(topic)
            now = self._clock.now()
            accepted = [self._stamp(message, now) for message in messages]
            for line in self._lines.values():
                if line.settings.topic != topic or line.settings.detached:
                    continue
                wanted = [message for message in accepted if line.accepts(message.attributes)]
                self._journal.add([line.settings.name], wanted)
                for message in wanted:
                    line.backlog.add(message, now.timestamp())
                line.wake()
            return [message.id for message in accepted]

    # Subscriptions

    def create_subscription(self, settings: Subscription) -> Subscription:
        """Create a subscription. Raises ``AlreadyExists``, and ``NotFound`` if its topic is not there."""
        with self._lock:
            if settings.name in self._lines:
                raise AlreadyExists.resource(settings.name)
            return self.put_subscription(settings)

    def put_subscription(self, settings: Subscription) -> Subscription:
        """Create the subscription ``settings.name``, or give it these settings and keep its messages."""
        with self._lock:
            self.topic(settings.topic)
            line = self._lines.get(settings.name)
            if line is None:
                line = self._lines[settings.name] = _Line(settings, Backlog(settings), parse_filter(settings.filter))
            self._configure(line, settings)
        self._tell_watchers(settings.name)
        return settings

    def update_subscription(self, settings: Subscription) -> Subscription:
        """Give an existing subscription other settings."""
        with self._lock:
            self._configure(self._line(settings.name), settings)
        self._tell_watchers(settings.name)
        return settings

    def subscription(self, name: str) -> Subscription:
        """Return the settings of the subscription ``name``."""
        with self._lock:
            return self._line(name).settings

    def subscriptions(self) -> list[Subscription]:
        """Return the settings of all subscriptions by name."""
        with self._lock:
            return [self._lines[name].settings for name in sorted(self._lines)]

    def detach_subscription(self, name: str) -> None:
        """Cut the subscription off its topic: its messages are dropped, and it gets no more."""
        with self._lock:
            line = self._line(name)
            self._journal.forget(name)
            line.backlog = Backlog(line.settings)
            self._configure(line, replace(line.settings, detached=True))
            line.wake()
        self._tell_watchers(name)

    def delete_subscription(self, name: str) -> None:
        """Delete the subscription and the messages in it."""
        with self._lock:
            line = self._line(name)
            del self._lines[name]
            self._journal.forget(name)
            line.wake()
            self._changed.notify_all()
        self._tell_watchers(name)

    def watch(self, watcher: Callable[[str], None]) -> None:
        """Call ``watcher`` with the name of each subscription there is, and of each that is made, changed, deleted."""
        with self._lock:
            self._watchers.append(watcher)
            names = list(self._lines)
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
        in_lane: int | None = None,
        room: Callable[[], int] | None = None,
    ) -> list[ReceivedMessage]:
        """Hand out up to ``maximum`` messages, waiting up to ``wait_seconds`` for the first.

        Each is left to the caller for ``lease_seconds`` (None: the subscription's ack deadline). ``interrupted`` ends
        the wait when it is set and ``wake`` is called. Of one ordering key at most ``in_lane`` messages are handed out.
        ``room`` is asked at each look how many messages the caller can take just then. Raises ``FailedPrecondition``
        if the subscription is detached.
        """
        until = self._clock.now().timestamp() + wait_seconds
        wakeup = threading.Event()
        while True:
            with self._lock:
                line = self._line(subscription)
                if line.settings.detached:
                    raise FailedPrecondition(f"Subscription {subscription} is detached from its topic.")
                wakeup.clear()
                now = self._settle(line)
                seconds = line.settings.ack_deadline_seconds if lease_seconds is None else lease_seconds
                ended = self._closed or (interrupted is not None and interrupted.is_set())
                limit = 0 if ended else maximum if room is None else min(maximum, room())
                taken = line.backlog.take(limit, now, seconds, in_lane=in_lane)
                if taken or now >= until or ended:
                    line.waiting.discard(wakeup)
                    return [self._received(line, delivery) for delivery in taken]
                # Without room a message that is ready is no reason to look again; an acknowledgement is.
                change = line.backlog.next_change() if limit > 0 else None
                pause = min(until, now + LONGEST_WAIT_SECONDS if change is None else change) - now
                line.waiting.add(wakeup)
            self._clock.wait(wakeup, max(pause, 0.0))

    def wake(self, subscription: str) -> None:
        """Let everyone who waits for messages of ``subscription`` look again; no error if it is gone."""
        with self._lock:
            if line := self._lines.get(subscription):
                line.wake()

    def acknowledge(self, subscription: str, ack_ids: Iterable[str]) -> list[str]:
        """Finish deliveries; return the ack ids that were no longer valid, whose messages may come again."""
        with self._lock:
            line = self._line(subscription)
            self._settle(line)
            done = {ack_id: line.backlog.acknowledge(ack_id) for ack_id in ack_ids}
            self._journal.remove(subscription, [delivery.message.id for delivery in done.values() if delivery])
            line.wake()
            self._changed.notify_all()
            return [ack_id for ack_id, delivery in done.items() if delivery is None]

    def modify_ack_deadline(self, subscription: str, ack_ids: Iterable[str], seconds: float) -> list[str]:
        """Leave messages with their subscriber for ``seconds`` from now; 0 refuses them. Returns invalid ack ids."""
        with self._lock:
            line = self._line(subscription)
            now = self._settle(line)
            if seconds > 0:
                return [ack_id for ack_id in ack_ids if not line.backlog.extend(ack_id, now + seconds)]
            refused = {ack_id: line.backlog.refuse(ack_id, now) for ack_id in ack_ids}
            self._after_failures(line, [delivery for delivery in refused.values() if delivery])
            line.wake()
            return [ack_id for ack_id, delivery in refused.items() if delivery is None]

    def give_back(self, subscription: str, ack_ids: Iterable[str]) -> None:
        """Return messages that their subscriber never tried; the deliveries do not count."""
        with self._lock:
            line = self._line(subscription)
            for ack_id in ack_ids:
                line.backlog.give_back(ack_id)
            line.wake()

    def unanswered(self, subscription: str, ack_ids: Iterable[str]) -> list[str]:
        """Return those of ``ack_ids`` that are still with their subscriber."""
        with self._lock:
            line = self._line(subscription)
            self._settle(line)
            return [ack_id for ack_id in ack_ids if line.backlog.is_out(ack_id)]

    def seek(self, subscription: str, moment: datetime) -> None:
        """Treat messages published before ``moment`` as acknowledged, and retained later ones as not acknowledged."""
        with self._lock:
            line = self._line(subscription)
            dropped, restored = line.backlog.seek(moment.timestamp(), self._clock.now().timestamp())
            self._journal.remove(subscription, [delivery.message.id for delivery in dropped])
            self._journal.add([subscription], [delivery.message for delivery in restored])
            line.wake()
            self._changed.notify_all()

    def backlog_size(self, subscription: str) -> int:
        """Return how many messages are not acknowledged yet, those with a subscriber included."""
        with self._lock:
            line = self._line(subscription)
            self._settle(line)
            return len(line.backlog)

    def wait_until_idle(self, timeout: float, subscriptions: Sequence[str] | None = None) -> bool:
        """Wait up to ``timeout`` seconds of real time until every push subscription (or each of ``subscriptions``) is
        empty; return whether it came to that.
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
        """Wake everyone who waits and write out what is kept."""
        with self._lock:
            self._closed = True
            for line in self._lines.values():
                line.wake()
            self._journal.close()
            self._journal = NoJournal()

    # Under the lock

    def _busy(self, subscriptions: Sequence[str] | None) -> bool:
        return any(
            len(line.backlog) > 0 and not line.settings.detached
            for name, line in self._lines.items()
            if (name in subscriptions if subscriptions is not None else line.settings.push is not None)
        )

    def _line(self, name: str) -> _Line:
        if name not in self._lines:
            raise NotFound.resource(name)
        return self._lines[name]

    def _configure(self, line: _Line, settings: Subscription) -> None:
        line.settings = line.backlog.settings = settings
        line.accepts = parse_filter(settings.filter)
        self._journal.save(settings.name, settings.record())
        line.wake()
        self._changed.notify_all()

    def _tell_watchers(self, name: str) -> None:
        for watcher in list(self._watchers):
            watcher(name)

    def _stamp(self, message: PublishedMessage, now: datetime) -> Message:
        self._last_id += 1
        return Message(str(self._last_id), message.data, dict(message.attributes), message.ordering_key, now)

    def _received(self, line: _Line, delivery: Delivery) -> ReceivedMessage:
        assert delivery.ack_id is not None
        counted = delivery.attempt if line.settings.dead_letter else None
        return ReceivedMessage(delivery.ack_id, delivery.message, delivery.attempt, counted)

    def _settle(self, line: _Line) -> float:
        """Let the time that has passed take its effect on a subscription; return the present moment."""
        now = self._clock.now().timestamp()
        too_old = line.backlog.drop_older(now - line.settings.message_retention_seconds)
        if too_old:
            self._journal.remove(line.settings.name, [delivery.message.id for delivery in too_old])
            self._changed.notify_all()
        self._after_failures(line, line.backlog.expire(now))
        return now

    def _after_failures(self, line: _Line, failed: Sequence[Delivery]) -> None:
        if not failed:
            return
        exhausted = [delivery for delivery in failed if delivery.gone]
        resting = [(delivery.message.id, delivery.failures) for delivery in failed if not delivery.gone]
        self._journal.count_failures(line.settings.name, resting)
        for delivery in exhausted:
            self._dead_letter(line, delivery)
        self._changed.notify_all()

    def _dead_letter(self, line: _Line, delivery: Delivery) -> None:
        """Forward a message that failed too often, with the attributes that tell where it came from.

        https://cloud.google.com/pubsub/docs/handling-failures#track_delivery_attempts
        """
        policy, message = line.settings.dead_letter, delivery.message
        if policy is None or policy.topic not in self._topics:
            # As in the real service a message is not lost because its dead-letter topic is: it stays and is tried on.
            rest = line.settings.backoff.seconds(delivery.failures) if line.settings.backoff else 0.0
            line.backlog.add(message, self._clock.now().timestamp() + rest, failures=delivery.failures)
            return
        _, project, _, name = line.settings.name.split("/", 3)
        attributes = {
            **message.attributes,
            "CloudPubSubDeadLetterSourceSubscription": name,
            "CloudPubSubDeadLetterSourceSubscriptionProject": project,
            "CloudPubSubDeadLetterSourceDeliveryCount": str(delivery.failures),
            "CloudPubSubDeadLetterSourceTopicPublishTime": rfc3339(message.published),
        }
        self.publish(policy.topic, [PublishedMessage(message.data, attributes, message.ordering_key)])
        self._journal.remove(line.settings.name, [message.id])

    def _restore(self) -> None:
        now = self._clock.now().timestamp()
        for name, resource in self._journal.resources().items():
            if "/topics/" in name:
                self._topics[name] = Topic(**resource)
            else:
                settings = Subscription.from_record(resource)
                self._lines[name] = _Line(settings, Backlog(settings), parse_filter(settings.filter))
        for kept in self._journal.messages():
            if line := self._lines.get(kept.subscription):
                line.backlog.add(kept.message, now, failures=kept.failures)
