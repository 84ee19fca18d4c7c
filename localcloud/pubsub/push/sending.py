"""Push delivery: each message of a push subscription is sent as a POST, whose response acknowledges or refuses it.

For each subscription one thread pulls messages and several send them, so that a slow or failing message does not delay
the others.
"""

from __future__ import annotations

import contextlib
import logging
import math
import queue
import threading
from dataclasses import dataclass

import urllib3

from localcloud.base.background import Trouble, repeat
from localcloud.base.clock import Clock
from localcloud.pubsub.broker.broker import Broker
from localcloud.pubsub.broker.envelopes import PushedMessage
from localcloud.pubsub.broker.messages import ReceivedMessage
from localcloud.pubsub.broker.resources import PushTarget, Subscription
from localcloud.pubsub.errors import PubSubError
from localcloud.pubsub.push.disturbances import (
    Delay,
    DeliveryFaults,
    Drop,
    Duplicate,
    LoseAcknowledgement,
    Refuse,
    Reorder,
)

log = logging.getLogger(__name__)

# https://cloud.google.com/pubsub/docs/push#receive_push
SUCCESS = frozenset({102, 200, 201, 202, 204})
CONCURRENCY = 16
"""The largest number of concurrent requests of one subscription."""
CONNECT_SECONDS = 5.0
IDLE_SECONDS = 60.0


@dataclass(eq=False)
class _Parcel:
    """A message to send, with its disturbances and its progress."""

    received: ReceivedMessage
    number: int
    """Counts the messages of a route in the order of delivery."""
    copies: int = 1
    """How often the message is sent at the same time."""
    keep_acknowledgement: bool = True
    is_sent: bool = True
    not_before: float = -math.inf
    """The earliest time of sending, in seconds since 1970."""
    later_messages: int = 0
    """How many later messages are still to be acknowledged before this one is sent."""
    at_latest: float = -math.inf
    """When to stop waiting for later messages, in seconds since 1970."""
    unanswered: int = 0
    """The number of copies that have no response yet."""
    accepted: bool = False
    """Whether the endpoint accepted a copy."""

    def is_due(self, now: float) -> bool:
        return now >= self.not_before and (self.later_messages <= 0 or now >= self.at_latest)

    def latest_release(self) -> float:
        return max(self.not_before, self.at_latest)


class PushDeliverer:
    """Delivers the messages of every push subscription of a broker; ``faults`` may be replaced at any time."""

    def __init__(self, broker: Broker, *, clock: Clock, faults: DeliveryFaults) -> None:
        """Create the deliverer; nothing is delivered before ``start``."""
        self.faults = faults
        self._broker = broker
        self._clock = clock
        self._lock = threading.Lock()
        self._routes: dict[str, _Route] = {}
        self._stopped = False

    def start(self) -> None:
        """Start delivering the messages of current and future push subscriptions."""
        self._broker.watch(self.follow)

    def stop(self) -> None:
        """Stop delivering; messages without a response stay unacknowledged."""
        with self._lock:
            self._stopped = True
            routes = list(self._routes.values())
            self._routes.clear()
        for route in routes:
            route.stop()

    def follow(self, name: str) -> None:
        """Start or stop the delivery of a subscription that was created, changed or deleted."""
        with self._lock:
            pushed = not self._stopped and _push_target(self._broker, name) is not None
            route = self._routes.get(name)
            if route is not None and (not pushed or route.is_stopped):
                del self._routes[name]
                route.stop()
            if pushed and name not in self._routes:
                self._routes[name] = _Route(name, self, self._broker, self._clock)
                self._routes[name].start()


