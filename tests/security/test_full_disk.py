"""A full disk: work fails in words, nothing dies, and everything goes on once there is room again."""

from __future__ import annotations

import errno
import logging
import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from localcloud.base.background import Trouble, in_words, repeat
from localcloud.base.clock import ManualClock, SystemClock
from localcloud.gemini.echo import EchoBackend
from localcloud.pubsub.broker.broker import Broker
from localcloud.pubsub.broker.journal import DiskJournal
from localcloud.pubsub.broker.messages import PublishedMessage
from localcloud.pubsub.broker.resources import Backoff, DeadLetterPolicy, PushTarget, Subscription
from localcloud.pubsub.errors import Unavailable
from localcloud.pubsub.service import PubSub
from localcloud.storage.objects.contents import ContentWriter
from tests.localcloud.bigquery.world import PROJECT, bigquery_world
from tests.localcloud.receiver import Received, Receiver
from tests.localcloud.storage.world import running_stage, storage_world
from tests.localcloud.vertex.test_restart import begin, ended
from tests.localcloud.vertex.world import vertex_world
from tests.waiting import LAST_LIMIT, wait_until

TOPIC = "projects/local-project/topics/orders"
LETTERS = "projects/local-project/topics/letters"
SUBSCRIPTION = "projects/local-project/subscriptions/orders"
LETTERS_KEPT = "projects/local-project/subscriptions/letters"


