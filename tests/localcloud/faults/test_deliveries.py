"""Deliveries of events to functions that come twice, late, out of order, again, or never, because a rule says so."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from localcloud.cloud import LocalCloud
from localcloud.config import CloudConfig
from localcloud.pubsub.messages import PublishedMessage
from tests.paths import SAMPLE_FUNCTIONS
from tests.waiting import LAST_LIMIT, wait_until

SMALL = SAMPLE_FUNCTIONS / "small"
PROJECT = "deliveries"
KEPT = f"{PROJECT}-kept"
TO_MESSAGES = {"service": "eventarc", "receiver": "keep_message"}


@pytest.fixture(scope="module")
def small() -> Iterator[LocalCloud]:
    """A local cloud with functions that keep what reaches them."""
    declaration = SMALL / "deploy" / "functions.yaml"
    small = LocalCloud(
        CloudConfig(project=PROJECT, source=SMALL, declaration=declaration, with_samples=False, with_schedules=False)
    )
    small.start()
    yield small
    small.stop()


@pytest.fixture
def order(small: LocalCloud) -> Iterator[Callable[..., None]]:
    """Orders faults over HTTP until the test ends."""

    # What another test has left to be delivered again would be counted here.
    small.functions.wait_until_ready()
    assert small.pubsub.broker.wait_until_idle(LAST_LIMIT)

    def order(*rules: dict[str, Any]) -> None:
        requests.post(f"{small.addresses.http}/faults", json=list(rules), timeout=LAST_LIMIT).raise_for_status()

    yield order
    requests.delete(f"{small.addresses.http}/faults", timeout=LAST_LIMIT).raise_for_status()


@pytest.fixture
def publish(small: LocalCloud, request: pytest.FixtureRequest) -> Callable[[str], None]:
    def publish(text: str) -> None:
        topic = f"projects/{PROJECT}/topics/watched"
        small.pubsub.broker.publish(topic, [PublishedMessage(text.encode(), {"test": request.node.name})])

    return publish


@pytest.fixture
def delivered(small: LocalCloud, request: pytest.FixtureRequest) -> Callable[[], list[str]]:
    """The data of the messages of this test that the function got, in the order that it kept them."""

    def delivered() -> list[str]:
        store = small.storage.store
        kept = sorted(store.list(KEPT, "messages/"), key=lambda stored: stored.generation)
        messages = [json.loads(store.read(KEPT, stored.name))["data"]["message"] for stored in kept]
        ours = [message for message in messages if message["attributes"]["test"] == request.node.name]
        return [base64.b64decode(message["data"]).decode() for message in ours]

    return delivered


def test_a_duplicate_is_delivered_twice(
    order: Callable[..., None],
    publish: Callable[[str], None],
    delivered: Callable[[], list[str]],
) -> None:
    order({**TO_MESSAGES, "nth": 1, "do": {"duplicate": True}})
    publish("twice")
    wait_until(lambda: delivered() == ["twice", "twice"])


def test_a_lost_acknowledgement_brings_the_event_again(
    order: Callable[..., None],
    publish: Callable[[str], None],
    delivered: Callable[[], list[str]],
) -> None:
    order({**TO_MESSAGES, "times": 2, "do": {"lose_acknowledgement": True}})
    publish("again")
    wait_until(lambda: delivered() == ["again"] * 3)


def test_a_delayed_event_comes_late(
    order: Callable[..., None],
    publish: Callable[[str], None],
    delivered: Callable[[], list[str]],
) -> None:
    order({**TO_MESSAGES, "nth": 1, "do": {"delay_seconds": 1}})
    begun = time.monotonic()
    publish("late")
    wait_until(lambda: delivered() == ["late"])
    assert time.monotonic() - begun >= 1


def test_a_reordered_event_lets_others_go_first(
    order: Callable[..., None],
    publish: Callable[[str], None],
    delivered: Callable[[], list[str]],
) -> None:
    order({**TO_MESSAGES, "nth": 1, "do": {"reorder": 2}})
    publish("first")
    publish("second")
    publish("third")
    assert wait_until(lambda: len(delivered()) == 3 and delivered())[-1] == "first"


def test_a_dropped_event_never_comes(
    order: Callable[..., None],
    publish: Callable[[str], None],
    delivered: Callable[[], list[str]],
    small: LocalCloud,
) -> None:
    order({**TO_MESSAGES, "nth": 1, "do": {"drop": True}})
    publish("lost")
    publish("kept")
    wait_until(lambda: delivered() == ["kept"])
    assert small.pubsub.broker.wait_until_idle(LAST_LIMIT)
    assert delivered() == ["kept"]


def test_an_event_that_is_answered_with_a_status_does_not_reach_the_function_and_comes_again(
    order: Callable[..., None],
    publish: Callable[[str], None],
    delivered: Callable[[], list[str]],
    small: LocalCloud,
) -> None:
    order({**TO_MESSAGES, "times": 2, "do": {"status": 503}})
    publish("refused")
    wait_until(lambda: delivered() == ["refused"])
    assert small.pubsub.broker.wait_until_idle(LAST_LIMIT)
    assert delivered() == ["refused"]
    assert small.faults.describe()[0]["matched"] == 3


def test_an_event_that_is_always_answered_with_a_status_goes_to_the_dead_letters(
    order: Callable[..., None],
    publish: Callable[[str], None],
    delivered: Callable[[], list[str]],
    small: LocalCloud,
) -> None:
    order({**TO_MESSAGES, "do": {"status": 500}})
    publish("never taken")
    hold = f"projects/{PROJECT}/subscriptions/dead-hold"
    [received] = wait_until(lambda: small.pubsub.broker.pull(hold, 1, wait_seconds=0))
    assert received.message.data == b"never taken"
    assert small.faults.describe()[0]["applied"] == 5
    assert delivered() == []
    small.pubsub.broker.acknowledge(hold, [received.ack_id])


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ('{"caller": "nobody", "do": {"kill": true}}', "`caller` is one of keep_object, keep_message, keep_call, not"),
        ('{"receiver": "keep_call", "do": {"drop": true}}', "`receiver` is one of keep_object, keep_message, not"),
        ('{"rate": NaN, "do": {"status": 503}}', "`rate` is a number from 0 to 1, not nan"),
        ('{"do": {"delay_seconds": Infinity}}', "`do.delay_seconds` is a number from 0 to"),
    ],
)
def test_a_rule_that_cannot_be_meant_is_refused_and_the_others_can_be_read(
    small: LocalCloud, rule: str, message: str
) -> None:
    url = f"{small.addresses.http}/faults"
    refused = requests.post(url, data=rule, timeout=LAST_LIMIT)
    assert refused.status_code == 400
    assert message in refused.json()["error"]["message"]
    assert requests.get(url, timeout=LAST_LIMIT).json() == {"faults": []}


def test_a_rule_about_one_receiver_leaves_the_others_alone(order: Callable[..., None], small: LocalCloud) -> None:
    order({**TO_MESSAGES, "do": {"drop": True}})
    small.storage.store.write(f"{PROJECT}-watched", "an object", b"x")
    wait_until(lambda: small.storage.store.list(KEPT, "objects/"))
    assert small.faults.describe()[0]["applied"] == 0


def test_a_function_that_is_killed_at_every_attempt_leaves_its_event_to_the_dead_letters(
    order: Callable[..., None], publish: Callable[[str], None], small: LocalCloud
) -> None:
    order({"caller": "keep_message", "method": "storage.objects.insert", "do": {"kill": True}})
    publish("poison")
    hold = f"projects/{PROJECT}/subscriptions/dead-hold"
    [received] = wait_until(lambda: small.pubsub.broker.pull(hold, 1, wait_seconds=0))
    assert received.message.data == b"poison"
    # An attempt that finds the function still starting counts too, and meets no rule.
    assert 1 <= small.faults.describe()[0]["applied"] <= 5
