"""The official client libraries over gRPC."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta

import google.pubsub_v1
import grpc
import pytest
from google.api_core import exceptions
from google.cloud import pubsub_v1
from google.cloud.pubsub_v1.subscriber.exceptions import AcknowledgeStatus
from google.cloud.pubsub_v1.types import BatchSettings, FlowControl, PublisherOptions
from google.protobuf import field_mask_pb2
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

from localcloud.base.clock import SystemClock
from localcloud.pubsub.api.methods import PULL_WAIT_SECONDS
from localcloud.pubsub.service import PubSub
from tests.waiting import LAST_LIMIT, wait_until

PROJECT = "projects/local-project"


@pytest.fixture(scope="module")
def pubsub():
    service = PubSub(clock=SystemClock(), project="local-project")
    service.start()
    yield service
    service.stop()


@contextmanager
def led_to(pubsub: PubSub) -> Iterator[None]:
    """Create clients of ``pubsub``: they read the variable when they are created."""
    os.environ["PUBSUB_EMULATOR_HOST"] = f"127.0.0.1:{pubsub.port}"
    try:
        yield
    finally:
        del os.environ["PUBSUB_EMULATOR_HOST"]


@pytest.fixture(scope="module")
def publisher(pubsub):
    with led_to(pubsub):
        client = pubsub_v1.PublisherClient()
    yield client
    client.stop()


@pytest.fixture(scope="module")
def subscriber(pubsub):
    with led_to(pubsub):
        client = pubsub_v1.SubscriberClient()
    yield client
    client.close()


@pytest.fixture(scope="module")
def channel(pubsub):
    """A channel without the size limits of the clients' own channel to an emulator."""
    with grpc.insecure_channel(f"127.0.0.1:{pubsub.port}", [("grpc.max_receive_message_length", -1)]) as channel:
        yield channel


@pytest.fixture(scope="module")
def plain_publisher(channel):
    """The generated client, which sends each request unchanged instead of collecting batches."""
    return google.pubsub_v1.PublisherClient(transport=PublisherGrpcTransport(channel=channel))


@pytest.fixture
def topic(publisher, request):
    name = f"{PROJECT}/topics/{request.node.name[:200].replace('[', '-').replace(']', '')}"
    publisher.create_topic(name=name)
    return name


@pytest.fixture
def subscription(subscriber, topic):
    name = topic.replace("/topics/", "/subscriptions/")
    subscriber.create_subscription(name=name, topic=topic)
    return name


def pull_all(subscriber, subscription, count: int) -> list:
    """Pull and acknowledge messages until there are ``count``."""
    received: list = []

    def pull() -> bool:
        answer = subscriber.pull(subscription=subscription, max_messages=1000, timeout=LAST_LIMIT)
        received.extend(answer.received_messages)
        if answer.received_messages:
            ack_ids = [each.ack_id for each in answer.received_messages]
            subscriber.acknowledge(subscription=subscription, ack_ids=ack_ids)
        return len(received) >= count

    wait_until(pull)
    return received


def test_a_pulled_message_has_all_published_fields(publisher, subscriber, topic, subscription):
    before = datetime.now(UTC)
    identity = publisher.publish(topic, b"\x00binary\xff", colour="grün", empty="").result(timeout=LAST_LIMIT)
    (received,) = pull_all(subscriber, subscription, 1)
    assert received.message.data == b"\x00binary\xff"
    assert dict(received.message.attributes) == {"colour": "grün", "empty": ""}
    assert received.message.message_id == identity
    assert before - timedelta(seconds=1) < received.message.publish_time < datetime.now(UTC) + timedelta(seconds=1)
    assert received.delivery_attempt == 0


def test_two_thousand_messages_published_in_batches_are_received_once_each(publisher, subscriber, topic, subscription):
    futures = [publisher.publish(topic, str(number).encode()) for number in range(2000)]
    ids = {future.result(timeout=LAST_LIMIT) for future in futures}
    received = pull_all(subscriber, subscription, 2000)
    assert {each.message.message_id for each in received} == ids
    assert sorted(int(each.message.data) for each in received) == list(range(2000))


