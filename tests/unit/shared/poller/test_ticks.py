"""A tick of the poller: which work is due, and what happens to it.

Neither BigQuery nor Vertex AI is there: the work here is ended, waits, or is a drop.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from shared.cloud.batch_jobs import BatchReport
from shared.cloud.states import Progress
from shared.drops.drop import DropPath
from shared.drops.intake import examine_drop
from shared.engine.ledger.index import Pending
from shared.engine.waking import SOON, due_soon
from shared.poller.due import JobList, Look, is_due, waits_since, with_a_place
from shared.poller.ticks import Tick, tick
from shared.work import Job, Kind, Outcome, Step, StepState, System, WaitReason
from tests.example_requests import NOW, import_item, prediction_item
from tests.unit.shared.conftest import World
from tests.unit.shared.poller.open_work import ended_unpublished, prediction

PATH = DropPath("films", "genres", "2")
SETTLED = 30.0
TWO_MODELS = ("a.onnx", "b.onnx")
MINUTE = timedelta(minutes=1)


# --- which work is due -------------------------------------------------------------------------------------------------


def pending(**changes: Any) -> Pending:
    """Return an index object that was written at NOW."""
    return replace(Pending(Kind.PREDICT, "a" * 32, generation=1, written=NOW, created=NOW), **changes)


def query(**changes: Any) -> Pending:
    """Return the index object of a query that was submitted."""
    return pending(state=StepState.SUBMITTED.value, system=System.BIGQUERY.value, job_id="a-predict-1", **changes)


def batch(**changes: Any) -> Pending:
    """Return the index object of a batch that was submitted."""
    return pending(
        state=StepState.SUBMITTED.value, system=System.VERTEX.value, job_id="jobs/1", location="us-central1", **changes
    )


def batch_report(progress: Progress) -> BatchReport:
    """Return Vertex AI's report of that batch."""
    return BatchReport("jobs/1", "STATE", progress, NOW, {}, None, None, None, None, None)


NO_JOBS = JobList(frozenset(), {})
NO_ANSWER = JobList(None, {}, frozenset({"us-central1"}))


@pytest.mark.parametrize(
    ("work", "due"),
    [
        (pending(), True),
        (pending(due=NOW), True),
        (pending(due=NOW + MINUTE), False),
        (pending(due=NOW + MINUTE, deadline=NOW), True),
        (pending(due=NOW + MINUTE, deadline=NOW + MINUTE), False),
    ],
)
def test_work_is_due_at_its_time_or_at_its_deadline(work: Pending, due: bool) -> None:
    assert is_due(work, NO_JOBS, NOW) is due


@pytest.mark.parametrize(
    ("jobs", "due"),
    [(NO_JOBS, True), (JobList(frozenset({"a-predict-1"}), {}), False), (NO_ANSWER, False)],
    ids=["not listed", "listed as active", "no answer"],
)
def test_a_query_is_due_when_bigquery_no_longer_lists_it_as_active(jobs: JobList, due: bool) -> None:
    assert is_due(query(), jobs, NOW) is due


@pytest.mark.parametrize("progress", Progress)
def test_a_batch_is_due_unless_it_waits_or_runs(progress: Progress) -> None:
    jobs = JobList(frozenset(), {"jobs/1": batch_report(progress)})
    assert is_due(batch(), jobs, NOW) is (progress not in {Progress.WAITING, Progress.RUNNING})


@pytest.mark.parametrize(("jobs", "due"), [(NO_JOBS, True), (NO_ANSWER, False)], ids=["not listed", "no answer"])
def test_a_batch_that_is_not_listed_is_due_if_vertex_ai_answered(jobs: JobList, due: bool) -> None:
    assert is_due(batch(), jobs, NOW) is due


def test_a_batch_is_due_although_vertex_ai_did_not_answer_in_another_location() -> None:
    jobs = JobList(frozenset(), {}, frozenset({"global"}))
    assert is_due(batch(), jobs, NOW)


def test_an_outage_does_not_hide_a_deadline() -> None:
    assert is_due(query(deadline=NOW), NO_ANSWER, NOW)


