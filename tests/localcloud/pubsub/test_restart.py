"""Pub/Sub after a restart, and after its process is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from localcloud.base.clock import ManualClock, SystemClock
from localcloud.pubsub.broker.broker import Broker
from localcloud.pubsub.broker.journal import DiskJournal
from localcloud.pubsub.broker.messages import PublishedMessage
from localcloud.pubsub.broker.resources import (
    Backoff,
    DeadLetterPolicy,
    PushTarget,
    Subscription,
)
from localcloud.pubsub.errors import NotFound
from localcloud.pubsub.service import PubSub
from tests.localcloud.receiver import Receiver
from tests.paths import ROOT
from tests.waiting import LAST_LIMIT

TOPIC = "projects/local-project/topics/orders"
SUBSCRIPTION = "projects/local-project/subscriptions/all"


def open_broker(directory: Path, clock: ManualClock) -> Broker:
    return Broker(clock=clock, journal=DiskJournal(directory))


@pytest.fixture
def clock():
    return ManualClock()


def test_a_filter_of_a_former_version_does_not_stop_the_others(tmp_path, clock, caplog):
    broker = open_broker(tmp_path, clock)
    broker.create_topic(TOPIC)
    for name in ("old", "new"):
        broker.put_subscription(Subscription(f"{SUBSCRIPTION}-{name}", TOPIC))
    broker.close()
    journal = DiskJournal(tmp_path)
    journal.save(f"{SUBSCRIPTION}-old", Subscription(f"{SUBSCRIPTION}-old", TOPIC, filter="attributes.a = b").record())
    journal.close()
    broker = open_broker(tmp_path, clock)
    assert [each.name for each in broker.subscriptions()] == [f"{SUBSCRIPTION}-new"]
    assert f"{SUBSCRIPTION}-old is not restored" in caplog.text
    broker.close()


def test_settings_survive_a_restart(tmp_path, clock):
    settings = Subscription(
        SUBSCRIPTION,
        TOPIC,
        ack_deadline_seconds=33,
        push=PushTarget(
            "http://127.0.0.1:9/push", {"x-version": "v1"}, "invoker@example.com", "audience", wrapped=False
        ),
        backoff=Backoff(0.5, 1200),
        dead_letter=DeadLetterPolicy(TOPIC, 2),
        enable_message_ordering=True,
        filter="attributes:colour",
        message_retention_seconds=60,
        expiration_seconds=None,
        labels={"team": "news"},
    )
    broker = open_broker(tmp_path, clock)
    topic = broker.create_topic(TOPIC, labels={"team": "films"})
    broker.create_subscription(settings)
    broker.close()

    again = open_broker(tmp_path, clock)
    assert again.topic(TOPIC) == topic
    assert again.subscription(SUBSCRIPTION) == settings
    again.close()


def test_unacknowledged_messages_survive_a_restart_with_all_fields(tmp_path, clock):
    broker = open_broker(tmp_path, clock)
    broker.create_topic(TOPIC)
    broker.create_subscription(Subscription(SUBSCRIPTION, TOPIC))
    message = PublishedMessage(b"\x00kept\xff", {"colour": "grün"}, "key")
    ids = broker.publish(TOPIC, [PublishedMessage(b"done"), message, PublishedMessage(b"out")])
    first = broker.pull(SUBSCRIPTION, 1)[0]
    broker.acknowledge(SUBSCRIPTION, [first.ack_id])
    published = first.message.published
    broker.close()

    again = open_broker(tmp_path, clock)
    kept, out = again.pull(SUBSCRIPTION, 10)
    assert [kept.message.id, out.message.id] == ids[1:]
    assert kept.message.data == message.data
    assert kept.message.attributes == message.attributes
    assert kept.message.ordering_key == "key"
    assert kept.message.published == published
    assert int(again.publish(TOPIC, [PublishedMessage(b"new")])[0]) > max(map(int, ids))
    again.close()


def test_counted_deliveries_survive_a_restart(tmp_path, clock):
    broker = open_broker(tmp_path, clock)
    broker.create_topic(TOPIC)
    broker.create_subscription(Subscription(SUBSCRIPTION, TOPIC, dead_letter=DeadLetterPolicy(TOPIC, 5)))
    broker.publish(TOPIC, [PublishedMessage(b"a")])
    for _ in range(2):
        broker.modify_ack_deadline(SUBSCRIPTION, [broker.pull(SUBSCRIPTION, 1)[0].ack_id], 0)
    broker.close()

    again = open_broker(tmp_path, clock)
    assert again.pull(SUBSCRIPTION, 1)[0].delivery_attempt == 3
    again.close()


def test_deleted_resources_stay_deleted_after_a_restart(tmp_path, clock):
    broker = open_broker(tmp_path, clock)
    broker.create_topic(TOPIC)
    broker.create_subscription(Subscription(SUBSCRIPTION, TOPIC))
    broker.publish(TOPIC, [PublishedMessage(b"a")])
    broker.delete_subscription(SUBSCRIPTION)
    broker.create_subscription(Subscription(SUBSCRIPTION, TOPIC))
    broker.delete_topic(TOPIC)
    broker.close()

    again = open_broker(tmp_path, clock)
    with pytest.raises(NotFound):
        again.topic(TOPIC)
    assert again.subscription(SUBSCRIPTION).topic == "_deleted-topic_"
    assert again.pull(SUBSCRIPTION, 1) == []
    again.close()


def test_pushes_continue_after_a_restart(tmp_path):
    receiver = Receiver()
    pubsub = PubSub(clock=SystemClock(), project="local-project", directory=tmp_path)
    pubsub.broker.create_topic(TOPIC)
    pubsub.broker.create_subscription(
        Subscription(SUBSCRIPTION, TOPIC, push=PushTarget(receiver.url), backoff=Backoff(0.01, 0.01))
    )
    pubsub.start()
    (identity,) = pubsub.broker.publish(TOPIC, [PublishedMessage(b"a")])
    pubsub.stop()
    with receiver:
        pubsub = PubSub(clock=SystemClock(), project="local-project", directory=tmp_path)
        pubsub.start()
        assert receiver.wait_for(1)[0].json["message"]["messageId"] == identity
        assert pubsub.broker.wait_until_idle(LAST_LIMIT)
        pubsub.stop()


KILLED = """
import sys
from pathlib import Path
from localcloud.base.clock import SystemClock
from localcloud.pubsub.broker.messages import PublishedMessage
from localcloud.pubsub.broker.resources import Subscription
from localcloud.pubsub.service import PubSub
broker = PubSub(clock=SystemClock(), project="local-project", directory=Path(sys.argv[1])).broker
broker.create_topic("{topic}")
broker.create_subscription(Subscription("{subscription}", "{topic}"))
while True:
    sys.stdout.write(broker.publish("{topic}", [PublishedMessage(b"x" * 1000)])[0] + "\\n")
    sys.stdout.flush()
