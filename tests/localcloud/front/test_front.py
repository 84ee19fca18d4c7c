"""The front on real calls: Google's clients against real services, and a function that is counted and killed."""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
import requests
from google.api_core import exceptions
from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import pubsub_v1, storage
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport

from declaration.model import Function, HttpTrigger
from localcloud.apis.recorder import Recorder, read_exchanges
from localcloud.base.asgi import Receive, Scope, Send
from localcloud.base.clock import ManualClock, SystemClock
from localcloud.base.http import HttpServer
from localcloud.control import Control
from localcloud.faults.active import Faults
from localcloud.faults.quotas import Quotas
from localcloud.front.call_log import Calls
from localcloud.front.callers import Callers
from localcloud.front.front import Front
from localcloud.functions.janitor import Janitor
from localcloud.functions.processes import Functions
from localcloud.pubsub.broker.resources import Subscription
from localcloud.pubsub.service import PubSub
from localcloud.storage.rules.errors import NotFound
from localcloud.storage.service import Storage
from tests.paths import SAMPLE_FUNCTIONS
from tests.waiting import LAST_LIMIT, wait_until

PROJECT, BUCKET = "front-project", "front-bucket"
TOPIC, HOLD = f"projects/{PROJECT}/topics/front", f"projects/{PROJECT}/subscriptions/front-hold"
WORKER = SAMPLE_FUNCTIONS / "worker"
ONLY_INSERT = {"service": "storage", "method": "storage.objects.insert"}
NAMES = (f"object-{number}" for number in itertools.count())


@dataclass
class Stage:
    """Cloud Storage and Pub/Sub behind a front, and a function that calls them."""

    url: str
    storage: Storage
    pubsub: PubSub
    faults: Faults
    calls: Calls
    functions: Functions
    clock: ManualClock
    record: Path

    def set_rules(self, *rules: dict[str, Any]) -> None:
        """Replace all fault rules by ``rules``."""
        requests.delete(f"{self.url}/faults", timeout=LAST_LIMIT).raise_for_status()
        requests.post(f"{self.url}/faults", json=list(rules), timeout=LAST_LIMIT).raise_for_status()

    def applied(self) -> list[int]:
        """Return how often each rule applied."""
        return [rule["applied"] for rule in requests.get(f"{self.url}/faults", timeout=LAST_LIMIT).json()["faults"]]

    def has(self, name: str) -> bool:
        try:
            self.storage.store.get(BUCKET, name)
        except NotFound:
            return False
        return True

    def published(self) -> list[str]:
        """Return and acknowledge the messages published to the topic."""
        received = self.pubsub.broker.pull(HOLD, 1000, wait_seconds=0)
        self.pubsub.broker.acknowledge(HOLD, [each.ack_id for each in received])
        return [each.message.data.decode() for each in received]

    def work(self, name: str) -> requests.Response:
        """Have the function write the object ``name``, read it and publish it."""
        return requests.post(self.functions.urls()["work"], params={"name": name}, timeout=LAST_LIMIT)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("front")
    clock, janitor = ManualClock(), Janitor()
    functions = Functions(
        {
            "work": Function(
                service="work-service",
                trigger=HttpTrigger(http="POST"),
                memory="512Mi",
                timeout_seconds=60,
                concurrency=1,
            )
        },
        source=WORKER,
        data_dir=folder,
        clock=SystemClock(),
        janitor=janitor,
    )
    faults, calls, recorder = Faults(callers=["work"]), Calls(), Recorder(folder / "record")
    front = Front(
        faults=faults,
        calls=calls,
        callers=Callers(functions.pids),
        kill=functions.kill,
        clock=clock,
        recorder=recorder,
    )
    service = Storage(folder / "storage", clock=SystemClock(), project=PROJECT)
    service.store.ensure_bucket(BUCKET)
    pubsub = PubSub(clock=SystemClock(), project=PROJECT)
    pubsub.start(interceptors=[front.interceptor(lambda: pubsub.port)])
    pubsub.broker.ensure_topic(TOPIC)
    pubsub.broker.put_subscription(Subscription(HOLD, TOPIC))
    fronted = front.wrap(service.app, "storage")
    control = Control(faults, calls, Quotas(service, bigquery=None), dict).app

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        await (fronted if "storage" in scope["path"] else control)(scope, receive, send)

    server = HttpServer(serve)
    server.start()
    functions.start(
        {
            "GOOGLE_CLOUD_PROJECT": PROJECT,
            "BUCKET": BUCKET,
            "TOPIC": TOPIC,
            "STORAGE_EMULATOR_HOST": server.url,
            "PUBSUB_EMULATOR_HOST": f"127.0.0.1:{pubsub.port}",
        }
    )
    functions.wait_until_ready()
    yield Stage(server.url, service, pubsub, faults, calls, functions, clock, recorder.path)
    functions.stop()
    server.stop()
    pubsub.stop()
    front.stop()
    recorder.close()
    service.close()
    janitor.close()


