"""Push delivery to a real endpoint: requests, acknowledgements and disturbances."""

from __future__ import annotations

import base64
import threading
from collections import Counter
from collections.abc import Sequence

import pytest

from localcloud.base.clock import ManualClock, SystemClock
from localcloud.pubsub.broker.messages import Message, PublishedMessage
from localcloud.pubsub.broker.resources import (
    Backoff,
    DeadLetterPolicy,
    PushTarget,
    Subscription,
)
from localcloud.pubsub.push.disturbances import (
    Delay,
    Disturbance,
    Drop,
    Duplicate,
    LoseAcknowledgement,
    Refuse,
    Reorder,
)
from localcloud.pubsub.service import PubSub
from tests.localcloud.receiver import Received, Receiver
from tests.waiting import LAST_LIMIT, wait_until

TOPIC = "projects/local-project/topics/orders"
SUBSCRIPTION = "projects/local-project/subscriptions/push"
SHORT = Backoff(0.01, 0.05)


class Disturbed:
    """Disturbs the first delivery of each message with a given text."""

    def __init__(self, by_text: dict[str, Sequence[Disturbance]]) -> None:
        self.by_text = by_text
        self.asked: list[tuple[str, str, int]] = []

    def before(self, subscription: str, message: Message, attempt: int) -> Sequence[Disturbance]:
        text = message.data.decode()
        self.asked.append((subscription, text, attempt))
        return self.by_text.get(text, ()) if attempt == 1 else ()


@pytest.fixture
def receiver():
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def pubsub():
    service = PubSub(clock=SystemClock(), project="local-project")
    service.broker.create_topic(TOPIC)
    service.start()
    yield service
    service.stop()


def push_to(pubsub: PubSub, receiver: Receiver, **settings) -> None:
    settings = {"push": PushTarget(f"{receiver.url}/push"), "backoff": SHORT} | settings
    pubsub.broker.create_subscription(Subscription(SUBSCRIPTION, TOPIC, **settings))


def publish(pubsub: PubSub, *texts: str, key: str = "") -> list[str]:
    return pubsub.broker.publish(TOPIC, [PublishedMessage(text.encode(), {}, key) for text in texts])


def text(request: Received) -> str:
    return base64.b64decode(request.json["message"]["data"]).decode()


def texts(requests: Sequence[Received]) -> list[str]:
    return [text(request) for request in requests]


def test_a_push_without_the_wrapper_sends_the_data_alone(pubsub, receiver):
    push_to(pubsub, receiver, push=PushTarget(f"{receiver.url}/push", wrapped=False))
    pubsub.broker.publish(TOPIC, [PublishedMessage(b"\x00hello", {"colour": "green"})])
    (request,) = receiver.wait_for(1)
    assert request.body == b"\x00hello"
    assert not {"colour", "x-goog-pubsub-message-id"} & {name.lower() for name in request.headers}


def test_a_push_without_the_wrapper_can_carry_the_rest_in_headers(pubsub, receiver):
    push_to(pubsub, receiver, push=PushTarget(f"{receiver.url}/push", wrapped=False, write_metadata=True))
    attributes = {"colour": "grün", "content-length": "1", "no header": "x", "lines": "a\nb"}
    (identity,) = pubsub.broker.publish(TOPIC, [PublishedMessage(b"hello", attributes, "key")])
    (request,) = receiver.wait_for(1)
    headers = {name.lower(): value for name, value in request.headers.items()}
    assert request.body == b"hello"
    assert headers["colour"].encode("latin-1").decode() == "grün"
    assert headers["content-length"] == "5"
    assert "lines" not in headers
    assert headers["x-goog-pubsub-subscription-name"] == SUBSCRIPTION
    assert headers["x-goog-pubsub-message-id"] == identity
    assert headers["x-goog-pubsub-ordering-key"] == "key"
    assert headers["x-goog-pubsub-publish-time"].endswith("Z")


def test_a_push_sends_the_documented_request(pubsub, receiver):
    push_to(pubsub, receiver)
    message = PublishedMessage(b"hello", {"colour": "green"}, "key")
    (identity,) = pubsub.broker.publish(TOPIC, [message])
    (request,) = receiver.wait_for(1)
    assert (request.method, request.path) == ("POST", "/push")
    assert request.headers["content-type"] == "application/json"
    moment = request.json["message"]["publishTime"]
    assert request.json == {
        "message": {
            "data": "aGVsbG8=",
            "attributes": {"colour": "green"},
            "messageId": identity,
            "message_id": identity,
            "publishTime": moment,
            "publish_time": moment,
            "orderingKey": "key",
        },
        "subscription": SUBSCRIPTION,
    }
    assert pubsub.broker.wait_until_idle(LAST_LIMIT)


