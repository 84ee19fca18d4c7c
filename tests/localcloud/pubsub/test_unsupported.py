"""What the local Pub/Sub does not do is refused by name, and what is malformed is refused with the documented code."""

from __future__ import annotations

import re

import grpc
import pytest
from google.api_core import exceptions
from google.cloud import pubsub_v1
from google.iam.v1 import iam_policy_pb2
from google.pubsub_v1 import StreamingPullRequest
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from google.pubsub_v1.services.schema_service import SchemaServiceClient
from google.pubsub_v1.services.schema_service.transports import SchemaServiceGrpcTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

from localcloud.apis.discovery import read_document
from localcloud.base.clock import SystemClock
from localcloud.pubsub.api.unsupported import KEPT_FIELDS, KEPT_PARAMETERS, UNSUPPORTED_FIELDS, UNSUPPORTED_METHODS
from localcloud.pubsub.service import PubSub
from tests.paths import ROOT

PROJECT = "projects/local-project"
TOPIC = f"{PROJECT}/topics/orders"
SUBSCRIPTION = f"{PROJECT}/subscriptions/all"

SOURCES = "".join(
    path.read_text() for path in (ROOT / "localcloud/pubsub").rglob("*.py") if path.name != "unsupported.py"
)
VALUES = {
    "ingestion_data_source_settings": {"aws_kinesis": {"stream_arn": "a"}},
    "kms_key_name": "projects/p/locations/l/keyRings/r/cryptoKeys/k",
    "message_retention_duration": {"seconds": 3600},
    "message_storage_policy": {"allowed_persistence_regions": ["us-central1"]},
    "message_transforms": [{"javascript_udf": {"function_name": "f", "code": "c"}}],
    "schema_settings": {"schema": f"{PROJECT}/schemas/s"},
    "tags": {"a": "b"},
    "bigquery_config": {"table": "p.d.t"},
    "bigtable_config": {"table": "t"},
    "cloud_storage_config": {"bucket": "b"},
}


@pytest.fixture(scope="module")
def channel():
    service = PubSub(clock=SystemClock(), project="local-project")
    service.start()
    with grpc.insecure_channel(f"127.0.0.1:{service.port}") as opened:
        yield opened
    service.stop()


@pytest.fixture(scope="module")
def publisher(channel):
    client = pubsub_v1.PublisherClient(transport=PublisherGrpcTransport(channel=channel))
    client.create_topic(name=TOPIC)
    yield client
    client.stop()


@pytest.fixture(scope="module")
def subscriber(channel, publisher):
    client = pubsub_v1.SubscriberClient(transport=SubscriberGrpcTransport(channel=channel))
    client.create_subscription(name=SUBSCRIPTION, topic=TOPIC)
    return client


@pytest.mark.parametrize("field", UNSUPPORTED_FIELDS["Topic"])
def test_a_field_of_a_topic_that_is_not_carried_out_is_refused_by_name(publisher, field):
    with pytest.raises(exceptions.MethodNotImplemented, match=field):
        publisher.create_topic(request={"name": f"{TOPIC}-2", field: VALUES[field]})
    with pytest.raises(exceptions.MethodNotImplemented, match=field):
        publisher.update_topic(topic={"name": TOPIC, field: VALUES[field]}, update_mask={"paths": [field]})
    assert [topic.name for topic in publisher.list_topics(project=PROJECT)] == [TOPIC]


@pytest.mark.parametrize("field", UNSUPPORTED_FIELDS["Subscription"])
def test_a_field_of_a_subscription_that_is_not_carried_out_is_refused_by_name(subscriber, field):
    with pytest.raises(exceptions.MethodNotImplemented, match=field):
        subscriber.create_subscription(request={"name": f"{SUBSCRIPTION}-2", "topic": TOPIC, field: VALUES[field]})
    assert [each.name for each in subscriber.list_subscriptions(project=PROJECT)] == [SUBSCRIPTION]


