"""A function is killed at its n-th call, before the call takes effect or after it: the outcome is the same as without.

n runs over all calls that the function makes, found by counting. `make test` has the sharpest of these points, `make test-all`
all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import pytest

from tests.e2e.deeds import (
    DEEDS,
    HANDED_OUT_DEEDS,
    REDELIVERED_DEEDS,
    SAFE_DEEDS,
    Deed,
    name_of,
)
from tests.e2e.destination_deeds import MOVE_DEEDS
from tests.e2e.folder_deeds import DIVIDED_DEEDS, FOLDER_DEEDS, REDELIVERED_FOLDER_DEEDS
from tests.e2e.model_deeds import MODEL_DEEDS
from tests.e2e.world import World

INSERT_JOB = "bigquery.jobs.insert"
CREATE_BATCH = "aiplatform.projects.locations.batchPredictionJobs.create"
PUBLISH = "pubsub.projects.topics.publish"
WRITE = "storage.objects.insert"
REMOVE = "storage.objects.delete"
CANCEL_BATCH = "aiplatform.projects.locations.batchPredictionJobs.cancel"

ENDPOINTS = "aiplatform.projects.locations.endpoints"

# The worst moments for a kill: an effect is not stored yet, or a stored intention has no effect yet.
# The first job for a user's query is its dry run.
SHARPEST = (
    ("watching a drop", WRITE, 1, "after"),
    ("importing a counted drop", INSERT_JOB, 1, "after"),
    ("predicting", WRITE, 1, "after"),
    ("predicting", INSERT_JOB, 2, "after"),
    pytest.param("polling checked requests", CREATE_BATCH, 1, "after", marks=pytest.mark.long),
    pytest.param("polling a settled drop", INSERT_JOB, 1, "after", marks=pytest.mark.long),
    pytest.param("polling answers before they are taken apart", INSERT_JOB, 1, "after", marks=pytest.mark.matrix),
    pytest.param("polling an ended import", PUBLISH, 1, "after", marks=pytest.mark.long),
    pytest.param("polling an ended prediction", PUBLISH, 1, "after", marks=pytest.mark.long),
    pytest.param("continuing a part", PUBLISH, 1, "after", marks=pytest.mark.long),
)
# The same for actions on a batch. Only that a batch is to be cancelled is in the ledger before it is done.
SHARPEST_OF_ACTIONS = (
    pytest.param("cancelling a batch", CANCEL_BATCH, "before", False, marks=pytest.mark.long),
    pytest.param("deleting a batch", "bigquery.tables.delete", "after", True, marks=pytest.mark.long),
    pytest.param("retrying failed rows", INSERT_JOB, "after", True, marks=pytest.mark.long),
    pytest.param("resubmitting a batch", WRITE, "after", True, marks=pytest.mark.long),
)
# An operation on an endpoint has no id that its caller chooses. The endpoint shows what a call without an answer did.
SHARPEST_OF_MODELS = (
    pytest.param("deploying a model", f"{ENDPOINTS}.create", marks=pytest.mark.long),
    pytest.param("polling a new endpoint", f"{ENDPOINTS}.deployModel", marks=pytest.mark.long),
    pytest.param("undeploying a model", f"{ENDPOINTS}.undeployModel", marks=pytest.mark.long),
    pytest.param("polling a candidate that is registered", f"{ENDPOINTS}.deployModel", marks=pytest.mark.matrix),
)
LATER_DELIVERIES = list(range(2, 200))


def start_anew(world: World, deed: Deed) -> None:
    """Let the deed's function begin with nothing known: it asks where datasets are first, which are calls too."""
    world.cloud.functions.kill(deed.function)
    world.ready()


def prepare(world: World, deed: Deed, name: str) -> None:
    """Bring the world to the moment before the deed. A message that is still open then would add calls to the deed's."""
    deed.prepare(world, name)
    world.delivered()


def counted(world: World, deed: Deed, name: str) -> list[str]:
    """Do the deed undisturbed; return the methods that its function calls."""
    prepare(world, deed, name)
    start_anew(world, deed)
    world.count_calls()
    deed.do(world, name)
    world.delivered()
    return world.calls(deed.function)


def all_points(calls: Sequence[str]) -> Iterator[tuple[int, str]]:
    for n in range(1, len(calls) + 1):
        yield n, "before"
        yield n, "after"