@pytest.fixture(autouse=True)
def no_faults(stage: Stage) -> Iterator[None]:
    yield
    stage.faults.clear()
    stage.functions.wait_until_ready()


@pytest.fixture
def bucket(stage: Stage) -> storage.Bucket:
    client = storage.Client(
        project=PROJECT, credentials=AnonymousCredentials(), client_options=ClientOptions(api_endpoint=stage.url)
    )
    return client.bucket(BUCKET)


@pytest.fixture
def publisher(stage: Stage) -> Iterator[pubsub_v1.publisher.client.publisher_client.PublisherClient]:
    """The publisher without batches and retries, so that a test sees each call."""
    channel = grpc.insecure_channel(f"127.0.0.1:{stage.pubsub.port}")
    transport = PublisherGrpcTransport(channel=channel)
    yield pubsub_v1.publisher.client.publisher_client.PublisherClient(transport=transport)
    channel.close()


@pytest.fixture
def aside() -> Iterator[Callable[..., Future[Any]]]:
    """Runs a function in another thread."""
    with ThreadPoolExecutor() as threads:
        yield threads.submit


def test_a_status_before_the_effect_prevents_the_write(stage: Stage, bucket: storage.Bucket) -> None:
    stage.set_rules({**ONLY_INSERT, "do": {"status": 503}})
    with pytest.raises(exceptions.ServiceUnavailable) as failed:
        bucket.blob(name := next(NAMES)).upload_from_string(b"x" * 300_000, retry=None)
    assert failed.value.response.json()["error"]["errors"][0]["reason"] == "backendError"
    assert not stage.has(name)


def test_a_status_after_the_effect_reports_an_error_for_a_written_object(stage: Stage, bucket: storage.Bucket) -> None:
    stage.set_rules({**ONLY_INSERT, "when": "after", "do": {"status": 500}})
    with pytest.raises(exceptions.InternalServerError):
        bucket.blob(name := next(NAMES)).upload_from_string("x", retry=None)
    assert stage.has(name)


def test_a_client_retries_after_a_fault_that_applies_once(stage: Stage, bucket: storage.Bucket) -> None:
    stage.set_rules({**ONLY_INSERT, "nth": 1, "do": {"status": 429}})
    blob = bucket.blob(name := next(NAMES))
    blob.upload_from_string("x", if_generation_match=0)
    assert stage.has(name)
    assert stage.applied() == [1]


def test_the_retry_of_a_conditional_write_with_a_lost_answer_finds_its_own_object(
    stage: Stage, bucket: storage.Bucket
) -> None:
    stage.set_rules({**ONLY_INSERT, "nth": 1, "do": {"lose_answer": True}})
    blob = bucket.blob(name := next(NAMES))
    with pytest.raises(exceptions.PreconditionFailed):
        blob.upload_from_string("x", if_generation_match=0)
    assert stage.has(name)
    attempts = [each for each in read_exchanges(stage.record) if each.request and each.request.get("name") == name]
    assert [attempt.status for attempt in attempts] == [None, 412]