def test_methods_that_are_not_here_are_refused_by_name(channel, publisher, subscriber):
    schemas = SchemaServiceClient(transport=SchemaServiceGrpcTransport(channel=channel))
    policy = iam_policy_pb2.GetIamPolicyRequest(resource=f"{PROJECT}/snapshots/s")
    for call, name in (
        (lambda: schemas.list_schemas(parent=PROJECT), "schemas"),
        (lambda: subscriber.create_snapshot(name=f"{PROJECT}/snapshots/s", subscription=SUBSCRIPTION), "snapshots"),
        (lambda: subscriber.list_snapshots(project=PROJECT), "snapshots"),
        (lambda: subscriber.seek({"subscription": SUBSCRIPTION, "snapshot": f"{PROJECT}/snapshots/s"}), "snapshots"),
        (lambda: publisher.get_iam_policy(request=policy), "snapshots"),
    ):
        with pytest.raises(exceptions.MethodNotImplemented, match=name):
            call()


@pytest.mark.parametrize(
    "labels",
    [
        {"Team": "news"},
        {"team": "News"},
        {"1team": "news"},
        {"_team": "news"},
        {"": "news"},
        {"team": "a b"},
        {"team": "x" * 64},
        {"t" * 64: "x"},
        {f"key{number}": "x" for number in range(65)},
    ],
)
def test_labels_that_cannot_be_are_refused(publisher, subscriber, labels):
    with pytest.raises(exceptions.InvalidArgument, match="label"):
        publisher.create_topic(request={"name": f"{TOPIC}-2", "labels": labels})
    with pytest.raises(exceptions.InvalidArgument, match="label"):
        subscriber.create_subscription(request={"name": f"{SUBSCRIPTION}-2", "topic": TOPIC, "labels": labels})


def test_labels_of_any_language_are_kept(publisher):
    labels = {"équipe": "été-1_x", "team": ""}
    assert publisher.create_topic(request={"name": f"{TOPIC}-labelled", "labels": labels}).labels == labels
    publisher.delete_topic(topic=f"{TOPIC}-labelled")


@pytest.mark.parametrize(
    "name", ["orders", "projects/p/topics/ab", "projects/p/subscriptions/orders", "projects/p/topics/goog1"]
)
def test_a_name_that_no_topic_can_have_is_an_invalid_argument(publisher, name):
    for call in (
        lambda: publisher.get_topic(topic=name),
        lambda: publisher.delete_topic(topic=name),
        lambda: publisher.list_topic_subscriptions(topic=name),
    ):
        with pytest.raises(exceptions.InvalidArgument, match="Invalid resource name"):
            call()


def test_pages_and_projects_are_checked(publisher, subscriber):
    for request in ({"project": PROJECT, "page_size": -1}, {"project": "local-project"}, {"project": ""}):
        with pytest.raises(exceptions.InvalidArgument, match=r"page size|project name"):
            publisher.list_topics(request=request)
        with pytest.raises(exceptions.InvalidArgument, match=r"page size|project name"):
            subscriber.list_subscriptions(request=request)


@pytest.mark.parametrize(
    "fields",
    [
        {"expiration_policy": {"ttl": {"seconds": 60}}},
        {"enable_exactly_once_delivery": True, "push_config": {"push_endpoint": "http://127.0.0.1/"}},
        {"expiration_policy": {"ttl": {}}},
        {"expiration_policy": {"ttl": {"seconds": 6 * 86_400}}},
        {"expiration_policy": {"ttl": {"seconds": 8 * 86_400, "nanos": 1}}},
        {"message_retention_duration": {"seconds": 600, "nanos": 500_000_000}},
        {"dead_letter_policy": {"max_delivery_attempts": 7}},
        {"push_config": {"oidc_token": {"service_account_email": "a@b"}}},
        {"push_config": {"push_endpoint": "http://127.0.0.1/", "oidc_token": {"audience": "a"}}},
        {"push_config": {"push_endpoint": "http://127.0.0.1/", "attributes": {"x-goog-version": "v1beta1"}}},
        {"push_config": {"push_endpoint": "http://127.0.0.1/", "attributes": {"other": "v1"}}},
    ],
)
def test_settings_of_a_subscription_that_cannot_be_are_refused(subscriber, fields):
    with pytest.raises(exceptions.InvalidArgument):
        subscriber.create_subscription(request={"name": f"{SUBSCRIPTION}-2", "topic": TOPIC, **fields})


@pytest.mark.parametrize(
    ("method", "fields", "message"),
    [
        ("acknowledge", {"ack_ids": []}, "not specified an ack ID"),
        ("acknowledge", {"ack_ids": ["nonsense"]}, "invalid ack ID"),
        ("modify_ack_deadline", {"ack_ids": [""], "ack_deadline_seconds": 10}, "invalid ack ID"),
        (
            "pull",
            {"max_messages": 0},
            "max_messages is too small. You passed 0 in the request, but the minimum value is 1",
        ),
        ("seek", {}, "No target"),
    ],
)
def test_a_request_that_cannot_be_is_refused_if_its_subscription_exists(subscriber, method, fields, message):
    with pytest.raises(exceptions.InvalidArgument, match=message):
        getattr(subscriber, method)(request={"subscription": SUBSCRIPTION, **fields})