def interrupt(world: World, deed: Deed, name: str, kill: dict[str, Any], *, again: bool) -> bool:
    """Do the deed, and kill its function where the rule ``kill`` says; its event comes ``again`` or is lost.

    Return whether the function came to that call.
    """
    prepare(world, deed, name)
    if "method" not in kill and (again or deed.function == "poll_jobs"):
        # It may have worked since it was last killed.
        start_anew(world, deed)
    rules = [{"caller": deed.function, "times": 1, "do": {"kill": True}, **kill}]
    if deed.by_event and not again:
        rules.append({"service": "eventarc", "receiver": deed.function, "nth": LATER_DELIVERIES, "do": {"drop": True}})
    with world.faults(*rules):
        deed.do(world, name)
        world.delivered()
        world.ready()
        killed = world.faults_met()[0] == 1
    if again and not deed.by_event:
        deed.do(world, name)
    return killed


@pytest.mark.parametrize(("deed_name", "method", "nth", "when"), SHARPEST)
def test_a_kill_at_the_sharpest_points_changes_nothing(
    world: World, shifter: str, deed_name: str, method: str, nth: int, when: str
) -> None:
    name = name_of(deed_name)
    assert interrupt(world, DEEDS[deed_name], name, {"method": method, "nth": nth, "when": when}, again=False)
    world.reconcile()
    world.quiet()
    if method == WRITE and deed_name == "predicting":
        # Only the index object was written, which does not hold the request.
        assert DEEDS[deed_name].lost(world, name)
        assert world.rows(f"{world.dataset}.{name}") == []
    else:
        DEEDS[deed_name].check(world, name)


@pytest.mark.parametrize(("deed_name", "method", "when", "again"), SHARPEST_OF_ACTIONS)
def test_a_kill_at_the_sharpest_point_of_an_action_changes_nothing(
    world: World, deed_name: str, method: str, when: str, again: bool
) -> None:
    name, deed = name_of(deed_name), REDELIVERED_DEEDS[deed_name]
    assert interrupt(world, deed, name, {"method": method, "nth": 1, "when": when}, again=again)
    world.quiet()
    deed.check(world, name)


@pytest.mark.parametrize(("deed_name", "method"), SHARPEST_OF_MODELS)
def test_a_kill_after_a_change_of_an_endpoint_changes_it_once(world: World, deed_name: str, method: str) -> None:
    name, deed = name_of(deed_name), MODEL_DEEDS[deed_name]
    assert interrupt(world, deed, name, {"method": method, "nth": 1, "when": "after"}, again=False)
    world.quiet()
    deed.check(world, name)


@pytest.mark.long
def test_a_kill_after_the_lines_of_a_retry_were_loaded_sends_each_request_again_once(world: World) -> None:
    name, deed = name_of("lines"), FOLDER_DEEDS["polling loaded lines of a retry"]
    assert interrupt(world, deed, name, {"method": INSERT_JOB, "nth": 1, "when": "after"}, again=False)
    world.quiet()
    deed.check(world, name)


@pytest.mark.long
@pytest.mark.parametrize("deed_name", ["polling a prepared part", "polling a second part"])
def test_a_kill_after_a_part_was_submitted_pays_it_once(impatient: World, deed_name: str) -> None:
    name, deed = name_of(deed_name), DIVIDED_DEEDS[deed_name]
    assert interrupt(impatient, deed, name, {"method": CREATE_BATCH, "nth": 1, "when": "after"}, again=False)
    impatient.quiet()
    deed.check(impatient, name)


def kill_at_every_call(world: World, deed_name: str, deed: Deed, *, again: bool) -> None:
    """Do the deed once undisturbed, and once for each call before and after which its function can be killed."""
    world.tick()  # the first tick of a world looks for lost drops too
    first = name_of(deed_name)
    calls = counted(world, deed, first)
    world.quiet()
    deed.check(world, first)
    done: dict[str, tuple[int, str]] = {}
    missed = 0
    for n, when in all_points(calls):
        name = name_of(deed_name)
        # A job that runs longer than the first one did leaves less to do.
        missed += not interrupt(world, deed, name, {"nth": n, "when": when}, again=again)
        done[name] = (n, when)
        if deed.function != "import_model":
            # Open work would add calls to the next tick, and batches that run at once.
            world.quiet()
    world.reconcile()
    world.quiet()
    assert missed <= len(done) / 3, f"{missed} of {len(done)} kills never happened"
    for name, (n, when) in done.items():
        if again or not deed.lost(world, name):
            try:
                deed.check(world, name)
            except AssertionError as error:
                raise AssertionError(f"{deed_name}, killed {when} call {n}, as {name}: {error}") from error


