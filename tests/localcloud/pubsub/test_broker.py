"""The rules of Pub/Sub without a network, on a clock that only the tests advance."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import pytest

from localcloud.base.clock import ManualClock, SystemClock
from localcloud.pubsub.broker.broker import Broker
from localcloud.pubsub.broker.filters import parse_filter
from localcloud.pubsub.broker.messages import PublishedMessage
from localcloud.pubsub.broker.resources import Backoff, DeadLetterPolicy, Subscription
from localcloud.pubsub.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
)
from tests.waiting import LAST_LIMIT

TOPIC = "projects/local-project/topics/orders"
DEAD = "projects/local-project/topics/dead"
SUBSCRIPTION = "projects/local-project/subscriptions/all"
HOLD = "projects/local-project/subscriptions/hold"


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def broker(clock):
    broker = Broker(clock=clock)
    broker.create_topic(TOPIC)
    yield broker
    broker.close()


def subscribe(broker: Broker, **settings) -> Subscription:
    return broker.create_subscription(Subscription(**{"name": SUBSCRIPTION, "topic": TOPIC} | settings))


def publish(broker: Broker, *texts: str, key: str = "") -> list[str]:
    return broker.publish(TOPIC, [PublishedMessage(text.encode(), {}, key) for text in texts])


def pull(broker: Broker, maximum: int = 100, subscription: str = SUBSCRIPTION):
    return broker.pull(subscription, maximum)


def texts(received) -> list[str]:
    return [each.message.data.decode() for each in received]


def test_a_topic_without_a_subscription_drops_its_messages(broker):
    publish(broker, "early")
    subscribe(broker)
    publish(broker, "late")
    assert texts(pull(broker)) == ["late"]


def test_every_subscription_receives_every_message_once(broker):
    subscribe(broker)
    subscribe(broker, name=HOLD)
    ids = publish(broker, "a", "b")
    first, second = pull(broker), pull(broker, subscription=HOLD)
    assert [each.message.id for each in first] == [each.message.id for each in second] == ids
    assert pull(broker) == []


def test_an_acknowledged_message_is_never_delivered_again(broker, clock):
    subscribe(broker)
    publish(broker, "a")
    assert broker.acknowledge(SUBSCRIPTION, [pull(broker)[0].ack_id]) == []
    clock.advance(3600)
    assert pull(broker) == []
    assert broker.backlog_size(SUBSCRIPTION) == 0


def test_a_message_not_acknowledged_in_time_is_delivered_again_and_the_late_acknowledgement_is_invalid(broker, clock):
    subscribe(broker, ack_deadline_seconds=10)
    publish(broker, "a")
    late = pull(broker)[0]
    clock.advance(9.9)
    assert pull(broker) == []
    clock.advance(0.1)
    assert broker.acknowledge(SUBSCRIPTION, [late.ack_id]) == [late.ack_id]
    again = pull(broker)[0]
    assert (again.message.id, again.attempt) == (late.message.id, 2)


def test_a_message_is_not_delivered_again_before_its_extended_deadline(broker, clock):
    subscribe(broker, ack_deadline_seconds=10)
    publish(broker, "a")
    received = pull(broker)[0]
    clock.advance(9)
    assert broker.modify_ack_deadline(SUBSCRIPTION, [received.ack_id], 30) == []
    clock.advance(29)
    assert pull(broker) == []
    assert broker.acknowledge(SUBSCRIPTION, [received.ack_id]) == []


def test_a_refused_message_is_delivered_again_at_once_without_a_retry_policy(broker):
    subscribe(broker)
    publish(broker, "a")
    broker.modify_ack_deadline(SUBSCRIPTION, [pull(broker)[0].ack_id], 0)
    assert texts(pull(broker)) == ["a"]


def test_the_backoff_doubles_between_its_bounds(broker, clock):
    subscribe(broker, backoff=Backoff(10, 60))
    publish(broker, "a")
    (received,) = pull(broker)
    rests = []
    for _ in range(5):
        broker.modify_ack_deadline(SUBSCRIPTION, [received.ack_id], 0)
        received, rest = pull_when_rested(broker, clock)
        rests.append(rest)
    assert rests == [10, 20, 40, 60, 60]


def test_a_missed_deadline_backs_off_like_a_refusal(broker, clock):
    subscribe(broker, ack_deadline_seconds=10, backoff=Backoff(20, 60))
    publish(broker, "a")
    pull(broker)
    clock.advance(10)
    assert pull_when_rested(broker, clock)[1] == 20


def pull_when_rested(broker: Broker, clock: ManualClock):
    """Advance the clock until a message is ready; return the message and the seconds that passed."""
    for seconds in range(1000):
        if received := pull(broker):
            return received[0], seconds
        clock.advance(1)
    raise AssertionError("no message came")


def test_a_message_becomes_a_dead_letter_after_its_maximum_of_deliveries(broker, clock):
    broker.create_topic(DEAD)
    broker.create_subscription(Subscription(HOLD, DEAD))
    subscribe(broker, dead_letter=DeadLetterPolicy(DEAD, maximum_delivery_attempts=3))
    (identity,) = broker.publish(TOPIC, [PublishedMessage(b"poison", {"colour": "green"}, "")])
    published = clock.now()

    attempts = []
    for _ in range(2):
        received = pull(broker)[0]
        attempts.append(received.delivery_attempt)
        broker.modify_ack_deadline(SUBSCRIPTION, [received.ack_id], 0)
    attempts.append(pull(broker)[0].delivery_attempt)
    clock.advance(10)  # the third fails by its deadline

    assert pull(broker) == []
    assert attempts == [1, 2, 3]
    assert broker.backlog_size(SUBSCRIPTION) == 0
    dead = pull(broker, subscription=HOLD)[0].message
    assert dead.data == b"poison"
    assert dead.id != identity
    assert dead.attributes == {
        "colour": "green",
        "CloudPubSubDeadLetterSourceSubscription": "all",
        "CloudPubSubDeadLetterSourceSubscriptionProject": "local-project",
        "CloudPubSubDeadLetterSourceDeliveryCount": "3",
        "CloudPubSubDeadLetterSourceTopicPublishTime": published.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
    }


def test_the_delivery_attempt_is_empty_without_a_dead_letter_policy(broker):
    subscribe(broker)
    publish(broker, "a")
    assert pull(broker)[0].delivery_attempt is None


def test_a_message_is_kept_while_its_dead_letter_topic_is_missing(broker):
    subscribe(broker, dead_letter=DeadLetterPolicy(DEAD, maximum_delivery_attempts=1))
    publish(broker, "poison")
    broker.modify_ack_deadline(SUBSCRIPTION, [pull(broker)[0].ack_id], 0)
    broker.create_topic(DEAD)
    broker.create_subscription(Subscription(HOLD, DEAD))
    broker.modify_ack_deadline(SUBSCRIPTION, [pull(broker)[0].ack_id], 0)
    assert texts(pull(broker, subscription=HOLD)) == ["poison"]


def test_messages_are_in_the_order_of_publishing_after_a_seek(broker, clock):
    subscribe(broker, retain_acked_messages=True, enable_message_ordering=True)
    start = clock.now()
    publish(broker, "a1", "a2", "a3", "a4", key="a")
    one, two = pull(broker, 2)
    broker.acknowledge(SUBSCRIPTION, [one.ack_id])
    broker.seek(SUBSCRIPTION, start)
    assert broker.acknowledge(SUBSCRIPTION, [two.ack_id]) == [two.ack_id]
    assert texts(pull(broker)) == ["a1", "a2", "a3", "a4"]


class TestOrderingKeys:
    @pytest.fixture(autouse=True)
    def ordered(self, broker):
        subscribe(broker, enable_message_ordering=True, backoff=Backoff(10, 10))

    def test_messages_of_a_key_come_in_order_and_wait_for_what_is_out(self, broker):
        publish(broker, "a1", "a2", key="a")
        publish(broker, "b1", key="b")
        publish(broker, "a3", key="a")
        first = pull(broker, 1)
        assert texts(first) == ["a1"]
        assert texts(pull(broker)) == ["b1"]
        broker.acknowledge(SUBSCRIPTION, [first[0].ack_id])
        assert texts(pull(broker)) == ["a2", "a3"]

    def test_a_refused_message_takes_the_later_ones_of_its_key_back_with_it(self, broker, clock):
        publish(broker, "a1", "a2", "a3", key="a")
        one, two, three = pull(broker)
        broker.modify_ack_deadline(SUBSCRIPTION, [two.ack_id], 0)
        assert broker.acknowledge(SUBSCRIPTION, [one.ack_id, three.ack_id]) == [three.ack_id]
        assert pull(broker) == []
        clock.advance(10)
        assert texts(pull(broker)) == ["a2", "a3"]

    def test_a_resting_key_does_not_hold_up_another(self, broker):
        publish(broker, "a1", "a2", key="a")
        publish(broker, "b1", key="b")
        broker.modify_ack_deadline(SUBSCRIPTION, [pull(broker, 1)[0].ack_id], 0)
        assert texts(pull(broker)) == ["b1"]

    def test_a_message_whose_retention_ends_lets_its_key_go_on(self, broker, clock):
        settings = Subscription(SUBSCRIPTION, TOPIC, enable_message_ordering=True, message_retention_seconds=600)
        broker.update_subscription(settings)
        publish(broker, "old", key="a")
        clock.advance(300)
        publish(broker, "young", key="a")
        clock.advance(301)
        assert texts(pull(broker)) == ["young"]

    def test_a_dead_lettered_message_lets_its_key_go_on(self, broker, clock):
        broker.create_topic(DEAD)
        broker.update_subscription(
            Subscription(SUBSCRIPTION, TOPIC, enable_message_ordering=True, dead_letter=DeadLetterPolicy(DEAD, 1))
        )
        publish(broker, "a1", "a2", key="a")
        broker.modify_ack_deadline(SUBSCRIPTION, [pull(broker, 1)[0].ack_id], 0)
        assert texts(pull(broker)) == ["a2"]


def test_unacknowledged_messages_are_dropped_when_their_retention_ends(broker, clock):
    subscribe(broker, message_retention_seconds=600)
    publish(broker, "old")
    clock.advance(300)
    publish(broker, "young")
    clock.advance(301)
    assert texts(pull(broker)) == ["young"]


def test_a_seek_to_now_empties_a_subscription(broker, clock):
    subscribe(broker)
    publish(broker, "a", "b")
    pull(broker, 1)
    broker.seek(SUBSCRIPTION, clock.now() + timedelta(seconds=1))
    assert broker.backlog_size(SUBSCRIPTION) == 0
    assert pull(broker) == []


def test_a_seek_into_the_past_restores_retained_messages(broker, clock):
    subscribe(broker, retain_acked_messages=True)
    publish(broker, "a")
    clock.advance(60)
    middle = clock.now()
    publish(broker, "b")
    broker.acknowledge(SUBSCRIPTION, [each.ack_id for each in pull(broker)])
    broker.seek(SUBSCRIPTION, middle)
    assert texts(pull(broker)) == ["b"]


def test_subscriptions_of_a_deleted_topic_keep_their_messages(broker):
    subscribe(broker)
    publish(broker, "a")
    broker.delete_topic(TOPIC)
    assert broker.subscription(SUBSCRIPTION).topic == "_deleted-topic_"
    assert texts(pull(broker)) == ["a"]
    with pytest.raises(NotFound, match=r"Resource not found \(resource=orders\)"):
        publish(broker, "b")


def test_a_detached_subscription_drops_its_messages_and_receives_no_more(broker):
    subscribe(broker)
    publish(broker, "a")
    broker.detach_subscription(SUBSCRIPTION)
    publish(broker, "b")
    assert broker.backlog_size(SUBSCRIPTION) == 0
    with pytest.raises(FailedPrecondition):
        pull(broker)


def test_a_name_that_exists_cannot_be_created_again(broker):
    subscribe(broker)
    with pytest.raises(AlreadyExists):
        broker.create_topic(TOPIC)
    with pytest.raises(AlreadyExists):
        subscribe(broker)
    assert broker.ensure_topic(TOPIC).name == TOPIC


def test_a_waiting_pull_returns_a_message_published_meanwhile():
    broker = Broker(clock=SystemClock())
    broker.create_topic(TOPIC)
    subscribe(broker)
    received = []
    waiting = threading.Thread(target=lambda: received.extend(broker.pull(SUBSCRIPTION, 1, wait_seconds=LAST_LIMIT)))
    waiting.start()
    publish(broker, "a")
    waiting.join(timeout=LAST_LIMIT)
    assert texts(received) == ["a"]
    broker.close()


def test_a_waiting_pull_returns_a_message_whose_backoff_ends(broker, clock):
    subscribe(broker, backoff=Backoff(10, 10))
    publish(broker, "a")
    broker.modify_ack_deadline(SUBSCRIPTION, [pull(broker)[0].ack_id], 0)
    received = []
    waiting = threading.Thread(target=lambda: received.extend(broker.pull(SUBSCRIPTION, 1, wait_seconds=LAST_LIMIT)))
    waiting.start()
    clock.advance(10)
    waiting.join(timeout=LAST_LIMIT)
    assert texts(received) == ["a"]


def test_a_message_is_leased_to_only_one_of_many_concurrent_pulls(broker):
    subscribe(broker)
    publish(broker, *(str(number) for number in range(500)))
    taken: list[str] = []

    def take():
        while received := broker.pull(SUBSCRIPTION, 7):
            taken.extend(texts(received))

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken, key=int) == [str(number) for number in range(500)]


def test_publishing_and_pulling_two_thousand_messages_needs_little_work(broker):
    subscribe(broker)
    begun = time.thread_time()
    publish(broker, *("x" * 1000 for _ in range(2000)))
    while received := pull(broker):
        broker.acknowledge(SUBSCRIPTION, [each.ack_id for each in received])
    # Many times the CPU time that this needs; only work that grows with the backlog exceeds it.
    assert time.thread_time() - begun < 5


@pytest.mark.parametrize(
    ("text", "attributes", "wanted"),
    [
        ("", {}, True),
        ("attributes:colour", {"colour": ""}, True),
        ("attributes:colour", {}, False),
        ('attributes.colour = "green"', {"colour": "green"}, True),
        ('attributes.colour = "green"', {"colour": "red"}, False),
        ('attributes.colour != "green"', {}, True),
        ('attributes."ce-type" = "a.b"', {"ce-type": "a.b"}, True),
        ('hasPrefix(attributes.colour, "gr")', {"colour": "grey"}, True),
        ('hasPrefix(attributes.colour, "gr")', {}, False),
        ("NOT attributes:colour AND attributes:size", {"size": "1"}, True),
        ("attributes:a AND (attributes:b OR -attributes:c)", {"a": "", "c": ""}, False),
        ("attributes:a AND (attributes:b OR -attributes:c)", {"a": ""}, True),
        (r'attributes.text = "say \"no\""', {"text": 'say "no"'}, True),
        (r'attributes.text = "\u307f"', {"text": "み"}, True),
        (r'attributes.text = "\x41\102\t\U0001F600\ud83d\ude00"', {"text": "AB\t😀😀"}, True),
        ('attributes:2fa AND attributes.a-b = ""', {"2fa": "", "a-b": ""}, True),
        ('attributes.text = "two\nlines"', {"text": "two\nlines"}, True),
    ],
)
def test_a_filter_selects_by_attributes(text, attributes, wanted):
    assert parse_filter(text)(attributes) is wanted


@pytest.mark.parametrize(
    "text",
    [
        "colour",
        "attributes.colour",
        'attributes.colour = green"',
        "attributes:a AND attributes:b OR attributes:c",
        "attributes:a attributes:b",
        'hasPrefix(attributes.a "b")',
        "(attributes:a",
        "attributes:" + "a" * 300,
        "attributes.colour = green",
        "hasPrefix(attributes.colour, green)",
        "attributes.colour = 1",
        r'attributes.text = "\x4"',
        r'attributes.text = "\ud83d"',
        r'attributes.text = "\U00110000"',
        r'attributes.text = "\q"',
    ],
)
def test_an_invalid_filter_is_rejected(text):
    with pytest.raises(InvalidArgument):
        parse_filter(text)


def test_a_subscription_receives_only_messages_that_pass_its_filter(broker):
    subscribe(broker, filter='attributes.colour = "green"')
    broker.publish(TOPIC, [PublishedMessage(b"a", {"colour": "red"}), PublishedMessage(b"b", {"colour": "green"})])
    assert texts(pull(broker)) == ["b"]
