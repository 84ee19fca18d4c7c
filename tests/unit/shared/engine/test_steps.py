"""Steps: what follows when a job has ended, and when a handler refuses. No service is called."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.batch_work import BatchFacts, BatchResult
from shared.cloud.batch_jobs import Batch, BatchReport
from shared.cloud.query_jobs import Query, Report
from shared.cloud.states import MAXIMUM_ATTEMPTS, Progress
from shared.engine.handler import Handler, WaitFor
from shared.engine.ledger.ledger import item_name
from shared.engine.running.steps import record, settle_batch, settle_query, submit
from shared.engine.services import Services
from shared.errors import LostRace, Problem, Rejected, TryLater
from shared.work import Item, Job, Outcome, Step, StepState, System, WaitReason
from shared.work_facts import QueryResult
from tests.example_requests import NOW, batch_item, prediction_item, services_at
from tests.unit.shared.conftest import World

SERVICES = services_at()
JOB = Job(System.BIGQUERY, "k-predict-1", "US")
VERTEX_JOB = Job(System.VERTEX, "projects/p/locations/us-central1/batchPredictionJobs/1", "us-central1")
STEP = Step("predict", System.BIGQUERY, StepState.SUBMITTED, job=JOB, sent=NOW)
ITEM = prediction_item("k" * 32, location="US", steps=(STEP,))
BATCH_STEP = Step("submit", System.VERTEX, StepState.SUBMITTED, job=VERTEX_JOB, sent=NOW)
BATCH = batch_item("k" * 32, location="US", steps=(BATCH_STEP,), facts=BatchFacts(output="bq://p.d.requested"))


class Plain(Handler):
    """A handler whose work is prepared with a location, or with an error, and that calls no service."""

    refused = Outcome.REJECTED

    def __init__(self, prepared: Exception | str = "US") -> None:
        self.prepared = prepared

    def prepare(self, item: Item, services: Services) -> Item:
        if isinstance(self.prepared, Exception):
            raise self.prepared
        return replace(item, location=self.prepared)

    def job(self, item: Item, step: Step, services: Services) -> Query | Batch:
        raise AssertionError("no job is submitted in these tests")

    def deadline_seconds(self, item: Item, services: Services) -> float:
        return 60

    def conclude(self, item: Item, services: Services) -> Item:
        return replace(item, outcome=Outcome.SUCCEEDED)


def _settle(report: Report | None, item: Item = ITEM) -> Item:
    assert item.current is not None
    return settle_query(item, item.current, report, NOW)


# --- BigQuery's jobs ---------------------------------------------------------------------------------------------------


def test_a_job_that_does_not_exist_is_submitted_again_under_its_id() -> None:
    step = _settle(None).current
    assert step == replace(STEP, state=StepState.PENDING, job=None)
    assert ITEM.job_id(step) == ITEM.job_id(STEP)


@pytest.mark.parametrize(
    ("statistics", "rows", "read", "slots", "failed"),
    [
        ({}, None, 0, 0, 0),
        ({"query": {"numDmlAffectedRows": "7", "queryPlan": [{"recordsWritten": "9"}]}}, 7, 0, 0, 0),
        ({"query": {"numDmlAffectedRows": "0"}}, 0, 0, 0, 0),
        ({"query": {"queryPlan": [{"recordsWritten": "9"}, {"recordsWritten": "500"}]}}, 500, 0, 0, 0),
        ({"query": {"queryPlan": [{}]}}, None, 0, 0, 0),
        ({"totalBytesProcessed": "10", "totalSlotMs": "20"}, None, 10, 20, 0),
        ({"totalBytesProcessed": "10", "query": {"totalBytesProcessed": "30", "totalSlotMs": "5"}}, None, 30, 5, 0),
        (
            {
                "query": {
                    "genAiStats": {
                        "functionStats": [
                            {"errorStats": {"numFailedRows": "2"}},
                            {},
                            {"errorStats": {"numFailedRows": 1}},
                        ]
                    }
                }
            },
            None,
            0,
            0,
            3,
        ),
    ],
)
def test_the_statistics_of_a_finished_query_are_kept(
    statistics: dict[str, Any], rows: int | None, read: int, slots: int, failed: int
) -> None:
    statistics = {"startTime": "1700000000000", **statistics}
    item = _settle(Report(Progress.SUCCEEDED, None, None, {"statistics": statistics}))
    assert item.steps[0].state is StepState.SUCCEEDED
    assert item.steps[0].result == QueryResult(
        started_ms=1_700_000_000_000,
        rows_written=rows,
        bytes_processed=read,
        slot_ms=slots,
        failed_rows=failed,
    )
    assert not item.final


@pytest.mark.parametrize("reason", ["jobBackendError", "jobInternalError", "jobRateLimitExceeded"])
def test_a_job_that_failed_through_no_fault_of_its_own_is_tried_under_three_ids(reason: str) -> None:
    item, ids = ITEM, [ITEM.job_id(STEP)]
    for _ in range(MAXIMUM_ATTEMPTS - 1):
        item = _settle(Report(Progress.FAILED, reason, "again, please", {}), item)
        step = item.current
        assert step is not None and step.state is StepState.PENDING and step.job is None
        ids.append(item.job_id(step))
        item = item.with_step(replace(step, state=StepState.SUBMITTED, job=JOB))
    item = _settle(Report(Progress.FAILED, reason, "no more", {}), item)
    assert ids == ["k" * 32 + f"-predict-{attempt}" for attempt in (1, 2, 3)]
    assert (item.outcome, item.problem, item.finished) == ("failed", Problem(reason, "no more"), NOW)


@pytest.mark.parametrize(
    "reason", ["invalidQuery", "stopped", "backendError", "quotaExceeded", "somethingNew", "", None]
)
def test_any_other_failure_ends_the_work_with_the_services_own_message(reason: str | None) -> None:
    item = _settle(Report(Progress.FAILED, reason, "Division by zero: 1 / 0", {}))
    assert item.outcome == "failed"
    assert item.problem == Problem(reason or "failed", "Division by zero: 1 / 0")


def test_a_failure_without_a_message_gets_one() -> None:
    problem = _settle(Report(Progress.FAILED, None, None, {})).problem
    assert problem == Problem("failed", "the job failed and BigQuery did not say why")


# --- Vertex AI's jobs --------------------------------------------------------------------------------------------------


def _report(progress: Progress, problem: Problem | None = None, **changes: Any) -> BatchReport:
    values: dict[str, Any] = {
        "name": VERTEX_JOB.id,
        "state": f"JOB_STATE_{progress.name}",
        "progress": progress,
        "created": NOW,
        "labels": {},
        "succeeded": 4,
        "failed": 1,
        "incomplete": None,
        "output": "bq://p.d.written",
        "problem": problem,
        **changes,
    }
    return BatchReport(**values)


def _settle_batch(report: BatchReport | None) -> Item:
    return settle_batch(BATCH, BATCH_STEP, report, NOW)


@pytest.mark.parametrize("progress", [Progress.SUCCEEDED, Progress.PARTIALLY_SUCCEEDED])
def test_a_batch_that_ran_has_its_counts_and_its_output(progress: Progress) -> None:
    item = _settle_batch(_report(progress))
    assert not item.final
    assert item.steps[0].state is StepState.SUCCEEDED
    assert item.facts == BatchFacts(
        output="bq://p.d.written",
        result=BatchResult(f"JOB_STATE_{progress.name}", succeeded=4, failed=1, incomplete=None),
    )


@pytest.mark.parametrize("progress", [Progress.FAILED, Progress.CANCELLED, Progress.EXPIRED])
def test_a_batch_that_did_not_run_ends_as_vertex_ai_says(progress: Progress) -> None:
    item = _settle_batch(_report(progress))
    assert item.outcome == progress.value
    assert item.problem == Problem(progress.value, f"Vertex AI ended the job as JOB_STATE_{progress.name}")
    assert isinstance(item.facts, BatchFacts) and item.facts.result is not None
    assert item.facts.result.state == f"JOB_STATE_{progress.name}"


def test_a_batch_that_failed_has_vertex_ais_own_message() -> None:
    problem = Problem("vertex_3", "Failed to import data")
    assert _settle_batch(_report(Progress.FAILED, problem)).problem == problem


def test_the_requested_output_remains_if_vertex_ai_reports_none() -> None:
    item = _settle_batch(_report(Progress.SUCCEEDED, output=None))
    assert isinstance(item.facts, BatchFacts)
    assert item.facts.output == "bq://p.d.requested"


def test_a_batch_that_was_deleted_has_failed() -> None:
    item = _settle_batch(None)
    assert (item.outcome, item.problem and item.problem.code) == ("failed", "job_not_found")


# --- a handler's refusal ---------------------------------------------------------------------------------

NEW = replace(ITEM, location=None, steps=(Step("predict", System.BIGQUERY),))


@pytest.mark.parametrize("refused", [Outcome.REJECTED, Outcome.FAILED])
def test_refused_work_ends_with_the_outcome_of_its_handler(refused: Outcome) -> None:
    handler = Plain(Rejected("there is no model d.m", field="model", code="model_not_found"))
    handler.refused = refused
    item = submit(NEW, handler, SERVICES)
    assert (item.outcome, item.finished) == (refused, NOW)
    assert item.problem == Problem("model_not_found", "there is no model d.m", "model")


def test_work_that_must_wait_waits_in_the_ledger() -> None:
    item = submit(NEW, Plain(WaitFor(WaitReason.MODEL, 10)), SERVICES)
    assert not item.final
    assert (item.waits_for, item.not_before, item.location) == ("model", NOW + timedelta(seconds=10), None)


def test_work_that_waits_is_prepared_again() -> None:
    waiting = replace(NEW, waits_for=WaitReason.TURN, not_before=NOW, steps=(replace(STEP, state=StepState.SUCCEEDED),))
    assert submit(waiting, Plain(WaitFor(WaitReason.TURN, 5)), SERVICES).not_before == NOW + timedelta(seconds=5)
    item = submit(waiting, Plain(), SERVICES)
    assert (item.location, item.waits_for, item.not_before, item.outcome) == ("US", None, None, "succeeded")


def test_an_outage_leaves_the_work_to_the_poller_at_once() -> None:
    item = submit(replace(NEW, not_before=NOW + timedelta(hours=1)), Plain(TryLater("503")), SERVICES)
    assert not item.final
    assert (item.waits_for, item.not_before) == (None, None)
    assert item.steps == NEW.steps


def test_the_end_of_work_is_one_write_of_its_item(world: World) -> None:
    claimed = world.services.ledger.claim(prediction_item()).item
    final = record(claimed.end(Outcome.FAILED, NOW, Problem("stopped", "stopped")), Plain(), world.services)
    stored = world.services.ledger.read(final.kind, final.key)
    assert stored is not None
    assert (final.final, stored.final, stored.claim) == (True, True, None)
    name = item_name(final.kind, final.key)
    [blob] = world.state.list_blobs(prefix=name, versions=False)
    assert blob.generation == final.generation
    assert [event["type"] for event in world.published()] == ["modeldrop.prediction.failed.v1"]
    assert world.indexed() == set()


def test_the_outcome_is_stored_before_its_event_is_published(world: World) -> None:
    claimed = world.services.ledger.claim(prediction_item()).item
    world.services.ledger.write(claimed)
    with pytest.raises(LostRace):
        record(claimed.end(Outcome.FAILED, NOW, Problem("stopped", "stopped")), Plain(), world.services)
    assert world.published() == []
    assert world.indexed() == {claimed.key}


def test_work_whose_steps_have_all_succeeded_is_concluded() -> None:
    done = replace(ITEM, steps=(replace(STEP, state=StepState.SUCCEEDED),))
    item = submit(done, Plain(), SERVICES)
    assert (item.outcome, item.finished) == ("succeeded", NOW)


def test_a_step_that_was_submitted_is_not_submitted_again() -> None:
    # Its handler would raise if it were asked for a query.
    assert submit(ITEM, Plain(), SERVICES) == ITEM