def test_empty_fields_are_omitted_from_a_push(pubsub, receiver):
    push_to(pubsub, receiver)
    pubsub.broker.publish(TOPIC, [PublishedMessage(b"", {"colour": "green"})])
    (request,) = receiver.wait_for(1)
    assert sorted(request.json["message"]) == ["attributes", "messageId", "message_id", "publishTime", "publish_time"]


@pytest.mark.parametrize("status", [102, 200, 201, 202, 204])
def test_a_success_status_acknowledges_a_message(pubsub, receiver, status):
    receiver.answer = lambda request: status
    push_to(pubsub, receiver)
    publish(pubsub, "a")
    receiver.wait_for(1)
    assert pubsub.broker.wait_until_idle(LAST_LIMIT)
    assert len(receiver.requests) == 1


@pytest.mark.parametrize("status", [203, 206, 301, 400, 404, 409, 429, 500, 503])
def test_a_message_is_delivered_again_after_any_other_status(pubsub, receiver, status):
    receiver.answer = lambda request: status if len(receiver.requests) < 3 else 200
    push_to(pubsub, receiver)
    publish(pubsub, "a")
    assert texts(receiver.wait_for(3)) == ["a", "a", "a"]
    assert pubsub.broker.wait_until_idle(LAST_LIMIT)


def test_a_message_is_delivered_once_its_endpoint_exists(pubsub):
    receiver = Receiver()  # bound but not listening: connections are refused
    push_to(pubsub, receiver)
    publish(pubsub, "a")
    assert not pubsub.broker.wait_until_idle(0.1)
    with receiver:
        assert texts(receiver.wait_for(1)) == ["a"]
        assert pubsub.broker.wait_until_idle(LAST_LIMIT)


def test_a_message_without_a_response_in_time_is_delivered_again(pubsub, receiver):
    go_on = threading.Event()
    receiver.answer = lambda request: (len(receiver.requests) == 1 and go_on.wait(LAST_LIMIT)) or 200
    push_to(pubsub, receiver, ack_deadline_seconds=1)
    publish(pubsub, "a")
    assert texts(receiver.wait_for(2)) == ["a", "a"]
    assert pubsub.broker.wait_until_idle(LAST_LIMIT)
    go_on.set()


@pytest.fixture
def stopped_clock():
    return ManualClock()


@pytest.fixture
def timeless(stopped_clock):
    """Pub/Sub with a clock that only the test advances."""
    service = PubSub(clock=stopped_clock, project="local-project")
    service.broker.create_topic(TOPIC)
    service.start()
    yield service
    service.stop()


@pytest.mark.parametrize(
    ("backoff", "seconds"),
    [
        pytest.param(Backoff(10, 600), 10, id="retry policy"),
        # https://cloud.google.com/pubsub/docs/push#push_backoff
        pytest.param(None, 0.1, id="none: push backoff"),
    ],
)
def test_the_backoff_of_a_refused_message_grows(timeless, stopped_clock, receiver, backoff, seconds):
    receiver.answer = lambda request: 500
    push_to(timeless, receiver, backoff=backoff)
    publish(timeless, "a")
    for count in (1, 2, 3):
        receiver.wait_for(count)
        wait_until(lambda: timeless.broker.outstanding(SUBSCRIPTION) == 0)
        rest = seconds * 2 ** (count - 1)
        stopped_clock.advance(rest * 0.9)
        assert not timeless.broker.wait_until_idle(0.1)
        assert len(receiver.requests) == count
        stopped_clock.advance(rest * 0.1)


def test_a_message_that_is_always_refused_becomes_a_dead_letter(pubsub, receiver):
    dead, hold = TOPIC + "-dead", SUBSCRIPTION + "-dead"
    pubsub.broker.create_topic(dead)
    pubsub.broker.create_subscription(Subscription(hold, dead))
    receiver.answer = lambda request: 500 if text(request) == "poison" else 200
    push_to(pubsub, receiver, dead_letter=DeadLetterPolicy(dead, 4))
    publish(pubsub, "poison", "good")
    assert pubsub.broker.wait_until_idle(LAST_LIMIT)
    attempts = [request.json["deliveryAttempt"] for request in receiver.requests if text(request) == "poison"]
    assert attempts == [1, 2, 3, 4]
    (letter,) = pubsub.broker.pull(hold, 10)
    assert letter.message.data == b"poison"
    assert letter.message.attributes["CloudPubSubDeadLetterSourceDeliveryCount"] == "4"


