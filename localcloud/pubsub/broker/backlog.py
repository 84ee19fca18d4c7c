"""The undelivered and unacknowledged messages of one subscription, and the rules for delivering them.

Nothing here waits, locks or reads a clock. Callers pass the current time in seconds since 1970, so that tests can check
each rule as a plain calculation.
"""

from __future__ import annotations

import heapq
import itertools
import math
import secrets
from collections import deque
from dataclasses import dataclass, field

from localcloud.pubsub.broker.messages import Message
from localcloud.pubsub.broker.resources import Subscription

# The client libraries open their channel to an emulator without options, so it accepts responses of up to 4 MiB.
MAXIMUM_TAKEN_BYTES = 3_500_000


@dataclass(slots=True, eq=False)
class Delivery:
    """The delivery of one message to one subscription."""

    sequence: int
    """The position in the order of publishing."""
    message: Message
    failures: int = 0
    """The number of deliveries that were refused or not acknowledged in time."""
    ack_id: str | None = None
    """Set while a subscriber holds the message."""
    deadline: float = 0.0
    """When the subscriber's lease ends."""
    ready_at: float = 0.0
    """The earliest time of the next delivery."""
    lane: Lane | None = None
    """The lane of the message's ordering key; None without one."""
    gone: bool = False
    """Whether the message was acknowledged, dead-lettered or dropped."""

    @property
    def attempt(self) -> int:
        """The number of the current or next delivery, counted from 1."""
        return self.failures + 1


@dataclass(slots=True, eq=False)
class Lane:
    """The messages of one ordering key, which are always delivered in order."""

    waiting: deque[Delivery] = field(default_factory=deque)
    out: list[Delivery] = field(default_factory=list)
    """The messages that a subscriber holds."""


