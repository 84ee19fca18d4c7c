"""Services refuse, break and fail: nothing is lost, and every state and reason leads to the outcome in its table."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import pytest
import requests

from shared.cloud.states import BIGQUERY_CALL_REASONS, BIGQUERY_JOB_REASONS, Consequence
from shared.keys import hash_of
from tests.e2e.deeds import (
    SHIFT,
    ask,
    check_batch,
    check_import,
    check_prediction,
    post_requests,
    publish_batch,
    upload_all_but_one,
    upload_the_last,
)
from tests.e2e.world import World, fresh, together
from tests.waiting import LAST_LIMIT

FUNCTIONS = ("import_model", "predict", "submit_batch", "submit_batch_message", "poll_jobs")
# Together they hit three calls in ten.
BROKEN = ({"status": 503}, {"status": 429}, {"reset": True}, {"lose_answer": True})
SHARE = 0.085


def calls_of_functions(seed: int) -> list[dict[str, object]]:
    """Return rules that break the calls of each function in four ways."""
    return [
        {"caller": function, "rate": SHARE, "seed": seed + number, "do": effect}
        for number, (function, effect) in enumerate(itertools.product(FUNCTIONS, BROKEN))
    ]


def all_calls(seed: int) -> list[dict[str, object]]:
    """Return a rule that breaks every caller's calls, those of the test's own clients too."""
    return [{"rate": 0.3, "seed": seed, "do": {"status": 503}}]


# The storm, how many drops, predictions and batches it meets, and its seed. `make test-long` has the first.
STORMS = [
    pytest.param(calls_of_functions, (1, 1, 0), 20, marks=pytest.mark.long, id="small, seed 20"),
    *[
        pytest.param(storm, (2, 5, 2), seed, marks=pytest.mark.matrix, id=f"{storm.__name__}, seed {seed}")
        for storm in (calls_of_functions, all_calls)
        for seed in (0, 7)
    ],
]


@pytest.mark.parametrize(("storm", "counts", "seed"), STORMS)
def test_with_three_calls_in_ten_failing_everything_is_done_once(
    world: World,
    shifter: str,
    storm: Callable[[int], list[dict[str, object]]],
    counts: tuple[int, int, int],
    seed: int,
) -> None:
    drops, messages, batches = ([fresh("storm") for _ in range(count)] for count in counts)
    with world.faults(*storm(seed)):
        for name in drops:
            world.drop(world.shifter(SHIFT), name)
        for name in messages:
            ask(world, name)
        for name in batches:
            publish_batch(world, name)
        # Work that no function has opened yet is not in the ledger.
        model = f"{world.project}.{world.dataset}."
        world.until(
            lambda: (
                all(world.ids("model.imported", model=model + name) for name in drops)
                and all(world.ids("prediction.succeeded", request_id=name) for name in messages)
                and all(world.ids("batch.succeeded", request_id=name) for name in batches)
                and not world.pending()
            )
        )
        assert sum(world.faults_met()) > 5 * sum(counts)
    world.delivered()
    world.reconcile()
    world.quiet()
    for names, check in ((drops, check_import), (messages, check_prediction), (batches, check_batch)):
        for name in names:
            check(world, name)


def test_faults_can_be_read_and_cleared_while_every_service_refuses_all_calls(world: World) -> None:
    with world.faults({"do": {"status": 503}}):
        bucket = f"{world.environment['STORAGE_EMULATOR_HOST']}/storage/v1/b/{world.models.name}"
        assert requests.get(bucket, timeout=LAST_LIMIT).status_code == 503
        assert world.faults_met()[0] >= 1
    assert requests.get(bucket, timeout=LAST_LIMIT).status_code == 200


def test_a_conflict_of_the_dry_run_does_not_end_the_request(world: World, shifter: str) -> None:
    name = fresh("conflict")
    # The first is the dry run.
    with world.faults({"caller": "predict", "method": "bigquery.jobs.insert", "nth": 1, "do": {"status": 409}}):
        ask(world, name)
        world.delivered()
        assert world.faults_met() == [1]
    world.event("prediction.succeeded", request_id=name)
    world.quiet()
    check_prediction(world, name)


# Each state of Vertex AI with the event that it leads to, or None if the poller waits.
STATES = {
    "JOB_STATE_QUEUED": None,
    "JOB_STATE_PENDING": None,
    "JOB_STATE_RUNNING": None,
    "JOB_STATE_CANCELLING": None,
    "JOB_STATE_UPDATING": None,
    "JOB_STATE_SUCCEEDED": "batch.succeeded",
    "JOB_STATE_PARTIALLY_SUCCEEDED": "batch.partially_succeeded",
    "JOB_STATE_FAILED": "batch.failed",
    "JOB_STATE_CANCELLED": "batch.cancelled",
    "JOB_STATE_EXPIRED": "batch.expired",
    "JOB_STATE_PAUSED": "job.stuck",
    "JOB_STATE_UNSPECIFIED": "job.stuck",
}


def submitted_batch(world: World) -> tuple[str, str]:
    """Return the request id of a batch that runs, and its job."""
    name = fresh("state")
    post_requests(world, name)
    item = world.item("batch", "request", name)
    assert item is not None
    (job,) = world.until(lambda: world.batches(item["key"]))
    return name, job["name"]


@pytest.mark.parametrize(
    "state",
    [
        pytest.param(state, marks=() if state.endswith(("STATE_SUCCEEDED", "FAILED")) else pytest.mark.long)
        for state in STATES
    ],
)
def test_every_state_of_a_batch_leads_to_its_event(world: World, state: str) -> None:
    name, job = submitted_batch(world)
    world.cloud.vertex.force_state(job, state)
    for _ in range(3):
        world.tick()

    expected = STATES[state]
    # Further ticks move the answers of a job that has succeeded.
    events = world.until(lambda: world.events.all(request_id=name)) if expected else world.events.all(request_id=name)
    assert [event.type for event in events] == ([f"modeldrop.{expected}.v1"] if expected else [])
    if expected in {None, "job.stuck"}:
        # The poller still watches it.
        world.cloud.vertex.force_state(job, "JOB_STATE_SUCCEEDED")
        world.event("batch.succeeded", request_id=name)
    world.quiet()
    assert len(world.events.all(request_id=name)) == (2 if expected == "job.stuck" else 1)


@pytest.mark.long
def test_a_deleted_batch_is_reported_as_failed(world: World) -> None:
    name, job = submitted_batch(world)
    world.cloud.vertex.force_state(job, "JOB_STATE_CANCELLED")
    world.cloud.vertex.jobs.delete(job)
    failed = world.event("batch.failed", request_id=name)
    assert failed.data["error"]["code"] == "job_not_found"


def short_and_full(reasons: Iterable[str], *short: str) -> list[Any]:
    """Return ``reasons`` as parameters; `make test` has those of ``short``, the others are alike."""
    return [pytest.param(each, marks=() if each in short else pytest.mark.matrix) for each in reasons]


@pytest.mark.parametrize(
    "reason", short_and_full(BIGQUERY_CALL_REASONS, "accessDenied", "invalidQuery", "backendError", "quotaExceeded")
)
def test_every_reason_of_a_refused_call_leads_to_its_consequence(world: World, shifter: str, reason: str) -> None:
    name = fresh("call")
    status = {Consequence.REJECT: 400, Consequence.TRY_LATER: 503, Consequence.WAIT_FOR_QUOTA: 403}
    consequence = BIGQUERY_CALL_REASONS[reason]
    rule = {"caller": "predict", "method": "bigquery.jobs.insert", "nth": 2}
    with world.faults({**rule, "do": {"status": status[consequence], "reason": reason}}):
        ask(world, name)
        world.delivered()
        assert world.faults_met()[0] >= 1
    if consequence is Consequence.REJECT:
        rejected = world.event("request.rejected", request_id=name)
        world.quiet()
        assert rejected.data["error"]["code"] == reason
        assert world.rows(f"{world.dataset}.{name}") == []
    else:
        world.quiet()
        check_prediction(world, name)


@pytest.mark.parametrize(
    "reason",
    short_and_full(
        [*BIGQUERY_JOB_REASONS, "aReasonOfTomorrow"],
        *("jobBackendError", "jobRateLimitExceeded", "quotaExceeded", "stopped", "aReasonOfTomorrow"),
    ),
)
def test_every_reason_of_a_failed_job_leads_to_its_consequence(world: World, shifter: str, reason: str) -> None:
    name = fresh("job")
    with world.faults({"method": "bigquery.jobs.run", "times": 1, "do": {"status": 500, "reason": reason}}):
        ask(world, name)
        world.delivered()
        world.quiet()
    item = world.item("predict", "request", name)
    assert item is not None
    if BIGQUERY_JOB_REASONS.get(reason) is Consequence.NEXT_ATTEMPT:
        assert item["outcome"] == "succeeded"
        assert sorted(job.job_id for job in world.jobs(item["key"])) == [
            f"{item['key']}-predict-1",
            f"{item['key']}-predict-2",
        ]
        assert len(world.rows(f"{world.dataset}.{name}")) == 10
    else:
        assert item["outcome"] == "failed"
        assert world.events.all(request_id=name)[0].data["error"]["code"] == reason
        assert len(world.jobs(item["key"])) == 1


def test_a_job_that_fails_for_a_transient_reason_is_tried_three_times(world: World, shifter: str) -> None:
    name = fresh("thrice")
    with world.faults({"method": "bigquery.jobs.run", "do": {"status": 500, "reason": "jobBackendError"}}):
        ask(world, name)
        failed = world.event("prediction.failed", request_id=name)
        world.quiet()
    assert failed.data["error"]["code"] == "jobBackendError"
    assert len(world.jobs(failed.data["key"])) == 3


@pytest.mark.matrix
def test_work_that_fails_slowly_does_not_delay_later_work(
    start_world: Callable[..., AbstractContextManager[World]],
) -> None:
    with start_world("slow", settings={"POLL_BUDGET_SECONDS": "1", "POLL_THREADS": "1"}) as world:
        world.tick()
        failing, name = fresh("failing"), fresh("later")
        located = {"method": "bigquery.datasets.get"}
        with world.faults(
            {**located, "caller": "predict", "do": {"status": 401}},
            # The client tries again for longer than a tick may take.
            {**located, "caller": "poll_jobs", "do": {"status": 503}},
        ):
            world.ask(name, failing, failing)
            world.delivered()
            world.drop(world.shifter(SHIFT), name)
            world.delivered()
            world.until(lambda: any(each.startswith("import/") for each in world.pending()))
        world.event("prediction.succeeded", request_id=failing)
        world.quiet()
        assert world.shift_of(name) == SHIFT


@pytest.fixture(scope="module")
def strict(start_world: Callable[..., AbstractContextManager[World]]) -> Iterator[World]:
    """A world in which everything is past its deadline soon."""
    deadlines = ("BATCH_DEADLINE_SECONDS", "QUERY_DEADLINE_SECONDS", "CREATE_MODEL_DEADLINE_SECONDS")
    with start_world("strict", settings=dict.fromkeys(deadlines, "0.5")) as world:
        yield world


@pytest.mark.long
def test_no_more_batches_run_at_once_than_the_setting_allows(impatient: World) -> None:
    world = impatient
    names = [fresh("many") for _ in range(4)]
    together(*[partial(publish_batch, world, name) for name in names])
    world.delivered()
    keys = [hash_of("batch", "request", name) for name in names]

    def all_done_and_never_more_than_two() -> bool:
        states = [job["state"] for key in keys for job in world.batches(key)]
        assert sum(state in {"JOB_STATE_QUEUED", "JOB_STATE_PENDING", "JOB_STATE_RUNNING"} for state in states) <= 2
        return not world.pending()

    world.until(all_done_and_never_more_than_two)
    for name in names:
        check_batch(world, name)


@pytest.mark.matrix
def test_work_past_its_deadline_is_reported_once_and_still_watched(strict: World) -> None:
    world = strict
    world.import_shifter("seven", 7)
    name, model = fresh("slow"), fresh("slow")
    # The jobs run until the rule is cleared.
    with world.faults({"method": "bigquery.jobs.run", "do": {"delay_seconds": 3600}}):
        ask(world, name)
        world.drop(world.shifter(SHIFT), model)
        stuck = world.event("job.stuck", request_id=name)
        stuck_import = world.event("job.stuck", model=f"{world.project}.{world.dataset}.{model}")
        for _ in range(3):
            world.tick()
    batch, job = submitted_batch(world)
    world.cloud.vertex.force_state(job, "JOB_STATE_RUNNING")
    stuck_batch = world.event("job.stuck", request_id=batch)
    for _ in range(3):
        world.tick()
    world.cloud.vertex.force_state(job, "JOB_STATE_SUCCEEDED")
    world.quiet()

    assert [event.data["step"] for event in (stuck, stuck_import, stuck_batch)] == ["predict", "create", "submit"]
    assert {event.data["error"]["code"] for event in (stuck, stuck_import, stuck_batch)} == {"deadline"}
    assert [event.type.split(".", 1)[1] for event in world.events.all(request_id=name)] == [
        "job.stuck.v1",
        "prediction.succeeded.v1",
    ]
    assert [event.type.split(".", 1)[1] for event in world.events.all(request_id=batch)][-1] == "batch.succeeded.v1"
    assert world.shift_of(model) == SHIFT


@pytest.mark.matrix
def test_work_past_its_deadline_is_reported_even_if_its_job_cannot_be_read(strict: World) -> None:
    world, name = strict, fresh("unseen")
    world.import_shifter("eight", 7)
    with world.faults({"caller": "poll_jobs", "method": "bigquery.jobs.get", "do": {"status": 403}}):
        world.ask("eight", name, name)
        stuck = world.event("job.stuck", request_id=name)
        world.tick()
    world.event("prediction.succeeded", request_id=name)
    world.quiet()
    assert stuck.data["error"]["code"] == "deadline"
    assert len(world.events.all("job.stuck", request_id=name)) == 1


@pytest.mark.matrix
def test_work_whose_item_is_broken_is_reported_and_continued_once_it_is_mended(strict: World) -> None:
    world, name = strict, fresh("odd")
    upload_all_but_one(world, name, counted=False)
    world.ask(name, name, name)
    world.delivered()
    stored = f"ledger/items/predict/{hash_of('predict', 'request', name)}.json"

    def replace_request(request: dict[str, Any]) -> dict[str, Any]:
        item = json.loads(world.state.blob(stored).download_as_bytes())
        world.state.blob(stored).upload_from_string(json.dumps({**item, "request": request}))
        return dict(item["request"])

    # No version of Modeldrop can work on that.
    request = replace_request({})
    stuck = world.event("job.stuck", request_id=name, object=f"gs://{world.state.name}/{stored}")
    for _ in range(3):
        world.tick()
    # Its job may take too long as well; a second event would follow later.
    assert len(world.ids("job.stuck", request_id=name, object=stuck.data["object"])) == 1
    replace_request(request)
    upload_the_last(world, name)
    world.event("prediction.succeeded", request_id=name)
    world.quiet()
    assert stuck.data["error"]["code"] == "unreadable_object"
    assert len(world.rows(f"{world.dataset}.{name}")) == 10


@pytest.mark.matrix
def test_work_past_its_deadline_is_reported_even_if_its_function_died_before_it_stored_the_deadline(
    strict: World,
) -> None:
    world, name = strict, fresh("undated")
    world.import_shifter("nine", 7)
    index, nth = "storage.objects.insert", 4
    with world.faults(
        {"caller": "predict", "method": index, "nth": nth, "do": {"kill": True}},
        {"service": "eventarc", "receiver": "predict", "nth": [*range(2, 50)], "do": {"drop": True}},
        {"method": "bigquery.jobs.run", "do": {"delay_seconds": 3600}},
    ):
        world.ask("nine", name, name)
        world.delivered()
        assert world.faults_met()[0] == 1
        world.ready()
        world.event("job.stuck", request_id=name)
        world.tick()
    world.event("prediction.succeeded", request_id=name)
    world.quiet()
    assert len(world.events.all("job.stuck", request_id=name)) == 1
