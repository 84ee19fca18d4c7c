"""Two things happen to a batch at the same moment: each has a defined result, no job is paid twice, and no answer is lost."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from tests.e2e.deeds import (
    BATCH_ENDS,
    answered,
    check_batch,
    check_cancelled,
    check_deleted,
    check_retried,
    checked,
    ended_in_part,
    moving,
    send_action,
)
from tests.e2e.world import World, fresh, together

CREATE = "aiplatform.projects.locations.batchPredictionJobs.create"

# Each of these runs a whole batch.
pytestmark = pytest.mark.long


def _late(caller: str, method: str, **more: Any) -> dict[str, Any]:
    """Return the rule that makes the first call of a method so late that something can happen before."""
    return {"caller": caller, "method": method, "nth": 1, "do": {"delay_seconds": 3}, **more}


def _act(world: World, action: str, name: str) -> requests.Response:
    return world.post_batch({"action": action, "request_id": name})


def _code(answer: requests.Response) -> str:
    return str(answer.json()["error"]["code"])


def _key(world: World, name: str) -> str:
    item = world.item("batch", "request", name)
    assert item is not None
    return str(item["key"])


def _meanwhile(world: World, *deeds: Any) -> None:
    """Run the first deed, and the others once the rule in force has hit it."""
    first, *others = deeds

    def follow() -> None:
        world.until(lambda: world.faults_met() == [1], ticking=False)
        for deed in others:
            deed()

    together(first, follow)


def test_a_batch_cancelled_while_its_job_is_created_has_one_job_which_is_cancelled(world: World) -> None:
    name = fresh("created")
    checked(world, name)

    def cancel() -> None:
        (job,) = world.until(lambda: world.batches(_key(world, name)), ticking=False)
        world.cloud.vertex.force_state(job["name"], "JOB_STATE_RUNNING")
        assert _act(world, "cancel", name).status_code == 202

    with world.faults(_late("poll_jobs", CREATE, when="after")):
        together(world.tick, cancel)
    world.event("batch.cancelled", request_id=name)
    world.quiet()
    check_cancelled(world, name)


def test_a_batch_cancelled_while_the_poller_handles_the_end_of_its_job_keeps_its_answers(world: World) -> None:
    name = fresh("handled")
    answered(world, name)
    # The poller has seen that the job has ended, and is about to have its answers counted.
    with world.faults(_late("poll_jobs", "bigquery.jobs.insert")):
        _meanwhile(world, world.tick, lambda: _act(world, "cancel", name).raise_for_status())
    world.event("batch.succeeded", request_id=name)
    world.quiet()
    check_batch(world, name)


def test_a_cancellation_that_comes_while_the_event_is_published_is_refused(world: World) -> None:
    name = fresh("published")
    moving(world, name)
    answers: list[requests.Response] = []
    with world.faults(_late("poll_jobs", "pubsub.projects.topics.publish")):
        _meanwhile(world, world.tick, lambda: answers.append(_act(world, "cancel", name)))
    assert [(answer.status_code, _code(answer)) for answer in answers] == [(400, "batch_has_ended")]
    world.quiet()
    assert world.ids(*BATCH_ENDS, request_id=name) == world.ids("batch.succeeded", request_id=name)
    assert len(world.rows(f"{world.regional}.{name}")) == 3


def test_a_batch_that_is_being_deleted_does_not_run_again(world: World) -> None:
    name = fresh("deleted")
    ended_in_part(world, name)
    answers: list[requests.Response] = []
    with world.faults(_late("submit_batch_message", "bigquery.tables.delete")):
        _meanwhile(
            world,
            lambda: send_action("delete")(world, name),
            lambda: answers.append(_act(world, "retry_failed_rows", name)),
        )
    assert [_code(answer) for answer in answers] == ["answers_not_found"]
    world.event("batch.deleted", request_id=name)
    world.quiet()
    check_deleted(world, name)


def test_of_two_retries_at_once_one_runs_and_the_other_is_refused(world: World) -> None:
    name = fresh("twice")
    ended_in_part(world, name)
    answers: list[requests.Response] = []
    together(*[lambda: answers.append(_act(world, "retry_failed_rows", name))] * 2)
    assert sorted(answer.status_code for answer in answers) == [202, 400]
    assert {_code(answer) for answer in answers if answer.status_code == 400} == {"batch_is_open"}
    for action in ("delete", "resubmit"):
        assert _code(_act(world, action, name)) == "batch_is_open"
    world.quiet()
    check_retried(world, name)


def test_a_cancelled_retry_pays_no_job_and_can_be_repeated(world: World) -> None:
    name = fresh("repeated")
    ended_in_part(world, name)
    for action in ("retry_failed_rows", "cancel"):
        assert _act(world, action, name).status_code == 202
    world.event("batch.cancelled", request_id=name)
    world.quiet()
    assert len(world.batches(_key(world, name))) == 1
    assert sorted(bool(row["status"]) for row in world.rows(f"{world.regional}.{name}")) == [False, False, True]
    assert _act(world, "retry_failed_rows", name).status_code == 202
    world.event("batch.succeeded", request_id=name)
    world.quiet()
    assert len(world.batches(_key(world, name))) == 2
    rows = world.rows(f"{world.regional}.{name}")
    assert sorted((row["id"], bool(row["status"])) for row in rows) == [(n, False) for n in range(3)]


def test_a_batch_cancelled_between_two_of_its_jobs_is_completed_by_a_retry(impatient: World) -> None:
    world, name = impatient, fresh("halfway")
    rows = " UNION ALL ".join(f"SELECT {n} AS id, 'prompt {n}' AS prompt" for n in range(40))
    with world.faults({"caller": "poll_jobs", "method": CREATE, "nth": [*range(2, 200)], "do": {"status": 429}}):
        world.publish("BATCH_TOPIC", world.batch(name, name, input={"prompts": {"query": rows}}))
        # The second job is refused for quota, and waits.
        world.until(lambda: world.faults_met() != [0])
        assert _act(world, "cancel", name).status_code == 202
        cancelled = world.event("batch.cancelled", request_id=name)
    world.quiet()
    assert len(world.batches(_key(world, name))) == 1
    counts = cancelled.data["counts"]
    assert 0 < counts["succeeded"] < 40
    # The requests that were never sent count as well.
    assert counts["incomplete"] == 40 - counts["succeeded"]
    kept = world.bigquery.get_table(cancelled.data["answers"].removeprefix("bq://"))
    assert kept.num_rows == cancelled.data["counts"]["succeeded"]
    assert world.rows(f"{world.regional}.{name}") == []

    assert _act(world, "retry_failed_rows", name).status_code == 202
    world.event("batch.succeeded", request_id=name)
    world.quiet()
    found = world.rows(f"{world.regional}.{name}")
    assert sorted((row["id"], bool(row["status"])) for row in found) == [(n, False) for n in range(40)]
    # The requests of the first job are not paid again.
    assert len(world.batches(_key(world, name))) == 3
