"""The edge of the functions that take events: what is one is handed to them, what is none is refused."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

import flask
import functions_framework
import pytest
from cloudevents.http import CloudEvent
from werkzeug.test import Client, EnvironBuilder

from shared.errors import TryLater
from shared.events.edge import cloud_event
from shared.events.incoming import FinalizedObject, Message
from tests.conftest import variables
from tests.no_events import (
    BINARY,
    STRUCTURED,
    PostedRequest,
    no_events,
    structured,
)
from tests.paths import ROOT

EVENTS = ROOT / "tests" / "events"
EVENT_FUNCTIONS = ("import_model", "predict", "submit_batch_message", "manage_model")

SENDERS_TEXT = "Rumpelstiltskin"
NO_EVENTS = no_events(SENDERS_TEXT)
REFUSED = {
    "error": {
        "code": "invalid_event",
        "message": "the request is no CloudEvent, in neither binary nor structured mode",
        "field": None,
    }
}


def request(headers: dict[str, str], body: bytes, method: str = "POST") -> flask.Request:
    return flask.Request(EnvironBuilder("/", method=method, headers=headers, data=body).get_environ())


def taken(headers: dict[str, str], body: bytes) -> CloudEvent:
    """Return the event that a function is handed for a request."""
    events: list[CloudEvent] = []

    @cloud_event
    def keep(event: CloudEvent) -> None:
        events.append(event)

    assert keep(request(headers, body)) == ("OK", 200)
    assert len(events) == 1
    return events[0]


@pytest.fixture
def serve() -> Iterator[Callable[[str], Client]]:
    """Serves a function of main.py in this process, as it is deployed with an event trigger."""
    before = list(sys.path)  # functions-framework adds to it
    # As deep as a function goes; libraries that other tests import have Python go deeper.
    depth = sys.getrecursionlimit()
    sys.setrecursionlimit(1000)

    def served(function: str) -> Client:
        return Client(functions_framework.create_app(function, str(ROOT / "main.py"), "cloudevent"))

    with variables({"FUNCTION_SIGNATURE_TYPE": "cloudevent"}):
        yield served
    sys.setrecursionlimit(depth)
    sys.path[:] = before


@pytest.mark.parametrize("function", EVENT_FUNCTIONS)
def test_what_is_no_event_is_refused_and_the_log_has_nothing_of_it(
    serve: Callable[[str], Client], capsys: pytest.CaptureFixture[str], function: str
) -> None:
    served = serve(function)
    for wrong, (headers, body) in NO_EVENTS.items():
        answer = served.post(f"/{SENDERS_TEXT}", headers=headers, data=body)
        assert (answer.status_code, json.loads(answer.data)) == (400, REFUSED), wrong
    written = capsys.readouterr()
    assert written.out == ""
    records = [json.loads(line) for line in written.err.splitlines()]
    assert len(records) == len(NO_EVENTS)
    assert {(each["severity"], each["message"]) for each in records} == {
        ("WARNING", "a request that is no event is refused")
    }
    assert SENDERS_TEXT not in written.err


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
def test_events_are_posted(serve: Callable[[str], Client], method: str) -> None:
    answer = serve("import_model").open("/", method=method, headers=BINARY)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")


@pytest.mark.parametrize("path", ["/", "/projects/local-project/topics/modeldrop-models"])
def test_an_event_is_acknowledged_on_every_path(serve: Callable[[str], Client], path: str) -> None:
    event = json.loads((EVENTS / "storage_finalized_outside_layout.json").read_text(encoding="utf-8"))
    answer = serve("import_model").post(path, headers=event["headers"], data=json.dumps(event["body"]))
    assert (answer.status_code, answer.data) == (200, b"OK")


@pytest.mark.parametrize(
    "name", [path.stem for path in sorted(EVENTS.glob("*_*.json")) if "scheduler" not in path.stem]
)
def test_events_are_handed_over_whole(name: str) -> None:
    event = json.loads((EVENTS / f"{name}.json").read_text(encoding="utf-8"))
    handed = taken(event["headers"], json.dumps(event["body"]).encode())
    if "ce-id" in event["headers"]:
        assert handed.data == event["body"]
        assert (handed["id"], handed["type"]) == (event["headers"]["ce-id"], event["headers"]["ce-type"])
    else:
        # What a subscription pushes without a trigger.
        assert handed["type"] == BINARY["ce-type"]
        assert handed["id"] == event["body"]["message"]["messageId"]
        assert handed.data["message"]["data"] == event["body"]["message"]["data"]


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
def test_data_of_every_sort_can_be_read(posted: PostedRequest, data: Any) -> None:
    event = taken(*posted)
    assert event.data == data
    assert Message.from_event(event).id == BINARY["ce-id"]
    event["type"] = "google.cloud.storage.object.v1.finalized"
    assert FinalizedObject.from_event(event) is None


def test_what_a_function_raises_passes() -> None:
    @cloud_event
    def fail(event: CloudEvent) -> None:
        raise TryLater("the ledger does not answer")

    with pytest.raises(TryLater):
        fail(request(BINARY, b"{}"))


def test_a_decorated_function_keeps_its_name_and_its_words() -> None:
    @cloud_event
    def count(event: CloudEvent) -> None:
        """Count an event."""

    assert (count.__name__, count.__doc__) == ("count", "Count an event.")
