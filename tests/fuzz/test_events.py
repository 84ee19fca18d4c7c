"""Every event is either ignored, rejected or accepted."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import re
from typing import Any

import flask
from cloudevents.http import CloudEvent, from_http
from hypothesis import event, given
from hypothesis import strategies as st
from werkzeug.test import EnvironBuilder

from shared.drops.drop import DropPath
from shared.errors import Rejected
from shared.events.edge import cloud_event
from shared.events.incoming import FINALIZED, Message, StoredObject
from shared.messages.predict_request import PredictRequest
from tests.example_requests import SETTINGS
from tests.fuzz.event_requests import event_requests
from tests.fuzz.mutations import (
    PREDICT_EXAMPLES,
    TEXTS,
    as_json,
    messages,
    mostly,
    mutated,
)
from tests.paths import EVENTS
from tests.wrong_events import PostedRequest


def _events(prefix: str) -> list[dict[str, Any]]:
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(EVENTS.glob(f"{prefix}*.json"))]
    return [each for each in found if "ce-id" in each["headers"]]


def _bodies(events: list[dict[str, Any]]) -> st.SearchStrategy[bytes]:
    return mostly(as_json(mutated(tuple(each["body"] for each in events))))


STORAGE_EVENTS, MESSAGE_EVENTS = _events("storage_"), _events("pubsub_")
STORAGE_HEADERS, MESSAGE_HEADERS = STORAGE_EVENTS[0]["headers"], MESSAGE_EVENTS[0]["headers"]


def decision_about_object(arrived: CloudEvent) -> DropPath | None:
    """Return the drop that an event is about, or None if it is ignored, as import_model decides it."""
    file = StoredObject.from_event(arrived, FINALIZED)
    return DropPath.of_object(file.name) if file else None


@given(_bodies(STORAGE_EVENTS), st.sampled_from(["finalized", "finalized", "deleted", "metadataUpdated"]))
def test_a_storage_event_is_ignored_or_names_its_drop(body: bytes, what: str) -> None:
    headers = {**STORAGE_HEADERS, "ce-type": f"google.cloud.storage.object.v1.{what}"}
    drop = decision_about_object(from_http(headers, body))
    event("accepted" if drop else "ignored")
    if drop:
        assert what == "finalized"
        assert json.loads(body)["name"].startswith(drop.prefix)


@given(_bodies(MESSAGE_EVENTS))
def test_a_message_event_has_an_id_a_time_and_a_checked_request(body: bytes) -> None:
    message = Message.from_event(from_http(MESSAGE_HEADERS, body))
    assert message.id
    assert message.published.tzinfo is not None
    try:
        PredictRequest.parse(message.payload(), SETTINGS, message.published)
        event("accepted")
    except Rejected:
        event("rejected")


@given(event_requests())
def test_a_request_is_accepted_as_an_event_or_rejected_with_one_log_record(posted: PostedRequest) -> None:
    taken: list[CloudEvent] = []

    @cloud_event
    def take(arrived: CloudEvent) -> None:
        taken.append(arrived)

    environ = EnvironBuilder("/", method="POST", headers=posted.headers, data=posted.body).get_environ()
    log = io.StringIO()
    with contextlib.redirect_stderr(log):
        _, status = take(flask.Request(environ))
    event("accepted" if taken else "refused")
    assert (status, len(taken), log.getvalue().count("\n")) in {(200, 1, 0), (400, 0, 1)}
    for arrived in taken:
        message = Message.from_event(arrived)
        assert message.id
        assert message.published.tzinfo is not None
        StoredObject.from_event(arrived, FINALIZED)
        with contextlib.suppress(Rejected):
            PredictRequest.parse(message.payload(), SETTINGS, message.published)
    if not taken:
        assert set(json.loads(log.getvalue())) == {"severity", "message", "reason"}
        assert re.fullmatch(r"[A-Za-z0-9]+", json.loads(log.getvalue())["reason"])


@given(messages(PREDICT_EXAMPLES))
def test_the_published_bytes_are_read_unchanged(data: bytes) -> None:
    body = json.dumps({"message": {"data": base64.b64encode(data).decode(), "messageId": "1"}}).encode()
    assert Message.from_event(from_http(MESSAGE_HEADERS, body)).data == data


SEGMENTS = st.one_of(
    st.sampled_from(
        ["films", "genres", "1", "v2", "saved_model.pb", "variables", "_x", ".x", "gcloud", "tmp", "gsutil"]
    ),
    TEXTS,
    st.from_regex(r"[A-Za-z0-9_]{1,8}", fullmatch=True),
)
OBJECT_NAMES = st.one_of(
    st.lists(SEGMENTS, min_size=2, max_size=6).map("/".join),
    st.lists(SEGMENTS, max_size=3).map("films/genres/2/{}".format),
    TEXTS,
)


@given(OBJECT_NAMES)
def test_an_object_name_is_ignored_or_belongs_to_one_drop(name: str) -> None:
    drop = DropPath.of_object(name)
    event("accepted" if drop else "ignored")
    if drop is None:
        return
    assert re.fullmatch(r"[A-Za-z0-9]\w*/[A-Za-z0-9]\w*/[A-Za-z0-9][\w.-]{0,127}/", drop.prefix, re.ASCII)
    assert name.startswith(drop.prefix)
    rest = name.removeprefix(drop.prefix).split("/")
    assert all(rest) and not {".", ".."} & set(rest) and rest[-1][0] not in "._"
    assert not name.startswith(("gcloud/tmp/", "gsutil/tmp/"))
    assert DropPath.parse(f"gs://models/{drop.prefix}", "models", "path") == drop


@given(OBJECT_NAMES.map(lambda name: f"gs://models/{name}") | TEXTS)
def test_a_path_in_a_message_is_rejected_or_names_its_drop(path: str) -> None:
    try:
        drop = DropPath.parse(path, "models", "path")
    except Rejected:
        event("rejected")
        return
    event("accepted")
    assert path.rstrip("/") == f"gs://models/{drop.prefix}".rstrip("/")
