"""Properties of the backlog: for any sequence of steps, no message is lost or leased twice, and keys stay in order."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from localcloud.pubsub.broker.backlog import Backlog, Delivery
from localcloud.pubsub.broker.messages import Message
from localcloud.pubsub.broker.resources import Backoff, Subscription

LEASE = 10.0

steps = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.sampled_from(["", "a", "b"])),
        st.tuples(st.just("take"), st.integers(1, 4)),
        st.tuples(st.just("acknowledge"), st.integers(0, 9)),
        st.tuples(st.just("refuse"), st.integers(0, 9)),
        st.tuples(st.just("give back"), st.integers(0, 9)),
        st.tuples(st.just("extend"), st.integers(0, 9)),
        st.tuples(st.just("drop older"), st.sampled_from([3.0, 8.0])),
        st.tuples(st.just("wait"), st.sampled_from([1.0, 5.0, 11.0])),
    ),
    max_size=60,
)


class World:
    """A backlog, and a plain list of the messages that it must contain."""

    def __init__(self) -> None:
        settings = Subscription("s", "t", enable_message_ordering=True, backoff=Backoff(2, 8))
        self.backlog = Backlog(settings)
        self.now = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
        self.published = 0
        self.unacknowledged: list[Message] = []
        self.out: dict[str, Delivery] = {}

    def publish(self, key: str) -> None:
        self.published += 1
        message = Message(str(self.published), b"x", {}, key, datetime.fromtimestamp(self.now, UTC))
        self.unacknowledged.append(message)
        self.backlog.add(message, self.now)

    def take(self, limit: int) -> list[Delivery]:
        self.notice()
        before = {delivery.message.id for delivery in self.out.values()}
        taken = self.backlog.take(limit, self.now, LEASE)
        assert len(taken) <= limit
        ids = [delivery.message.id for delivery in taken]
        assert len(set(ids)) == len(ids)
        assert not before & set(ids), "a message is out twice"
        for key in {delivery.message.ordering_key for delivery in taken} - {""}:
            assert not [each for each in self.out.values() if each.message.ordering_key == key]
            oldest = [message.id for message in self.unacknowledged if message.ordering_key == key]
            went = [delivery.message.id for delivery in taken if delivery.message.ordering_key == key]
            assert went == oldest[: len(went)], "a message overtook an earlier one of its key"
        self.out |= {delivery.ack_id: delivery for delivery in taken if delivery.ack_id}
        return taken

    def acknowledge(self, ack_id: str) -> None:
        self.notice()
        if self.backlog.acknowledge(ack_id):
            done = self.out.pop(ack_id).message.id
            self.unacknowledged = [message for message in self.unacknowledged if message.id != done]
        self.notice()

    def drop_older(self, seconds: float) -> None:
        self.notice()
        moment = self.now - seconds
        kept = [message for message in self.unacknowledged if message.published.timestamp() >= moment]
        dropped = self.backlog.drop_older(moment)
        assert [each.message for each in dropped] == self.unacknowledged[: len(self.unacknowledged) - len(kept)]
        self.unacknowledged = kept
        self.notice()

    def notice(self) -> None:
        """Drop the leases that have ended, by their deadline or because an earlier message of the key was returned."""
        self.backlog.expire(self.now)
        self.out = {ack_id: delivery for ack_id, delivery in self.out.items() if self.backlog.is_out(ack_id)}
        assert len(self.backlog) == len(self.unacknowledged)
        assert self.backlog.out == len(self.out)

    def nth_out(self, number: int) -> str | None:
        ack_ids = sorted(self.out)
        return ack_ids[number % len(ack_ids)] if ack_ids else None


@given(steps)
def test_no_message_is_lost_or_leased_twice_and_keys_stay_in_order(steps):
    world = World()
    for step, value in steps:
        match step:
            case "publish":
                world.publish(value)
            case "take":
                world.take(value)
            case "drop older":
                world.drop_older(value)
            case "wait":
                world.now += value
                world.notice()
            case _ if (ack_id := world.nth_out(value)) is not None:
                match step:
                    case "acknowledge":
                        world.acknowledge(ack_id)
                    case "refuse":
                        world.backlog.refuse(ack_id, world.now)
                        world.notice()
                    case "give back":
                        world.backlog.give_back(ack_id)
                        world.notice()
                    case "extend":
                        world.backlog.extend(ack_id, world.now + LEASE)

    for _ in range(world.published + 1):
        world.now += LEASE
        for delivery in world.take(100):
            if delivery.ack_id:
                world.acknowledge(delivery.ack_id)
    assert world.unacknowledged == []
    assert len(world.backlog) == 0


@given(steps)
def test_the_next_change_is_never_after_a_message_becomes_ready(steps):
    world = World()
    for step, value in steps:
        if step == "publish":
            world.publish(value)
        elif step == "take":
            world.take(value)
        elif step == "drop older":
            world.drop_older(value)
        elif step == "wait":
            world.now += value
        elif step == "refuse" and (ack_id := world.nth_out(value)):
            world.backlog.refuse(ack_id, world.now)
            world.notice()
    while world.unacknowledged:
        change = world.backlog.next_change()
        assert change is not None, "messages are left, but nothing would wake who waits for them"
        world.now = max(world.now, change)
        for delivery in world.take(100):
            if delivery.ack_id:
                world.acknowledge(delivery.ack_id)
