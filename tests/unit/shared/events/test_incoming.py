"""Events that the functions receive, read by the library that functions-framework uses."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from cloudevents.http import CloudEvent, from_http

from shared.errors import Rejected
from shared.events.incoming import (
    FINALIZED,
    Message,
    StoredObject,
)
from tests.example_requests import PREDICT_MESSAGE
from tests.paths import EVENTS

PUBLISHED = datetime(2026, 11, 20, 9, 41, 17, 318000, UTC)


def _received(name: str, *, structured: bool = False) -> CloudEvent:
    """Return an event of tests/events as a function receives it."""
    event = json.loads((EVENTS / f"{name}.json").read_text(encoding="utf-8"))
    if not structured:
        return from_http(event["headers"], json.dumps(event["body"]).encode())
    attributes = {header[3:]: value for header, value in event["headers"].items() if header.startswith("ce-")}
    body = {**attributes, "datacontenttype": "application/json", "data": event["body"]}
    return from_http({"Content-Type": "application/cloudevents+json"}, json.dumps(body).encode())


def _changed(event_name: str, /, **changes: Any) -> CloudEvent:
    event = json.loads((EVENTS / f"{event_name}.json").read_text(encoding="utf-8"))
    return from_http(event["headers"], json.dumps({**event["body"], **changes}).encode())


# --- Cloud Storage -----------------------------------------------------------------------------------------------------

MODELS = "local-project-modeldrop-models"
DROP = "bqml_tutorial/imported_tf_model/1"


@pytest.mark.parametrize("structured", [False, True])
@pytest.mark.parametrize(
    ("event", "name", "generation"),
    [
        ("storage_finalized_saved_model", f"{DROP}/saved_model.pb", 1795167301442817),
        ("storage_finalized_numbers_not_strings", f"{DROP}/saved_model.pb", 1795167301442817),
        ("storage_finalized_overwrite_with_metadata", f"{DROP}/saved_model.pb", 1795170911008325),
        (
            "storage_finalized_variables_data_composite",
            f"{DROP}/variables/variables.data-00000-of-00001",
            1795167302100046,
        ),
        ("storage_finalized_variables_index", f"{DROP}/variables/variables.index", 1795167301603175),
        ("storage_finalized_fingerprint", f"{DROP}/fingerprint.pb", 1795167302477519),
        ("storage_finalized_asset", f"{DROP}/assets/vocabulary.txt", 1795167302290664),
        ("storage_finalized_placeholder", f"{DROP}/", 1795167300812604),
        ("storage_finalized_outside_layout", "notes/read me.txt", 1795167303114880),
        ("storage_finalized_non_ascii_name", "bqml_tutorial/modéle/1/saved_model.pb", 1795167303330218),
    ],
)
def test_a_finalized_object_is_parsed(event: str, name: str, generation: int, structured: bool) -> None:
    read = StoredObject.from_event(_received(event, structured=structured), FINALIZED)
    assert read is not None
    assert (read.bucket, read.name, read.generation) == (MODELS, name, generation)


def test_a_finalized_object_has_the_time_of_its_writing() -> None:
    read = StoredObject.from_event(_received("storage_finalized_asset"), FINALIZED)
    assert read is not None
    assert read.created == datetime(2026, 11, 20, 9, 35, 2, 295000, UTC)


def test_the_event_of_a_deleted_object_is_ignored() -> None:
    assert StoredObject.from_event(_received("storage_deleted"), FINALIZED) is None


def test_a_message_is_not_a_finalized_object() -> None:
    assert StoredObject.from_event(_received("pubsub_predict"), FINALIZED) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"name": None},
        {"bucket": None},
        {"name": 7},
        {"bucket": ["b"]},
        {"generation": "soon"},
        {"generation": None},
        {"generation": [1]},
        {"generation": {}},
        {"generation": "9" * 5000},
        {"generation": 1e999},
    ],
)
def test_a_damaged_storage_event_is_ignored(changes: dict[str, Any]) -> None:
    assert StoredObject.from_event(_changed("storage_finalized_saved_model", **changes), FINALIZED) is None


def test_a_file_without_a_generation_is_not_ignored() -> None:
    headers = json.loads((EVENTS / "storage_finalized_saved_model.json").read_text(encoding="utf-8"))["headers"]
    read = StoredObject.from_event(from_http(headers, b'{"bucket": "b", "name": "d/m/1/saved_model.pb"}'), FINALIZED)
    assert read == StoredObject("b", "d/m/1/saved_model.pb", 0, None)


@pytest.mark.parametrize("created", [None, 7, "soon", ["2026"], "0001-01-01T00:00:00+14:00"])
def test_a_file_with_an_invalid_time_is_not_ignored(created: object) -> None:
    read = StoredObject.from_event(_changed("storage_finalized_saved_model", timeCreated=created), FINALIZED)
    assert read is not None
    assert read.created is None


@pytest.mark.parametrize("body", [b"", b"not JSON", b"[]", b"null", b'"text"', b"\xff"])
def test_a_storage_event_without_an_object_is_ignored(body: bytes) -> None:
    headers = json.loads((EVENTS / "storage_finalized_saved_model.json").read_text(encoding="utf-8"))["headers"]
    assert StoredObject.from_event(from_http(headers, body), FINALIZED) is None


# --- Pub/Sub -----------------------------------------------------------------------------------------------------------

NIGHTLY = {name: PREDICT_MESSAGE[name] for name in ("model", "input", "output", "request_id")}


@pytest.mark.parametrize("structured", [False, True])
@pytest.mark.parametrize(
    ("event", "attributes"),
    [
        ("pubsub_predict", {}),
        ("pubsub_predict_camel_case_only", {"source": "nightly"}),
        ("pubsub_predict_snake_case_only", {"source": "nightly"}),
        ("pubsub_predict_ordering_key", {}),
        ("pubsub_predict_third_delivery", {}),
    ],
)
def test_a_message_is_parsed_in_either_spelling(event: str, attributes: dict[str, str], structured: bool) -> None:
    message = Message.from_event(_received(event, structured=structured))
    assert message.id == "9471350642518230"
    assert message.published == PUBLISHED
    assert message.attributes == attributes
    assert message.payload() == NIGHTLY


@pytest.mark.parametrize("event", ["pubsub_batch", "pubsub_manage_describe"])
def test_messages_to_the_other_topics_are_parsed(event: str) -> None:
    message = Message.from_event(_received(event))
    assert message.published == PUBLISHED
    assert message.payload()


def test_a_message_of_attributes_only_is_rejected_when_it_is_read() -> None:
    message = Message.from_event(_received("pubsub_attributes_only"))
    assert (message.id, message.data, message.attributes) == ("9471350642518231", b"", {"source": "console"})
    with pytest.raises(Rejected, match="Put the request into the data of the message"):
        message.payload()


@pytest.mark.parametrize("event", ["pubsub_not_json", "pubsub_not_base64"])
def test_a_message_that_is_not_json_is_rejected_when_it_is_read(event: str) -> None:
    message = Message.from_event(_received(event))
    with pytest.raises(Rejected) as rejection:
        message.payload()
    assert rejection.value.problem.code == "invalid_json"
    assert rejection.value.problem.field is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not JSON",
        b"[]",
        b"{}",
        b'{"message": null}',
        b'{"message": "text"}',
        b'{"message": {}}',
        b'{"message": {"data": 7, "attributes": [], "messageId": null, "publishTime": "noon"}}',
        b'{"message": {"data": {"a": 1}, "publishTime": 17}}',
        b'{"message": {"data": "\\ud800", "publishTime": "0001-01-01T00:00:00+14:00"}}',
    ],
)
def test_the_message_of_a_damaged_event_is_rejected_when_it_is_read(body: bytes) -> None:
    headers = json.loads((EVENTS / "pubsub_predict.json").read_text(encoding="utf-8"))["headers"]
    message = Message.from_event(from_http(headers, body))
    assert message.id == headers["ce-id"]
    assert message.published.tzinfo is not None
    with pytest.raises(Rejected):
        message.payload()


def test_a_message_without_a_publish_time_has_the_time_of_its_event() -> None:
    event = _changed("pubsub_predict", message={"data": base64.b64encode(b"{}").decode()})
    assert Message.from_event(event).published == PUBLISHED


def test_the_id_of_a_message_may_be_a_number() -> None:
    assert Message.from_event(_changed("pubsub_predict", message={"messageId": 42})).id == "42"
