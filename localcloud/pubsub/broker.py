"""Topics, subscriptions and the messages between them: Pub/Sub without a network.

One lock guards everything; no call is made under it that waits. Who waits for messages does so on an event of its own
that is set whenever something may have become deliverable.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime

from localcloud.base.clock import Clock, monotonic
from localcloud.pubsub.backlog import Delivery
from localcloud.pubsub.errors import AlreadyExists, FailedPrecondition, NotFound
from localcloud.pubsub.journal import Journal, NoJournal
from localcloud.pubsub.line import Line
from localcloud.pubsub.messages import Message, PublishedMessage, ReceivedMessage
from localcloud.pubsub.resources import DELETED_TOPIC, Subscription, Topic

LONGEST_WAIT_SECONDS = 3600.0


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
        self._lines: dict[str, Line] = {}
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
                    line.configure(replace(line.settings, topic=DELETED_TOPIC))

    def publish(self, topic: str, messages: Iterable[PublishedMessage]) -> list[str]:
        """Accept ``messages`` for every subscription of ``topic`` and return their ids, in order."""
        with self._lock:
            self.topic(topic)
            now = self._clock.now()
            accepted = [self._stamp(message, now) for message in messages]
            for line in self._lines.values():
                if line.settings.topic == topic and not line.settings.detached:
                    line.accept(accepted, now.timestamp())
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
                line = self._lines[settings.name] = Line(settings, self._journal)
            line.configure(settings)
            self._changed.notify_all()
        self._tell_watchers(settings.name)
        return settings

    def update_subscription(self, settings: Subscription) -> Subscription:
        """Give an existing subscription other settings."""
        with self._lock:
            self._line(settings.name).configure(settings)
            self._changed.notify_all()
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
            line.detach(replace(line.settings, detached=True))
            self._changed.notify_all()
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
                ended = self._closed or (interrupted is not None and interrupted.is_set())
                limit = 0 if ended else maximum if room is None else min(maximum, room())
                taken = line.take(limit, now, lease_seconds, in_lane)
                if taken or now >= until or ended:
                    line.leave(wakeup)
                    return taken
                # Without room a message that is ready is no reason to look again; an acknowledgement is.
                change = line.backlog.next_change() if limit > 0 else None
                pause = min(until, now + LONGEST_WAIT_SECONDS if change is None else change) - now
                line.wait_on(wakeup)
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
            invalid = line.acknowledge(ack_ids)
            self._changed.notify_all()
            return invalid

    def modify_ack_deadline(self, subscription: str, ack_ids: Iterable[str], seconds: float) -> list[str]:
        """Leave messages with their subscriber for ``seconds`` from now; 0 refuses them. Returns invalid ack ids."""
        with self._lock:
            line = self._line(subscription)
            now = self._settle(line)
            if seconds > 0:
                return [ack_id for ack_id in ack_ids if not line.backlog.extend(ack_id, now + seconds)]
            invalid, exhausted = line.refuse(ack_ids, now)
            self._bury(line, exhausted, now)
            return invalid

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
            self._line(subscription).seek(moment, self._clock.now().timestamp())
            self._changed.notify_all()

    def backlog_size(self, subscription: str) -> int:
        """Return how many messages are not acknowledged yet, those with a subscriber included."""
        with self._lock:
            line = self._line(subscription)
            self._settle(line)
            return len(line.backlog)

    def outstanding(self, subscription: str) -> int:
        """Return how many messages are with a subscriber just now."""
        with self._lock:
            line = self._line(subscription)
            self._settle(line)
            return line.backlog.out

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
            self._journal.close()
            self._journal = NoJournal()
            for line in self._lines.values():
                line.journal = self._journal
                line.wake()

    # Under the lock

    def _busy(self, subscriptions: Sequence[str] | None) -> bool:
        return any(
            len(line.backlog) > 0 and not line.settings.detached
            for name, line in self._lines.items()
            if (name in subscriptions if subscriptions is not None else line.settings.push is not None)
        )

    def _line(self, name: str) -> Line:
        if name not in self._lines:
            raise NotFound.resource(name)
        return self._lines[name]

    def _tell_watchers(self, name: str) -> None:
        for watcher in list(self._watchers):
            watcher(name)

    def _stamp(self, message: PublishedMessage, now: datetime) -> Message:
        self._last_id += 1
        return Message(str(self._last_id), message.data, dict(message.attributes), message.ordering_key, now)

    def _settle(self, line: Line) -> float:
        """Let the time that has passed take its effect on a subscription; return the present moment."""
        now = self._clock.now().timestamp()
        size = len(line.backlog)
        self._bury(line, line.settle(now), now)
        if len(line.backlog) < size:
            self._changed.notify_all()
        return now

    def _bury(self, line: Line, exhausted: Sequence[Delivery], now: float) -> None:
        """Forward what has used up its deliveries to the dead-letter topic."""
        for delivery in exhausted:
            policy = line.settings.dead_letter
            if policy is None or policy.topic not in self._topics:
                # As in the real service a message is not lost because its dead-letter topic is.
                line.keep_trying(delivery, now)
            else:
                self.publish(policy.topic, [line.dead_letter(delivery)])
                line.bury(delivery)
        if exhausted:
            self._changed.notify_all()

    def _restore(self) -> None:
        now = self._clock.now().timestamp()
        for name, resource in self._journal.resources().items():
            if "/topics/" in name:
                self._topics[name] = Topic(**resource)
            else:
                self._lines[name] = Line(Subscription.from_record(resource), self._journal)
        for kept in self._journal.messages():
            if line := self._lines.get(kept.subscription):
                line.backlog.add(kept.message, now, failures=kept.failures)