def test_an_empty_pull_waits_and_responds_before_the_deadline_of_its_caller(subscriber, subscription):
    def pull() -> bool:
        # On a busy machine the response may be too late for the caller, which then calls again.
        with suppress(exceptions.DeadlineExceeded):
            begun = time.monotonic()
            assert not subscriber.pull(
                subscription=subscription, max_messages=1, timeout=1.5, retry=None
            ).received_messages
            return time.monotonic() - begun > 0.5
        return False

    wait_until(pull)


def test_a_pull_with_return_immediately_does_not_wait(subscriber, subscription):
    begun = time.monotonic()
    request = {"subscription": subscription, "max_messages": 1, "return_immediately": True}
    with pytest.warns(DeprecationWarning):
        assert not subscriber.pull(request=request, timeout=LAST_LIMIT).received_messages
    assert time.monotonic() - begun < PULL_WAIT_SECONDS


def test_a_waiting_pull_responds_when_a_message_is_published(publisher, subscriber, topic, subscription):
    answers = []
    pulling = threading.Thread(
        target=lambda: answers.append(subscriber.pull(subscription=subscription, max_messages=1, timeout=LAST_LIMIT))
    )
    pulling.start()
    publisher.publish(topic, b"x").result(timeout=LAST_LIMIT)
    pulling.join(timeout=PULL_WAIT_SECONDS)
    assert answers[0].received_messages[0].message.data == b"x"


def test_a_callback_receives_every_message_and_its_acknowledgements_take_effect(
    pubsub, publisher, subscriber, topic, subscription
):
    seen: list[str] = []
    complete = threading.Event()

    def take(message):
        seen.append(message.message_id)
        message.ack()
        if len(seen) == 300:
            complete.set()

    streaming = subscriber.subscribe(subscription, take)
    ids = [publisher.publish(topic, b"x") for _ in range(300)]
    assert complete.wait(LAST_LIMIT)
    streaming.cancel()
    streaming.result(timeout=LAST_LIMIT)
    assert sorted(seen) == sorted(future.result() for future in ids)
    # The client sends its remaining acknowledgements before the stream ends.
    assert pubsub.broker.wait_until_idle(LAST_LIMIT, [subscription])


def test_a_callback_that_refuses_a_message_receives_it_again(publisher, subscriber, topic, subscription):
    seen: list[str] = []
    taken = threading.Event()

    def refuse_once(message):
        seen.append(message.message_id)
        if len(seen) == 1:
            message.nack()
        else:
            message.ack()
            taken.set()

    streaming = subscriber.subscribe(subscription, refuse_once)
    identity = publisher.publish(topic, b"x").result(timeout=LAST_LIMIT)
    assert taken.wait(LAST_LIMIT)
    streaming.cancel()
    streaming.result(timeout=LAST_LIMIT)
    assert seen == [identity, identity]


def test_a_stream_sends_no_more_messages_than_its_flow_control_allows(
    pubsub, publisher, subscriber, topic, subscription
):
    first, go_on, complete = threading.Event(), threading.Event(), threading.Event()
    seen: list[str] = []

    def take(message):
        seen.append(message.message_id)
        first.set()
        go_on.wait(LAST_LIMIT)
        message.ack()
        if len(seen) == 20:
            complete.set()

    for future in [publisher.publish(topic, b"x") for _ in range(20)]:
        future.result(timeout=LAST_LIMIT)
    streaming = subscriber.subscribe(subscription, take, flow_control=FlowControl(max_messages=3))
    assert first.wait(LAST_LIMIT)
    # Another subscriber receives the messages that the stream has not.
    others = subscriber.pull(subscription=subscription, max_messages=100, timeout=LAST_LIMIT).received_messages
    assert len(others) >= 17
    ack_ids = [each.ack_id for each in others]
    subscriber.modify_ack_deadline(subscription=subscription, ack_ids=ack_ids, ack_deadline_seconds=0)
    go_on.set()
    assert complete.wait(LAST_LIMIT)
    streaming.cancel()
    streaming.result(timeout=LAST_LIMIT)


