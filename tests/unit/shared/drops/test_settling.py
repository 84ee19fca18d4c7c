"""A call that notices a drop waits until the drop has settled, while the poller does nothing."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from shared.drops.drop import DropPath
from shared.drops.intake import examine_drop, notice_deletion, notice_file
from shared.drops.settling import Settling
from shared.events.incoming import StoredObject
from shared.work import Outcome
from tests.unit.shared.conftest import World

PATH, OTHER = DropPath("films", "genres", "2"), DropPath("films", "titles", "1")
TWO_MODELS = ("a.onnx", "b.onnx")


class Waits:
    """Lets the world's time pass."""

    def __init__(self, world: World) -> None:
        """Begin now."""
        self._world = world
        self._begun = world.services.now()
        self.settling = Settling(self)

    def __call__(self, seconds: float) -> None:
        """Let the time pass."""
        self._world.pass_time(seconds)

    @property
    def seconds(self) -> float:
        """How long the waits took."""
        return (self._world.services.now() - self._begun).total_seconds()


@pytest.fixture
def waits(world: World) -> Waits:
    """The waits of a call."""
    return Waits(world)


def event_of(world: World, name: str, path: DropPath = PATH) -> datetime | None:
    """Let the event of a file arrive; return when the drop is due if the call began its watch."""
    file = StoredObject(world.services.settings.model_bucket, path.prefix + name, 1, world.services.now())
    return notice_file(path, file, world.services)


def wait(world: World, waits: Waits, name: str, path: DropPath = PATH) -> None:
    """Let the event of a file arrive, and its call wait."""
    due = event_of(world, name, path)
    assert due is not None
    waits.settling.wait_for(path, due, world.services)


def outcomes(world: World) -> list[Outcome | None]:
    return [item.outcome for item in world.imports()]


def test_a_drop_is_imported_by_the_call_that_notices_it_when_it_has_settled(world: World, waits: Waits) -> None:
    world.upload(PATH, *TWO_MODELS)
    wait(world, waits, TWO_MODELS[0])
    assert outcomes(world) == [Outcome.FAILED]
    assert world.services.settings.settle_seconds <= waits.seconds <= world.services.settings.settle_seconds + 1
    assert world.indexed() == set()


def test_only_the_call_that_begins_a_watch_has_to_wait(world: World) -> None:
    world.upload(PATH, *TWO_MODELS, "modeldrop.yaml", content=b"{}")
    assert event_of(world, TWO_MODELS[0]) is not None
    assert event_of(world, TWO_MODELS[1]) is None
    assert event_of(world, "modeldrop.yaml") is None


def test_a_drop_settles_after_its_last_file(world: World) -> None:
    class Uploading(Waits):
        def __call__(self, seconds: float) -> None:
            super().__call__(seconds)
            if self.seconds == 15:
                world.upload(PATH, TWO_MODELS[1])

    waits = Uploading(world)
    world.upload(PATH, TWO_MODELS[0])
    wait(world, waits, TWO_MODELS[0])
    [item] = world.imports()
    assert item.problem is not None and item.problem.code == "several_models"
    assert 35 <= waits.seconds <= 36


def test_one_call_waits_for_the_drops_that_other_calls_notice(world: World) -> None:
    class Noticing(Waits):
        def __call__(self, seconds: float) -> None:
            super().__call__(seconds)
            if self.seconds == 10:
                world.upload(OTHER, *TWO_MODELS)
                before = self.seconds
                wait(world, self, TWO_MODELS[0], OTHER)
                assert self.seconds == before, "the second call waits too"

    waits = Noticing(world)
    world.upload(PATH, *TWO_MODELS)
    wait(world, waits, TWO_MODELS[0])
    assert outcomes(world) == [Outcome.FAILED, Outcome.FAILED]
    assert 30 <= waits.seconds <= 31


def test_the_poller_takes_over_a_drop_that_stays_incomplete(world: World, waits: Waits) -> None:
    world.upload(PATH, "variables/variables.index")
    wait(world, waits, "variables/variables.index")
    longest = world.services.settings.settle_wait_seconds
    assert longest - world.services.settings.settle_seconds <= waits.seconds <= longest
    assert world.indexed() == {PATH.key}
    # The next drop is waited for again.
    world.upload(OTHER, *TWO_MODELS)
    wait(world, waits, TWO_MODELS[0], OTHER)
    assert outcomes(world) == [Outcome.FAILED]


def test_a_drop_that_stays_incomplete_is_reported_once_while_it_is_waited_for(world: World, waits: Waits) -> None:
    world.configure(settle_seconds=2.0, drop_stuck_seconds=45.0)
    world.upload(PATH, "variables/variables.index")
    wait(world, waits, "variables/variables.index")
    [event] = world.published()
    assert (event["type"], event["error"]["code"]) == ("modeldrop.job.stuck.v1", "drop_incomplete")
    assert 45 <= (datetime.fromisoformat(event["noticed"]) - datetime.fromisoformat(event["created"])).seconds <= 50


@pytest.mark.parametrize("settings", [{"settle_wait_seconds": 0.0}, {"settle_seconds": 100.0}])
def test_a_call_does_not_wait_in_vain(world: World, waits: Waits, settings: dict[str, float]) -> None:
    world.configure(**settings)
    world.upload(PATH, *TWO_MODELS)
    wait(world, waits, TWO_MODELS[0])
    assert (waits.seconds, world.imports()) == (0.0, [])


def test_a_drop_that_another_call_imports_is_not_examined_again(world: World) -> None:
    class Polling(Waits):
        def __call__(self, seconds: float) -> None:
            super().__call__(seconds)
            if self.seconds == 20:
                examine_drop(PATH, world.watch_of(PATH), world.services)

    waits = Polling(world)
    world.upload(PATH, *TWO_MODELS)
    wait(world, waits, TWO_MODELS[0])
    assert [item.run for item in world.imports()] == [1]
    assert len(world.published()) == 1
    assert 20 <= waits.seconds <= 21


def test_a_wait_that_was_killed_is_not_repeated_and_the_poller_has_the_drop(world: World) -> None:
    class Killed(Waits):
        def __call__(self, seconds: float) -> None:
            raise KeyboardInterrupt

    world.upload(PATH, *TWO_MODELS)
    with pytest.raises(KeyboardInterrupt):
        wait(world, Killed(world), TWO_MODELS[0])
    assert event_of(world, TWO_MODELS[0]) is None
    assert world.indexed() == {PATH.key}


def test_an_outage_leaves_the_drop_to_the_poller(world: World, waits: Waits) -> None:
    world.upload(PATH, *TWO_MODELS)
    due = event_of(world, TWO_MODELS[0])
    assert due is not None
    world.configure(model_bucket="no-such-bucket")
    waits.settling.wait_for(PATH, due, world.services)
    assert world.indexed() == {PATH.key}


def test_a_failed_drop_whose_surplus_file_is_deleted_is_waited_for(world: World, waits: Waits) -> None:
    world.upload(PATH, *TWO_MODELS)
    wait(world, waits, TWO_MODELS[0])
    world.models.blob(PATH.prefix + TWO_MODELS[1]).delete()
    world.configure(writable_datasets=("others",))
    due = notice_deletion(PATH, world.services)
    assert due == world.services.now() + timedelta(seconds=world.services.settings.settle_seconds)
    waits.settling.wait_for(PATH, due, world.services)
    assert {item.problem.code for item in world.imports() if item.problem} == {"several_models", "dataset_not_allowed"}