class Backlog:
    """The undelivered and unacknowledged messages of a subscription, in order."""

    def __init__(self, settings: Subscription) -> None:
        """Create an empty backlog."""
        self.settings = settings
        self._sequence = itertools.count()
        self._clear()

    def __len__(self) -> int:
        return len(self._pending)

    @property
    def out(self) -> int:
        """The number of messages that subscribers hold."""
        return len(self._out)

    def is_out(self, ack_id: str) -> bool:
        """Return whether the delivery ``ack_id`` still waits for its acknowledgement."""
        return ack_id in self._out

    def add(self, message: Message, now: float, *, failures: int = 0) -> Delivery:
        """Append ``message``; ``failures`` is the number of its failed deliveries so far."""
        delivery = Delivery(next(self._sequence), message, failures, ready_at=now)
        self._pending[delivery.sequence] = delivery
        self._ages.append((message.published.timestamp(), delivery.sequence))
        if self.settings.enable_message_ordering and message.ordering_key:
            lane = self._lanes.setdefault(message.ordering_key, Lane())
            delivery.lane = lane
            lane.waiting.append(delivery)
            if len(lane.waiting) == 1 and not lane.out:
                self._schedule(delivery)
        else:
            self._schedule(delivery)
        return delivery

    def take(self, limit: int, now: float, lease_seconds: float, *, per_key: int | None = None) -> list[Delivery]:
        """Lease up to ``limit`` messages that are ready, each for ``lease_seconds``.

        At most ``per_key`` messages of one ordering key are leased together (None: no limit). The next messages of that
        key follow only after all of these are acknowledged.
        """
        taken: list[Delivery] = []
        size = 0
        while self._ready and len(taken) < limit:
            if self._ready[0][0] > now:
                break
            _, _, delivery = heapq.heappop(self._ready)
            if delivery.gone:
                continue
            if taken and size + delivery.message.size > MAXIMUM_TAKEN_BYTES:
                self._schedule(delivery)
                break
            room = MAXIMUM_TAKEN_BYTES - size
            for each in self._with_followers(delivery, min(limit - len(taken), per_key or limit), room):
                self._lease(each, now + lease_seconds)
                taken.append(each)
                size += each.message.size
        return taken

    def acknowledge(self, ack_id: str) -> Delivery | None:
        """Finish and return the delivery ``ack_id``, or return None if its lease has ended."""
        delivery = self._out.get(ack_id)
        if delivery is None:
            return None
        self._remove(delivery)
        if self.settings.retain_acked_messages:
            self._acked.append(delivery.message)
        return delivery

    def extend(self, ack_id: str, deadline: float) -> bool:
        """Extend the lease of the delivery ``ack_id`` to ``deadline``; return whether the lease was still valid."""
        delivery = self._out.get(ack_id)
        if delivery is None:
            return False
        delivery.deadline = deadline
        if deadline < math.inf:
            heapq.heappush(self._deadlines, (deadline, delivery.sequence, ack_id))
        return True

    def refuse(self, ack_id: str, now: float) -> Delivery | None:
        """Count a failed delivery and back off; return the delivery, or None if its lease has ended.

        A message that has used up its delivery attempts is returned with ``gone`` set: it is a dead letter.
        """
        delivery = self._out.get(ack_id)
        return None if delivery is None else self._fail(delivery, now)

    def give_back(self, ack_id: str) -> None:
        """Return an untried message to the backlog without counting a failure; ignore an ``ack_id`` that is not valid."""
        if ack_id in self._out:
            self._return(self._out[ack_id])

    def expire(self, now: float) -> list[Delivery]:
        """End the leases whose deadline has passed; return these failed deliveries."""
        failed: list[Delivery] = []
        while self._deadlines and self._deadlines[0][0] <= now:
            deadline, _, ack_id = heapq.heappop(self._deadlines)
            delivery = self._out.get(ack_id)
            if delivery is not None and delivery.deadline == deadline:
                failed.append(self._fail(delivery, now))
        return failed

    def drop_older(self, moment: float) -> list[Delivery]:
        """Drop and return the messages that were published before ``moment``."""
        dropped: list[Delivery] = []
        while self._ages:
            published, sequence = self._ages[0]
            delivery = self._pending.get(sequence)
            if delivery is not None:
                if published >= moment:
                    break
                self._remove(delivery)
                dropped.append(delivery)
            self._ages.popleft()
        return dropped

    def seek(self, moment: float, now: float) -> tuple[list[Message], list[Message]]:
        """Treat messages published before ``moment`` as acknowledged and later ones as not acknowledged.

        All leases end, and the backlog is in the order of publishing again.

        Returns:
            The messages that were dropped, and the retained ones that were restored.
        """
        pending = [delivery.message for delivery in self._pending.values()]
        acked = list(self._acked)
        failures = {delivery.message.id: delivery.failures for delivery in self._pending.values()}
        self._clear()
        for message in sorted(pending + acked, key=lambda each: int(each.id)):
            if message.published.timestamp() >= moment:
                self.add(message, now, failures=failures.get(message.id, 0))
            elif self.settings.retain_acked_messages:
                self._acked.append(message)
        return (
            [message for message in pending if message.published.timestamp() < moment],
            [message for message in acked if message.published.timestamp() >= moment],
        )

    def next_change(self) -> float | None:
        """Return when the next message becomes ready or the next deadline passes; None if neither will happen."""
        while self._ready and self._ready[0][2].gone:
            heapq.heappop(self._ready)
        moments = [heap[0][0] for heap in (self._ready, self._deadlines) if heap]
        return min(moments, default=None)

    def _clear(self) -> None:
        self._pending: dict[int, Delivery] = {}
        self._ages: deque[tuple[float, int]] = deque()
        self._acked: list[Message] = []
        self._out: dict[str, Delivery] = {}
        # Each message that waits only for its time has one entry; a lane has one entry, for its first message.
        self._ready: list[tuple[float, int, Delivery]] = []
        self._deadlines: list[tuple[float, int, str]] = []
        self._lanes: dict[str, Lane] = {}

    def _schedule(self, delivery: Delivery) -> None:
        heapq.heappush(self._ready, (delivery.ready_at, delivery.sequence, delivery))

    def _with_followers(self, first: Delivery, limit: int, maximum_bytes: int) -> list[Delivery]:
        """Return ``first`` and as many of the next messages in its lane as fit into the limits."""
        if first.lane is None:
            return [first]
        waiting = first.lane.waiting
        together = [waiting.popleft()]
        size = first.message.size
        while waiting and len(together) < limit and size + waiting[0].message.size <= maximum_bytes:
            size += waiting[0].message.size
            together.append(waiting.popleft())
        return together

    def _lease(self, delivery: Delivery, deadline: float) -> None:
        delivery.ack_id = f"{delivery.sequence:x}-{delivery.attempt:x}-{secrets.token_hex(8)}"
        self._out[delivery.ack_id] = delivery
        if delivery.lane is not None:
            delivery.lane.out.append(delivery)
        self.extend(delivery.ack_id, deadline)

    def _take_back(self, delivery: Delivery) -> None:
        if delivery.ack_id is not None:
            del self._out[delivery.ack_id]
            delivery.ack_id = None
            if delivery.lane is not None:
                delivery.lane.out.remove(delivery)

    def _remove(self, delivery: Delivery) -> None:
        was_out = delivery.ack_id is not None
        self._take_back(delivery)
        delivery.gone = True
        del self._pending[delivery.sequence]
        if delivery.lane is not None:
            self._leave(delivery.lane, delivery, was_out=was_out)

    def _leave(self, lane: Lane, delivery: Delivery, *, was_out: bool) -> None:
        """Remove a delivery from its lane, and schedule the next one."""
        if not was_out:
            lane.waiting.popleft()  # Of the waiting messages, only the oldest is ever dropped.
        if lane.out:
            return
        if lane.waiting:
            self._schedule(lane.waiting[0])
        else:
            del self._lanes[delivery.message.ordering_key]

    def _fail(self, delivery: Delivery, now: float) -> Delivery:
        delivery.failures += 1
        dead_letter = self.settings.dead_letter
        if dead_letter is not None and delivery.failures >= dead_letter.maximum_delivery_attempts:
            self._remove(delivery)
            return delivery
        backoff = self.settings.backoff_in_force
        delivery.ready_at = now + (backoff.seconds(delivery.failures) if backoff else 0.0)
        self._return(delivery)
        return delivery

    def _return(self, delivery: Delivery) -> None:
        """End the lease of a delivery and put it back into its place."""
        lane = delivery.lane
        if lane is None:
            self._take_back(delivery)
            self._schedule(delivery)
            return
        # Later leased messages of the key would overtake this one, so their leases end too.
        for each in sorted(lane.out, key=lambda other: other.sequence, reverse=True):
            if each.sequence >= delivery.sequence:
                self._take_back(each)
                lane.waiting.appendleft(each)
        if not lane.out:
            self._schedule(lane.waiting[0])