def test_work_that_was_tried_in_vain_goes_behind_work_that_came_before_the_attempt() -> None:
    tried = pending(key="tried", written=NOW + MINUTE)
    others = [
        pending(key="new", created=NOW + MINUTE / 2, written=NOW + MINUTE / 2),
        query(key="submitted", created=NOW + MINUTE / 3, written=NOW + 2 * MINUTE),
        pending(key="waits", created=NOW + MINUTE / 4, written=NOW + 2 * MINUTE, waits_for=WaitReason.TURN.value),
    ]
    ordered = sorted([tried, *others], key=waits_since)
    assert [each.key for each in ordered] == ["waits", "submitted", "new", "tried"]


@pytest.mark.parametrize(
    ("work", "again", "due"),
    [
        (query(), False, NOW),
        (query(created=NOW - MINUTE * 600), False, NOW),
        (query(looks=1), False, None),
        (query(next_look=NOW + MINUTE), False, None),
        (pending(waits_for="settling", due=NOW + MINUTE), False, NOW + MINUTE),
        (pending(waits_for="settling", due=NOW + MINUTE, created=NOW - SOON - MINUTE), False, None),
        (pending(waits_for="settling", due=NOW, created=NOW - SOON - MINUTE), True, NOW),
        (pending(due=NOW + MINUTE), False, NOW),
    ],
    ids=["runs", "runs long", "killed", "set aside", "waits", "waits long", "was opened", "is being submitted"],
)
def test_work_is_looked_at_again_soon_if_it_may_have_come_further(
    work: Pending, again: bool, due: datetime | None
) -> None:
    assert due_soon(work, NOW, again=again) == due


WAITS = pending(state=StepState.SENDING.value, system=System.VERTEX.value, waits_for=WaitReason.QUOTA.value)
ANNOUNCED = pending(state=StepState.SENDING.value, system=System.VERTEX.value)


@pytest.mark.parametrize(
    ("others", "opened"),
    [
        ([], 3),
        ([batch()], 2),
        ([batch(), ANNOUNCED], 1),
        ([batch(), ANNOUNCED, replace(ANNOUNCED, waits_for=WaitReason.ANSWER.value)], 0),
        ([batch()] * 9, 0),
        ([query()] * 9, 3),
        ([batch(looks_reported=True)], 3),
    ],
    ids=["none", "one runs", "one is sent", "one may run", "too many", "queries", "unreadable"],
)
def test_no_more_waiting_batches_are_opened_than_places_are_free(others: list[Pending], opened: int) -> None:
    waiting = [replace(WAITS, key=f"waits-{number}") for number in range(5)]
    due = with_a_place([*others, *waiting], [*others, *waiting], 3, NOW)
    assert due == [*others, *waiting[:opened]]


def test_a_batch_that_waits_for_a_place_is_opened_at_its_deadline() -> None:
    late = replace(WAITS, deadline=NOW)
    assert with_a_place([WAITS, late], [batch(), WAITS, late], 1, NOW) == [late]


def test_other_work_that_waits_for_quota_is_opened() -> None:
    waits = pending(system=System.BIGQUERY.value, waits_for=WaitReason.QUOTA.value)
    assert with_a_place([waits], [batch(), waits], 1, NOW) == [waits]


# --- a tick ------------------------------------------------------------------------------------------------------------


def test_an_idle_tick_does_nothing(world: World) -> None:
    assert tick(world.services) == Tick(pending=0, handled=0, left=0, due=None)


def test_an_event_that_was_not_published_is_published(world: World) -> None:
    ended_unpublished(world)
    created = prediction(world).created
    assert tick(world.services) == Tick(pending=1, handled=1, left=0, due=world.services.now(), oldest=created)
    assert [event["type"] for event in world.published()] == ["modeldrop.prediction.failed.v1"]
    assert prediction(world).final
    assert world.indexed() == set()


