"""A function that starts the first work on an idle project wakes the poller, through a local Cloud Scheduler."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from localcloud.base.asgi import Receive, Scope, Send
from localcloud.base.clock import SystemClock
from localcloud.base.credentials import Credentials
from localcloud.base.http import HttpServer
from localcloud.pubsub.broker.broker import Broker
from localcloud.scheduler.service import Scheduler
from shared.cloud import clients
from shared.drops.drop import DropPath
from shared.drops.intake import examine_drop
from shared.engine.services import Services
from shared.engine.waking import SOON
from shared.work import Item, Job, Kind, Outcome, Step, StepState, System
from tests.example_requests import PROJECT, prediction_item
from tests.unit.shared.conftest import World

JOB = f"projects/{PROJECT}/locations/us-central1/jobs/poll"
TOPIC = f"projects/{PROJECT}/topics/wakes"
SUBMITTED = Step("predict", System.BIGQUERY, StepState.SUBMITTED, job=Job(System.BIGQUERY, "a-predict-1", "US"))
NOTED_DROP = DropPath("films", "genres", "2")


class LocalScheduler:
    """A local Cloud Scheduler with one job, which runs only when it is called.

    Attributes:
        runs: The calls that ran the job: the values of their Authorization headers.
        url: Its address.
    """

    def __init__(self, directory: Path) -> None:
        """Serve it, with an account that may call it, whose key is in ``directory``."""
        clock = SystemClock()
        self.runs: list[str] = []
        self._broker = Broker(clock=clock)
        self._broker.create_topic(TOPIC)
        self._scheduler = Scheduler(self._broker, clock=clock)
        self._server = HttpServer(self._route)
        self.url = self._server.url
        self._account = Credentials(project=PROJECT, account="runtime", token_uri=f"{self.url}/token", clock=clock)
        self.key_file = directory / "key.json"
        self._account.write(self.key_file)
        self.create()
        self._server.start()

    def create(self) -> None:
        """Create the job."""
        self._scheduler.jobs.create(
            {"name": JOB, "schedule": "* * * * *", "pubsubTarget": {"topicName": TOPIC, "attributes": {"a": "b"}}}
        )

    def delete(self) -> None:
        """Delete the job."""
        self._scheduler.jobs.delete(JOB)

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/token":
            await self._account.app(scope, receive, send)
            return
        if scope["path"] == f"/v1/{JOB}:run":
            self.runs.append(dict(scope["headers"]).get(b"authorization", b"").decode())
        await self._scheduler.app(scope, receive, send)

    def close(self) -> None:
        """Stop serving."""
        self._server.stop()
        self._broker.close()


@pytest.fixture(scope="module")
def running_scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalScheduler]:
    scheduler = LocalScheduler(tmp_path_factory.mktemp("scheduler"))
    yield scheduler
    scheduler.close()


@pytest.fixture
def scheduler(
    running_scheduler: LocalScheduler, world: World, monkeypatch: pytest.MonkeyPatch
) -> Iterator[LocalScheduler]:
    """The local Cloud Scheduler, to which the world's settings lead. It is the 17th second of a minute."""
    clients.authorized_session.cache_clear()
    running_scheduler.runs.clear()
    world.configure(poll_schedule=JOB, scheduler_endpoint=running_scheduler.url)
    world.pass_time((77 - world.services.now().second) % 60)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(running_scheduler.key_file))
    yield running_scheduler
    clients.authorized_session.cache_clear()


def started(world: World, name: str, *, before: float = 0.0, **changes: Any) -> Item:
    """Put work into the ledger that was started ``before`` seconds ago; return it."""
    created = world.services.now() - timedelta(seconds=before)
    key = name.encode().hex().ljust(32, "0")[:32]
    return world.services.ledger.claim(replace(prediction_item(), key=key, created=created, **changes)).item


def finish(world: World, item: Item) -> None:
    """End work as the poller does."""
    world.services.ledger.finish(
        replace(item.end(Outcome.SUCCEEDED, world.services.now()), claim=None, event_published=True)
    )


def another_process(world: World) -> Services:
    """Return the services of another process with the same settings."""
    return Services(world.services.settings, clock=world.services.clock)


def test_the_first_work_wakes_the_poller(world: World, scheduler: LocalScheduler) -> None:
    world.services.waker.wake_for(started(world, "first"))
    [authorization] = scheduler.runs
    assert authorization.startswith("Bearer ya29.local-")