def test_messages_of_an_ordering_key_reach_the_callback_in_order(pubsub, subscriber):
    options = PublisherOptions(enable_message_ordering=True)
    with led_to(pubsub), pubsub_v1.PublisherClient(publisher_options=options) as publisher:
        topic = f"{PROJECT}/topics/ordered"
        subscription = f"{PROJECT}/subscriptions/ordered"
        publisher.create_topic(name=topic)
        subscriber.create_subscription(request={"name": subscription, "topic": topic, "enable_message_ordering": True})
        for number in range(60):
            publisher.publish(topic, str(number).encode(), ordering_key=f"key-{number % 3}")
        seen: dict[str, list[int]] = {"key-0": [], "key-1": [], "key-2": []}
        complete = threading.Event()
        refused: set[str] = set()

        def take(message):
            number = int(message.data)
            if number in (15, 31) and message.data not in refused:
                refused.add(message.data)
                message.nack()
                return
            seen[message.ordering_key].append(number)
            message.ack()
            if sum(len(set(numbers)) for numbers in seen.values()) == 60:
                complete.set()

        streaming = subscriber.subscribe(subscription, take)
        assert complete.wait(LAST_LIMIT)
        streaming.cancel()
        streaming.result(timeout=LAST_LIMIT)
    assert refused == {b"15", b"31"}
    # After a refusal the client continues with its messages of the key, and the refused one is delivered again.
    for remainder in range(3):
        assert set(seen[f"key-{remainder}"]) == set(range(remainder, 60, 3))
    assert seen["key-2"] == [*range(2, 60, 3)]


def test_delivery_attempts_are_counted_with_a_dead_letter_policy(publisher, subscriber, topic):
    dead = topic + "-dead"
    publisher.create_topic(name=dead)
    subscriber.create_subscription(name=dead.replace("/topics/", "/subscriptions/"), topic=dead)
    subscription = topic.replace("/topics/", "/subscriptions/")
    policy = {"dead_letter_topic": dead, "max_delivery_attempts": 5}
    subscriber.create_subscription(request={"name": subscription, "topic": topic, "dead_letter_policy": policy})
    publisher.publish(topic, b"poison").result(timeout=LAST_LIMIT)
    attempts = []
    for _ in range(5):
        (received,) = subscriber.pull(subscription=subscription, max_messages=1, timeout=LAST_LIMIT).received_messages
        attempts.append(received.delivery_attempt)
        subscriber.modify_ack_deadline(subscription=subscription, ack_ids=[received.ack_id], ack_deadline_seconds=0)
    (letter,) = pull_all(subscriber, dead.replace("/topics/", "/subscriptions/"), 1)
    assert attempts == [1, 2, 3, 4, 5]
    assert letter.message.data == b"poison"
    assert letter.message.attributes["CloudPubSubDeadLetterSourceDeliveryCount"] == "5"


def test_a_subscription_returns_the_settings_it_was_created_with(subscriber, topic):
    name = topic.replace("/topics/", "/subscriptions/")
    subscriber.create_subscription(
        request={
            "name": name,
            "topic": topic,
            "ack_deadline_seconds": 60,
            "filter": "attributes:colour",
            "labels": {"team": "news"},
            "retry_policy": {"minimum_backoff": {"seconds": 1}},
            "push_config": {"push_endpoint": "http://127.0.0.1:9/push", "no_wrapper": {"write_metadata": True}},
            "message_retention_duration": {"seconds": 3600},
        }
    )
    shown = subscriber.get_subscription(subscription=name)
    assert shown.push_config.no_wrapper.write_metadata
    assert shown.ack_deadline_seconds == 60
    assert shown.filter == "attributes:colour"
    assert dict(shown.labels) == {"team": "news"}
    assert shown.retry_policy.minimum_backoff == timedelta(seconds=1)
    assert shown.retry_policy.maximum_backoff == timedelta(seconds=600)
    assert shown.push_config.push_endpoint == "http://127.0.0.1:9/push"
    assert shown.message_retention_duration == timedelta(hours=1)
    with pytest.raises(exceptions.FailedPrecondition):
        subscriber.pull(subscription=name, max_messages=1, timeout=LAST_LIMIT)

    subscriber.modify_push_config(subscription=name, push_config={})
    changed = subscriber.update_subscription(
        subscription={"name": name, "ack_deadline_seconds": 30, "labels": {"team": "films"}},
        update_mask=field_mask_pb2.FieldMask(paths=["ack_deadline_seconds", "labels", "retry_policy"]),
    )
    assert changed.ack_deadline_seconds == 30
    assert dict(changed.labels) == {"team": "films"}
    assert not changed.push_config.push_endpoint
    assert "retry_policy" not in changed
    assert changed.filter == "attributes:colour"