def test_a_second_tick_publishes_nothing_again(world: World) -> None:
    ended_unpublished(world)
    tick(world.services)
    world.published()
    assert tick(world.services) == Tick(pending=0, handled=0, left=0, due=None)
    assert world.published() == []


def test_work_that_another_call_holds_is_left_to_it(world: World) -> None:
    item = world.services.ledger.claim(prediction_item()).item
    world.services.ledger.index(replace(item, not_before=None))
    tick(world.services)
    assert prediction(world).generation == item.generation


def test_work_is_left_for_the_next_tick_when_the_time_is_over(world: World) -> None:
    ended_unpublished(world)
    world.configure(poll_budget_seconds=0.0)
    assert tick(world.services).left == 1
    assert world.published() == []


def test_work_that_has_not_come_further_is_not_opened_again_in_the_same_call(world: World) -> None:
    item = world.services.ledger.claim(prediction_item()).item
    world.services.ledger.index(replace(item, not_before=None))
    opened: set[Look] = set()
    assert [tick(world.services, opened=opened).handled for _ in range(2)] == [1, 0]
    world.services.ledger.index(replace(item, not_before=None))
    assert tick(world.services, opened=opened).handled == 1


def test_a_submitted_job_keeps_the_poller_awake_after_a_look_in_vain(world: World) -> None:
    submitted = Step("submit", System.VERTEX, StepState.SUBMITTED, job=Job(System.VERTEX, "jobs/1", "us-central1"))
    # Another call holds it.
    item = world.services.ledger.claim(replace(prediction_item(), steps=(submitted,))).item
    now = world.services.now()
    world.services.ledger.index(item, deadline=now)
    opened: set[Look] = set()
    ticks = [tick(world.services, opened=opened) for _ in range(3)]
    assert [(each.handled, each.due) for each in ticks] == [(1, now), (0, now), (0, now)]


def test_an_index_object_without_an_item_is_removed_after_a_lease(world: World) -> None:
    world.services.ledger.index(prediction_item())
    tick(world.services)
    assert world.indexed() == {"a" * 32}
    world.pass_time(world.services.settings.lease_seconds + 1)
    tick(world.services)
    assert world.indexed() == set()


def test_a_drop_that_has_settled_is_handed_over_to_its_import(world: World) -> None:
    world.upload(PATH, *TWO_MODELS)
    examine_drop(PATH, None, world.services)
    tick(world.services)
    assert world.imports() == []
    world.pass_time(SETTLED)
    tick(world.services)
    assert [item.outcome for item in world.imports()] == [Outcome.FAILED]


def test_a_drop_that_lacks_files_for_too_long_is_reported_once(world: World) -> None:
    world.upload(PATH, "variables/variables.index")
    examine_drop(PATH, None, world.services)
    for _ in range(2):
        world.pass_time(world.services.settings.drop_stuck_seconds + 1)
        tick(world.services)
    [event] = world.published()
    assert (event["type"], event["error"]["code"]) == ("modeldrop.job.stuck.v1", "drop_incomplete")
    assert event["missing"] == ["saved_model.pb"]


def test_an_import_that_fails_names_its_model_path_and_reason_in_the_log(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.upload(PATH, *TWO_MODELS)
    world.pass_time(SETTLED)
    examine_drop(PATH, None, world.services)
    records = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    [record] = [each for each in records if each["message"] == "import failed"]
    assert (record["severity"], record["kind"], record["code"]) == ("INFO", "import", "several_models")
    assert record["model"] == "local-project.films.genres"
    assert record["path"] == PATH.uri(world.services.settings.model_bucket)
    assert record["reason"].startswith("the drop holds 2 model files")


def test_a_failed_piece_of_work_does_not_hold_up_the_others(world: World) -> None:
    world.state.blob(f"ledger/items/import/{'b' * 32}.json").upload_from_string("not JSON")
    world.services.ledger.index(import_item("b" * 32))
    ended_unpublished(world)
    assert tick(world.services).handled == 2
    types = sorted(event["type"] for event in world.published())
    assert types == ["modeldrop.job.stuck.v1", "modeldrop.prediction.failed.v1"]