class _Route:
    """Delivers the messages of one subscription to its endpoint."""

    def __init__(self, name: str, deliverer: PushDeliverer, broker: Broker, clock: Clock) -> None:
        self._name = name
        self._deliverer = deliverer
        self._broker = broker
        self._clock = clock
        self._stopped = threading.Event()
        self._trouble = Trouble(log, f"the delivery to {name}")
        self._lock = threading.Lock()
        self._held: list[_Parcel] = []
        self._taken_over = 0
        self._under_way = 0
        self._outbox: queue.SimpleQueue[_Parcel | None] = queue.SimpleQueue()
        self._senders = 0
        self._connections = urllib3.PoolManager(num_pools=4, maxsize=CONCURRENCY, retries=False)

    @property
    def is_stopped(self) -> bool:
        return self._stopped.is_set()

    def start(self) -> None:
        threading.Thread(target=self._feed, name=f"push {self._name}", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()
        self._broker.wake(self._name)
        with self._lock:
            for _ in range(self._senders):
                self._outbox.put(None)

    def _feed(self) -> None:
        """Pull messages while there is room, and send those that are due, until the route stops."""
        repeat(self._feed_once, trouble=self._trouble, stopped=self._stopped)
        with self._lock:
            held, self._held = self._held, []
        for parcel in held:
            self._give_back(parcel)

    def _feed_once(self) -> None:
        try:
            received = self._broker.pull(
                self._name,
                CONCURRENCY,
                wait_seconds=self._until_next_release(),
                lease_seconds=math.inf,  # Every request ends with a response or a timeout, which ends the lease.
                interrupted=self._stopped,
                per_key=1,
                room=self._room,
            )
        except PubSubError:
            # The subscription was deleted or detached. A new one of the same name may exist already.
            self.stop()
            self._deliverer.follow(self._name)
            return
        for each in received:
            self._take_over(each)
        self._release()

    def _room(self) -> int:
        with self._lock:
            return CONCURRENCY - self._under_way

    def _now(self) -> float:
        return self._clock.now().timestamp()

    def _until_next_release(self) -> float:
        with self._lock:
            moments = [parcel.latest_release() for parcel in self._held]
        return max(0.0, min(moments) - self._now()) if moments else IDLE_SECONDS

    def _take_over(self, received: ReceivedMessage) -> None:
        """Send, hold or drop a message as its disturbances require."""
        self._taken_over += 1
        parcel = _Parcel(received, self._taken_over)
        now = self._now()
        for disturbance in self._deliverer.faults.before(self._name, received.message, received.attempt):
            match disturbance:
                case Duplicate():
                    parcel.copies += 1
                case Delay(seconds):
                    parcel.not_before = max(parcel.not_before, now) + seconds
                case Reorder(after, at_most_seconds):
                    parcel.later_messages, parcel.at_latest = after, now + at_most_seconds
                case LoseAcknowledgement():
                    parcel.keep_acknowledgement = False
                case Refuse():
                    parcel.is_sent = False
                case Drop():
                    self._broker.acknowledge(self._name, [received.ack_id])
                    return
        if parcel.is_due(now):
            self._send_off(parcel)
        else:
            with self._lock:
                self._held.append(parcel)

    def _release(self) -> None:
        """Send the held messages that are due."""
        now = self._now()
        with self._lock:
            due = [parcel for parcel in self._held if parcel.is_due(now)]
            self._held = [parcel for parcel in self._held if parcel not in due]
        for parcel in due:
            self._send_off(parcel)

    def _send_off(self, parcel: _Parcel) -> None:
        # The broker is not called under this lock, because it calls ``_room`` under its own.
        with self._lock:
            stopped = self._stopped.is_set()
            missing = 0
            if not stopped:
                parcel.unanswered = parcel.copies
                self._under_way += parcel.copies
                for _ in range(parcel.copies):
                    self._outbox.put(parcel)
                missing = max(0, self._under_way - self._senders)
                self._senders += missing
        if stopped:
            self._give_back(parcel)
        for _ in range(missing):
            threading.Thread(target=self._send_all, name=f"send {self._name}", daemon=True).start()

    def _send_all(self) -> None:
        """Send parcels until the route stops; runs in a thread of its own."""
        while True:
            parcel = self._outbox.get()
            if parcel is None:
                return
            if self._stopped.is_set():
                self._give_back(parcel)
                continue
            try:
                self._record_response(parcel, parcel.is_sent and self._send(parcel.received))
            except Exception as error:  # no error may end the thread
                self._trouble.report(error)
                self._give_back(parcel)

    def _give_back(self, parcel: _Parcel) -> None:
        """Return an unsent message to the subscription."""
        with contextlib.suppress(PubSubError):
            self._broker.give_back(self._name, [parcel.received.ack_id])

    def _send(self, received: ReceivedMessage) -> bool:
        """Send one message, and return whether the endpoint accepted it."""
        try:
            settings = self._broker.subscription(self._name)
            if settings.push is None:
                return False
            return self._post(settings, settings.push, received)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            log.info("push of message %s by %s failed: %s", received.message.id, self._name, type(error).__name__)
        except PubSubError:
            log.info("push of message %s cancelled: %s does not exist any more", received.message.id, self._name)
        except Exception:
            # Only a bug in an envelope leads here. The message counts as refused.
            log.exception("push of message %s by %s failed: cannot build the request", received.message.id, self._name)
        return False

    def _post(self, settings: Subscription, target: PushTarget, received: ReceivedMessage) -> bool:
        pushed = PushedMessage(self._name, settings.topic, received.message, received.delivery_attempt)
        request = target.request_of(pushed)
        response = self._connections.request(
            "POST",
            target.endpoint,
            body=request.body,
            # A server may close an idle connection just when it is used again, which would look like a failure.
            headers={**request.headers, "Connection": "close"},
            redirect=False,
            timeout=urllib3.Timeout(connect=CONNECT_SECONDS, total=settings.ack_deadline_seconds),
        )
        log.debug("push of message %s by %s: status %s", received.message.id, self._name, response.status)
        return response.status in SUCCESS

    def _record_response(self, parcel: _Parcel, accepted: bool) -> None:
        """Acknowledge or refuse a message once all its copies have a response; one accepted copy is enough."""
        with self._lock:
            self._under_way -= 1
            parcel.unanswered -= 1
            parcel.accepted = parcel.accepted or accepted
            is_settled = parcel.unanswered == 0 and parcel.accepted and parcel.keep_acknowledgement
            if is_settled:
                for held in self._held:
                    held.later_messages -= held.number < parcel.number
        if parcel.unanswered > 0:
            return
        ack_ids = [parcel.received.ack_id]
        try:
            if is_settled:
                self._broker.acknowledge(self._name, ack_ids)
            else:
                self._broker.modify_ack_deadline(self._name, ack_ids, 0)
        except PubSubError:
            log.info(
                "response to message %s ignored: %s does not exist any more", parcel.received.message.id, self._name
            )
        self._release()


def _push_target(broker: Broker, name: str) -> PushTarget | None:
    try:
        settings = broker.subscription(name)
    except PubSubError:
        return None
    return None if settings.detached else settings.push