def test_topics_and_subscriptions_are_listed_and_deleted(publisher, subscriber, topic, subscription):
    project = "projects/another-project"
    for number in range(5):
        publisher.create_topic(name=f"{project}/topics/listed-{number}")
    names = [each.name for each in publisher.list_topics(request={"project": project, "page_size": 2})]
    assert names == [f"{project}/topics/listed-{number}" for number in range(5)]
    assert list(publisher.list_topic_subscriptions(topic=topic)) == [subscription]
    assert subscription in {each.name for each in subscriber.list_subscriptions(project=PROJECT)}

    publisher.update_topic(
        topic={"name": topic, "labels": {"team": "news"}}, update_mask=field_mask_pb2.FieldMask(paths=["labels"])
    )
    assert dict(publisher.get_topic(topic=topic).labels) == {"team": "news"}
    publisher.delete_topic(topic=topic)
    assert subscriber.get_subscription(subscription=subscription).topic == "_deleted-topic_"
    subscriber.delete_subscription(subscription=subscription)
    with pytest.raises(exceptions.NotFound):
        publisher.get_topic(topic=topic)
    with pytest.raises(exceptions.NotFound):
        subscriber.get_subscription(subscription=subscription)


def test_seeking_empties_a_subscription(publisher, subscriber, topic, subscription):
    publisher.publish(topic, b"old").result(timeout=LAST_LIMIT)
    subscriber.seek(request={"subscription": subscription, "time": datetime.now(UTC) + timedelta(seconds=1)})
    publisher.publish(topic, b"new").result(timeout=LAST_LIMIT)
    assert [each.message.data for each in pull_all(subscriber, subscription, 1)] == [b"new"]


def test_a_detached_subscription_cannot_be_pulled(publisher, subscriber, topic, subscription):
    publisher.detach_subscription(request={"subscription": subscription})
    assert subscriber.get_subscription(subscription=subscription).detached
    assert list(publisher.list_topic_subscriptions(topic=topic)) == []
    with pytest.raises(exceptions.FailedPrecondition):
        subscriber.pull(subscription=subscription, max_messages=1, timeout=LAST_LIMIT)


def test_exactly_once_delivery_reports_whether_an_acknowledgement_is_valid(publisher, subscriber, topic):
    subscription = topic.replace("/topics/", "/subscriptions/")
    settings = {"name": subscription, "topic": topic, "enable_exactly_once_delivery": True}
    subscriber.create_subscription(request=settings)
    publisher.publish(topic, b"x").result(timeout=LAST_LIMIT)
    outcomes: list = []
    reported = threading.Event()

    def take(message):
        outcomes.append(message.ack_with_response().result(timeout=LAST_LIMIT))
        request = {"subscription": subscription, "ack_ids": [message.ack_id]}
        with pytest.raises(exceptions.InvalidArgument) as refused:
            subscriber.acknowledge(request=request)
        [details] = refused.value.details
        outcomes.append(dict(details.metadata) == {message.ack_id: "PERMANENT_FAILURE_INVALID_ACK_ID"})
        reported.set()

    streaming = subscriber.subscribe(subscription, take)
    assert reported.wait(LAST_LIMIT)
    streaming.cancel()
    streaming.result(timeout=LAST_LIMIT)
    assert outcomes == [AcknowledgeStatus.SUCCESS, True]


def test_a_stream_ends_when_its_subscription_is_deleted(subscriber, topic, subscription):
    streaming = subscriber.subscribe(subscription, lambda message: message.ack())
    subscriber.delete_subscription(subscription=subscription)
    with pytest.raises(exceptions.NotFound):
        streaming.result(timeout=LAST_LIMIT)


def test_a_message_of_nearly_ten_megabytes_is_received(publisher, channel, topic, subscription):
    data = b"x" * 9_900_000
    publisher.publish(topic, data).result(timeout=LAST_LIMIT)
    subscriber = google.pubsub_v1.SubscriberClient(transport=SubscriberGrpcTransport(channel=channel))
    (received,) = pull_all(subscriber, subscription, 1)
    assert received.message.data == data


def test_large_messages_are_received_in_responses_within_the_clients_limit(publisher, subscriber, topic, subscription):
    for _ in range(8):
        publisher.publish(topic, b"x" * 1_000_000).result(timeout=LAST_LIMIT)
    assert len(pull_all(subscriber, subscription, 8)) == 8


