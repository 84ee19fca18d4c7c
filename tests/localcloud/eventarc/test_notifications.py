"""Notification configurations: events of objects become messages of a topic, through Google's own Python client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage as google_storage

from localcloud.base.clock import SystemClock
from localcloud.base.http import HttpServer
from localcloud.eventarc.notifications import publish_notifications
from localcloud.pubsub.broker.broker import Broker
from localcloud.pubsub.broker.messages import Message
from localcloud.pubsub.broker.resources import Subscription
from localcloud.storage.service import Storage
from tests.waiting import LAST_LIMIT

PROJECT = "local-project"
TOPIC = f"projects/{PROJECT}/topics/drops"
SUBSCRIPTION = f"projects/{PROJECT}/subscriptions/drops"
CONFIGURATIONS = "/storage/v1/b/models/notificationConfigs"


class World:
    """Cloud Storage with one bucket, whose notifications go to a broker with one topic."""

    def __init__(self, directory: Path) -> None:
        self.broker = Broker(clock=SystemClock())
        self.broker.ensure_topic(TOPIC)
        self.broker.put_subscription(Subscription(SUBSCRIPTION, TOPIC))
        self.storage = Storage(directory, clock=SystemClock(), project=PROJECT, has_topic=self.broker.has_topic)
        publish_notifications(self.storage.store, self.broker)
        self.storage.store.ensure_bucket("models", settings={"softDeletePolicy": {"retentionDurationSeconds": 0}})
        self.server = HttpServer(self.storage.app)
        self.server.start()

    def bucket(self) -> google_storage.Bucket:
        options = {"api_endpoint": self.server.url}
        client = google_storage.Client(project=PROJECT, credentials=AnonymousCredentials(), client_options=options)
        return client.bucket("models")

    def messages(self) -> list[Message]:
        received = self.broker.pull(SUBSCRIPTION, 100)
        self.broker.acknowledge(SUBSCRIPTION, [each.ack_id for each in received])
        return [each.message for each in received]

    def stop(self) -> None:
        self.server.stop()
        self.storage.close()
        self.broker.close()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "storage")
    yield world
    world.stop()


def test_each_change_of_an_object_becomes_a_message_with_the_documented_attributes(world: World) -> None:
    bucket = world.bucket()
    bucket.notification(topic_name="drops", payload_format="JSON_API_V1", custom_attributes={"team": "films"}).create()
    blob = bucket.blob("shop/model.pb")
    blob.upload_from_string("one")
    first = blob.generation
    blob.metadata = {"by": "nightly"}
    blob.patch()
    blob.upload_from_string("two")
    second = blob.generation
    blob.delete()
    found = world.messages()
    kept = ("eventType", "objectGeneration", "overwroteGeneration", "overwrittenByGeneration")
    assert [tuple(message.attributes.get(name) for name in kept) for message in found] == [
        ("OBJECT_FINALIZE", str(first), None, None),
        ("OBJECT_METADATA_UPDATE", str(first), None, None),
        ("OBJECT_FINALIZE", str(second), str(first), None),
        ("OBJECT_DELETE", str(first), None, str(second)),
        ("OBJECT_DELETE", str(second), None, None),
    ]
    described = {name: value for name, value in found[0].attributes.items() if name not in (*kept, "eventTime")}
    assert described == {
        "bucketId": "models",
        "objectId": "shop/model.pb",
        "payloadFormat": "JSON_API_V1",
        "notificationConfig": "projects/_/buckets/models/notificationConfigs/1",
        "team": "films",
    }
    assert json.loads(found[1].data)["metadata"] == {"by": "nightly"}


def test_a_configuration_selects_events_by_type_and_name(world: World) -> None:
    bucket = world.bucket()
    bucket.versioning_enabled = True
    bucket.patch()
    bucket.notification(
        topic_name="drops", payload_format="NONE", event_types=["OBJECT_ARCHIVE"], blob_name_prefix="shop/"
    ).create()
    for name in ("shop/a", "other/a"):
        bucket.blob(name).upload_from_string("one")
        bucket.blob(name).upload_from_string("two")
    [message] = world.messages()
    assert (message.attributes["eventType"], message.attributes["objectId"]) == ("OBJECT_ARCHIVE", "shop/a")
    assert message.data == b""


def test_a_deleted_configuration_publishes_nothing_and_its_id_is_not_used_again(world: World) -> None:
    bucket = world.bucket()
    notification = bucket.notification(topic_name="drops")
    notification.create()
    assert [found.notification_id for found in bucket.list_notifications()] == ["1"]
    notification.delete()
    bucket.blob("a").upload_from_string("x")
    assert (world.messages(), list(bucket.list_notifications())) == ([], [])
    bucket.notification(topic_name="drops").create()
    assert [found.notification_id for found in bucket.list_notifications()] == ["2"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"topic": None},
        {"topic": "drops"},
        {"topic": f"//pubsub.googleapis.com/projects/{PROJECT}/topics/absent"},
        {"payload_format": None},
        {"payload_format": "XML"},
        {"event_types": ["OBJECT_FINALISE"]},
        {"custom_attributes": {"team": 1}},
        {"object_name_prefix": 1},
    ],
)
def test_a_wrong_configuration_is_refused(world: World, wrong: dict[str, Any]) -> None:
    right = {"topic": f"//pubsub.googleapis.com/{TOPIC}", "payload_format": "NONE"}
    url = f"{world.server.url}{CONFIGURATIONS}"
    assert requests.post(url, json=right | wrong, timeout=LAST_LIMIT).status_code == 400
    assert requests.get(url, timeout=LAST_LIMIT).json()["items"] == []
