"""Predictions: the steps of a message, its key, and how it ends."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from shared.events.incoming import Message
from shared.messages.predict_request import PredictRequest
from shared.predictions.predicting import Predictions, plan
from shared.work import Item, Kind, Outcome, StepState, System
from shared.work_facts import PredictionFacts, PredictionMessage, QueryResult
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
def test_the_steps_depend_on_the_row_limit_and_the_write_mode(changes: dict[str, Any], steps: list[str]) -> None:
    item = _plan({**PREDICT_MESSAGE, **changes})
    assert [step.name for step in item.steps] == steps
    assert {(step.system, step.state, step.job) for step in item.steps} == {(System.BIGQUERY, StepState.PENDING, None)}


def test_the_planned_item_has_the_message_and_its_names() -> None:
    item = _plan()
    assert (item.kind, item.request_id, item.sources, item.created) == (Kind.PREDICT, "nightly-2026-11-20", ("1",), NOW)
    model, table = "local-project.bqml_tutorial.imported_tf_model", "local-project.bqml_tutorial.predictions"
    assert item.request == PredictionMessage(PREDICT_MESSAGE, NOW, model, table)
    assert (item.location, item.claim, item.outcome) == (None, None, None)


def test_one_request_id_is_the_same_work_in_every_message() -> None:
    assert _plan(message_id="1").key == _plan(message_id="2").key
    changed = {**PREDICT_MESSAGE, "priority": "interactive"}
    assert _plan(changed).key == _plan().key
    assert _plan(changed).payload != _plan().payload


def test_without_a_request_id_each_message_is_its_own_work() -> None:
    message = without(PREDICT_MESSAGE, "request_id")
    assert _plan(message, "1").key == _plan(message, "1").key
    assert _plan(message, "1").key != _plan(message, "2").key
    assert _plan({**message, "request_id": "1"}, "2").key != _plan(message, "1").key


@pytest.mark.parametrize(("failed", "outcome"), [(0, "succeeded"), (3, "partially_succeeded")])
def test_a_prediction_with_unanswered_rows_has_partially_succeeded(failed: int, outcome: str) -> None:
    item = _plan()
    step = item.steps[0]
    result = QueryResult(rows_written=500, bytes_processed=4096, slot_ms=1200, failed_rows=failed)
    item = item.with_step(replace(step, state=StepState.SUCCEEDED, result=result))
    concluded = Predictions().conclude(item, services_at())
    assert concluded.outcome is Outcome(outcome)
    assert concluded.facts == PredictionFacts(result=result)