@pytest.mark.parametrize(("when", "written"), [("before", False), ("after", True)])
def test_a_reset_breaks_the_connection(stage: Stage, when: str, written: bool) -> None:
    stage.set_rules({"service": "storage", "when": when, "do": {"reset": True}})
    name = next(NAMES)
    with socket.create_connection(("127.0.0.1", int(stage.url.rpartition(":")[2]))) as raw:
        path = f"/upload/storage/v1/b/{BUCKET}/o?uploadType=media&name={name}"
        raw.sendall(f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx".encode())
        with pytest.raises(ConnectionResetError):
            raw.recv(1000)
    assert stage.has(name) is written


@pytest.mark.parametrize(("when", "written_meanwhile"), [("before", False), ("after", True)])
def test_a_delay_holds_the_call_or_its_response(
    stage: Stage, bucket: storage.Bucket, aside: Callable[..., Future[Any]], when: str, written_meanwhile: bool
) -> None:
    stage.set_rules({**ONLY_INSERT, "when": when, "do": {"delay_seconds": 60}})
    name = next(NAMES)
    upload = aside(bucket.blob(name).upload_from_string, "x")
    wait_until(lambda: stage.applied() == [1])
    if written_meanwhile:
        wait_until(lambda: stage.has(name))
    assert stage.has(name) is written_meanwhile
    assert not upload.done()
    # The call may not have begun to wait yet.
    wait_until(lambda: stage.clock.advance(60) is None and upload.done())
    upload.result()
    assert stage.has(name)


def test_a_slow_response_arrives_at_the_rate_of_the_rule(
    stage: Stage, bucket: storage.Bucket, aside: Callable[..., Future[Any]]
) -> None:
    bucket.blob(name := next(NAMES)).upload_from_string(content := b"0123456789" * 10)
    stage.set_rules({"service": "storage", "method": "storage.objects.get", "do": {"slow_bytes_per_second": 100}})
    begun = stage.clock.now()
    url = f"{stage.url}/download/storage/v1/b/{BUCKET}/o/{name}?alt=media"
    download = aside(lambda: requests.get(url, timeout=LAST_LIMIT).content)
    wait_until(lambda: stage.clock.advance(1) is None and download.done())
    assert download.result() == content
    assert (stage.clock.now() - begun).total_seconds() >= len(content) / 100


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (503, exceptions.ServiceUnavailable),
        (429, exceptions.ResourceExhausted),
        (500, exceptions.InternalServerError),
        (504, exceptions.DeadlineExceeded),
        (403, exceptions.PermissionDenied),
    ],
)
def test_a_status_becomes_its_grpc_code(stage: Stage, publisher: Any, status: int, error: type) -> None:
    stage.set_rules({"service": "pubsub", "method": "pubsub.projects.topics.publish", "do": {"status": status}})
    stage.published()
    with pytest.raises(error):
        publisher.publish(topic=TOPIC, messages=[{"data": b"x"}], retry=None)
    assert stage.published() == []


def test_a_publish_with_a_lost_answer_takes_effect(stage: Stage, publisher: Any) -> None:
    stage.set_rules({"service": "pubsub", "do": {"lose_answer": True}})
    with pytest.raises(exceptions.ServiceUnavailable):
        publisher.publish(topic=TOPIC, messages=[{"data": b"lost answer"}], retry=None)
    assert "lost answer" in stage.published()


def test_a_delayed_publish_returns_after_the_delay(
    stage: Stage, publisher: Any, aside: Callable[..., Future[Any]]
) -> None:
    stage.set_rules({"service": "pubsub", "do": {"delay_seconds": 60}})
    publishing = aside(lambda: publisher.publish(topic=TOPIC, messages=[{"data": b"late"}], retry=None))
    wait_until(lambda: stage.applied() == [1])
    assert not publishing.done()
    stage.clock.advance(60)
    assert publishing.result(timeout=LAST_LIMIT).message_ids


def test_the_calls_of_a_function_are_counted_in_order(stage: Stage) -> None:
    requests.delete(f"{stage.url}/calls", timeout=LAST_LIMIT).raise_for_status()
    assert stage.work(next(NAMES)).text == "done"
    counted = requests.get(f"{stage.url}/calls", params={"caller": "work"}, timeout=LAST_LIMIT).json()["calls"]
    assert [call["n"] for call in counted] == list(range(1, len(counted) + 1))
    # The client also gets the bucket, at an arbitrary time.
    assert [call["method"] for call in counted if call["method"] != "storage.buckets.get"] == [
        "storage.objects.insert",
        "storage.objects.get",
        "pubsub.projects.topics.publish",
    ]
    assert requests.get(f"{stage.url}/calls", params={"caller": "predict"}, timeout=LAST_LIMIT).json()["calls"] == []


