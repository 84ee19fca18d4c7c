"""Delivery of events of the local Cloud Storage and Pub/Sub to a function."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from localcloud.base.clock import SystemClock
from localcloud.eventarc.service import Eventarc
from localcloud.pubsub.broker.messages import PublishedMessage
from localcloud.pubsub.broker.resources import RetryPolicy, Subscription
from localcloud.pubsub.service import PubSub
from localcloud.storage.rules.resources import DELETED, FINALIZED
from localcloud.storage.service import Storage
from tests.localcloud.receiver import Receiver
from tests.paths import EVENTS
from tests.waiting import LAST_LIMIT

PROJECT = "local-project"
TOPIC = f"projects/{PROJECT}/topics/modeldrop-predict"
DEAD = f"projects/{PROJECT}/topics/modeldrop-dead-letters"
HOLD = f"projects/{PROJECT}/subscriptions/modeldrop-dead-letters-hold"
RETRY = RetryPolicy(0.01, 0.05, 3, DEAD)
CAPTURES = EVENTS


class World:
    """Cloud Storage, Pub/Sub and Eventarc, connected as in the local cloud."""

    def __init__(self, directory: Path) -> None:
        clock = SystemClock()
        self.storage = Storage(directory / "storage", clock=clock, project=PROJECT)
        self.pubsub = PubSub(clock=clock, project=PROJECT, directory=directory / "pubsub")
        self.eventarc = Eventarc(
            self.pubsub.broker, self.storage.store, clock=clock, project=PROJECT, location="us-central1"
        )
        self.store = self.storage.store
        self.broker = self.pubsub.broker
        self.broker.ensure_topic(TOPIC)
        self.broker.ensure_topic(DEAD)
        self.broker.put_subscription(Subscription(HOLD, DEAD))
        self.pubsub.start()

    def stop(self) -> None:
        self.pubsub.stop()
        self.store.close()


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    yield world
    world.stop()


@pytest.fixture
def function():
    with Receiver() as receiver:
        yield receiver


def connect_models(world: World, function: Receiver, *, event_type: str = FINALIZED) -> None:
    world.store.ensure_bucket("models")
    world.eventarc.connect_storage(
        "import-model", event_type=event_type, bucket="models", url=function.url, retry=RETRY
    )


def connect_predict(world: World, function: Receiver) -> None:
    world.eventarc.connect_topic("predict", topic=TOPIC, url=function.url, retry=RETRY)


def test_a_written_object_becomes_the_documented_event(world, function):
    connect_models(world, function)
    stored = world.store.write("models", "shop/tagger/1/saved_model.pb", b"graph", metadata={"by": "nightly"})
    (request,) = function.wait_for(1)
    assert request.method == "POST"
    assert request.path == "/"
    event = {name: value for name, value in request.headers.items() if name.startswith("ce-")}
    assert event.pop("ce-id").isdecimal()
    assert event == {
        "ce-source": "//storage.googleapis.com/projects/_/buckets/models",
        "ce-specversion": "1.0",
        "ce-type": "google.cloud.storage.object.v1.finalized",
        "ce-time": request.json["updated"],
        "ce-subject": "objects/shop/tagger/1/saved_model.pb",
        "ce-bucket": "models",
    }
    assert request.headers["content-type"] == "application/json"
    assert request.json == stored.resource()
    assert world.broker.wait_until_idle(LAST_LIMIT)


@pytest.mark.parametrize("capture", sorted(CAPTURES.glob("storage_finalized_s*.json")), ids=lambda path: path.stem)
def test_an_event_has_the_fields_of_a_captured_one(world, function, capture):
    captured = json.loads(capture.read_text())
    connect_models(world, function)
    world.store.write("models", captured["body"]["name"], b"graph")
    (request,) = function.wait_for(1)
    assert {name.lower() for name in captured["headers"]} <= set(request.headers)
    assert set(captured["body"]) <= set(request.json)
    assert {key: type(value) for key, value in captured["body"].items()} == {
        key: type(request.json[key]) for key in captured["body"]
    }


@pytest.mark.parametrize(
    ("name", "subject"),
    [
        ("a folder/", "objects/a folder/"),
        ("modèle/größe.pb", "objects/mod%C3%A8le/gr%C3%B6%C3%9Fe.pb"),
        ("100%/tab\there", "objects/100%25/tab%09here"),
    ],
)
def test_an_event_contains_any_object_name(world, function, name, subject):
    connect_models(world, function)
    world.store.write("models", name, b"x")
    (request,) = function.wait_for(1)
    assert request.headers["ce-subject"] == subject
    assert request.json["name"] == name


def test_only_events_of_the_bucket_and_type_of_the_trigger_are_delivered(world, function):
    connect_models(world, function)
    world.store.ensure_bucket("outputs")
    world.store.write("outputs", "a", b"x")
    world.store.write("models", "b", b"x")
    world.store.write("models", "c", b"x")
    assert world.broker.wait_until_idle(LAST_LIMIT)
    assert sorted(request.json["name"] for request in function.requests) == ["b", "c"]


def test_a_deletion_is_delivered_by_its_own_trigger(world, function):
    connect_models(world, function, event_type=DELETED)
    world.store.write("models", "a", b"x")
    world.store.delete("models", "a")
    (request,) = function.wait_for(1)
    assert request.headers["ce-type"] == "google.cloud.storage.object.v1.deleted"
    assert world.broker.wait_until_idle(LAST_LIMIT)
    assert len(function.requests) == 1


def test_overwriting_an_object_sends_another_event(world, function):
    connect_models(world, function)
    world.store.write("models", "a", b"x")
    world.store.write("models", "a", b"y")
    first, second = function.wait_for(2)
    assert first.headers["ce-id"] != second.headers["ce-id"]
    assert first.json["generation"] != second.json["generation"]


def test_a_published_message_becomes_the_documented_event(world, function):
    connect_predict(world, function)
    (identity,) = world.broker.publish(TOPIC, [PublishedMessage(b'{"model": "m"}', {"source": "nightly"}, "key")])
    (request,) = function.wait_for(1)
    moment = request.json["message"]["publishTime"]
    event = {name: value for name, value in request.headers.items() if name.startswith("ce-")}
    assert event == {
        "ce-id": identity,
        "ce-source": f"//pubsub.googleapis.com/{TOPIC}",
        "ce-specversion": "1.0",
        "ce-type": "google.cloud.pubsub.topic.v1.messagePublished",
        "ce-time": moment,
    }
    assert request.json == {
        "message": {
            "attributes": {"source": "nightly"},
            "data": base64.b64encode(b'{"model": "m"}').decode(),
            "messageId": identity,
            "message_id": identity,
            "orderingKey": "key",
            "publishTime": moment,
            "publish_time": moment,
        },
        "subscription": world.eventarc.subscription_name("predict"),
        "deliveryAttempt": 1,
    }


def test_the_subscription_of_a_trigger_is_named_as_in_the_real_service(world, function):
    connect_predict(world, function)
    name = world.eventarc.subscription_name("predict")
    assert name.startswith(f"projects/{PROJECT}/subscriptions/eventarc-us-central1-predict-sub-")
    settings = world.broker.subscription(name)
    assert settings.topic == TOPIC
    assert settings.message_retention_seconds == 24 * 60 * 60


def test_a_refused_event_is_delivered_again_with_the_same_id(world, function):
    function.answer = lambda request: 500 if len(function.requests) < 3 else 204
    connect_models(world, function)
    world.store.write("models", "a", b"x")
    assert world.broker.wait_until_idle(LAST_LIMIT)
    assert len(function.requests) == 3
    assert len({request.headers["ce-id"] for request in function.requests}) == 1


def test_a_storage_event_is_complete_in_its_dead_letter(world, function):
    function.answer = lambda request: 500
    connect_models(world, function)
    stored = world.store.write("models", "shop/tagger/1/saved_model.pb", b"graph")
    assert world.broker.wait_until_idle(LAST_LIMIT)
    assert len(function.requests) == 3
    (letter,) = world.broker.pull(HOLD, 10)
    attributes = letter.message.attributes
    assert attributes["ce-type"] == FINALIZED
    assert attributes["ce-source"] == "//storage.googleapis.com/projects/_/buckets/models"
    assert attributes["ce-subject"] == "objects/shop/tagger/1/saved_model.pb"
    assert attributes["ce-id"] == function.requests[0].headers["ce-id"]
    assert attributes["CloudPubSubDeadLetterSourceDeliveryCount"] == "3"
    assert json.loads(letter.message.data) == stored.resource()


def test_a_dead_letter_has_the_data_of_the_published_message(world, function):
    function.answer = lambda request: 400
    connect_predict(world, function)
    world.broker.publish(TOPIC, [PublishedMessage(b"poison", {"source": "nightly"})])
    assert world.broker.wait_until_idle(LAST_LIMIT)
    assert [request.json["deliveryAttempt"] for request in function.requests] == [1, 2, 3]
    (letter,) = world.broker.pull(HOLD, 10)
    assert letter.message.data == b"poison"
    assert letter.message.attributes["source"] == "nightly"
    assert letter.message.attributes["CloudPubSubDeadLetterSourceSubscription"].startswith(
        "eventarc-us-central1-predict"
    )


def test_events_that_were_not_delivered_before_a_restart_are_delivered_after_it(tmp_path):
    dead_function = Receiver()  # bound but not serving
    world = World(tmp_path)
    connect_models(world, dead_function)
    connect_predict(world, dead_function)
    world.store.write("models", "a", b"x")
    world.broker.publish(TOPIC, [PublishedMessage(b"b")])
    world.stop()
    dead_function.close()

    world = World(tmp_path)
    with Receiver() as function:
        connect_models(world, function)
        connect_predict(world, function)
        types = {request.headers["ce-type"] for request in function.wait_for(2)}
        assert types == {FINALIZED, "google.cloud.pubsub.topic.v1.messagePublished"}
        assert world.broker.wait_until_idle(LAST_LIMIT)
    world.stop()