def test_a_request_beyond_ten_megabytes_is_rejected(plain_publisher, topic):
    with pytest.raises(exceptions.InvalidArgument, match="payload size exceeds the limit"):
        plain_publisher.publish(topic=topic, messages=[{"data": b"x" * 10_600_000}])


@pytest.mark.parametrize(
    "message",
    [
        pytest.param({}, id="empty"),
        pytest.param({"attributes": {"k" * 257: "v"}}, id="long key"),
        pytest.param({"attributes": {"k": "v" * 1025}}, id="long value"),
        pytest.param({"attributes": {f"k{number}": "v" for number in range(101)}}, id="many attributes"),
        pytest.param({"data": b"x", "ordering_key": "k" * 1025}, id="long ordering key"),
    ],
)
def test_a_message_beyond_the_limits_is_rejected(publisher, plain_publisher, message):
    topic = f"{PROJECT}/topics/limits"
    if topic not in {each.name for each in publisher.list_topics(project=PROJECT)}:
        publisher.create_topic(name=topic)
    with pytest.raises(exceptions.InvalidArgument):
        plain_publisher.publish(topic=topic, messages=[message])


def test_missing_and_existing_resources_are_reported_in_the_words_of_the_service(
    publisher, subscriber, topic, subscription
):
    missing = topic + "-missing"
    with pytest.raises(exceptions.AlreadyExists, match=r"Resource already exists in the project \(resource="):
        publisher.create_topic(name=topic)
    with pytest.raises(exceptions.AlreadyExists):
        subscriber.create_subscription(name=subscription, topic=topic)
    with pytest.raises(exceptions.NotFound, match=r"Resource not found \(resource=.*-missing\)"):
        publisher.publish(missing, b"x").result(timeout=LAST_LIMIT)
    with pytest.raises(exceptions.NotFound):
        subscriber.create_subscription(name=subscription + "-2", topic=missing)
    with pytest.raises(exceptions.NotFound):
        subscriber.pull(subscription=subscription + "-2", max_messages=1, timeout=LAST_LIMIT)
    with pytest.raises(exceptions.NotFound):
        subscriber.acknowledge(subscription=subscription + "-2", ack_ids=["1"])


@pytest.mark.parametrize("identity", ["ab", "1abc", "goog-topic", "a" * 256, "a b c"])
def test_an_invalid_name_is_rejected(publisher, identity):
    with pytest.raises(exceptions.InvalidArgument, match="Invalid resource name given"):
        publisher.create_topic(name=f"{PROJECT}/topics/{identity}")


@pytest.mark.parametrize(
    "settings",
    [
        {"ack_deadline_seconds": 5},
        {"ack_deadline_seconds": 601},
        {"filter": "colour is green"},
        {"retry_policy": {"minimum_backoff": {"seconds": 20}, "maximum_backoff": {"seconds": 10}}},
        {"dead_letter_policy": {"dead_letter_topic": f"{PROJECT}/topics/any", "max_delivery_attempts": 4}},
        {"push_config": {"push_endpoint": "not a url"}},
        {"message_retention_duration": {"seconds": 60}},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_an_invalid_subscription_is_rejected(subscriber, topic, settings):
    name = f"{PROJECT}/subscriptions/never"
    with pytest.raises(exceptions.InvalidArgument):
        subscriber.create_subscription(request={"name": name, "topic": topic, **settings})


def test_a_subscription_without_a_name_gets_one(publisher, subscriber, topic):
    created = subscriber.create_subscription(request={"topic": topic})
    assert created.name.startswith(f"{PROJECT}/subscriptions/")
    assert list(publisher.list_topic_subscriptions(topic=topic)) == [created.name]


def test_batches_of_many_publishers_are_all_received(pubsub, subscriber, topic, subscription):
    def publish(client):
        for future in [client.publish(topic, b"x") for _ in range(100)]:
            future.result(timeout=LAST_LIMIT)

    with led_to(pubsub):
        clients = [pubsub_v1.PublisherClient(BatchSettings(max_messages=7)) for _ in range(4)]
    threads = [threading.Thread(target=publish, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for client in clients:
        client.stop()
    assert len({each.message.message_id for each in pull_all(subscriber, subscription, 400)}) == 400
