"""Fault rules on deliveries of events to functions: repeated, late, out of order, lost or refused."""

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
from localcloud.pubsub.broker.messages import PublishedMessage
from tests.paths import SAMPLE_FUNCTIONS
from tests.waiting import LAST_LIMIT, wait_until

SMALL = SAMPLE_FUNCTIONS / "small"
PROJECT = "deliveries"
KEPT = f"{PROJECT}-kept"
TO_MESSAGES = {"service": "eventarc", "receiver": "keep_message"}


@pytest.fixture(scope="module")
def small() -> Iterator[LocalCloud]:
    """A local cloud whose functions store the events that they receive."""
    declaration = SMALL / "deploy" / "functions.yaml"
    small = LocalCloud(
        CloudConfig(project=PROJECT, source=SMALL, declaration=declaration, with_samples=False, with_schedules=False)
    )
    small.start()
    yield small
    small.stop()


@pytest.fixture
def add_rules(small: LocalCloud) -> Iterator[Callable[..., None]]:
    """Adds fault rules over HTTP until the test ends."""

    # The rules must not count the retries of another test.
    small.functions.wait_until_ready()
    assert small.pubsub.broker.wait_until_idle(LAST_LIMIT)

    def add_rules(*rules: dict[str, Any]) -> None:
        requests.post(f"{small.addresses.http}/faults", json=list(rules), timeout=LAST_LIMIT).raise_for_status()

    yield add_rules
    requests.delete(f"{small.addresses.http}/faults", timeout=LAST_LIMIT).raise_for_status()


@pytest.fixture
def publish(small: LocalCloud, request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Publishes a message of this test to the topic that the function receives."""

    def publish(text: str) -> None:
        topic = f"projects/{PROJECT}/topics/watched"
        small.pubsub.broker.publish(topic, [PublishedMessage(text.encode(), {"test": request.node.name})])

    return publish


@pytest.fixture
def delivered(small: LocalCloud, request: pytest.FixtureRequest) -> Callable[[], list[str]]:
    """Returns the data of the messages of this test that the function received, in the order of storing them."""

    def delivered() -> list[str]:
        store = small.storage.store
        kept = sorted(store.list(KEPT, "messages/"), key=lambda stored: stored.generation)
        messages = [json.loads(store.read(KEPT, stored.name))["data"]["message"] for stored in kept]
        ours = [message for message in messages if message["attributes"]["test"] == request.node.name]
        return [base64.b64decode(message["data"]).decode() for message in ours]

    return delivered


@pytest.mark.long
def test_a_duplicate_is_delivered_twice(
    add_rules: Callable[..., None],
    publish: Callable[[str], None],
    delivered: Callable[[], list[str]],
) -> None:
    add_rules({**TO_MESSAGES, "nth": 1, "do": {"duplicate": True}})
    publish("twice")
    wait_until(lambda: delivered() == ["twice", "twice"])


def test_an_event_whose_acknowledgement_is_lost_is_delivered_again(
    add_rules: Callable[..., None],
    publish: Callable[[str], None],
    delivered: Callable[[], list[str]],
) -> None:
    add_rules({**TO_MESSAGES, "times": 2, "do": {"lose_acknowledgement": True}})
    publish("again")
    wait_until(lambda: delivered() == ["again"] * 3)


def test_a_delayed_event_is_delivered_after_the_delay(
    add_rules: Callable[..., None],
    publish: Callable[[str], None],
    delivered: Callable[[], list[str]],
) -> None:
    add_rules({**TO_MESSAGES, "nth": 1, "do": {"delay_seconds": 1}})
    begun = time.monotonic()
    publish("late")
    wait_until(lambda: delivered() == ["late"])
    assert time.monotonic() - begun >= 1


def test_a_reordered_event_is_delivered_after_later_ones(
    add_rules: Callable[..., None],
    publish: Callable[[str], None],
    delivered: Callable[[], list[str]],
) -> None:
    add_rules({**TO_MESSAGES, "nth": 1, "do": {"reorder": 2}})
    publish("first")
    publish("second")
    publish("third")
    assert wait_until(lambda: len(delivered()) == 3 and delivered())[-1] == "first"


def test_a_dropped_event_is_never_delivered(
    add_rules: Callable[..., None],
    publish: Callable[[str], None],
    delivered: Callable[[], list[str]],
    small: LocalCloud,
) -> None:
    add_rules({**TO_MESSAGES, "nth": 1, "do": {"drop": True}})
    publish("lost")
    publish("kept")
    wait_until(lambda: delivered() == ["kept"])
    assert small.pubsub.broker.wait_until_idle(LAST_LIMIT)
    assert delivered() == ["kept"]


def test_an_event_that_a_status_rule_refuses_is_retried_until_it_reaches_the_function(
    add_rules: Callable[..., None],
    publish: Callable[[str], None],
    delivered: Callable[[], list[str]],
    small: LocalCloud,
) -> None:
    add_rules({**TO_MESSAGES, "times": 2, "do": {"status": 503}})
    publish("refused")
    wait_until(lambda: delivered() == ["refused"])
    assert small.pubsub.broker.wait_until_idle(LAST_LIMIT)
    assert delivered() == ["refused"]
    assert small.faults.describe()[0]["matched"] == 3


def test_an_event_that_a_status_rule_always_refuses_becomes_a_dead_letter(
    add_rules: Callable[..., None],
    publish: Callable[[str], None],
    delivered: Callable[[], list[str]],
    small: LocalCloud,
) -> None:
    add_rules({**TO_MESSAGES, "do": {"status": 500}})
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
        (
            '{"caller": "nobody", "do": {"kill": true}}',
            "`caller` must be one of keep_object, keep_message, keep_call, not",
        ),
        ('{"receiver": "keep_call", "do": {"drop": true}}', "`receiver` must be one of keep_object, keep_message, not"),
        ('{"rate": NaN, "do": {"status": 503}}', "`rate` must be a number from 0 to 1, not nan"),
        ('{"do": {"delay_seconds": Infinity}}', "`do.delay_seconds` must be a number from 0 to"),
    ],
)
def test_an_invalid_rule_is_rejected_and_the_list_of_rules_stays_readable(
    small: LocalCloud, rule: str, message: str
) -> None:
    url = f"{small.addresses.http}/faults"
    rejected = requests.post(url, data=rule, timeout=LAST_LIMIT)
    assert rejected.status_code == 400
    assert message in rejected.json()["error"]["message"]
    assert requests.get(url, timeout=LAST_LIMIT).json() == {"faults": []}


def test_a_rule_about_one_receiver_does_not_apply_to_others(add_rules: Callable[..., None], small: LocalCloud) -> None:
    add_rules({**TO_MESSAGES, "do": {"drop": True}})
    small.storage.store.write(f"{PROJECT}-watched", "an object", b"x")
    wait_until(lambda: small.storage.store.list(KEPT, "objects/"))
    assert small.faults.describe()[0]["applied"] == 0


def test_an_event_whose_function_is_killed_at_every_attempt_becomes_a_dead_letter(
    add_rules: Callable[..., None], publish: Callable[[str], None], small: LocalCloud
) -> None:
    add_rules({"caller": "keep_message", "method": "storage.objects.insert", "do": {"kill": True}})
    publish("poison")
    hold = f"projects/{PROJECT}/subscriptions/dead-hold"
    [received] = wait_until(lambda: small.pubsub.broker.pull(hold, 1, wait_seconds=0))
    assert received.message.data == b"poison"
    # An attempt while the function is still starting counts too, but no rule applies to it.
    assert 1 <= small.faults.describe()[0]["applied"] <= 5