@contextmanager
def full_disk(room: int = 0) -> Iterator[None]:
    """Let no file grow beyond ``room`` bytes: every process may limit itself so, and a write then fails as on a full disk.

    https://man7.org/linux/man-pages/man2/getrlimit.2.html (RLIMIT_FSIZE)
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def broker_in(directory: Path, clock: ManualClock) -> Broker:
    return Broker(clock=clock, journal=DiskJournal(directory))


def texts(broker: Broker, subscription: str) -> list[str]:
    return [each.message.data.decode() for each in broker.pull(subscription, 10)]


def message(text: str) -> PublishedMessage:
    return PublishedMessage(text.encode())


def test_a_message_is_refused_while_it_cannot_be_stored(tmp_path: Path) -> None:
    broker = broker_in(tmp_path, ManualClock())
    broker.create_topic(TOPIC)
    broker.create_subscription(Subscription(SUBSCRIPTION, TOPIC))
    with full_disk(), pytest.raises(Unavailable, match="The message cannot be stored: the disk"):
        broker.publish(TOPIC, [message("refused")])
    broker.publish(TOPIC, [message("accepted")])
    assert texts(broker, SUBSCRIPTION) == ["accepted"]
    broker.close()


def test_what_happened_on_a_full_disk_is_stored_once_there_is_room(tmp_path: Path) -> None:
    clock = ManualClock()
    broker = broker_in(tmp_path, clock)
    for topic in (TOPIC, LETTERS):
        broker.create_topic(topic)
    broker.create_subscription(Subscription(LETTERS_KEPT, LETTERS))
    letters = DeadLetterPolicy(LETTERS, 1)
    broker.create_subscription(Subscription(SUBSCRIPTION, TOPIC, dead_letter=letters))
    broker.publish(TOPIC, [message("acknowledged"), message("refused")])
    with full_disk():
        acknowledged, refused = broker.pull(SUBSCRIPTION, 10)
        broker.acknowledge(SUBSCRIPTION, [acknowledged.ack_id])
        broker.modify_ack_deadline(SUBSCRIPTION, [refused.ack_id], 0)
        broker.publish(TOPIC, [message("an event")], stored=False)
        assert texts(broker, LETTERS_KEPT) == ["refused"]
    broker.publish(LETTERS, [message("later")])
    broker.close()
    again = broker_in(tmp_path, clock)
    assert (texts(again, SUBSCRIPTION), texts(again, LETTERS_KEPT)) == (["an event"], ["refused", "later"])
    again.close()


def test_pushes_go_on_while_and_after_the_disk_is_full(tmp_path: Path) -> None:
    pubsub = PubSub(clock=SystemClock(), project="local-project", directory=tmp_path)
    pubsub.broker.create_topic(TOPIC)
    asked, answer = threading.Event(), threading.Event()

    def refuse_first(request: Received) -> int:
        asked.set()
        answer.wait(LAST_LIMIT)
        return 200 if len(receiver.requests) > 1 else 500

    with Receiver() as receiver:
        receiver.answer = refuse_first
        push = Subscription(SUBSCRIPTION, TOPIC, push=PushTarget(receiver.url), backoff=Backoff(0.01, 0.05))
        pubsub.broker.create_subscription(push)
        pubsub.start()
        pubsub.broker.publish(TOPIC, [message("first")])
        asked.wait(LAST_LIMIT)
        with full_disk():
            answer.set()
            receiver.wait_for(2)
            assert pubsub.broker.wait_until_idle(LAST_LIMIT)
        pubsub.broker.publish(TOPIC, [message("second")])
        receiver.wait_for(3)
        assert pubsub.broker.wait_until_idle(LAST_LIMIT)
        pubsub.stop()
    again = broker_in(tmp_path, ManualClock())
    assert again.backlog_size(SUBSCRIPTION) == 0
    again.close()


def test_an_upload_to_a_full_disk_leaves_nothing_and_can_be_repeated(tmp_path: Path) -> None:
    with running_stage() as stage, storage_world(stage, tmp_path) as world:
        world.store.ensure_bucket("drops", location="US")
        path = "/upload/storage/v1/b/drops/o?uploadType=media&name=x"
        with full_disk(1000):
            answer = world.call("POST", path, data=b"x" * 5000)
            assert (answer.status_code, answer.json()["error"]["errors"][0]["reason"]) == (503, "backendError")
            assert "the disk is full" in answer.json()["error"]["message"]
            assert world.files() == []
        assert world.call("POST", path, data=b"x" * 5000).status_code == 200
        assert world.store.read("drops", "x") == b"x" * 5000


def test_a_piece_that_fits_only_in_part_is_not_written(tmp_path: Path) -> None:
    writer = ContentWriter(tmp_path / "content")
    writer.write(b"12345")
    with full_disk(8), pytest.raises(OSError, match="File too large"):
        writer.write(b"67890")
    writer.write(b"abc")
    assert writer.finish().size == 8
    assert (tmp_path / "content").read_bytes() == b"12345abc"


@pytest.mark.long
def test_bigquery_jobs_end_on_a_full_disk_and_run_after_it(tmp_path: Path) -> None:
    def start():
        return bigquery_world(tmp_path / "storage", kept=tmp_path / "kept")

    def end_of(job_id: str) -> dict[str, object]:
        wait_until(lambda: world.call("GET", f"/jobs/{job_id}").json()["status"]["state"] == "DONE")
        status: dict[str, object] = world.call("GET", f"/jobs/{job_id}").json()["status"]
        return status

    with start() as world:
        table = f"{PROJECT}.{world.dataset()}.numbers"
        with full_disk():
            world.insert(f"CREATE TABLE {table} AS SELECT 1 AS n", job_id="write")
            world.insert("SELECT 1 AS n", job_id="read")
            error = end_of("write")["errorResult"]
            assert "errorResult" not in end_of("read")
        assert error == {
            "reason": "jobBackendError",
            "message": "The job could not store its result: the disk is full.",
        }
        world.insert(f"CREATE TABLE {table} AS SELECT 1 AS n", job_id="again")
        assert "errorResult" not in end_of("again")
    with start() as world:
        assert [row.n for row in world.client().query(f"SELECT n FROM {table}").result()] == [1]
        assert end_of("write")["errorResult"] == error


class WaitingBackend(EchoBackend):
    """A model that answers once ``may_answer`` is set."""

    def __init__(self) -> None:
        self.asked, self.may_answer = threading.Event(), threading.Event()

    def generate(self, model: str, request: dict[str, Any]) -> dict[str, Any]:
        self.asked.set()
        self.may_answer.wait(LAST_LIMIT)
        return super().generate(model, request)


def test_a_batch_on_a_full_disk_fails_in_words_and_the_next_one_succeeds(tmp_path: Path) -> None:
    backend = WaitingBackend()
    with vertex_world(tmp_path / "storage", kept=tmp_path / "vertex", backend=backend) as world:
        failing = begin(world, 3)
        backend.asked.wait(LAST_LIMIT)
        with full_disk():
            backend.may_answer.set()
            failed = ended(world, failing)
        assert failed["state"] == "JOB_STATE_FAILED"
        assert failed["error"] == {"code": 13, "message": "Failed to export data. the disk is full"}
        succeeded = ended(world, begin(world, 3))
        assert succeeded["state"] == "JOB_STATE_SUCCEEDED"
    with vertex_world(tmp_path / "storage", kept=tmp_path / "vertex") as world:
        assert [world.vertex.jobs.get(job["name"]) for job in (failed, succeeded)] == [failed, succeeded]


def test_background_work_goes_on_after_errors_and_reports_each_once(caplog: pytest.LogCaptureFixture) -> None:
    stopped = threading.Event()
    rounds = iter([OSError(errno.ENOSPC, "No space left on device")] * 3 + [None, ValueError("wrong")])

    def work() -> None:
        error = next(rounds)
        if isinstance(error, ValueError):
            stopped.set()
        if error is not None:
            raise error

    with caplog.at_level(logging.INFO):
        trouble = Trouble(logging.getLogger("test"), "the work")
        repeat(work, trouble=trouble, stopped=stopped, pause_seconds=0)
    assert [record.getMessage() for record in caplog.records] == [
        "the work failed: the disk is full; it is tried again",
        "the work works again",
        "the work failed: ValueError: wrong; it is tried again",
    ]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "the disk is full"),
        (OSError(errno.EIO, "Input/output error"), "OSError: [Errno 5] Input/output error"),
        (RuntimeError("database or disk is full"), "the disk is full"),
    ],
)
def test_errors_are_described_in_words(error: Exception, words: str) -> None:
    assert in_words(error) == words
