"""Calls fail and the poller is killed while a batch adds to its output: no row is lost, and none is there twice."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.deeds import BATCH_ENDS, Deed, answered, publish_batch, tick
from tests.e2e.test_crash_matrix import INSERT_JOB, interrupt
from tests.e2e.test_faults import calls_of_functions
from tests.e2e.world import REGION, World, fresh

BEFORE = "answered before"

# The rows of an output after a batch of three requests, by `output.write`: the id of each, and whether it was there before.
# It had those of 1 and 100 before; none for `empty`.
ROWS = {
    "append": [(0, False), (1, False), (1, True), (2, False), (100, True)],
    "merge": [(0, False), (1, False), (2, False), (100, True)],
    "truncate": [(0, False), (1, False), (2, False)],
    "empty": [(0, False), (1, False), (2, False)],
}

pytestmark = pytest.mark.long
EVERY_WRITE = pytest.mark.parametrize(
    "write", ["append", "merge", *(pytest.param(write, marks=pytest.mark.matrix) for write in ("truncate", "empty"))]
)


@pytest.fixture(autouse=True)
def _no_faults(world: World) -> Iterator[None]:
    yield
    world.cloud.faults.clear()


def _output(world: World, name: str, write: str) -> dict[str, object]:
    """Return an output that has rows, unless it must be empty."""
    before = "ARRAY<INT64>[]" if write == "empty" else "[1, 100]"
    rows = f"SELECT id, 'x' AS request, '{BEFORE}' AS response, '' AS status FROM UNNEST({before}) AS id"
    world.bigquery.query(f"CREATE TABLE {world.regional}.{name} AS {rows}", location=REGION).result()
    key = {"key": ["id"]} if write == "merge" else {}
    return {"table": f"bq://{world.project}.{world.regional}.{name}", "write": write, **key}


def _check(world: World, name: str, write: str) -> None:
    item = world.item("batch", "request", name)
    assert item is not None
    assert item["outcome"] == "succeeded"
    rows = world.rows(f"{world.regional}.{name}")
    assert sorted((row["id"], row["response"] == BEFORE) for row in rows) == ROWS[write]
    assert [row["status"] or "" for row in rows] == [""] * len(rows)
    paid = [job["state"] for job in world.batches(item["key"]) if job["state"] != "JOB_STATE_CANCELLED"]
    assert paid == ["JOB_STATE_SUCCEEDED"]
    assert len(world.ids(*BATCH_ENDS, request_id=name)) == 1


@EVERY_WRITE
def test_with_three_calls_in_ten_failing_each_row_is_written_once(world: World, write: str) -> None:
    name = fresh(write)
    output = _output(world, name, write)
    with world.faults(*calls_of_functions(20)):
        publish_batch(world, name, output=output)
        world.until(lambda: world.ids(*BATCH_ENDS, request_id=name) and not world.pending())
        assert sum(world.faults_met()) > 5
    world.quiet()
    _check(world, name, write)


@EVERY_WRITE
def test_a_kill_after_the_move_was_submitted_writes_each_row_once(world: World, write: str) -> None:
    name = fresh(write)

    def about_to_move(world: World, name: str) -> None:
        """Bring a batch to where the step before `move` has ended, before the poller sees it."""
        answered(world, name, output=_output(world, name, write))
        item = world.item("batch", "request", name)
        assert item is not None
        last = f"{item['key']}-{'table' if write == 'merge' else 'review'}-"
        world.until(lambda: any(job.job_id.startswith(last) for job in world.jobs(item["key"])))
        world.until(lambda: all(job.state == "DONE" for job in world.jobs(item["key"])), ticking=False)

    deed = Deed("poll_jobs", about_to_move, tick, lambda world, name: _check(world, name, write), by_event=False)
    assert interrupt(world, deed, name, {"method": INSERT_JOB, "nth": 1, "when": "after"}, again=False)
    world.quiet()
    deed.check(world, name)
