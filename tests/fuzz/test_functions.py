"""The deployed functions over HTTP: no input breaks them, and each rejection is published once."""

from __future__ import annotations

import base64
import json
import re
import uuid
from collections.abc import Mapping
from typing import Any

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from localcloud.cloud import LocalCloud
from shared.errors import Rejected
from shared.events.payloads import json_object
from shared.keys import hash_of
from tests.contract.schemas import faults
from tests.example_requests import MANAGE_MESSAGE, without
from tests.fuzz.event_requests import event_requests
from tests.fuzz.mutations import (
    BATCH_EXAMPLES,
    PREDICT_EXAMPLES,
    SCALARS,
    TABLE_MESSAGE,
    TEXT_MESSAGE,
    as_json,
    messages,
    mostly,
    mutated,
)
from tests.fuzz.test_events import MESSAGE_EVENTS, OBJECT_NAMES, STORAGE_EVENTS
from tests.received_events import ReceivedEvents
from tests.waiting import LAST_LIMIT, wait_until
from tests.wrong_events import PostedRequest

pytestmark = pytest.mark.long

REJECTED = "modeldrop.request.rejected.v1"

# Each example is a call to a process, and may be calls from there to services: fewer of them than of those in one process.
FEWER = settings(settings.default, max_examples=max(8, settings.default.max_examples // 10))


def _anonymous(examples: tuple[dict[str, Any], ...]) -> tuple[dict[str, Any], ...]:
    """Return ``examples`` without the sender's ids, so that each is its own work, about datasets that do not exist."""
    texts = [json.dumps(without(each, "request_id")) for each in examples]
    return tuple(json.loads(re.sub("bqml_tutorial|films|news|my_dataset", "does_not_exist", text)) for text in texts)


PREDICT = messages(_anonymous(PREDICT_EXAMPLES))
BATCH = messages(_anonymous(BATCH_EXAMPLES[:2]))
MANAGE = messages(_anonymous((MANAGE_MESSAGE,)))


class Functions:
    """Calls the functions of the local cloud as Eventarc and other callers do."""

    def __init__(self, cloud: LocalCloud) -> None:
        self._urls = cloud.functions.urls()
        self._session = requests.Session()

    def post(self, function: str, body: bytes, headers: Mapping[str, str | bytes]) -> requests.Response:
        return self._session.post(self._urls[function], data=body, headers=dict(headers), timeout=LAST_LIMIT)

    def deliver(self, function: str, data: bytes, message_id: str) -> int:
        """Deliver a message; return the status that the function answers with."""
        message = {
            "data": base64.b64encode(data).decode(),
            "messageId": message_id,
            "publishTime": "2026-11-20T09:41:17Z",
        }
        headers = {**MESSAGE_EVENTS[0]["headers"], "ce-id": message_id}
        return self.post(function, json.dumps({"message": message}).encode(), headers).status_code


@pytest.fixture(scope="module")
def functions(cloud: LocalCloud) -> Functions:
    return Functions(cloud)


def _is_json_object(data: bytes) -> bool:
    try:
        return bool(json_object(data))
    except Rejected:
        return False


@pytest.mark.parametrize(
    ("function", "kind", "examples"),
    [
        ("predict", "predict", PREDICT),
        ("submit_batch_message", "batch", BATCH),
        ("manage_model", "manage", MANAGE),
    ],
    ids=["predict", "submit_batch_message", "manage_model"],
)
def test_every_message_is_acknowledged_and_each_rejection_is_published_once(
    functions: Functions,
    received_events: ReceivedEvents,
    function: str,
    kind: str,
    examples: st.SearchStrategy[bytes],
) -> None:
    delivered: dict[str, bytes] = {}

    @FEWER
    @given(examples)
    def deliver(data: bytes) -> None:
        message_id = uuid.uuid4().hex
        assert functions.deliver(function, data, message_id) == 200
        if b"request_id" not in data:
            delivered[hash_of(kind, "message", message_id)] = data

    deliver()
    # The datasets, models and drops of the examples do not exist, so every request is rejected.
    for key, data in delivered.items():
        event = received_events.wait_for(key=key)
        assert event.type == REJECTED, data
        assert faults(f"{REJECTED}.json", event.data) == [], data
    for key, data in delivered.items():
        assert len(received_events.all(key=key)) == 1, data


def test_every_http_request_is_answered_with_its_outcome(functions: Functions, received_events: ReceivedEvents) -> None:
    refused: dict[str, bytes] = {}

    @FEWER
    @given(BATCH)
    def post(data: bytes) -> None:
        request_id = f"fuzz-{uuid.uuid4().hex}"
        if _is_json_object(data):
            data = json.dumps({**json_object(data), "request_id": request_id}).encode()
        response = functions.post("submit_batch", data, {"Content-Type": "application/json"})
        answer = response.json()
        assert response.status_code in {202, 400}, response.text
        assert ("error" in answer) == (response.status_code == 400)
        if response.status_code == 400:
            assert set(answer["error"]) == {"code", "message", "field"}
        if _is_json_object(data):
            refused[hash_of("batch", "request", request_id)] = data

    post()
    for key in refused:
        assert received_events.wait_for(key=key).type == REJECTED
    for key, data in refused.items():
        assert len(received_events.all(key=key)) == 1, data


def test_a_rejected_message_delivered_again_repeats_the_event_with_its_id(
    functions: Functions, received_events: ReceivedEvents
) -> None:
    message_id = uuid.uuid4().hex
    key = hash_of("predict", "message", message_id)
    for _ in range(2):
        assert functions.deliver("predict", b'{"model": "d.m"}', message_id) == 200
    events = wait_until(lambda: len(found := received_events.all(REJECTED, key=key)) == 2 and found)
    assert len({event.id for event in events}) == 1
    error = events[0].data["error"]
    assert (error["code"], error["field"]) == ("missing_field", "input")


def test_the_same_request_rejected_on_two_days_is_two_events(
    functions: Functions, received_events: ReceivedEvents
) -> None:
    nightly = f"{uuid.uuid4().hex}-{{date}}"
    body = json.dumps({"model": "d.m", "request_id": nightly}).encode()
    for day in ("2026-11-20", "2026-11-21"):
        message = {
            "data": base64.b64encode(body).decode(),
            "messageId": f"{nightly}{day}",
            "publishTime": f"{day}T01:00:00Z",
        }
        headers = MESSAGE_EVENTS[0]["headers"]
        assert functions.post("predict", json.dumps({"message": message}).encode(), headers).status_code == 200
    filled = [nightly.replace("{date}", day) for day in ("2026-11-20", "2026-11-21")]
    events = [received_events.wait_for(REJECTED, request_id=each) for each in filled]
    assert [event.data["key"] for event in events] == [hash_of("predict", "request", each) for each in filled]
    assert events[0].id != events[1].id


@FEWER
@given(mostly(as_json(mutated(tuple(each["body"] for each in MESSAGE_EVENTS)))))
def test_no_damaged_event_breaks_a_function(functions: Functions, body: bytes) -> None:
    headers = {**MESSAGE_EVENTS[0]["headers"], "ce-id": uuid.uuid4().hex}
    assert functions.post("predict", body, headers).status_code < 500


@FEWER
@given(mostly(as_json(mutated(tuple(each["body"] for each in STORAGE_EVENTS)))))
def test_no_damaged_storage_event_breaks_import_model(functions: Functions, body: bytes) -> None:
    headers = {**STORAGE_EVENTS[0]["headers"], "ce-id": uuid.uuid4().hex}
    assert functions.post("import_model", body, headers).status_code < 500


@pytest.mark.parametrize(
    "function", ["import_model", "notice_deletion", "predict", "submit_batch_message", "manage_model"]
)
def test_no_request_breaks_a_function(functions: Functions, function: str) -> None:
    @FEWER
    @given(event_requests())
    def post(posted: PostedRequest) -> None:
        headers = {name: value.encode("latin-1") for name, value in posted.headers.items()}
        assert functions.post(function, posted.body, headers).status_code < 500

    post()


def test_an_object_that_tools_write_is_ignored_without_a_call(cloud: LocalCloud, functions: Functions) -> None:
    cloud.calls.begin()
    posted: list[str] = []

    @FEWER
    @given(
        st.sampled_from(["{}/", "gcloud/tmp/{}", "gsutil/tmp/{}", "_{}", "{}/.hidden", "{}/_SUCCESS"]),
        OBJECT_NAMES,
        SCALARS,
    )
    def post(form: str, inner: str, generation: Any) -> None:
        name = form.replace("{}", inner)
        body = {**STORAGE_EVENTS[0]["body"], "name": name, "generation": generation}
        response = functions.post("import_model", json.dumps(body).encode(), STORAGE_EVENTS[0]["headers"])
        assert response.status_code == 200
        posted.append(name)

    post()
    assert posted
    assert cloud.calls.describe("import_model") == []


def test_deeply_nested_messages_are_rejected(functions: Functions, received_events: ReceivedEvents) -> None:
    for depth in (60, 300, 900, 990, 5_000):
        message_id = uuid.uuid4().hex
        nested = "[" * depth + "]" * depth
        for message in (TABLE_MESSAGE, TEXT_MESSAGE):
            data = json.dumps({**without(message, "request_id"), "options": {"a": "NESTED"}}).replace(
                '"NESTED"', nested
            )
            assert functions.deliver("predict", data.encode(), message_id) == 200
        event = received_events.wait_for(REJECTED, key=hash_of("predict", "message", message_id))
        assert event.data["error"]["code"] == "invalid_json"