@pytest.mark.parametrize(
    ("method", "fields"), [("acknowledge", {"ack_ids": ["nonsense"]}), ("seek", {"snapshot": f"{PROJECT}/snapshots/s"})]
)
def test_a_missing_subscription_is_reported_before_the_rest_of_the_request(subscriber, method, fields):
    with pytest.raises(exceptions.NotFound):
        getattr(subscriber, method)(request={"subscription": f"{SUBSCRIPTION}-2", **fields})


def test_an_expired_ack_id_is_accepted_without_exactly_once_delivery(subscriber):
    subscriber.acknowledge(subscription=SUBSCRIPTION, ack_ids=["1-1-0123456789abcdef"])


def test_a_dead_letter_topic_exists_when_a_subscription_gets_it(subscriber):
    policy = {"dead_letter_topic": f"{TOPIC}-missing", "max_delivery_attempts": 5}
    change = {"name": SUBSCRIPTION, "dead_letter_policy": policy}
    with pytest.raises(exceptions.NotFound):
        subscriber.update_subscription(subscription=change, update_mask={"paths": ["dead_letter_policy"]})
    assert "dead_letter_policy" not in subscriber.get_subscription(subscription=SUBSCRIPTION)


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ({"subscription": SUBSCRIPTION}, "first request"),
        ({"stream_ack_deadline_seconds": 5}, "must be 10 to 600"),
        ({"ack_ids": ["nonsense"]}, "invalid ack ID"),
        ({"modify_deadline_ack_ids": ["1-1-0123456789abcdef"], "modify_deadline_seconds": [601]}, "must be 0 to 600"),
        ({"modify_deadline_ack_ids": ["1-1-0123456789abcdef"]}, "differ in length"),
    ],
)
def test_a_wrong_request_ends_its_stream(subscriber, second, message):
    first = {"subscription": SUBSCRIPTION, "stream_ack_deadline_seconds": 10}
    stream = subscriber.streaming_pull(requests=iter([StreamingPullRequest(first), StreamingPullRequest(second)]))
    with pytest.raises(exceptions.InvalidArgument, match=message):
        list(stream)


@pytest.mark.parametrize(
    "kind",
    [
        "AcknowledgeRequest",
        "DeadLetterPolicy",
        "ExpirationPolicy",
        "ModifyAckDeadlineRequest",
        "ModifyPushConfigRequest",
        "OidcToken",
        "PublishRequest",
        "PubsubMessage",
        "PullRequest",
        "PushConfig",
        "RetryPolicy",
        "SeekRequest",
        "Subscription",
        "Topic",
        "UpdateSubscriptionRequest",
        "UpdateTopicRequest",
    ],
)
def test_each_field_of_a_request_is_read_or_listed(kind):
    listed = {**UNSUPPORTED_FIELDS.get(kind, {}), **KEPT_FIELDS.get(kind, {})}
    for name, described in read_document("pubsub.v1").schemas[kind]["properties"].items():
        field = re.sub("[A-Z]", lambda letter: f"_{letter[0].lower()}", name)
        text = described.get("description", "")
        refused_by_name = name == "snapshot"
        if field in listed or refused_by_name or "Output only" in text or "Reserved for future use" in text:
            continue
        assert re.search(rf'\.{field}\b|"{field}"', SOURCES), f"{kind}.{field}"


def test_the_page_lists_what_is_refused_and_what_is_only_kept():
    page = (ROOT / "docs/pubsub.md").read_text()
    fields = re.findall(r"^\| `(\w+)` \| `(\w+)` \| (.+) \|$", page, re.MULTILINE)
    assert fields == [
        (field, kind, name)
        for table in (KEPT_FIELDS, UNSUPPORTED_FIELDS)
        for kind, each in table.items()
        for field, name in each.items()
    ]
    others = dict(re.findall(r"^\| `(\S+)` \| ([^`|]+) \|$", page, re.MULTILINE))
    assert others == {**KEPT_PARAMETERS, **UNSUPPORTED_METHODS}
