"""IAM policies of topics and subscriptions are kept, over gRPC and REST."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
import requests
from google.api_core import exceptions
from google.cloud import pubsub_v1
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport

from localcloud.base.clock import SystemClock
from localcloud.base.http import HttpServer
from localcloud.pubsub.service import PubSub
from tests.waiting import LAST_LIMIT

TOPIC = "projects/local-project/topics/orders"
PUBLISHERS = {"role": "roles/pubsub.publisher", "members": ["user:ada@example.com"]}
CONDITION = {"title": "by day", "expression": "request.time.getHours() < 18"}


@pytest.fixture(scope="module")
def service() -> Iterator[PubSub]:
    service = PubSub(clock=SystemClock(), project="local-project")
    service.start()
    yield service
    service.stop()


@pytest.fixture
def publisher(service: PubSub) -> Iterator[pubsub_v1.PublisherClient]:
    service.broker.ensure_topic(TOPIC)
    with grpc.insecure_channel(f"127.0.0.1:{service.port}") as channel:
        yield pubsub_v1.PublisherClient(transport=PublisherGrpcTransport(channel=channel))
    service.broker.delete_topic(TOPIC)


@pytest.fixture
def url(service: PubSub) -> Iterator[str]:
    server = HttpServer(service.app)
    server.start()
    yield f"{server.url}/v1/{TOPIC}"
    server.stop()


def test_a_policy_is_kept_until_its_topic_is_deleted(publisher: Any, url: str) -> None:
    empty = publisher.get_iam_policy(request={"resource": TOPIC})
    assert (list(empty.bindings), bool(empty.etag)) == ([], True)
    kept = publisher.set_iam_policy(request={"resource": TOPIC, "policy": {"bindings": [PUBLISHERS]}})
    read = requests.get(f"{url}:getIamPolicy?options.requestedPolicyVersion=3", timeout=LAST_LIMIT).json()
    assert read["bindings"] == [PUBLISHERS]
    assert publisher.get_iam_policy(request={"resource": TOPIC}) == kept
    publisher.delete_topic(topic=TOPIC)
    publisher.create_topic(name=TOPIC)
    assert list(publisher.get_iam_policy(request={"resource": TOPIC}).bindings) == []


@contextmanager
def served(directory: Path) -> Iterator[str]:
    """Serve Pub/Sub with the state in ``directory``; yield the address of the topic."""
    service = PubSub(clock=SystemClock(), project="local-project", directory=directory)
    server = HttpServer(service.app)
    server.start()
    try:
        yield f"{server.url}/v1/{TOPIC}"
    finally:
        server.stop()
        service.stop()


def test_a_policy_survives_a_restart_and_not_its_topic(tmp_path: Path) -> None:
    with served(tmp_path) as url:
        requests.put(url, json={}, timeout=LAST_LIMIT)
        policy = {"policy": {"bindings": [PUBLISHERS]}}
        kept = requests.post(f"{url}:setIamPolicy", json=policy, timeout=LAST_LIMIT).json()
    with served(tmp_path) as url:
        assert requests.get(f"{url}:getIamPolicy", timeout=LAST_LIMIT).json() == kept
        requests.delete(url, timeout=LAST_LIMIT)
    with served(tmp_path) as url:
        requests.put(url, json={}, timeout=LAST_LIMIT)
        assert "bindings" not in requests.get(f"{url}:getIamPolicy", timeout=LAST_LIMIT).json()


def test_a_policy_that_was_changed_meanwhile_is_not_replaced(publisher: Any, url: str) -> None:
    read = requests.get(f"{url}:getIamPolicy", timeout=LAST_LIMIT).json()
    publisher.set_iam_policy(request={"resource": TOPIC, "policy": {"bindings": [PUBLISHERS]}})
    late = requests.post(f"{url}:setIamPolicy", json={"policy": read}, timeout=LAST_LIMIT)
    assert (late.status_code, late.json()["error"]["status"]) == (409, "ABORTED")
    assert len(publisher.get_iam_policy(request={"resource": TOPIC}).bindings) == 1


@pytest.mark.parametrize(
    "policy",
    [
        {"bindings": [{"role": "publisher", "members": ["user:ada@example.com"]}]},
        {"bindings": [{"role": "roles/pubsub.publisher", "members": ["ada"]}]},
        {"bindings": [{**PUBLISHERS, "condition": CONDITION}]},
        {"version": 3, "bindings": [{**PUBLISHERS, "condition": {"title": "by day"}}]},
        {"version": 2},
    ],
)
def test_a_policy_that_cannot_be_is_refused(publisher: Any, policy: dict[str, Any]) -> None:
    with pytest.raises(exceptions.InvalidArgument):
        publisher.set_iam_policy(request={"resource": TOPIC, "policy": policy})


def test_the_caller_has_all_permissions_that_exist(publisher: Any, url: str) -> None:
    asked = {"permissions": ["pubsub.topics.publish"]}
    answer = requests.post(f"{url}:testIamPermissions", json=asked, timeout=LAST_LIMIT)
    assert answer.json() == asked
    with pytest.raises(exceptions.InvalidArgument):
        publisher.test_iam_permissions(request={"resource": TOPIC, "permissions": ["publish"]})
    with pytest.raises(exceptions.NotFound):
        publisher.get_iam_policy(request={"resource": f"{TOPIC}-absent"})
