"""Dead letters are listed without their content, and replayed without loss.

The commands run against a local Pub/Sub whose triggers call a function that refuses every event until a test
changes that.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path

import pytest
from google.cloud.pubsub_v1.types import PubsubMessage, ReceivedMessage

from deploy.__main__ import main
from deploy.dead_letters import CannotReplayError, DeadLetter
from localcloud.base.asgi import Receive, Scope, Send
from localcloud.base.clock import SystemClock
from localcloud.base.http import HttpServer
from localcloud.eventarc.service import Eventarc
from localcloud.faults.active import Faults
from localcloud.front.call_log import Calls
from localcloud.front.callers import Callers
from localcloud.front.front import Front
from localcloud.pubsub.broker.broker import Broker
from localcloud.pubsub.broker.messages import PublishedMessage
from localcloud.pubsub.broker.messages import ReceivedMessage as LocalMessage
from localcloud.pubsub.broker.resources import RetryPolicy, Subscription
from localcloud.pubsub.service import PubSub
from localcloud.storage.objects.store import ObjectStore
from localcloud.storage.service import Storage
from tests.conftest import variables
from tests.waiting import LAST_LIMIT

PROJECT = "films"
MODEL_BUCKET = "films-modeldrop-models"
SECRET = b'{"customer": "secret"}'


class Function:
    """Answers every event with ``status``."""

    def __init__(self) -> None:
        self.status = HTTPStatus.INTERNAL_SERVER_ERROR

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": self.status, "headers": []})
        await send({"type": "http.response.body", "body": b""})


@dataclass(frozen=True)
class World:
    """Pub/Sub, a bucket, and a function behind two triggers."""

    pubsub: PubSub
    store: ObjectStore
    function: Function
    faults: Faults
    """Faults of the calls that the commands make."""

    @property
    def broker(self) -> Broker:
        return self.pubsub.broker

    def publish(self, topic: str, message: PublishedMessage) -> None:
        self.broker.publish(topic_name(topic), [message])

    def published(self, topic: str, count: int) -> list[LocalMessage]:
        """Wait for the next ``count`` messages of ``topic``, and return them."""
        seen = subscription_name(f"{topic}-seen")
        received: list[LocalMessage] = []
        while len(received) < count:
            more = self.broker.pull(seen, 100, wait_seconds=LAST_LIMIT)
            assert more, f"{topic} had {len(received)} messages, not {count}"
            self.broker.acknowledge(seen, [each.ack_id for each in more])
            received += more
        return received

    def dead_letters(self, *arguments: str, expect: int, wait: float = 20) -> subprocess.CompletedProcess[str]:
        """Run the command; it waits ``wait`` seconds for another dead letter until it has ``expect`` of them."""
        limits = ["--project", PROJECT, "--limit", str(expect), "--wait", str(wait)]
        command = ["dead-letters", *arguments[:1], *limits, *arguments[1:]]
        output, errors = io.StringIO(), io.StringIO()
        environment = {**os.environ, "PUBSUB_EMULATOR_HOST": f"127.0.0.1:{self.pubsub.port}"}
        with variables(environment), redirect_stdout(output), redirect_stderr(errors):
            code = main(command)
        return subprocess.CompletedProcess(command, code, output.getvalue(), errors.getvalue())

    def refuse(self, method: str, status: int, **when: object) -> None:
        """Answer calls of ``method`` with ``status``."""
        self.faults.add(
            [{"service": "pubsub", "method": f"pubsub.projects.{method}", "do": {"status": status}, **when}]
        )

    def held(self) -> int:
        """Return how many dead letters are held and not leased."""
        return len(self.broker.pull(subscription_name("modeldrop-dead-letters-hold"), 100, lease_seconds=0))


def topic_name(topic: str) -> str:
    return f"projects/{PROJECT}/topics/{topic}"


def subscription_name(subscription: str) -> str:
    return f"projects/{PROJECT}/subscriptions/{subscription}"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    clock = SystemClock()
    pubsub = PubSub(clock=clock, project=PROJECT)
    storage = Storage(tmp_path / "storage", clock=clock, project=PROJECT)
    function, faults = Function(), Faults()
    front = Front(faults=faults, calls=Calls(), callers=Callers(dict), kill=lambda _: None, clock=clock)
    server = HttpServer(function)
    for topic in ("modeldrop-predict", "modeldrop-models", "modeldrop-dead-letters"):
        pubsub.broker.create_topic(topic_name(topic))
        pubsub.broker.create_subscription(
            Subscription(name=subscription_name(f"{topic}-seen"), topic=topic_name(topic), enable_message_ordering=True)
        )
    pubsub.broker.create_subscription(
        Subscription(name=subscription_name("modeldrop-dead-letters-hold"), topic=topic_name("modeldrop-dead-letters"))
    )
    storage.store.create_bucket(MODEL_BUCKET)
    eventarc = Eventarc(pubsub.broker, storage.store, clock=clock, project=PROJECT, location="us-central1")
    retry = RetryPolicy(0.001, 0.002, 5, topic_name("modeldrop-dead-letters"))
    eventarc.connect_topic("modeldrop-predict", topic=topic_name("modeldrop-predict"), url=server.url, retry=retry)
    eventarc.connect_storage(
        "modeldrop-import-model",
        event_type="google.cloud.storage.object.v1.finalized",
        bucket=MODEL_BUCKET,
        url=server.url,
        retry=retry,
    )
    server.start()
    pubsub.start(interceptors=[front.interceptor(lambda: pubsub.port)])
    yield World(pubsub, storage.store, function, faults)
    pubsub.stop()
    server.stop()
    front.stop()


def test_list_shows_the_source_of_a_message_and_not_its_content(world: World) -> None:
    world.publish("modeldrop-predict", PublishedMessage(SECRET, {"customer": "secret"}))
    (dead,) = world.published("modeldrop-dead-letters", 1)

    listed = world.dead_letters("list", expect=1)

    line, count = listed.stdout.splitlines()
    assert count.startswith("1 held")
    assert line.split("  ") == [
        dead.message.id,
        f"{dead.message.published:%Y-%m-%dT%H:%M:%SZ}",
        dead.message.attributes["CloudPubSubDeadLetterSourceSubscription"],
        "message",
        "attempts 5",
        "22 bytes",
    ]
    assert "secret" not in listed.stdout + listed.stderr
    assert world.held() == 1


def test_list_ends_when_there_is_no_dead_letter(world: World) -> None:
    assert world.dead_letters("list", expect=1, wait=0.2).stdout == "0 held\n"


def test_a_replayed_message_equals_the_published_one(world: World) -> None:
    # The client has arguments of these names.
    attributes = {"customer": "secret", "data": "1", "topic": "2", "timeout": "3"}
    world.publish("modeldrop-predict", PublishedMessage(SECRET, attributes, "key"))
    world.published("modeldrop-dead-letters", 1)
    world.function.status = HTTPStatus.NO_CONTENT

    replayed = world.dead_letters("replay", "--all", expect=1)

    assert replayed.returncode == 0, replayed.stderr
    first, second = world.published("modeldrop-predict", 2)
    assert second.message.id != first.message.id
    assert second.message.data == SECRET
    assert second.message.attributes == attributes
    assert second.message.ordering_key == "key"
    assert world.held() == 0


def test_uploads_of_one_drop_are_replayed_as_one_import(world: World) -> None:
    for name in ("saved_model.pb", "variables/variables.index"):
        world.store.write(MODEL_BUCKET, f"news/titles/7/{name}", b"x")
    world.published("modeldrop-dead-letters", 2)

    replayed = world.dead_letters("replay", "--all", expect=2)

    assert replayed.returncode == 0, replayed.stderr
    (message,) = world.published("modeldrop-models", 1)
    assert json.loads(message.message.data) == {"action": "import", "path": f"gs://{MODEL_BUCKET}/news/titles/7/"}
    assert world.held() == 0


def test_an_upload_is_listed_with_the_name_of_its_object(world: World) -> None:
    world.store.write(MODEL_BUCKET, "news/titles/7/saved_model.pb", b"x")
    world.published("modeldrop-dead-letters", 1)

    line, _ = world.dead_letters("list", expect=1).stdout.splitlines()

    assert line.endswith(
        f"  google.cloud.storage.object.v1.finalized  attempts 5  gs://{MODEL_BUCKET}/news/titles/7/saved_model.pb"
    )


def test_only_the_named_dead_letter_is_replayed(world: World) -> None:
    for number in range(3):
        world.publish("modeldrop-predict", PublishedMessage(str(number).encode()))
    dead = {each.message.data: each.message.id for each in world.published("modeldrop-dead-letters", 3)}
    world.published("modeldrop-predict", 3)
    world.function.status = HTTPStatus.NO_CONTENT

    replayed = world.dead_letters("replay", dead[b"1"], expect=3)

    assert replayed.returncode == 0, replayed.stderr
    assert replayed.stdout.startswith(f"{dead[b'1']} sent to {topic_name('modeldrop-predict')}\n1 sent again")
    assert world.held() == 2


def test_an_id_that_is_not_held_is_reported(world: World) -> None:
    world.publish("modeldrop-predict", PublishedMessage(b"0"))
    world.published("modeldrop-dead-letters", 1)

    replayed = world.dead_letters("replay", "999999", expect=1)

    assert replayed.returncode == 1
    assert "999999 is not a dead letter that is held" in replayed.stderr
    assert world.held() == 1


def test_a_dead_letter_stays_held_when_the_publish_is_not_confirmed(world: World) -> None:
    world.store.write(MODEL_BUCKET, "news/titles/7/saved_model.pb", b"x")
    world.published("modeldrop-dead-letters", 1)
    world.broker.delete_topic(topic_name("modeldrop-models"))

    replayed = world.dead_letters("replay", "--all", expect=1)

    assert replayed.returncode == 1
    assert "did not confirm" in replayed.stderr
    assert world.held() == 1


def test_a_dead_letter_stays_held_when_its_topic_was_deleted_and_others_are_replayed(world: World) -> None:
    world.publish("modeldrop-predict", PublishedMessage(b"0"))
    world.published("modeldrop-dead-letters", 1)
    world.store.write(MODEL_BUCKET, "news/titles/7/saved_model.pb", b"x")
    world.published("modeldrop-dead-letters", 1)
    world.broker.delete_topic(topic_name("modeldrop-predict"))

    replayed = world.dead_letters("replay", "--all", expect=2)

    assert replayed.returncode == 1
    assert "was deleted" in replayed.stderr
    world.published("modeldrop-models", 1)
    assert world.held() == 1


def test_all_dead_letters_stay_held_when_publishing_fails(world: World) -> None:
    for number in range(2):
        world.publish("modeldrop-predict", PublishedMessage(str(number).encode()))
    world.published("modeldrop-dead-letters", 2)
    world.published("modeldrop-predict", 2)
    world.refuse("topics.publish", 503)

    replayed = world.dead_letters("replay", "--all", "--timeout", "1", expect=2)

    assert replayed.returncode == 1
    first, second = replayed.stderr.splitlines()
    assert (
        f"stays held: {topic_name('modeldrop-predict')} did not confirm the publish: Timeout of 1.0s exceeded" in first
    )
    assert "stays held: not tried, because Pub/Sub did not answer before" in second
    assert replayed.stdout.startswith("0 sent again")
    assert world.held() == 2


@pytest.mark.parametrize("command", [["list"], ["replay", "--all"]], ids=" ".join)
def test_the_reason_is_shown_when_pulling_fails(world: World, command: list[str]) -> None:
    world.refuse("subscriptions.pull", 503)

    done = world.dead_letters(*command, "--timeout", "1", expect=1)

    assert done.returncode == 1
    assert done.stderr.startswith("A call to Pub/Sub for modeldrop-dead-letters-hold failed: Timeout of 1.0s exceeded")
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_leased_dead_letters_are_released_after_a_failure(world: World) -> None:
    world.publish("modeldrop-predict", PublishedMessage(b"0"))
    world.published("modeldrop-dead-letters", 1)
    world.refuse("subscriptions.modifyAckDeadline", 403, nth=1)

    listed = world.dead_letters("list", expect=1)

    assert listed.returncode == 1
    assert listed.stderr.startswith("A call to Pub/Sub for modeldrop-dead-letters-hold failed: 403")
    assert world.held() == 1


def test_dead_letters_that_could_not_be_released_are_reported(world: World) -> None:
    world.publish("modeldrop-predict", PublishedMessage(b"0"))
    world.published("modeldrop-dead-letters", 1)
    world.refuse("subscriptions.modifyAckDeadline", 403, nth=2)

    listed = world.dead_letters("list", expect=1)

    assert listed.returncode == 1
    assert "the dead letters are held, but `list` shows them only after 600 seconds: 403" in listed.stderr
    assert "Traceback" not in listed.stderr


def test_a_replayed_dead_letter_that_cannot_be_acknowledged_stays_held(world: World) -> None:
    world.publish("modeldrop-predict", PublishedMessage(b"0"))
    world.published("modeldrop-dead-letters", 1)
    world.function.status = HTTPStatus.NO_CONTENT
    world.refuse("subscriptions.acknowledge", 403)

    replayed = world.dead_letters("replay", "--all", expect=1)

    assert replayed.returncode == 1
    assert f"stays held: it was published to {topic_name('modeldrop-predict')}, but" in replayed.stderr
    assert len(world.published("modeldrop-predict", 2)) == 2
    assert world.held() == 1


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--limit=0", "argument --limit: expected a whole number of at least 1, found '0'"),
        ("--limit=-1", "argument --limit: expected a whole number of at least 1, found '-1'"),
        ("--limit=1.5", "argument --limit: expected a whole number of at least 1, found '1.5'"),
        ("--wait=0", "argument --wait: expected a number of seconds above 0, found '0'"),
        ("--wait=nan", "argument --wait: expected a number of seconds above 0, found 'nan'"),
        ("--timeout=inf", "argument --timeout: expected a number of seconds above 0, found 'inf'"),
        ("--timeout=soon", "argument --timeout: expected a number of seconds above 0, found 'soon'"),
    ],
)
@pytest.mark.parametrize("command", [["list"], ["replay", "--all"]], ids=" ".join)
def test_an_invalid_option_is_refused(
    command: list[str], option: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["dead-letters", *command, "--project", PROJECT, option])

    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def received(attributes: dict[str, str], data: bytes = b"") -> ReceivedMessage:
    message = PubsubMessage(
        message_id="17", data=data, attributes=attributes, publish_time=datetime(2026, 3, 1, 12, tzinfo=UTC)
    )
    return ReceivedMessage(ack_id="a", message=message)


def notification(name: str, event_type: str = "OBJECT_FINALIZE") -> DeadLetter:
    """Return the dead letter of a Cloud Storage notification, which has the name of the object in an attribute."""
    attributes = {
        "bucketId": MODEL_BUCKET,
        "objectId": name,
        "eventType": event_type,
        "objectGeneration": "1768000000000000",
        "payloadFormat": "JSON_API_V1",
        "CloudPubSubDeadLetterSourceSubscription": "eventarc-us-central1-import-sub-123",
        "CloudPubSubDeadLetterSourceSubscriptionProject": "other",
        "CloudPubSubDeadLetterSourceDeliveryCount": "20",
    }
    return DeadLetter.parse(received(attributes, b'{"kind": "storage#object"}'), PROJECT)


def test_a_storage_notification_has_a_drop() -> None:
    letter = notification("news/titles/7/variables/variables.index")

    assert letter.is_storage_event
    assert letter.drop() == f"gs://{MODEL_BUCKET}/news/titles/7/"
    assert letter.subscription == "projects/other/subscriptions/eventarc-us-central1-import-sub-123"
    assert "CloudPubSubDeadLetterSourceDeliveryCount" not in letter.attributes


@pytest.mark.parametrize("name", ["saved_model.pb", "news/titles/saved_model.pb", "news//7/saved_model.pb", "a/b/"])
def test_an_upload_outside_the_layout_has_no_drop(name: str) -> None:
    with pytest.raises(CannotReplayError, match="is not in a folder"):
        notification(name).drop()


def test_a_deletion_has_no_drop() -> None:
    with pytest.raises(CannotReplayError, match="OBJECT_DELETE is not an upload"):
        notification("news/titles/7/saved_model.pb", "OBJECT_DELETE").drop()


def test_a_storage_event_that_cannot_be_read_has_no_drop() -> None:
    letter = DeadLetter.parse(received({"ce-type": "google.cloud.storage.object.v1.finalized"}, b"\xff"), PROJECT)

    with pytest.raises(CannotReplayError, match="is not in a folder"):
        letter.drop()


def test_a_line_has_the_beginning_of_the_error_without_control_characters() -> None:
    attributes = {"CloudPubSubDeadLetterSourceDeliveryErrorMessage": "\x1b[2Jboom" + "x" * 200}
    letter = DeadLetter.parse(received(attributes, SECRET), PROJECT)

    first, second = letter.describe().splitlines()
    assert first == "17  2026-03-01T12:00:00Z  unknown source  message  attempts ?  22 bytes"
    assert second == "    ?[2Jboom" + "x" * 92
