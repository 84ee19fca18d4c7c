"""Partial and large uploads: a drop is imported when it is complete, missing files are reported, and files cost few calls."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.deeds import SETTLE_SECONDS
from tests.e2e.world import World, fresh
from tests.waiting import in_time


def without(world: World, *names: str, **more: bytes) -> dict[str, bytes]:
    """Return the files of a drop without these."""
    files = {**world.shifter(3), **{name.replace("__", "."): content for name, content in more.items()}}
    return {name: content for name, content in files.items() if name not in names}


PARTIAL_DROPS: dict[str, tuple[Callable[[World], dict[str, bytes]], str]] = {
    "no graph": (lambda world: without(world, "saved_model.pb"), "saved_model.pb"),
    "no asset": (lambda world: without(world, "assets/shift.txt"), "assets/shift.txt"),
    "no index": (lambda world: without(world, "variables/variables.index"), "variables/variables.index"),
    "no shard": (
        lambda world: without(world, "variables/variables.data-00000-of-00001"),
        "variables/variables.data-00000-of-?????",
    ),
    "one of three shards": (
        lambda world: {
            **without(world, "variables/variables.data-00000-of-00001"),
            "variables/variables.data-00001-of-00003": b"x",
        },
        "variables/variables.data-00000-of-00003, variables/variables.data-00002-of-00003",
    ),
    "fewer files than said": (lambda world: without(world, modeldrop__yaml=b"files: 8\n"), "3 of 8 files"),
    "only an asset": (lambda world: {"assets/notes.txt": b"x"}, "saved_model.pb"),
}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in {"no graph", "one of three shards"} else pytest.mark.matrix)
        for name in PARTIAL_DROPS
    ],
)
@pytest.mark.long
def test_an_incomplete_drop_is_not_imported_and_reported_as_stuck_once(impatient: World, name: str) -> None:
    files, missing = PARTIAL_DROPS[name]
    model = fresh("partial")
    path = impatient.drop(files(impatient), model)
    stuck = impatient.event("job.stuck", path=path)
    for _ in range(3):
        impatient.tick()

    assert missing in stuck.data["error"]["message"]
    assert stuck.data["error"]["code"] == "drop_incomplete"
    assert impatient.imports_of(model) == []
    # On a busy machine the upload takes longer than a drop may be incomplete, and each new file begins another wait.
    reported = [str(event.data["found"]) for event in impatient.events.all(path=path)]
    assert len(reported) == len(set(reported))
    # Without files the drop is no longer watched.
    impatient.remove(path)
    impatient.quiet()


@pytest.mark.long
def test_a_drop_reported_as_stuck_fails_predictions_until_it_is_complete(impatient: World) -> None:
    model = fresh("late")
    path = impatient.drop(without(impatient, "assets/shift.txt"), model)
    impatient.event("job.stuck", path=path)

    request_id = fresh("early")
    impatient.ask(model, fresh("unwritten"), request_id)
    rejected = impatient.event("request.rejected", request_id=request_id)
    assert rejected.data["error"]["code"] == "drop_stuck"
    assert f"the drop {path} is incomplete" in rejected.data["error"]["message"]
    assert "still lacks assets/shift.txt. Upload what is missing" in rejected.data["error"]["message"]

    impatient.drop({"assets/shift.txt": b"shift\t3\n"}, model)
    impatient.event("model.imported", path=path)

    assert impatient.shift_of(model) == 3
    assert len(impatient.events.all(path=path)) == 2


def test_a_file_that_the_graph_does_not_name_and_that_comes_last_belongs_to_the_drop(world: World) -> None:
    def drop_the_last_file_before_the_others_settle() -> tuple[str, str]:
        model = fresh("last")
        path = world.drop(without(world, "fingerprint.pb"), model)
        world.delivered()
        world.tick()
        world.drop({"fingerprint.pb": world.shifter(3)["fingerprint.pb"]}, model)
        return model, path

    model, path = in_time(SETTLE_SECONDS, drop_the_last_file_before_the_others_settle)
    world.event("model.imported", path=path)
    world.delivered()
    world.quiet()

    assert len(world.imports_of(model)) == 1
    assert len(world.events.all(path=path)) == 1


@pytest.mark.long
def test_a_drop_of_counted_files_is_imported_with_its_last_one_without_the_poller(world: World) -> None:
    model = fresh("counted")
    world.drop(without(world, modeldrop__yaml=b"files: 5\n"), model, seed=4)
    world.until(lambda: world.imports_of(model), ticking=False)
    world.delivered()
    world.quiet()
    assert len(world.imports_of(model)) == 1
    assert world.shift_of(model) == 3


@pytest.mark.long
def test_a_settled_drop_is_imported_without_the_poller(impatient: World) -> None:
    model = fresh("idle")
    impatient.drop(impatient.shifter(3), model)
    impatient.until(lambda: impatient.imports_of(model), ticking=False)
    impatient.quiet()
    assert len(impatient.imports_of(model)) == 1
    assert impatient.shift_of(model) == 3


@pytest.mark.long
def test_a_call_that_is_killed_while_it_waits_for_a_drop_leaves_it_to_the_poller(impatient: World) -> None:
    model = fresh("killed")
    kill = {"caller": "import_model", "method": "storage.objects.list", "nth": 2, "times": 1, "do": {"kill": True}}
    with impatient.faults(kill):
        path = impatient.drop(impatient.shifter(3), model)
        impatient.until(lambda: impatient.faults_met() == [1], ticking=False)
        impatient.ready()
    impatient.event("model.imported", path=path)
    impatient.quiet()
    assert len(impatient.imports_of(model)) == 1
    assert impatient.shift_of(model) == 3


@pytest.mark.timeout(900)
@pytest.mark.parametrize("count", [250, pytest.param(10_000, marks=pytest.mark.matrix)])
@pytest.mark.long
def test_a_drop_of_many_files_is_one_import_and_costs_at_most_two_calls_an_event(world: World, count: int) -> None:
    model = fresh("large")
    prefix = f"{world.dataset}/{model}/1/"
    files = world.shifter(9)
    extra = {f"assets.extra/{number:05d}": b"x" for number in range(count - len(files))}
    store, bucket = world.cloud.storage.store, world.models.name
    world.count_calls()

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda file: store.write(bucket, prefix + file[0], file[1]), {**files, **extra}.items()))
    world.until(lambda: world.events.all("model.imported", path=f"gs://{bucket}/{prefix}"), timeout=600)
    world.delivered(timeout=600)
    world.quiet(timeout=600)

    calls = len(world.calls("import_model")) + len(world.calls("poll_jobs"))
    # Two are promised. If only the events that come after the import listed the drop, it would be more than this.
    assert calls <= 1.5 * count, f"{calls} calls for {count} events"
    assert len(world.imports_of(model)) == 1
    assert world.shift_of(model) == 9
