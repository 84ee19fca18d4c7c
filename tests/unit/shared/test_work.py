"""Items: what the ledger stores of them is all there is of them, and they never change in place."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, replace
from datetime import UTC, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import Problem
from shared.work import (
    Claim,
    Item,
    Job,
    Kind,
    Step,
    StepState,
    System,
    item_from_json,
    item_to_json,
)
from tests.example_requests import NOW

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
MOMENTS = st.datetimes(timezones=st.just(UTC))
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
OBJECTS = st.dictionaries(TEXTS, JSON, max_size=3)
STEPS = st.builds(
    Step,
    name=TEXTS,
    system=st.sampled_from(System),
    state=st.sampled_from(StepState),
    attempt=st.integers(1),
    tries=st.integers(1),
    job=st.none() | st.builds(Job, system=st.sampled_from(System), id=TEXTS, location=TEXTS),
    sent=st.none() | MOMENTS,
    result=OBJECTS,
)
ITEMS = st.builds(
    Item,
    kind=st.sampled_from(Kind),
    key=TEXTS,
    payload=TEXTS,
    request=OBJECTS,
    created=MOMENTS,
    request_id=st.none() | TEXTS,
    sources=st.lists(TEXTS, max_size=3).map(tuple),
    run=st.integers(1),
    location=st.none() | TEXTS,
    steps=st.lists(STEPS, max_size=3).map(tuple),
    claim=st.none() | st.builds(Claim, owner=TEXTS, until=MOMENTS),
    waits_for=st.none() | TEXTS,
    not_before=st.none() | MOMENTS,
    facts=OBJECTS,
    reported=st.lists(TEXTS, max_size=3).map(tuple),
    outcome=st.none() | TEXTS,
    event_published=st.booleans(),
    problem=st.none() | st.builds(Problem, code=TEXTS, message=TEXTS, field=st.none() | TEXTS),
    finished=st.none() | MOMENTS,
    generation=st.integers(0),
)

STEP_NAMES = ("count", "table", "merge")
ITEM = Item(
    kind=Kind.PREDICT,
    key="k" * 32,
    payload="p" * 32,
    request={},
    created=NOW,
    steps=tuple(Step(name, System.BIGQUERY) for name in STEP_NAMES),
)


@given(ITEMS)
def test_an_item_reads_back_as_it_was_written(item: Item) -> None:
    stored = json.loads(json.dumps(item_to_json(item)))
    read = item_from_json(stored, item.generation)
    assert read == item
    assert read.generation == item.generation


@given(ITEMS)
def test_nothing_of_an_item_is_left_out_of_what_is_stored(item: Item) -> None:
    assert set(item_to_json(item)) == set(Item.__dataclass_fields__) - {"generation", "index_generation"}


def test_the_generation_is_not_part_of_what_an_item_is() -> None:
    assert replace(ITEM, generation=7) == ITEM


def test_an_item_never_changes_in_place() -> None:
    with pytest.raises(FrozenInstanceError):
        ITEM.outcome = "succeeded"  # type: ignore[misc]
    assert ITEM.with_facts(rows=1).facts == {"rows": 1}
    assert ITEM.with_facts(rows=1).with_facts(rows=2, bytes=3).facts == {"rows": 2, "bytes": 3}
    assert ITEM.facts == {}


def test_the_current_step_is_the_first_that_has_not_succeeded() -> None:
    item = ITEM
    for name in STEP_NAMES:
        assert item.current is not None and item.current.name == name
        item = item.with_step(replace(item.current, state=StepState.SUBMITTED))
        assert item.current is not None and item.current.name == name
        item = item.with_step(replace(item.current, state=StepState.SUCCEEDED))
    assert item.current is None
    assert [step.name for step in item.steps] == list(STEP_NAMES)


def test_a_job_id_is_the_same_whoever_submits_it_and_another_for_each_attempt() -> None:
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
def test_a_claim_keeps_others_off_until_it_runs_out(claim: Claim | None, owner: str, held: bool) -> None:
    assert replace(ITEM, claim=claim).claimed_by_another(owner, NOW) is held


def test_an_item_is_final_once_its_end_was_told() -> None:
    assert not ITEM.final
    ended = replace(ITEM, outcome="failed")
    assert ended.ended
    assert not ended.final
    assert replace(ended, event_published=True).final
