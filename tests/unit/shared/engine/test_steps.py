"""How work goes on, as far as nobody is called: what a job's end leads to, and what a handler's refusal leads to."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.cloud.batch_jobs import Batch, BatchReport
from shared.cloud.bigquery import Query, Report
from shared.cloud.states import MAXIMUM_ATTEMPTS, Progress
from shared.engine.services import Services
from shared.engine.steps import (
    WaitFor,
    settle_batch,
    settle_query,
    submit,
)
from shared.errors import Problem, Rejected, TryLater
from shared.work import (
    Item,
    Job,
    Kind,
    Step,
    StepState,
    System,
)
from tests.example_requests import NOW, services_at

SERVICES = services_at()
JOB = Job(System.BIGQUERY, "k-predict-1", "US")
VERTEX_JOB = Job(System.VERTEX, "projects/p/locations/us-central1/batchPredictionJobs/1", "us-central1")
STEP = Step("predict", System.BIGQUERY, StepState.SUBMITTED, job=JOB, sent=NOW)
ITEM = Item(Kind.PREDICT, "k" * 32, "p" * 32, {}, NOW, location="US", steps=(STEP,))
BATCH_STEP = Step("submit", System.VERTEX, StepState.SUBMITTED, job=VERTEX_JOB, sent=NOW)
BATCH = replace(ITEM, kind=Kind.BATCH, steps=(BATCH_STEP,)).with_facts(output="bq://p.d.asked_for")


class Plain:
    """A handler that does what it is told to, and calls nobody."""

    refused = "rejected"

    def __init__(self, prepared: Exception | str = "US") -> None:
        self.prepared = prepared

    def prepare(self, item: Item, services: Services) -> Item:
        if isinstance(self.prepared, Exception):
            raise self.prepared
        return replace(item, location=self.prepared)

    def query(self, item: Item, step: Step, services: Services) -> Query:
        raise NotImplementedError

    def batch(self, item: Item, step: Step, services: Services) -> Batch:
        raise NotImplementedError

    def deadline_seconds(self, item: Item, services: Services) -> float:
        return 60

    def conclude(self, item: Item, services: Services) -> Item:
        return replace(item, outcome="succeeded")

    def close(self, item: Item, services: Services) -> Item:
        return item


def _settle(report: Report | None, item: Item = ITEM) -> Item:
    assert item.current is not None
    return settle_query(item, item.current, report, Plain(), SERVICES)


# --- BigQuery's jobs ---------------------------------------------------------------------------------------------------


def test_a_job_that_is_not_there_is_submitted_again_under_its_id() -> None:
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
def test_what_a_finished_query_told_is_kept(
    statistics: dict[str, Any], rows: int | None, read: int, slots: int, failed: int
) -> None:
    statistics = {"startTime": "1700000000000", **statistics}
    item = _settle(Report(Progress.SUCCEEDED, None, None, {"statistics": statistics}))
    assert item.steps[0].state is StepState.SUCCEEDED
    assert item.steps[0].result == {
        "started_ms": 1_700_000_000_000,
        "rows_written": rows,
        "bytes_processed": read,
        "slot_ms": slots,
        "failed_rows": failed,
    }
    assert not item.final


@pytest.mark.parametrize("reason", ["jobBackendError", "jobInternalError", "jobRateLimitExceeded"])
def test_a_job_that_failed_for_no_fault_of_its_own_is_tried_under_new_ids_and_not_for_ever(reason: str) -> None:
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
def test_any_other_failure_ends_the_work_with_the_services_own_words(reason: str | None) -> None:
    item = _settle(Report(Progress.FAILED, reason, "Division by zero: 1 / 0", {}))
    assert item.outcome == "failed"
    assert item.problem == Problem(reason or "failed", "Division by zero: 1 / 0")


def test_a_failure_without_words_gets_some() -> None:
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
    return settle_batch(BATCH, BATCH_STEP, report, SERVICES)


@pytest.mark.parametrize("progress", [Progress.SUCCEEDED, Progress.PARTIALLY_SUCCEEDED])
def test_a_batch_that_ran_is_concluded_by_its_counts(progress: Progress) -> None:
    item = _settle_batch(_report(progress))
    assert not item.final
    assert item.steps[0].state is StepState.SUCCEEDED
    assert item.steps[0].result == {
        "state": f"JOB_STATE_{progress.name}",
        "succeeded": 4,
        "failed": 1,
        "incomplete": None,
    }
    assert item.facts["counts"] == {"succeeded": 4, "failed": 1, "incomplete": None}
    assert item.facts["output"] == "bq://p.d.written"


@pytest.mark.parametrize("progress", [Progress.FAILED, Progress.CANCELLED, Progress.EXPIRED])
def test_a_batch_that_did_not_run_ends_as_vertex_ai_says(progress: Progress) -> None:
    item = _settle_batch(_report(progress))
    assert item.outcome == progress.value
    assert item.problem == Problem(progress.value, f"Vertex AI ended the job as JOB_STATE_{progress.name}")
    assert item.facts["state"] == f"JOB_STATE_{progress.name}"
    told = Problem("vertex_3", "Failed to import data")
    assert _settle_batch(_report(progress, told)).problem == told


def test_an_output_that_is_not_told_is_the_one_that_was_asked_for() -> None:
    assert _settle_batch(_report(Progress.SUCCEEDED, output=None)).facts["output"] == "bq://p.d.asked_for"


def test_a_batch_that_is_gone_has_failed() -> None:
    item = _settle_batch(None)
    assert (item.outcome, item.problem and item.problem.code) == ("failed", "job_not_found")


# --- what a handler's refusal leads to ---------------------------------------------------------------------------------

NEW = replace(ITEM, location=None, steps=(Step("predict", System.BIGQUERY),))


@pytest.mark.parametrize("refused", ["rejected", "failed"])
def test_what_is_refused_for_good_ends_as_its_kind_ends(refused: str) -> None:
    handler = Plain(Rejected("there is no model d.m", field="model", code="model_not_found"))
    handler.refused = refused
    item = submit(NEW, handler, SERVICES)
    assert (item.outcome, item.finished) == (refused, NOW)
    assert item.problem == Problem("model_not_found", "there is no model d.m", "model")


def test_what_must_wait_waits_in_the_ledger() -> None:
    item = submit(NEW, Plain(WaitFor("model", 10)), SERVICES)
    assert not item.final
    assert (item.waits_for, item.not_before, item.location) == ("model", NOW + timedelta(seconds=10), None)


def test_what_waits_for_its_turn_is_prepared_again_and_then_waits_for_nothing() -> None:
    waiting = replace(NEW, waits_for="turn", not_before=NOW, steps=(replace(STEP, state=StepState.SUCCEEDED),))
    assert submit(waiting, Plain(WaitFor("turn", 5)), SERVICES).not_before == NOW + timedelta(seconds=5)
    item = submit(waiting, Plain(), SERVICES)
    assert (item.location, item.waits_for, item.not_before, item.outcome) == ("US", None, None, "succeeded")


def test_an_outage_leaves_the_work_to_the_poller_at_once() -> None:
    item = submit(replace(NEW, not_before=NOW + timedelta(hours=1)), Plain(TryLater("503")), SERVICES)
    assert not item.final
    assert (item.waits_for, item.not_before) == (None, None)
    assert item.steps == NEW.steps


def test_work_whose_steps_have_all_succeeded_is_concluded() -> None:
    done = replace(ITEM, steps=(replace(STEP, state=StepState.SUCCEEDED),))
    item = submit(done, Plain(), SERVICES)
    assert (item.outcome, item.finished) == ("succeeded", NOW)


def test_a_step_that_was_submitted_is_not_submitted_again() -> None:
    # Its handler would raise if it were asked for a query.
    assert submit(ITEM, Plain(), SERVICES) == ITEM
