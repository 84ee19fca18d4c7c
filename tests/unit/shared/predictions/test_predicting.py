"""Predictions: the steps of a message, its key, and how it ends."""

from __future__ import annotations

from typing import Any

import pytest

from shared.events.incoming import Message
from shared.predictions.predicting import Predictions, plan
from shared.predictions.request import PredictRequest
from shared.work import (
    Item,
    Kind,
    StepState,
    System,
)
from tests.example_requests import (
    NOW,
    PREDICT_MESSAGE,
    SETTINGS,
    services_at,
    without,
)


def _plan(message: dict[str, Any] = PREDICT_MESSAGE, message_id: str = "1") -> Item:
    return plan(PredictRequest.parse(message, SETTINGS, NOW), message, Message(message_id, b"", {}, NOW), NOW)


@pytest.mark.parametrize(
    ("changes", "steps"),
    [
        ({}, ["predict"]),
        ({"max_rows": 7}, ["count", "predict"]),
        ({"function": "AI.GENERATE_TEXT"}, ["count", "predict"]),
        ({"output": {"table": "d.t", "write": "merge", "key": ["id"]}}, ["table", "merge"]),
        ({"output": {"table": "d.t", "write": "merge", "key": ["id"]}, "max_rows": 7}, ["count", "table", "merge"]),
    ],
)
def test_the_steps_of_a_message(changes: dict[str, Any], steps: list[str]) -> None:
    item = _plan({**PREDICT_MESSAGE, **changes})
    assert [step.name for step in item.steps] == steps
    assert {(step.system, step.state, step.job) for step in item.steps} == {(System.BIGQUERY, StepState.PENDING, None)}


def test_what_is_planned_is_what_the_ledger_needs() -> None:
    item = _plan()
    assert (item.kind, item.request_id, item.sources, item.created) == (Kind.PREDICT, "nightly-2026-11-20", ("1",), NOW)
    assert item.request == {"message": PREDICT_MESSAGE, "published": NOW.isoformat()}
    assert (item.location, item.claim, item.outcome) == (None, None, None)


def test_the_same_request_id_is_the_same_work_whatever_message_it_came_in() -> None:
    assert _plan(message_id="1").key == _plan(message_id="2").key
    changed = {**PREDICT_MESSAGE, "priority": "interactive"}
    assert _plan(changed).key == _plan().key
    assert _plan(changed).payload != _plan().payload


def test_without_a_request_id_each_message_is_its_own_work() -> None:
    message = without(PREDICT_MESSAGE, "request_id")
    assert _plan(message, "1").key == _plan(message, "1").key
    assert _plan(message, "1").key != _plan(message, "2").key
    assert _plan({**message, "request_id": "1"}, "2").key != _plan(message, "1").key


@pytest.mark.parametrize(("failed", "outcome"), [(0, "succeeded"), (None, "succeeded"), (3, "partially_succeeded")])
def test_rows_that_a_language_model_did_not_answer_make_it_partial(failed: int | None, outcome: str) -> None:
    item = _plan()
    step = item.steps[0]
    result = {"rows_written": 500, "bytes_processed": 4096, "slot_ms": 1200, "failed_rows": failed}
    item = item.with_step(type(step)(step.name, step.system, StepState.SUCCEEDED, result=result))
    concluded = Predictions().conclude(item, services_at())
    assert concluded.outcome == outcome
    assert concluded.facts == {**result, "failed_rows": failed or 0}
