"""Items: they never change in place, and say what is current, claimed, ended and final."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from datetime import timedelta
from typing import Any

import pytest

from shared.batch_work import BatchFacts
from shared.errors import Problem
from shared.work import Claim, Item, Outcome, Step, StepState, System, WaitReason
from tests.example_requests import NOW, batch_item, import_item, prediction_item, watch_item

STEP_NAMES = ("count", "table", "merge")
ITEM = prediction_item("k" * 32, steps=tuple(Step(name, System.BIGQUERY) for name in STEP_NAMES))


def test_the_generation_does_not_count_when_items_are_compared() -> None:
    assert replace(ITEM, generation=7) == ITEM


def test_an_item_never_changes_in_place() -> None:
    with pytest.raises(FrozenInstanceError):
        ITEM.outcome = Outcome.SUCCEEDED  # type: ignore[misc]


def test_the_current_step_is_the_first_that_has_not_succeeded() -> None:
    item = ITEM
    for name in STEP_NAMES:
        assert item.current is not None and item.current.name == name
        item = item.with_step(replace(item.current, state=StepState.SUBMITTED))
        assert item.current is not None and item.current.name == name
        item = item.with_step(replace(item.current, state=StepState.SUCCEEDED))
    assert item.current is None
    assert [step.name for step in item.steps] == list(STEP_NAMES)


def test_a_job_id_depends_on_the_step_and_the_attempt_alone() -> None:
    step = ITEM.steps[0]
    assert ITEM.job_id(step) == f"{'k' * 32}-count-1"
    assert replace(ITEM, run=2, location="EU").job_id(step) == ITEM.job_id(step)
    ids = {ITEM.job_id(replace(each, attempt=attempt)) for each in ITEM.steps for attempt in (1, 2)}
    assert len(ids) == 6


@pytest.mark.parametrize(
    ("claim", "owner", "held"),
    [
        (None, "me", False),
        (Claim("me", NOW + timedelta(seconds=1)), "me", False),
        (Claim("other", NOW + timedelta(seconds=1)), "me", True),
        (Claim("other", NOW), "me", False),
        (Claim("other", NOW - timedelta(seconds=1)), "me", False),
        (Claim("other", NOW + timedelta(seconds=1)), "", True),
    ],
)
def test_a_claim_excludes_other_owners_until_its_lease_ends(claim: Claim | None, owner: str, held: bool) -> None:
    assert replace(ITEM, claim=claim).claimed_by_another(owner, NOW) is held


def test_an_item_is_final_once_its_event_is_published() -> None:
    assert not ITEM.final
    ended = ITEM.end(Outcome.FAILED, NOW)
    assert ended.ended
    assert not ended.final
    assert replace(ended, event_published=True).final


def test_an_item_that_ends_has_its_outcome_its_problem_and_the_time() -> None:
    problem = Problem("invalidQuery", "Division by zero")
    ended = ITEM.end(Outcome.FAILED, NOW, problem)
    assert (ended.outcome, ended.problem, ended.finished) == (Outcome.FAILED, problem, NOW)


def test_an_item_that_waits_has_its_reason_and_its_time() -> None:
    waiting = ITEM.wait(WaitReason.MODEL, NOW)
    assert (waiting.waits_for, waiting.not_before, waiting.ended) == (WaitReason.MODEL, NOW, False)


@pytest.mark.parametrize(
    ("item", "names"),
    [
        (
            prediction_item(),
            {
                "kind": "predict",
                "model": "local-project.bqml_tutorial.imported_tf_model",
                "output_table": "local-project.bqml_tutorial.predictions",
            },
        ),
        (
            import_item(),
            {
                "kind": "import",
                "model": "local-project.films.genres",
                "path": "gs://local-project-modeldrop-models/films/genres/2/",
            },
        ),
        (
            watch_item(),
            {
                "kind": "drop",
                "model": "local-project.films.genres",
                "path": "gs://local-project-modeldrop-models/films/genres/2/",
            },
        ),
        (
            batch_item(facts=BatchFacts(output="bq://p.d.answers")),
            {"kind": "batch", "model": "publishers/google/models/gemini-3.8-flash", "output": "bq://p.d.answers"},
        ),
    ],
    ids=lambda value: value.kind.value if isinstance(value, Item) else "",
)
def test_log_fields_name_what_an_item_is_about(item: Item, names: dict[str, Any]) -> None:
    assert item.log_fields() == {"key": "a" * 32, **names}


@pytest.mark.parametrize("outcome", Outcome)
def test_an_outcome_is_a_success_unless_the_request_was_not_carried_out(outcome: Outcome) -> None:
    not_carried_out = {"failed", "check_failed", "rejected", "cancelled", "expired", "gone"}
    assert outcome.is_success is (outcome.value not in not_carried_out)
