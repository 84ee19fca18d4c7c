"""Batches that write an output with rows and can be interrupted, as ``deeds.py`` has other actions."""

from __future__ import annotations

from functools import partial

from tests.e2e.deeds import BATCH_ENDS, Deed, answered, own_tables_of, tick
from tests.e2e.world import REGION, World

BEFORE = "answered before"

# The rows of an output after a batch of three requests, by `output.write`: the id of each, and whether it was there before.
# It had those of 1 and 100 before; none for `empty`.
ROWS = {
    "append": [(0, False), (1, False), (1, True), (2, False), (100, True)],
    "merge": [(0, False), (1, False), (2, False), (100, True)],
    "truncate": [(0, False), (1, False), (2, False)],
    "empty": [(0, False), (1, False), (2, False)],
}


def output_with_rows(world: World, name: str, write: str) -> dict[str, object]:
    """Create an output that has rows, unless it must be empty, and return the field ``output`` of a request for it."""
    before = "ARRAY<INT64>[]" if write == "empty" else "[1, 100]"
    rows = f"SELECT id, 'x' AS request, '{BEFORE}' AS response, '' AS status FROM UNNEST({before}) AS id"
    world.bigquery.query(f"CREATE TABLE {world.regional}.{name} AS {rows}", location=REGION).result()
    key = {"key": ["id"]} if write == "merge" else {}
    return {"table": f"bq://{world.project}.{world.regional}.{name}", "write": write, **key}


def step_ended(step: str, write: str, world: World, name: str) -> None:
    """Bring a batch to where the query of a step has ended, before the poller sees it."""
    answered(world, name, output=output_with_rows(world, name, write))
    item = world.item("batch", "request", name)
    assert item is not None
    jobs = f"{item['key']}-{step}-"
    world.until(lambda: any(job.job_id.startswith(jobs) for job in world.jobs(item["key"])))
    world.until(lambda: all(job.state == "DONE" for job in world.jobs(item["key"])), ticking=False)


def check_written(write: str, world: World, name: str) -> None:
    """Assert that one job was paid, and that the output has each of its rows once."""
    item = world.item("batch", "request", name)
    assert item is not None
    assert item["outcome"] == "succeeded"
    rows = world.rows(f"{world.regional}.{name}")
    assert sorted((row["id"], row["response"] == BEFORE) for row in rows) == ROWS[write]
    assert [row["status"] or "" for row in rows] == [""] * len(rows)
    paid = [job["state"] for job in world.batches(item["key"]) if job["state"] != "JOB_STATE_CANCELLED"]
    assert paid == ["JOB_STATE_SUCCEEDED"]
    assert len(world.ids(*BATCH_ENDS, request_id=name)) == 1


def check_tidy(write: str, world: World, name: str) -> None:
    """Assert the same, and that no table of the batch's own is left."""
    check_written(write, world, name)
    item = world.item("batch", "request", name)
    assert item is not None
    assert own_tables_of(world, item["key"]) == []


def _step_deed(step: str, write: str) -> Deed:
    return Deed("poll_jobs", partial(step_ended, step, write), tick, partial(check_tidy, write), by_event=False)


# The last step before the move, by `output.write`: a merge creates its table first.
STEP_BEFORE_MOVE = {write: "table" if write == "merge" else "review" for write in ROWS}

MOVE_DEEDS = {
    "polling the review of a merge": _step_deed("review", "merge"),
    **{f"polling the last step before {write}": _step_deed(step, write) for write, step in STEP_BEFORE_MOVE.items()},
    **{f"polling the move of {write}": _step_deed("move", write) for write in ROWS},
}
