"""Items as JSON: the ledger stores all of an item, and reads back what it wrote."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.batch_work import BatchFacts, BatchMessage, BatchResult
from shared.engine.ledger.decoding import A_TIME, Undecodable
from shared.engine.ledger.stored_items import item_from_json, item_to_json
from shared.errors import Problem
from shared.work import Claim, Item, Job, Kind, Outcome, Step, StepState, System, WaitReason
from shared.work_facts import (
    CheckResult,
    Deployment,
    DropFacts,
    DropRequest,
    ImportFacts,
    ImportRequest,
    ManageFacts,
    ManageMessage,
    ModelColumn,
    ModelSignature,
    ModelVersion,
    PredictionFacts,
    PredictionMessage,
    QueryResult,
    Rollback,
)
from tests.example_requests import NOW, prediction_item

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
MOMENTS = st.datetimes(datetime(2000, 1, 2), datetime(2999, 12, 30), timezones=st.just(UTC))
COUNTS = st.none() | st.integers(0)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
OBJECTS = st.dictionaries(TEXTS, JSON, max_size=3)
MANY_TEXTS = st.lists(TEXTS, max_size=3).map(tuple)
PROBLEMS = st.none() | st.builds(Problem, code=TEXTS, message=TEXTS, field=st.none() | TEXTS)
RESULTS = st.none() | st.builds(
    QueryResult,
    started_ms=st.integers(0),
    rows_written=COUNTS,
    bytes_processed=st.integers(0),
    slot_ms=st.integers(0),
    failed_rows=st.integers(0),
)
JOBS = st.builds(Job, system=st.sampled_from(System), id=TEXTS, location=TEXTS)
STEPS = st.builds(
    Step,
    name=TEXTS,
    system=st.sampled_from(System),
    state=st.sampled_from(StepState),
    attempt=st.integers(1),
    tries=st.integers(1),
    job=st.none() | JOBS,
    sent=st.none() | MOMENTS,
    result=RESULTS,
).filter(lambda step: step.state is not StepState.SUBMITTED or step.job is not None)
DROP = {"model": TEXTS, "path": TEXTS, "dataset": TEXTS, "folder": TEXTS, "version": TEXTS}
COLUMNS = st.lists(st.builds(ModelColumn, TEXTS, TEXTS), max_size=2).map(tuple)
CONTENTS: dict[Kind, tuple[st.SearchStrategy[Any], st.SearchStrategy[Any]]] = {
    Kind.DROP: (
        st.builds(DropRequest, **DROP),
        st.builds(
            DropFacts,
            since=MOMENTS,
            missing=MANY_TEXTS,
            files=COUNTS,
            fingerprint=st.none() | TEXTS,
            listed_until=st.none() | MOMENTS,
        ),
    ),
    Kind.IMPORT: (
        st.builds(
            ImportRequest,
            **DROP,
            fingerprint=TEXTS,
            model_type=st.none() | TEXTS,
            uri=TEXTS,
            manifest=TEXTS,
            refusal=PROBLEMS,
            rollback=st.none() | st.builds(Rollback, st.none() | TEXTS, st.none() | TEXTS),
        ),
        st.builds(
            ImportFacts,
            st.none() | st.builds(ModelSignature, st.none() | TEXTS, COLUMNS, COLUMNS),
            st.none() | st.builds(CheckResult, st.integers(0), COUNTS, st.none() | st.floats(allow_nan=False)),
        ),
    ),
    Kind.PREDICT: (
        st.builds(PredictionMessage, message=OBJECTS, published=MOMENTS, model=TEXTS, output_table=TEXTS),
        st.builds(
            PredictionFacts,
            model_version=st.none() | st.builds(ModelVersion, TEXTS, TEXTS),
            output_columns=st.none() | st.lists(OBJECTS, max_size=2).map(tuple),
            result=RESULTS,
        ),
    ),
    Kind.BATCH: (
        st.builds(BatchMessage, message=OBJECTS, published=MOMENTS, model=TEXTS),
        st.builds(
            BatchFacts,
            input=st.none() | TEXTS,
            output=st.none() | TEXTS,
            prompt_columns=st.none() | MANY_TEXTS,
            result=st.none() | st.builds(BatchResult, TEXTS, COUNTS, COUNTS, COUNTS),
            cancelled_duplicates=MANY_TEXTS,
        ),
    ),
    Kind.MANAGE: (
        st.builds(ManageMessage, message=OBJECTS, published=MOMENTS, action=TEXTS, model=TEXTS),
        st.builds(
            ManageFacts,
            description=st.none() | OBJECTS,
            registry=st.none() | OBJECTS,
            deployments=st.lists(
                st.builds(
                    Deployment,
                    endpoint=TEXTS,
                    endpoint_name=TEXTS,
                    deployed_model_id=TEXTS,
                    machine_type=st.none() | TEXTS,
                    traffic=st.integers(0, 100),
                ),
                max_size=2,
            ).map(tuple),
        ),
    ),
}


@st.composite
def items(draw: st.DrawFn) -> Item:
    """Draw an item of any kind that the ledger stores."""
    kind = draw(st.sampled_from(list(CONTENTS)))
    request, facts = CONTENTS[kind]
    return draw(
        st.builds(
            Item,
            kind=st.just(kind),
            key=TEXTS,
            payload=TEXTS,
            request=request,
            facts=facts,
            created=MOMENTS,
            request_id=st.none() | TEXTS,
            sources=MANY_TEXTS,
            run=st.integers(1),
            location=st.none() | TEXTS,
            steps=st.lists(STEPS, max_size=3).map(tuple),
            claim=st.none() | st.builds(Claim, owner=TEXTS, until=MOMENTS),
            waits_for=st.none() | st.sampled_from(WaitReason),
            not_before=st.none() | MOMENTS,
            reported=MANY_TEXTS,
            outcome=st.none() | st.sampled_from(Outcome),
            event_published=st.booleans(),
            problem=PROBLEMS,
            finished=st.none() | MOMENTS,
            generation=st.integers(0),
        )
    )


@given(items())
def test_an_item_reads_back_as_it_was_written(item: Item) -> None:
    stored = json.loads(json.dumps(item_to_json(item)))
    read = item_from_json(stored, item.generation)
    assert read == item
    assert read.generation == item.generation


@given(items())
def test_everything_but_the_generations_is_stored(item: Item) -> None:
    assert set(item_to_json(item)) == set(Item.__dataclass_fields__) - {"generation", "index_generation"}


def test_outcomes_reasons_and_states_are_stored_as_their_texts() -> None:
    item = prediction_item(outcome=Outcome.PARTIALLY_SUCCEEDED, waits_for=WaitReason.QUOTA)
    stored = json.loads(json.dumps(item_to_json(item)))
    assert (stored["kind"], stored["outcome"], stored["waits_for"]) == ("predict", "partially_succeeded", "quota")
    assert (stored["steps"][0]["system"], stored["steps"][0]["state"]) == ("bigquery", "pending")


def test_an_item_of_an_unknown_kind_cannot_be_read() -> None:
    stored = {**item_to_json(prediction_item()), "kind": "train"}
    with pytest.raises(Undecodable, match="no items of its kind"):
        item_from_json(stored, 1)


def stored_prediction(**changes: Any) -> dict[str, Any]:
    """Return a stored item whose fields, given as paths with ``__``, have other values."""
    stored: dict[str, Any] = json.loads(json.dumps(item_to_json(prediction_item(claim=Claim("owner", NOW)))))
    for path, value in changes.items():
        *folders, name = path.split("__")
        inner: Any = stored
        for folder in folders:
            inner = inner[int(folder)] if folder.isdigit() else inner[folder]
        inner[name] = value
    return stored


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"request": {}}, "the field request.message is missing"),
        ({"request": []}, "request is not a JSON object"),
        (
            {"request__published": "soon"},
            f"the field request.published is not {A_TIME}",
        ),
        ({"facts": None}, "facts is not a JSON object"),
        ({"facts__tomorrow": 1}, "this version does not know the field facts.'tomorrow'"),
        ({"tomorrow": 1}, "this version does not know the field 'tomorrow'"),
        (
            {"created": "2026-01-01T00:00:00"},
            f"the field created is not {A_TIME}",
        ),
        (
            {"claim__until": "9999-12-31T00:00:00+00:00"},
            f"the field claim.until is not {A_TIME}",
        ),
        (
            {"claim__until": "2026-01-01T00:00:00"},
            f"the field claim.until is not {A_TIME}",
        ),
        ({"run": "1"}, "the field run is not of the type int"),
        ({"run": True}, "the field run is not of the type int"),
        ({"event_published": 0}, "the field event_published is not of the type bool"),
        ({"sources": "1"}, "the field sources is not an array"),
        ({"outcome": "exploded"}, "this version does not know the value of the field outcome"),
        ({"steps__0__state": "submitted"}, "a submitted step has no job"),
        ({"steps__0__job": {"id": "a"}}, "the field steps[0].job.system is missing"),
        ({"kind": ["predict"]}, "the ledger stores no items of its kind"),
    ],
    ids=str,
)
def test_an_object_that_is_not_an_item_is_refused_with_its_field(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(Undecodable) as raised:
        item_from_json(stored_prediction(**changes), 1)
    assert str(raised.value) == reason


@pytest.mark.parametrize("name", ["claim", "reported", "finished", "run"])
def test_a_field_that_an_older_version_did_not_write_has_its_default(name: str) -> None:
    stored = {key: value for key, value in stored_prediction().items() if key != name}
    assert getattr(item_from_json(stored, 1), name) == getattr(prediction_item(), name)
