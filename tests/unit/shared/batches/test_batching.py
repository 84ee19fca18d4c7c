"""Batches: the steps of a request, its key, and how it ends."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from shared.batch_work import BatchFacts, BatchMessage, BatchResult, BatchRound, RequestCheck
from shared.batches.batching import Batches, plan
from shared.batches.next_steps import after_check
from shared.batches.output.places import own_tables
from shared.batches.request import BatchRequest
from shared.events.incoming import Message
from shared.events.outgoing import completion_event
from shared.work import Item, Job, Kind, Outcome, Step, StepState, System
from tests.example_requests import (
    BATCH_REQUEST,
    NOW,
    SETTINGS,
    services_at,
    without,
)

PROMPTS = {"prompts": {"query": "SELECT 'x' AS prompt"}}


def _plan(request: dict[str, Any] = BATCH_REQUEST, source: str = "1") -> Item:
    return plan(BatchRequest.parse(request, SETTINGS, NOW), request, Message(source, b"", {}, NOW), NOW)


FILES = {**BATCH_REQUEST, "input": "gs://bucket-1/a.jsonl"}


@pytest.mark.parametrize(
    ("request_", "steps"),
    [
        (BATCH_REQUEST, ["check"]),
        ({**BATCH_REQUEST, "input": PROMPTS}, ["requests", "check"]),
        (FILES, ["submit"]),
        ({**FILES, "dry_run": True}, []),
    ],
)
def test_nothing_is_submitted_before_the_requests_are_checked(request_: dict[str, Any], steps: list[str]) -> None:
    assert [step.name for step in _plan(request_).steps] == steps


def _checked(*rows: dict[str, Any], **changes: Any) -> Item:
    """Return the item after its check has ended with these rows."""
    counts = {"characters": 10, "files": 0, "answer_tokens": 0, "limited_requests": 0, "row_numbers": [3]}
    item = _plan({**BATCH_REQUEST, **changes})
    found = [{**counts, "rule": None, **row} for row in rows]
    return after_check(item.with_step(replace(item.steps[0], state=StepState.SUCCEEDED)), found, SETTINGS)


def test_checked_requests_are_submitted() -> None:
    item = _checked({"requests": 5})
    assert item.current == Step("submit", System.VERTEX)
    assert isinstance(item.facts, BatchFacts)
    assert item.facts.check == RequestCheck(5, 10, 0, None, input_tokens=3)


def test_more_requests_than_a_job_takes_are_divided() -> None:
    item = _plan()
    item = replace(item, facts=BatchFacts(answers="bq://my-project.my_dataset.modeldrop_answers_x"))
    rows = [{"rule": None, "requests": 400_000, "characters": 1, "files": 0, "answer_tokens": 0, "limited_requests": 0}]
    divided = after_check(item, rows, SETTINGS)
    assert [step.name for step in divided.steps] == ["check", "divide", "part", "submit"]
    facts = divided.facts
    assert isinstance(facts, BatchFacts)
    assert (facts.parts, facts.requests) == (3, f"bq://my-project.my_dataset.modeldrop_requests_{item.key}_part")
    # Answers in Cloud Storage could not be put together.
    refused = after_check(replace(item, facts=BatchFacts()), rows, SETTINGS)
    assert refused.problem is not None and refused.problem.code == "too_many_requests"
    # One query cannot read a table in one location and write beside another.
    elsewhere = item.with_step(replace(item.steps[0], job=Job(System.BIGQUERY, "check", "US")))
    refused = after_check(replace(elsewhere, location="us-central1"), rows, SETTINGS)
    assert refused.problem is not None and (refused.problem.code, refused.problem.field) == ("wrong_location", "input")


def test_all_tables_of_a_divided_batch_are_its_own() -> None:
    item = _plan()
    name = f"bq://my-project.films.modeldrop_{{}}_{item.key}"
    rounds = (BatchRound(f"{name.format('requests')}_part", f"{name.format('answers')}_1_1"),)
    facts = BatchFacts(
        "bq://my-project.films.requests", parts=2, rounds=rounds, requests=f"{name.format('requests')}_part_2"
    )
    facts = replace(facts, answers=f"{name.format('answers')}_1_1_2", output="bq://my-project.films.answers")
    kinds = {table.table.replace(item.key, "K") for table in own_tables(replace(item, facts=facts))}
    assert kinds == {
        "modeldrop_requests_K_part",
        "modeldrop_requests_K_part_2",
        "modeldrop_requests_K_parts",
        "modeldrop_answers_K_1_1",
        "modeldrop_answers_K_1_1_2",
    }


@pytest.mark.parametrize(
    ("rounds", "result", "incomplete"),
    [
        # Two of three parts were sent.
        ((BatchRound(None, "bq://p.d.a"), BatchRound(None, "bq://p.d.b")), (60, 3, 1), 37),
        # A row that is sent again is not another part.
        ((BatchRound(None, "bq://p.d.a"), BatchRound(None, "bq://p.d.b", "retryable")), (30, 3, 0), 67),
        # The first job has not ended well.
        ((), (None, None, None), 100),
        # All parts were sent, and their counts are known.
        (tuple(BatchRound(None, f"bq://p.d.{name}") for name in "abc"), (90, 3, 7), 7),
    ],
)
def test_requests_of_parts_that_were_not_sent_count_as_incomplete(
    rounds: tuple[BatchRound, ...], result: tuple[int | None, ...], incomplete: int
) -> None:
    succeeded, failed, left = result
    facts = BatchFacts(
        parts=3,
        rounds=rounds,
        check=RequestCheck(100, 10, 0, None),
        result=BatchResult("JOB_STATE_CANCELLED", succeeded, failed, left),
    )
    item = replace(_plan(), facts=facts, location="US", outcome=Outcome.CANCELLED, finished=NOW)
    counts = completion_event(item).data["counts"]
    assert counts == {"succeeded": succeeded or 0, "failed": failed or 0, "incomplete": incomplete}


def test_requests_that_break_a_rule_are_rejected_with_their_rows() -> None:
    item = _checked({"requests": 5}, {"requests": 1, "rule": "wrong_role"})
    assert (item.outcome, item.problem and item.problem.code) == (Outcome.REJECTED, "wrong_role")
    assert item.problem is not None and "1 of 6 requests" in item.problem.message and "row 3" in item.problem.message


def test_an_empty_table_is_rejected() -> None:
    assert _checked().outcome is Outcome.REJECTED


def test_a_dry_run_ends_after_the_check() -> None:
    assert _checked({"requests": 5}, dry_run=True).outcome is Outcome.CHECKED


def test_the_planned_item_has_the_request_and_its_model() -> None:
    item = _plan()
    assert (item.kind, item.request_id, item.sources, item.created) == (Kind.BATCH, "posters-42", ("1",), NOW)
    assert item.request == BatchMessage(BATCH_REQUEST, NOW, "publishers/google/models/gemini-3.8-flash")


def test_a_request_over_http_has_no_message_id() -> None:
    request, message = BatchRequest.parse(BATCH_REQUEST, SETTINGS, NOW), Message("1", b"", {}, NOW)
    assert plan(request, BATCH_REQUEST, message, NOW).message_id == "1"
    assert plan(request, BATCH_REQUEST, replace(message, over_http=True), NOW).message_id is None


def test_one_request_id_is_one_key() -> None:
    assert _plan(source="1").key == _plan(source="2").key


def test_without_a_request_id_each_message_has_its_own_key() -> None:
    message = without(BATCH_REQUEST, "request_id")
    assert _plan(message, "1").key != _plan(message, "2").key


def test_another_request_has_another_payload() -> None:
    assert _plan({**BATCH_REQUEST, "display_name": "x"}).payload != _plan().payload


@pytest.mark.parametrize(
    ("state", "succeeded", "failed", "incomplete", "outcome"),
    [
        ("JOB_STATE_SUCCEEDED", 5, 0, 0, "succeeded"),
        ("JOB_STATE_SUCCEEDED", 5, 0, None, "succeeded"),
        ("JOB_STATE_SUCCEEDED", None, None, None, "succeeded"),
        ("JOB_STATE_SUCCEEDED", 4, 1, 0, "partially_succeeded"),
        ("JOB_STATE_SUCCEEDED", 4, 0, 1, "partially_succeeded"),
        ("JOB_STATE_PARTIALLY_SUCCEEDED", 5, 0, 0, "partially_succeeded"),
        # A job may be reported as succeeded with every row failed.
        ("JOB_STATE_SUCCEEDED", 0, 5, 0, "failed"),
    ],
)
def test_the_outcome_depends_on_the_counts(
    state: str, succeeded: int | None, failed: int | None, incomplete: int | None, outcome: str
) -> None:
    item = _plan()
    result = BatchResult(state, succeeded, failed, incomplete)
    item = replace(item, steps=(Step("submit", System.VERTEX, StepState.SUCCEEDED),))
    concluded = Batches().conclude(replace(item, facts=BatchFacts(result=result)), services_at())
    assert concluded.outcome is Outcome(outcome)
    assert (concluded.problem is not None) is (outcome == "failed")
