"""Calls fail and the poller is killed while a batch adds to its output: no row is lost, and none is there twice."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.deeds import BATCH_ENDS, publish_batch
from tests.e2e.destination_deeds import MOVE_DEEDS, check_written, output_with_rows
from tests.e2e.test_crash_matrix import INSERT_JOB, interrupt
from tests.e2e.test_faults import calls_of_functions
from tests.e2e.world import World, fresh

pytestmark = pytest.mark.long
EVERY_WRITE = pytest.mark.parametrize(
    "write", ["append", "merge", *(pytest.param(write, marks=pytest.mark.matrix) for write in ("truncate", "empty"))]
)


@pytest.fixture(autouse=True)
def _no_faults(world: World) -> Iterator[None]:
    yield
    world.cloud.faults.clear()


@EVERY_WRITE
def test_with_three_calls_in_ten_failing_each_row_is_written_once(world: World, write: str) -> None:
    name = fresh(write)
    output = output_with_rows(world, name, write)
    with world.faults(*calls_of_functions(20)):
        publish_batch(world, name, output=output)
        world.until(lambda: world.ids(*BATCH_ENDS, request_id=name) and not world.pending())
        assert sum(world.faults_met()) > 5
    world.quiet()
    check_written(write, world, name)


@EVERY_WRITE
def test_a_kill_after_the_move_was_submitted_writes_each_row_once(world: World, write: str) -> None:
    name, deed = fresh(write), MOVE_DEEDS[f"polling the last step before {write}"]
    assert interrupt(world, deed, name, {"method": INSERT_JOB, "nth": 1, "when": "after"}, again=False)
    world.quiet()
    deed.check(world, name)
