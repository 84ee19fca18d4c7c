"""The functions that take events: they get each CloudEvent, and a request that is not one is rejected."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import flask
import functions_framework
import pytest
from cloudevents.http import CloudEvent
from werkzeug.test import Client, EnvironBuilder

from shared import trace
from shared.engine.services import services
from shared.errors import TryLater
from shared.events.edge import cloud_event
from shared.events.incoming import FINALIZED, Message, StoredObject
from shared.settings import SettingError, settings
from tests.conftest import variables
from tests.paths import ROOT
from tests.wrong_events import BINARY, STRUCTURED, PostedRequest, structured, wrong_events

EVENTS = ROOT / "tests" / "events"
EVENT_FUNCTIONS = ("import_model", "notice_deletion", "predict", "submit_batch_message", "poll_part", "manage_model")

# A function does not start without them.
REQUIRED_SETTINGS = {
    "GOOGLE_CLOUD_PROJECT": "units",
    "MODEL_BUCKET": "models",
    "STATE_BUCKET": "state",
    "OUTPUT_BUCKET": "output",
    "EVENTS_TOPIC": "projects/units/topics/events",
}

SENDERS_TEXT = "Rumpelstiltskin"
WRONG_EVENTS = wrong_events(SENDERS_TEXT)
REJECTION = {
    "error": {
        "code": "invalid_event",
        "message": "the request is not a CloudEvent in binary or structured mode",
        "field": None,
    }
}


def request(headers: dict[str, str], body: bytes, method: str = "POST") -> flask.Request:
    return flask.Request(EnvironBuilder("/", method=method, headers=headers, data=body).get_environ())


def received(headers: dict[str, str], body: bytes) -> CloudEvent:
    """Return the event that a function receives from a request."""
    events: list[CloudEvent] = []

    @cloud_event
    def keep(event: CloudEvent) -> None:
        events.append(event)

    assert keep(request(headers, body)) == ("OK", 200)
    assert len(events) == 1
    return events[0]


@pytest.fixture
def serve(usual_recursion_limit: None) -> Iterator[Callable[[str], Client]]:
    """Serve a function of main.py in this process, as it is deployed with an event trigger."""
    before = list(sys.path)  # functions-framework adds to it

    def served(function: str) -> Client:
        return Client(functions_framework.create_app(function, str(ROOT / "main.py"), "cloudevent"))

    with variables({"FUNCTION_SIGNATURE_TYPE": "cloudevent", **REQUIRED_SETTINGS}):
        yield served
    settings.cache_clear()
    services.cache_clear()
    sys.path[:] = before


def test_a_function_with_a_wrong_setting_does_not_start(serve: Callable[[str], Client]) -> None:
    settings.cache_clear()
    with variables({**REQUIRED_SETTINGS, "DROP_STUCK_SECONDS": "abc"}), pytest.raises(SettingError, match="'abc'"):
        serve("predict")


@pytest.mark.parametrize("function", EVENT_FUNCTIONS)
def test_a_request_that_is_not_an_event_is_rejected_and_not_logged(
    serve: Callable[[str], Client], capsys: pytest.CaptureFixture[str], function: str
) -> None:
    served = serve(function)
    for wrong, (headers, body) in WRONG_EVENTS.items():
        answer = served.post(f"/{SENDERS_TEXT}", headers=headers, data=body)
        assert (answer.status_code, json.loads(answer.data)) == (400, REJECTION), wrong
    written = capsys.readouterr()
    assert written.out == ""
    records = [json.loads(line) for line in written.err.splitlines()]
    assert len(records) == len(WRONG_EVENTS)
    assert {(each["severity"], each["message"]) for each in records} == {
        ("WARNING", "rejected a request that is not a CloudEvent")
    }
    assert SENDERS_TEXT not in written.err


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
def test_only_post_is_allowed(serve: Callable[[str], Client], method: str) -> None:
    answer = serve("import_model").open("/", method=method, headers=BINARY)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")


@pytest.mark.parametrize(
    ("age", "message"),
    [
        (timedelta(0), "ignored a message that the poller did not publish"),
        (timedelta(minutes=2), "dropped a part of the work, which is handed out again"),
    ],
)
def test_a_part_that_is_wrong_or_late_is_acknowledged_without_a_call(
    serve: Callable[[str], Client], capsys: pytest.CaptureFixture[str], age: timedelta, message: str
) -> None:
    event = json.loads((EVENTS / "pubsub_predict.json").read_text(encoding="utf-8"))
    published = (datetime.now(UTC) - age).isoformat()
    event["body"]["message"]["publishTime"] = event["body"]["message"]["publish_time"] = published
    answer = serve("poll_part").post("/", headers=event["headers"], data=json.dumps(event["body"]))
    assert (answer.status_code, answer.data) == (200, b"OK")
    [record] = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert record["message"] == message


@pytest.mark.parametrize("path", ["/", "/projects/local-project/topics/modeldrop-models"])
def test_an_event_is_acknowledged_on_every_path(serve: Callable[[str], Client], path: str) -> None:
    event = json.loads((EVENTS / "storage_finalized_placeholder.json").read_text(encoding="utf-8"))
    answer = serve("import_model").post(path, headers=event["headers"], data=json.dumps(event["body"]))
    assert (answer.status_code, answer.data) == (200, b"OK")


@pytest.mark.parametrize(
    "name", [path.stem for path in sorted(EVENTS.glob("*_*.json")) if "scheduler" not in path.stem]
)
def test_a_function_receives_the_whole_event(name: str) -> None:
    event = json.loads((EVENTS / f"{name}.json").read_text(encoding="utf-8"))
    received_event = received(event["headers"], json.dumps(event["body"]).encode())
    if "ce-id" in event["headers"]:
        assert received_event.data == event["body"]
        assert (received_event["id"], received_event["type"]) == (
            event["headers"]["ce-id"],
            event["headers"]["ce-type"],
        )
    else:
        # The push of a subscription without an event trigger.
        assert received_event["type"] == BINARY["ce-type"]
        assert received_event["id"] == event["body"]["message"]["messageId"]
        assert received_event.data["message"]["data"] == event["body"]["message"]["data"]


@pytest.mark.parametrize(
    ("posted", "data"),
    [
        (PostedRequest(BINARY, b""), None),
        (PostedRequest(BINARY, b"null"), None),
        (PostedRequest(BINARY, b'"text"'), "text"),
        (PostedRequest(BINARY, b"not JSON"), b"not JSON"),
        (PostedRequest(BINARY, b"\xff\xfe\xfa"), b"\xff\xfe\xfa"),
        (PostedRequest(BINARY, b"[1]"), [1]),
        (PostedRequest(BINARY, b"7"), 7),
        (PostedRequest(STRUCTURED, structured()), None),
        (PostedRequest(STRUCTURED, structured(data=None)), None),
        (PostedRequest(STRUCTURED, structured(data="text")), "text"),
        (PostedRequest(STRUCTURED, structured(data_base64="/w==")), b"\xff"),
        (PostedRequest(STRUCTURED, structured(data_base64="e30=")), {}),
    ],
)
def test_data_of_any_type_can_be_read(posted: PostedRequest, data: Any) -> None:
    event = received(*posted)
    assert event.data == data
    assert Message.from_event(event).id == BINARY["ce-id"]
    event["type"] = "google.cloud.storage.object.v1.finalized"
    assert StoredObject.from_event(event, FINALIZED) is None


@pytest.mark.parametrize(
    ("error", "status", "severity", "code"),
    [
        (TryLater("the ledger does not answer"), 503, "WARNING", "try_later"),
        (ValueError(SENDERS_TEXT), 500, "ERROR", "internal_error"),
    ],
)
def test_an_error_of_the_function_makes_the_sender_try_again(
    capsys: pytest.CaptureFixture[str], error: Exception, status: int, severity: str, code: str
) -> None:
    @cloud_event
    def fail(event: CloudEvent) -> None:
        raise error

    body, answered = fail(request(BINARY, b"{}"))  # type: ignore[misc]
    record = json.loads(capsys.readouterr().err)
    assert (body["error"]["code"], answered) == (code, status)
    assert record["severity"] == severity
    assert ("stack_trace" in record) == (status == 500)
    assert SENDERS_TEXT not in str(record) + str(body)


TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
CLOUD_TRACE = "4bf92f3577b34da6a3ce929d0e0e4736/67667974448284343;o=1"


@pytest.mark.parametrize(
    ("headers", "attributes"),
    [
        ({"traceparent": TRACEPARENT}, {}),
        ({"X-Cloud-Trace-Context": CLOUD_TRACE}, {}),
        ({"traceparent": TRACEPARENT.replace("00f0", "1111")}, {"traceparent": TRACEPARENT}),
        ({}, {"googclient_traceparent": TRACEPARENT}),
    ],
    ids=["header", "Google's header", "message", "client library"],
)
def test_a_function_works_in_the_trace_of_its_message_or_else_of_its_request(
    headers: dict[str, str], attributes: dict[str, str]
) -> None:
    seen = []

    @cloud_event
    def look(event: CloudEvent) -> None:
        seen.append(trace.current_traceparent())

    look(request({**BINARY, **headers}, json.dumps({"message": {"attributes": attributes}}).encode()))
    assert seen == [TRACEPARENT]
    assert trace.current() is None


def test_a_decorated_function_keeps_its_name_and_docstring() -> None:
    @cloud_event
    def count(event: CloudEvent) -> None:
        """Count an event."""

    assert (count.__name__, count.__doc__) == ("count", "Count an event.")