AGAIN = pytest.mark.parametrize("again", [True, False], ids=["delivered again", "never delivered again"])


@pytest.mark.matrix
@pytest.mark.timeout(1800)
@AGAIN
@pytest.mark.parametrize("deed_name", DEEDS)
def test_a_kill_at_any_call_changes_nothing(world: World, shifter: str, deed_name: str, again: bool) -> None:
    kill_at_every_call(world, deed_name, DEEDS[deed_name], again=again)


@pytest.mark.matrix
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("deed_name", REDELIVERED_DEEDS)
def test_a_kill_at_any_call_of_an_action_changes_nothing(world: World, deed_name: str) -> None:
    kill_at_every_call(world, deed_name, REDELIVERED_DEEDS[deed_name], again=True)


@pytest.mark.matrix
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("deed_name", MOVE_DEEDS)
def test_a_kill_at_any_call_about_an_output_with_rows_changes_nothing(world: World, deed_name: str) -> None:
    kill_at_every_call(world, deed_name, MOVE_DEEDS[deed_name], again=False)


@pytest.mark.matrix
@pytest.mark.timeout(1800)
@AGAIN
@pytest.mark.parametrize("deed_name", MODEL_DEEDS)
def test_a_kill_at_any_call_of_a_managed_model_changes_nothing(
    world: World, shifter: str, deed_name: str, again: bool
) -> None:
    kill_at_every_call(world, deed_name, MODEL_DEEDS[deed_name], again=again)


@pytest.mark.matrix
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("deed_name", FOLDER_DEEDS)
def test_a_kill_at_any_call_about_answers_in_folders_changes_nothing(world: World, deed_name: str) -> None:
    kill_at_every_call(world, deed_name, FOLDER_DEEDS[deed_name], again=False)


@pytest.mark.matrix
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("deed_name", REDELIVERED_FOLDER_DEEDS)
def test_a_kill_at_any_call_of_a_retry_in_folders_changes_nothing(world: World, deed_name: str) -> None:
    kill_at_every_call(world, deed_name, REDELIVERED_FOLDER_DEEDS[deed_name], again=True)


@pytest.mark.matrix
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("deed_name", DIVIDED_DEEDS)
def test_a_kill_at_any_call_about_a_divided_batch_changes_nothing(impatient: World, deed_name: str) -> None:
    kill_at_every_call(impatient, deed_name, DIVIDED_DEEDS[deed_name], again=False)


@pytest.fixture(scope="module")
def busy(start_world: Callable[..., AbstractContextManager[World]]) -> Iterator[World]:
    """A world in which one prediction is enough for one instance of the poller."""
    with start_world("busy", settings={"POLL_PART_ITEMS": "1"}) as world:
        world.import_shifter("seven", 7)
        yield world


@pytest.mark.matrix
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("deed_name", HANDED_OUT_DEEDS)
def test_a_kill_at_any_call_of_a_poller_that_hands_out_changes_nothing(busy: World, deed_name: str) -> None:
    kill_at_every_call(busy, deed_name, HANDED_OUT_DEEDS[deed_name], again=False)


@pytest.fixture(scope="module")
def cautious(start_world: Callable[..., AbstractContextManager[World]]) -> Iterator[World]:
    """A world in which a drop is imported as a candidate first, by the call that notices it."""
    with start_world("cautious", settings={"SAFE_IMPORT": "1", "SETTLE_WAIT_SECONDS": "10"}) as world:
        yield world


@pytest.mark.matrix
@pytest.mark.timeout(1800)
@AGAIN
@pytest.mark.parametrize("deed_name", SAFE_DEEDS)
def test_a_kill_at_any_call_of_a_safe_import_changes_nothing(cautious: World, deed_name: str, again: bool) -> None:
    kill_at_every_call(cautious, deed_name, SAFE_DEEDS[deed_name], again=again)
