"""Batches: the steps of a request, its key, and how it ends."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from shared.batch_work import BatchFacts, BatchMessage, BatchResult
from shared.batches.batching import Batches, plan
from shared.batches.request import BatchRequest
from shared.events.incoming import Message
from shared.work import Item, Kind, Outcome, Step, StepState, System
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


def test_a_table_of_requests_is_one_step() -> None:
    assert _plan().steps == (Step("submit", System.VERTEX),)


def test_requests_are_built_before_they_are_submitted() -> None:
    item = _plan({**BATCH_REQUEST, "input": PROMPTS})
    assert item.steps == (Step("requests", System.BIGQUERY), Step("submit", System.VERTEX))


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
    item = item.with_step(replace(item.steps[0], state=StepState.SUCCEEDED))
    concluded = Batches().conclude(replace(item, facts=BatchFacts(result=result)), services_at())
    assert concluded.outcome is Outcome(outcome)
    assert (concluded.problem is not None) is (outcome == "failed")