def test_a_rule_about_a_function_does_not_apply_to_other_callers(stage: Stage, bucket: storage.Bucket) -> None:
    stage.set_rules({"caller": "work", "do": {"status": 403}})
    bucket.blob(name := next(NAMES)).upload_from_string("x", retry=None)
    assert stage.has(name)
    assert stage.work(rejected := next(NAMES)).status_code == 500
    assert not stage.has(rejected)


@pytest.mark.parametrize(("when", "written"), [("before", False), ("after", True)])
def test_a_function_killed_at_a_call_to_storage_starts_again(stage: Stage, when: str, written: bool) -> None:
    stage.published()
    pid = stage.functions.pids()["work"]
    stage.set_rules({**ONLY_INSERT, "caller": "work", "nth": 1, "when": when, "do": {"kill": True}})
    with pytest.raises(requests.ConnectionError):
        stage.work(name := next(NAMES))
    assert stage.has(name) is written
    assert stage.published() == []
    stage.functions.wait_until_ready()
    assert stage.functions.pids()["work"] != pid
    assert stage.work(next(NAMES)).text == "done"


@pytest.mark.parametrize(("when", "published"), [("before", False), ("after", True)])
def test_a_function_is_killed_at_a_call_to_pubsub(stage: Stage, when: str, published: bool) -> None:
    stage.published()
    publishes = {"service": "*", "method": "pubsub.projects.topics.publish"}
    stage.set_rules({**publishes, "caller": "work", "nth": 1, "when": when, "do": {"kill": True}})
    with pytest.raises(requests.ConnectionError):
        stage.work(name := next(NAMES))
    assert stage.has(name)
    assert stage.published() == ([name] if published else [])


def test_an_invalid_rule_is_rejected_with_its_reason(stage: Stage) -> None:
    answer = requests.post(f"{stage.url}/faults", json={"do": {"reset": True}, "nht": 3}, timeout=LAST_LIMIT)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith("A rule has no field `nht`")
    assert requests.post(f"{stage.url}/faults", data="{", timeout=LAST_LIMIT).status_code == 400
    assert not stage.faults


def test_an_exchange_is_recorded_with_its_caller(stage: Stage) -> None:
    stage.work(name := next(NAMES))
    exchanges = [each for each in read_exchanges(stage.record) if name in json.dumps([each.request, each.path])]
    insert, get = exchanges[:2]
    assert (insert.method, insert.kind, insert.caller, insert.status) == (
        "storage.objects.insert",
        "upload",
        "work",
        200,
    )
    assert insert.request["name"] == insert.answer["name"] == name
    assert ("uploadType", "multipart") in insert.query
    assert (get.method, get.caller, get.request) == ("storage.objects.get", "work", None)
    requests.get(f"{stage.url}/storage/v1/b/{BUCKET}/o/{name}?fields=name", timeout=LAST_LIMIT)
    own = [each for each in read_exchanges(stage.record) if ("fields", "name") in each.query][-1]
    assert (own.caller, own.answer) == (None, {"name": name})


def test_a_multipart_upload_is_recorded_with_any_quoting_of_its_boundary(stage: Stage) -> None:
    parts = "--=x=\r\nContent-Type: application/json\r\n\r\n{}\r\n--=x=\r\nContent-Type: text/plain\r\n\r\nhi\r\n--=x=--\r\n"
    for quote in ("", "'", '"'):
        url = f"{stage.url}/upload/storage/v1/b/{BUCKET}/o?uploadType=multipart"
        body = parts.format('{"name": "quoted"}')
        headers = {"Content-Type": f"multipart/related; boundary={quote}=x={quote}"}
        requests.post(url, data=body, headers=headers, timeout=LAST_LIMIT).raise_for_status()
        assert list(read_exchanges(stage.record))[-1].request == {"name": "quoted"}


def test_a_front_without_faults_counting_and_recording_passes_a_call_untouched() -> None:
    passed: list[object] = []

    async def service(scope: Scope, receive: Receive, send: Send) -> None:
        passed.extend((scope, receive, send))

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        pass

    # Without a raw path the front cannot name the call, so it must not try.
    scope = {"type": "http", "method": "GET", "path": "/storage/v1/b"}
    front = Front(faults=Faults(), calls=Calls(), callers=Callers(dict), kill=lambda _: None, clock=SystemClock())
    asyncio.run(front.wrap(service, "storage")(scope, receive, send))
    front.stop()
    assert [id(each) for each in passed] == [id(scope), id(receive), id(send)]
