"""A function is killed at its n-th call, before it takes effect or after it unanswered: the outcome is as if it had not been.

n runs over all calls that the function makes, found by counting. `make test` has the sharpest of these points, `make test-all`
all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from tests.e2e.deeds import DEEDS, Deed, name_of
from tests.e2e.world import World

# Where a kill hurts most: what was just done is not written down, or what was just written down is not done.
SHARPEST = (
    ("bigquery.jobs.insert", "after"),
    ("aiplatform.projects.locations.batchPredictionJobs.create", "after"),
    ("pubsub.projects.topics.publish", "after"),
    ("storage.objects.insert", "after"),
    ("storage.objects.delete", "before"),
)
LATER_DELIVERIES = list(range(2, 200))


def start_anew(world: World, deed: Deed) -> None:
    """Let the deed's function begin with nothing known: it fetches tokens and locations first, which are calls too."""
    world.cloud.functions.kill(deed.function)
    world.ready()


def counted(world: World, deed: Deed, name: str) -> list[str]:
    """Do the deed undisturbed; return the methods that its function calls."""
    deed.prepare(world, name)
    start_anew(world, deed)
    world.count_calls()
    deed.do(world, name)
    world.delivered()
    return world.calls(deed.function)


def sharpest_points(calls: Sequence[str]) -> Iterator[tuple[int, str]]:
    for method, when in SHARPEST:
        if method in calls:
            yield calls.index(method) + 1, when


def all_points(calls: Sequence[str]) -> Iterator[tuple[int, str]]:
    for n in range(1, len(calls) + 1):
        yield n, "before"
        yield n, "after"


def interrupt(world: World, deed: Deed, name: str, n: int, when: str, *, again: bool) -> None:
    """Do the deed, and kill its function at the n-th call; its event comes ``again`` or is lost."""
    deed.prepare(world, name)
    if again or deed.function == "poll_jobs":
        # It may have worked since it was last killed.
        start_anew(world, deed)
    rules = [{"caller": deed.function, "nth": n, "when": when, "do": {"kill": True}}]
    if deed.by_event and not again:
        rules.append({"service": "eventarc", "receiver": deed.function, "nth": LATER_DELIVERIES, "do": {"drop": True}})
    with world.faults(*rules):
        deed.do(world, name)
        world.until(lambda: world.faults_met()[0] == 1, ticking=False)
        world.ready()
        world.delivered()
    if again and not deed.by_event:
        deed.do(world, name)


def run(world: World, deed_name: str, points: Sequence[tuple[int, str]], *, again: bool) -> None:
    """Interrupt a deed at every point, let the poller finish all, and check each."""
    deed = DEEDS[deed_name]
    names = []
    for n, when in points:
        name = name_of(deed_name)
        interrupt(world, deed, name, n, when, again=again)
        names.append((name, n, when))
        if deed.function == "poll_jobs":
            # What is still open would be among the calls of the next tick.
            world.quiet()
    world.reconcile()
    world.quiet()
    for name, n, when in names:
        if not (not again and deed.lost(world, name)):
            try:
                deed.check(world, name)
            except AssertionError as error:
                raise AssertionError(f"{deed_name}, killed {when} call {n}, as {name}: {error}") from error


@pytest.mark.parametrize("deed_name", DEEDS)
def test_a_kill_at_the_sharpest_points_changes_nothing(world: World, shifter: str, deed_name: str) -> None:
    calls = counted(world, DEEDS[deed_name], name_of(deed_name))
    world.quiet()
    run(world, deed_name, list(sharpest_points(calls)), again=False)


@pytest.mark.matrix
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("again", [True, False], ids=["delivered again", "never delivered again"])
@pytest.mark.parametrize("deed_name", DEEDS)
def test_a_kill_at_any_call_changes_nothing(world: World, shifter: str, deed_name: str, again: bool) -> None:
    name = name_of(deed_name)
    calls = counted(world, DEEDS[deed_name], name)
    world.quiet()
    DEEDS[deed_name].check(world, name)
    run(world, deed_name, list(all_points(calls)), again=again)
