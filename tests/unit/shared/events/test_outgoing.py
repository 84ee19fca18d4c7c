"""The events that the functions publish: their types, ids and data."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.errors import Problem
from shared.events.outgoing import (
    EVENT_TYPES,
    REJECTED,
    STUCK,
    RefusedRequest,
    completion_event,
    rejection_event,
    stuck_event,
)
from shared.work import Job, Kind, Outcome, Step, StepState, System
from shared.work_facts import PredictionFacts, QueryResult
from tests.example_requests import NOW, prediction_item

LATER = NOW + timedelta(minutes=5)
PROBLEM = Problem("invalidQuery", "Division by zero")
DONE = prediction_item(
    request_id="nightly-2026-11-20",
    message_id="9471",
    location="US",
    steps=(
        Step("count", System.BIGQUERY, StepState.SUCCEEDED, job=Job(System.BIGQUERY, "a-count-1", "US")),
        Step("predict", System.BIGQUERY, StepState.SUCCEEDED, job=Job(System.BIGQUERY, "a-predict-2", "EU")),
    ),
    facts=PredictionFacts(result=QueryResult(rows_written=500)),
    outcome=Outcome.SUCCEEDED,
    finished=LATER,
)


def test_a_completion_event_holds_the_common_fields_and_the_facts() -> None:
    event = completion_event(DONE)
    assert event.type == "modeldrop.prediction.succeeded.v1"
    assert event.subject == f"predict/{'a' * 32}"
    assert event.time == LATER
    assert event.data == {
        "key": "a" * 32,
        "kind": "predict",
        "request_id": "nightly-2026-11-20",
        "message_id": "9471",
        "labels": {"team": "news"},
        "job": {"system": "bigquery", "id": "a-predict-2", "location": "EU"},
        "created": "2026-11-20T09:41:17.318000+00:00",
        "finished": "2026-11-20T09:46:17.318000+00:00",
        "outcome": "succeeded",
        "error": None,
        "model": "local-project.bqml_tutorial.imported_tf_model",
        "model_version": None,
        "model_fingerprint": None,
        "output_table": "local-project.bqml_tutorial.predictions",
        "rows_written": 500,
        "bytes_processed": 0,
        "slot_ms": 0,
        "failed_rows": 0,
    }


def test_the_event_of_work_without_a_job_has_no_job() -> None:
    assert completion_event(replace(DONE, steps=(Step("predict", System.BIGQUERY),))).data["job"] is None


@pytest.mark.parametrize(("kind", "outcome"), EVENT_TYPES)
def test_every_outcome_has_a_type(kind: Kind, outcome: Outcome) -> None:
    event = completion_event(replace(DONE, kind=kind, outcome=outcome, problem=PROBLEM))
    assert event.type == EVENT_TYPES[(kind, outcome)]
    assert re.fullmatch(r"modeldrop\.(model|prediction|batch)\.[a-z_]+\.v1", event.type)
    assert event.data["error"] == {"code": "invalidQuery", "message": "Division by zero", "field": None}


def test_each_outcome_has_a_type_of_its_own() -> None:
    assert len({*EVENT_TYPES.values(), STUCK, REJECTED}) == len(EVENT_TYPES) + 2


def test_a_request_that_is_rejected_after_its_claim_has_a_rejection_event() -> None:
    event = completion_event(replace(DONE, outcome=Outcome.REJECTED, problem=PROBLEM))
    assert event.type == REJECTED
    assert event.data["outcome"] == "rejected"


def test_a_repeated_event_has_the_same_id() -> None:
    again = replace(
        DONE,
        created=LATER,
        finished=LATER + timedelta(days=1),
        generation=7,
        sources=("1", "2"),
        facts=PredictionFacts(result=QueryResult(rows_written=1)),
    )
    assert completion_event(again).id == completion_event(DONE).id


def test_every_other_event_has_another_id() -> None:
    def rejection(problem: Problem, kind: Kind = Kind.PREDICT, key: str = "a" * 32) -> str:
        return rejection_event(RefusedRequest(kind, key, NOW), NOW, problem).id

    ids = [
        completion_event(DONE).id,
        completion_event(replace(DONE, run=2)).id,
        completion_event(replace(DONE, outcome=Outcome.FAILED)).id,
        completion_event(replace(DONE, outcome=Outcome.PARTIALLY_SUCCEEDED)).id,
        completion_event(replace(DONE, outcome=Outcome.REJECTED)).id,
        completion_event(replace(DONE, key="c" * 32)).id,
        completion_event(replace(DONE, kind=Kind.BATCH)).id,
        stuck_event(DONE, NOW, PROBLEM, "count").id,
        stuck_event(DONE, NOW, PROBLEM, "predict").id,
        rejection(PROBLEM),
        rejection(replace(PROBLEM, message="Overflow")),
        rejection(replace(PROBLEM, field="input")),
        rejection(replace(PROBLEM, code="invalid")),
        rejection(PROBLEM, kind=Kind.BATCH),
        rejection(PROBLEM, key="c" * 32),
    ]
    assert all(one != other for one, other in itertools.combinations(ids, 2))
    assert all(re.fullmatch(r"[0-9a-f]{32}", each) for each in ids)


def test_the_event_of_stuck_work_names_the_step_and_has_no_end() -> None:
    waiting = replace(DONE, outcome=None, finished=None)
    event = stuck_event(waiting, LATER, Problem("deadline", "it has been at count for 300 s"), "count")
    assert event.type == STUCK
    assert event.data["finished"] is None
    assert event.data["outcome"] == "stuck"
    assert event.data["step"] == "count"
    assert event.data["noticed"] == "2026-11-20T09:46:17.318000+00:00"
    assert event.data["rows_written"] == 500


def test_a_request_that_is_rejected_before_its_claim_has_a_rejection_event() -> None:
    problem = Problem("missing_field", "model is missing", "model")
    event = rejection_event(
        RefusedRequest(Kind.BATCH, "k" * 32, NOW, "posters-42", "9471", {"team": "films"}), LATER, problem
    )
    assert event.type == REJECTED
    assert event.subject == f"batch/{'k' * 32}"
    assert event.data == {
        "key": "k" * 32,
        "kind": "batch",
        "request_id": "posters-42",
        "message_id": "9471",
        "labels": {"team": "films"},
        "job": None,
        "created": "2026-11-20T09:41:17.318000+00:00",
        "finished": "2026-11-20T09:46:17.318000+00:00",
        "outcome": "rejected",
        "error": {"code": "missing_field", "message": "model is missing", "field": "model"},
    }
