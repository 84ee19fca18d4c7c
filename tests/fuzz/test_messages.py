"""Every message is accepted or rejected, and an accepted one holds only checked values."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable

from hypothesis import event, given

from shared.batches import batching
from shared.batches import statements as batches_sql
from shared.batches.addresses import Files, ObjectUri
from shared.batches.request import BatchRequest, Prompts
from shared.checks.identifiers import DatasetName, TableName
from shared.engine.ledger.stored_items import item_from_json, item_to_json
from shared.errors import Rejected
from shared.events.incoming import Message
from shared.events.payloads import json_object
from shared.messages.predict_request import PredictRequest
from shared.models import managing
from shared.models.request import IMPORT, ROLLBACK, ManageRequest
from shared.predictions import predicting
from shared.predictions import statements as predictions_sql
from shared.work import Item
from tests.contract.schemas import faults
from tests.example_requests import NOW, SETTINGS
from tests.fuzz.mutations import (
    BATCH_EXAMPLES,
    MANAGE_EXAMPLES,
    PREDICT_EXAMPLES,
    messages,
)

# Written down once more, so that a pattern that is loosened by mistake is found.
TABLE = re.compile(r"([a-z0-9.-]+:)?[a-z][a-z0-9-]+\.[A-Za-z0-9_]+\.[A-Za-z0-9_-]+(\$[A-Za-z0-9_]+)?")
DATASET = re.compile(r"([a-z0-9.-]+:)?[a-z][a-z0-9-]+\.[A-Za-z0-9_]+")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
LABEL = re.compile(r"[a-z][a-z0-9_-]*=[a-z0-9_-]*")
URI = re.compile(r"gs://[a-z0-9._-]+/[^\x00-\x1f\x7f*?\[\]]*")


def _all_match(pattern: re.Pattern[str], texts: Iterable[object]) -> None:
    for text in texts:
        assert pattern.fullmatch(str(text)), text


def _accepted(data: bytes, parse: Callable[[dict[str, object]], object]) -> object | None:
    """Return the request in ``data``, or None if it is rejected; anything but a rejection is a failure."""
    try:
        return parse(dict(json_object(data)))
    except Rejected as refusal:
        problem = refusal.problem
        assert re.fullmatch(r"[a-z_]+", problem.code)
        assert 0 < len(problem.message) < 1500
        assert json.loads(json.dumps(problem.as_json())) == problem.as_json()
        event(problem.code)
        return None


def _can_be_kept(item: Item) -> None:
    """Check that the ledger can store an item and read it back unchanged."""
    stored = json.dumps(item_to_json(item), sort_keys=True)
    assert item_from_json(json.loads(stored), 0) == item
    stored.encode()


@given(messages(PREDICT_EXAMPLES))
def test_a_predict_message_is_rejected_or_holds_only_checked_values(data: bytes) -> None:
    request = _accepted(data, lambda value: PredictRequest.parse(value, SETTINGS, NOW))
    if request is None:
        return
    assert isinstance(request, PredictRequest)
    event("accepted")
    payload = json_object(data)
    assert faults("predict_message.json", payload) == []
    _all_match(TABLE, [request.model, request.output])
    _all_match(NAME, [*request.key, *(name for name, _ in (*request.options, *request.parameters))])
    _all_match(LABEL, [f"{name}={value}" for name, value in request.labels])
    if request.table is not None:
        _all_match(TABLE, [request.table.table])
        _all_match(NAME, [name for pair in request.table.columns for name in pair])
    for sql in (
        predictions_sql.predict(request),
        predictions_sql.count_rows(request),
        predictions_sql.merge(request, ["a`b", "c"]),
    ):
        assert f"`{request.model}`" in sql or "COUNT(*) >" in sql
        sql.encode()
    _can_be_kept(predicting.plan(request, payload, Message("1", data, {}, NOW), NOW))


@given(messages(BATCH_EXAMPLES))
def test_a_batch_request_is_rejected_or_holds_only_checked_values(data: bytes) -> None:
    request = _accepted(data, lambda value: BatchRequest.parse(value, SETTINGS, NOW))
    if request is None:
        return
    assert isinstance(request, BatchRequest)
    event("accepted")
    payload = json_object(data)
    assert faults("batch_request.json", payload) == []
    _all_match(re.compile(r"[A-Za-z0-9._@:/-]+"), [request.model])
    _all_match(LABEL, [f"{name}={value}" for name, value in request.labels])
    inputs = request.input.uris if isinstance(request.input, Files) else (request.input,)
    for place in (*inputs, request.output.place if request.output else None):
        match place:
            case TableName():
                _all_match(TABLE, [place])
            case DatasetName():
                _all_match(DATASET, [place])
            case ObjectUri():
                _all_match(URI, [place])
                assert place.bucket != SETTINGS.state_bucket
                assert place.bucket != SETTINGS.model_bucket or place in inputs
            case Prompts():
                batches_sql.batch_requests(place, ["prompt", "a`b"]).encode()
    _can_be_kept(batching.plan(request, payload, Message("1", data, {}, NOW), NOW))


@given(messages(MANAGE_EXAMPLES))
def test_a_manage_message_is_rejected_or_holds_only_checked_values(data: bytes) -> None:
    request = _accepted(data, lambda value: ManageRequest.parse(value, SETTINGS, NOW))
    if request is None:
        return
    assert isinstance(request, ManageRequest)
    event("accepted")
    assert faults("manage_message.json", json_object(data)) == []
    if request.path is not None:
        _all_match(re.compile(r"[A-Za-z0-9]\w*/[A-Za-z0-9]\w*/[A-Za-z0-9][\w.-]*/", re.ASCII), [request.path.prefix])
    else:
        _all_match(re.compile(r"[\w.:-]+\.\w+\.[\w-]+", re.ASCII), [str(request.model)])
    if request.action not in {IMPORT, ROLLBACK}:
        _can_be_kept(managing.plan(request, json_object(data), Message("1", data, {}, NOW), NOW))