def test_slow_and_failing_messages_do_not_delay_others(pubsub, receiver):
    go_on = threading.Event()

    def answer(request: Received) -> int:
        match text(request).split("-"):
            case ["slow", _]:
                go_on.wait(LAST_LIMIT)
                return 200
            case ["poison", _]:
                return 500
        return 200

    receiver.answer = answer
    push_to(pubsub, receiver, backoff=Backoff(600, 600))
    names = [f"slow-{number}" for number in range(8)] + [f"poison-{number}" for number in range(50)]
    publish(pubsub, *names, *(f"good-{number}" for number in range(200)))
    seen = texts(receiver.wait_for(258))
    assert Counter(name.split("-")[0] for name in seen) == {"slow": 8, "poison": 50, "good": 200}
    wait_until(lambda: pubsub.broker.backlog_size(SUBSCRIPTION) == 58)
    go_on.set()
    wait_until(lambda: pubsub.broker.backlog_size(SUBSCRIPTION) == 50)


def test_concurrent_pushes_do_not_exceed_the_limit(pubsub, receiver):
    lock, under_way, most, full = threading.Lock(), 0, 0, threading.Event()

    def answer(request: Received) -> int:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
            if under_way == 16:
                full.set()
        full.wait(LAST_LIMIT)
        with lock:
            under_way -= 1
        return 200

    receiver.answer = answer
    push_to(pubsub, receiver)
    publish(pubsub, *(str(number) for number in range(200)))
    assert pubsub.broker.wait_until_idle(LAST_LIMIT)
    assert len(receiver.requests) == 200
    assert most == 16


def test_ordered_messages_are_pushed_one_after_the_other(pubsub, receiver):
    failed: set[str] = set()

    def refuse_each_third_once(request: Received) -> int:
        name = text(request)
        if int(name) % 3 == 0 and name not in failed:
            failed.add(name)
            return 500
        return 200

    receiver.answer = refuse_each_third_once
    push_to(pubsub, receiver, enable_message_ordering=True)
    publish(pubsub, *(str(number) for number in range(20)), key="k")
    assert pubsub.broker.wait_until_idle(LAST_LIMIT)
    seen = texts(receiver.requests)
    assert list(dict.fromkeys(seen)) == [str(number) for number in range(20)]
    assert seen == sorted(seen, key=int)


def test_push_delivery_follows_changed_settings(pubsub, receiver):
    push_to(pubsub, receiver)
    publish(pubsub, "a")
    receiver.wait_for(1)
    settings = pubsub.broker.subscription(SUBSCRIPTION)
    with Receiver() as other:
        pubsub.broker.put_subscription(Subscription(SUBSCRIPTION, TOPIC, push=PushTarget(other.url)))
        publish(pubsub, "b")
        assert texts(other.wait_for(1)) == ["b"]
    pubsub.broker.put_subscription(Subscription(SUBSCRIPTION, TOPIC))
    publish(pubsub, "c")
    assert [each.message.data for each in pubsub.broker.pull(SUBSCRIPTION, 1, wait_seconds=LAST_LIMIT)] == [b"c"]
    pubsub.broker.delete_subscription(SUBSCRIPTION)
    pubsub.broker.create_subscription(settings)
    publish(pubsub, "d")
    assert texts(receiver.wait_for(2)) == ["a", "d"]


def test_hundreds_of_messages_are_each_delivered_once(pubsub, receiver):
    push_to(pubsub, receiver)
    ids = publish(pubsub, *(str(number) for number in range(400)))
    assert pubsub.broker.wait_until_idle(LAST_LIMIT)
    assert Counter(request.json["message"]["messageId"] for request in receiver.requests) == Counter(ids)