"""


def test_a_killed_process_loses_no_accepted_message(tmp_path):
    script = KILLED.format(topic=TOPIC, subscription=SUBSCRIPTION)
    command = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, text=True) as process:
        assert process.stdout is not None
        accepted = [process.stdout.readline().strip() for _ in range(50)]
        os.kill(process.pid, signal.SIGKILL)
        accepted += [line.strip() for line in process.stdout if line.endswith("\n")]

    broker = open_broker(tmp_path, ManualClock(SystemClock().now()))
    kept = []
    while received := broker.pull(SUBSCRIPTION, 1000):
        kept += [each.message.id for each in received]
    assert set(accepted) <= set(kept)
    broker.close()


def test_storing_and_acknowledging_two_thousand_messages_needs_little_work(tmp_path, clock):
    broker = open_broker(tmp_path, clock)
    broker.create_topic(TOPIC)
    broker.create_subscription(Subscription(SUBSCRIPTION, TOPIC))
    begun = time.thread_time()
    for _ in range(2000):
        broker.publish(TOPIC, [PublishedMessage(b"x" * 500)])
    while received := broker.pull(SUBSCRIPTION, 1000):
        for each in received:
            broker.acknowledge(SUBSCRIPTION, [each.ack_id])
    # Many times the CPU time that this needs; only work that grows with the journal exceeds it.
    assert time.thread_time() - begun < 10
    broker.close()