def test_nothing_wakes_the_poller_without_its_schedule(world: World, scheduler: LocalScheduler) -> None:
    world.configure(poll_schedule="")
    world.services.waker.wake_for(started(world, "first"))
    assert scheduler.runs == []


def test_a_poller_that_looks_only_once_a_minute_is_not_woken(world: World, scheduler: LocalScheduler) -> None:
    world.configure(poll_again_seconds=0.0)
    world.services.waker.wake_for(started(world, "first"))
    assert scheduler.runs == []


def test_work_that_has_ended_does_not_wake_the_poller(world: World, scheduler: LocalScheduler) -> None:
    item = started(world, "first")
    world.services.waker.wake_for(item.end(Outcome.REJECTED, world.services.now()))
    assert scheduler.runs == []


def test_of_work_that_starts_at_once_in_two_processes_the_first_wakes_the_poller(
    world: World, scheduler: LocalScheduler
) -> None:
    first, second = started(world, "first", before=0.2), started(world, "second", before=0.1)
    another_process(world).waker.wake_for(second)
    assert scheduler.runs == []
    another_process(world).waker.wake_for(first)
    assert len(scheduler.runs) == 1


def test_an_awake_poller_is_not_woken(world: World, scheduler: LocalScheduler) -> None:
    started(world, "running", before=30, steps=(SUBMITTED,))
    world.services.waker.wake_for(started(world, "new"))
    assert scheduler.runs == []


def test_work_that_waits_long_does_not_keep_the_poller_awake(world: World, scheduler: LocalScheduler) -> None:
    world.upload(NOTED_DROP, "variables/variables.index")
    examine_drop(NOTED_DROP, None, world.services)
    world.pass_time(SOON.total_seconds() + 60)
    world.services.waker.wake_for(started(world, "new"))
    assert len(scheduler.runs) == 1


def test_a_drop_that_was_just_noticed_has_not_woken_the_poller(world: World, scheduler: LocalScheduler) -> None:
    world.upload(NOTED_DROP, "variables/variables.index")
    examine_drop(NOTED_DROP, None, world.services)
    assert scheduler.runs == []
    world.pass_time(1)
    world.services.waker.wake_for(started(world, "new"))
    assert len(scheduler.runs) == 1


@pytest.mark.parametrize(("second", "runs"), [(1, 0), (17, 1)])
def test_a_drop_of_the_minute_before_keeps_the_poller_awake_until_it_is_looked_at(
    world: World, scheduler: LocalScheduler, second: float, runs: int
) -> None:
    world.upload(NOTED_DROP, "variables/variables.index")
    examine_drop(NOTED_DROP, None, world.services)
    world.pass_time((60 - 17) + second)
    world.services.waker.wake_for(started(world, "new"))
    assert len(scheduler.runs) == runs


def test_a_process_looks_once_while_the_poller_stays_awake(world: World, scheduler: LocalScheduler) -> None:
    first = started(world, "first")
    world.services.waker.wake_for(first)
    finish(world, first)
    world.services.waker.wake_for(started(world, "second", steps=(SUBMITTED,)))
    assert len(scheduler.runs) == 1
    world.pass_time(world.services.settings.poll_again_seconds)
    world.services.waker.wake_for(started(world, "third"))
    assert len(scheduler.runs) == 1, "the second work keeps the poller awake"


def test_work_after_idle_seconds_wakes_the_poller_again(world: World, scheduler: LocalScheduler) -> None:
    for name in ("first", "second"):
        item = started(world, name)
        world.services.waker.wake_for(item)
        finish(world, item)
        world.pass_time(world.services.settings.poll_again_seconds)
    assert len(scheduler.runs) == 2


def test_a_wake_that_fails_is_only_logged(
    world: World, scheduler: LocalScheduler, capsys: pytest.CaptureFixture[str]
) -> None:
    scheduler.delete()
    item = started(world, "first")
    world.services.waker.wake_for(item)
    scheduler.create()
    assert "the poller was not woken" in capsys.readouterr().err
    assert world.services.ledger.read(Kind.PREDICT, item.key) == item


def test_missing_credentials_are_only_logged(
    world: World,
    scheduler: LocalScheduler,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "missing"))
    world.services.waker.wake_for(started(world, "first"))
    assert "the poller was not woken" in capsys.readouterr().err
    assert scheduler.runs == []