class TestFaults:
    def test_a_duplicate_is_sent_twice_at_the_same_time(self, pubsub, receiver):
        meeting = threading.Barrier(2)
        receiver.answer = lambda request: 200 if meeting.wait(LAST_LIMIT) >= 0 else 500
        faults = pubsub.deliverer.faults = Disturbed({"a": [Duplicate()]})
        push_to(pubsub, receiver)
        publish(pubsub, "a")
        assert pubsub.broker.wait_until_idle(LAST_LIMIT)
        assert texts(receiver.requests) == ["a", "a"]
        assert faults.asked == [(SUBSCRIPTION, "a", 1)]

    def test_one_copy_that_is_taken_is_enough(self, pubsub, receiver):
        receiver.answer = lambda request: 500 if len(receiver.requests) == 1 else 200
        pubsub.deliverer.faults = Disturbed({"a": [Duplicate()]})
        push_to(pubsub, receiver, backoff=Backoff(600, 600))
        publish(pubsub, "a")
        assert pubsub.broker.wait_until_idle(LAST_LIMIT)
        assert len(receiver.requests) == 2

    def test_a_delay_holds_one_message_and_no_other(self, timeless, stopped_clock, receiver):
        timeless.deliverer.faults = Disturbed({"late": [Delay(30)]})
        push_to(timeless, receiver)
        publish(timeless, "late", *(f"{number}" for number in range(40)))
        assert "late" not in texts(receiver.wait_for(40))
        stopped_clock.advance(30)
        assert texts(receiver.wait_for(41))[-1] == "late"
        assert timeless.broker.wait_until_idle(LAST_LIMIT)

    def test_a_reordered_message_goes_after_later_ones(self, pubsub, receiver):
        pubsub.deliverer.faults = Disturbed({"a": [Reorder(3)]})
        push_to(pubsub, receiver)
        for name in ("a", "b", "c"):
            publish(pubsub, name)
        receiver.wait_for(2)
        wait_until(lambda: pubsub.broker.backlog_size(SUBSCRIPTION) == 1)
        assert len(receiver.requests) == 2
        publish(pubsub, "d")
        assert texts(receiver.wait_for(4))[-1] == "a"
        assert pubsub.broker.wait_until_idle(LAST_LIMIT)

    def test_a_later_message_that_fails_is_not_one_that_went_first(self, pubsub, receiver):
        answers = {"b": [503, 200], "c": [200], "a": [200]}
        receiver.answer = lambda request: answers[text(request)].pop(0)
        pubsub.deliverer.faults = Disturbed({"a": [Reorder(2)]})
        push_to(pubsub, receiver)
        publish(pubsub, "a", "b")
        receiver.wait_for(1)
        publish(pubsub, "c")
        assert pubsub.broker.wait_until_idle(LAST_LIMIT)
        assert texts(receiver.requests)[-1] == "a"

    def test_a_whole_sequence_can_be_turned_round(self, pubsub, receiver):
        names = [str(number) for number in range(6)]
        pubsub.deliverer.faults = Disturbed(
            {name: [Reorder(len(names) - 1 - place)] for place, name in enumerate(names)}
        )
        push_to(pubsub, receiver)
        publish(pubsub, *names)
        assert pubsub.broker.wait_until_idle(LAST_LIMIT)
        assert texts(receiver.requests) == names[::-1]

    def test_a_reordered_message_goes_at_last_if_no_later_one_comes(self, pubsub, receiver):
        pubsub.deliverer.faults = Disturbed({"a": [Reorder(3, at_most_seconds=0.1)]})
        push_to(pubsub, receiver)
        publish(pubsub, "a")
        assert pubsub.broker.wait_until_idle(LAST_LIMIT)
        assert texts(receiver.requests) == ["a"]

    def test_after_a_lost_acknowledgement_the_message_comes_again(self, pubsub, receiver):
        pubsub.deliverer.faults = Disturbed({"a": [LoseAcknowledgement()]})
        push_to(pubsub, receiver, dead_letter=DeadLetterPolicy(TOPIC, 5))
        publish(pubsub, "a")
        assert pubsub.broker.wait_until_idle(LAST_LIMIT)
        assert [request.json["deliveryAttempt"] for request in receiver.requests] == [1, 2]

    def test_a_dropped_message_never_comes(self, pubsub, receiver):
        pubsub.deliverer.faults = Disturbed({"a": [Drop()]})
        push_to(pubsub, receiver)
        publish(pubsub, "a", "b")
        assert pubsub.broker.wait_until_idle(LAST_LIMIT)
        assert texts(receiver.requests) == ["b"]

    def test_a_refused_message_does_not_reach_the_endpoint_and_comes_again(self, pubsub, receiver):
        pubsub.deliverer.faults = Disturbed({"a": [Refuse()]})
        push_to(pubsub, receiver, dead_letter=DeadLetterPolicy(TOPIC, 5))
        publish(pubsub, "a")
        assert pubsub.broker.wait_until_idle(LAST_LIMIT)
        assert [request.json["deliveryAttempt"] for request in receiver.requests] == [2]

    def test_disturbances_add_up(self, pubsub, receiver):
        pubsub.deliverer.faults = Disturbed({"a": [Delay(0.05), Duplicate(), LoseAcknowledgement()]})
        push_to(pubsub, receiver)
        publish(pubsub, "a")
        assert pubsub.broker.wait_until_idle(LAST_LIMIT)
        assert texts(receiver.requests) == ["a", "a", "a"]
