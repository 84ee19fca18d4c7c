"""Requests to functions that take events, in every mode or none, with wrong headers and bodies."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from tests.fuzz.mutations import ANYTHING, damaged, mutated
from tests.paths import EVENTS
from tests.wrong_events import (
    ATTRIBUTES,
    BINARY,
    PostedRequest,
    deep,
)

STORAGE_TYPE = "google.cloud.storage.object.v1.finalized"
BODIES: tuple[dict[str, Any], ...] = tuple(
    json.loads(path.read_text(encoding="utf-8"))["body"]
    for kind in ("pubsub", "storage")
    for path in sorted(EVENTS.glob(f"{kind}_*.json"))
)
# As functions of the first generation got them.
BACKGROUND_EVENTS = tuple(
    {
        "context": {"eventId": "1", "eventType": kind, "timestamp": "2026-11-20T09:41:17Z", "resource": resource},
        "data": {},
    }
    for kind in (
        "google.pubsub.topic.publish",
        "google.storage.object.finalize",
        "providers/firebase.auth/eventTypes/x",
    )
    for resource in (
        "projects/_/buckets/b/objects/o",
        {"service": "pubsub.googleapis.com", "name": "projects/p/topics/t"},
    )
)

CONTENT_TYPES = st.sampled_from(
    [
        *("application/json", "application/json; charset=utf-7", "application/octet-stream", "text/plain", "text/xml"),
        *("application/cloudevents+json", "application/cloudevents+json; charset=utf-16", "application/cloudevents"),
        *(
            "application/cloudevents-batch+json",
            "application/cloudevents+avro",
            "multipart/form-data",
            "",
            "/",
            "a/" * 900,
        ),
        "application/x-www-form-urlencoded",
    ]
)
# Texts that are valid in a header and do not begin or end with a space.
HEADER_TEXTS = st.one_of(
    st.sampled_from(["", "0.3", "1.0", "9.9", "null", "[]", "%ED%A0%80", "é", "x" * 2_000, STORAGE_TYPE]),
    st.text(st.characters(min_codepoint=0x21, max_codepoint=0xFF, exclude_categories=["Cc"]), max_size=20),
)
HEADER_NAMES = st.one_of(
    st.sampled_from(
        [
            *(*BINARY, "ce-time", "ce-subject", "ce-datacontenttype", "ce-data", "ce-extensions", "ce-", "CE-ID"),
            *(
                "Content-Encoding",
                "ce-message",
                "ce-x-y",
                "traceparent",
                "X-Cloud-Trace-Context",
                "Function-Execution-Id",
            ),
        ]
    ),
    st.from_regex(r"ce-[a-z0-9]{1,20}", fullmatch=True),
)
FIELDS = st.sampled_from(
    [
        *(
            *ATTRIBUTES,
            "time",
            "subject",
            "data",
            "data_base64",
            "datacontenttype",
            "extensions",
            "message",
            "messageId",
        ),
        *(
            "publishTime",
            "attributes",
            "context",
            "eventId",
            "eventType",
            "resource",
            "subscription",
            "name",
            "generation",
        ),
    ]
)
# JSON that not every program can read or write. The depths are close to the limit of Python's parser.
PIECES = st.one_of(
    st.sampled_from([b"9" * 4_301, b"-" + b"9" * 5_000, b"1e999", b"NaN", b"-Infinity", b'"\\ud800"', b'"\xff"', b""]),
    st.sampled_from(
        [b'"' + b"A" * 100_000 + b'"', b'"e30="', b'"A"', b"null", b"5", b"[]", b"{}", b'{"a": 1, "a": 2}']
    ),
    st.one_of(st.integers(900, 1_010), st.sampled_from([60, 5_000, 100_000])).map(deep),
)


@st.composite
def _spliced(draw: st.DrawFn, value: Any) -> bytes:
    """Return ``value`` as JSON, now and then with one of the pieces for a field, at the top or inside of it."""
    if not isinstance(value, dict) or not draw(st.booleans()):
        return json.dumps(value).encode()
    inner = [name for name, each in value.items() if isinstance(each, dict)]
    field = draw(FIELDS)
    if inner and draw(st.booleans()):
        name = draw(st.sampled_from(inner))
        value = {**value, name: {**value[name], field: "PIECE"}}
    else:
        value = {**value, field: "PIECE"}
    return json.dumps(value).encode().replace(b'"PIECE"', draw(PIECES))


@st.composite
def _bodies(draw: st.DrawFn, values: st.SearchStrategy[Any]) -> bytes:
    """One of ``values``, now and then damaged or not UTF-8."""
    body = draw(_spliced(draw(values)))
    match draw(st.sampled_from(["whole", "whole", "whole", "damaged", "encoded", "other"])):
        case "damaged":
            return draw(damaged(st.just(body)))
        case "encoded":
            encoding = draw(st.sampled_from(["utf-16", "utf-32-be", "utf-7", "utf-8-sig"]))
            return body.decode(errors="replace").encode(encoding, errors="replace")
        case "other":
            return draw(st.one_of(PIECES, st.binary(max_size=60)))
    return body


@st.composite
def _attributes(draw: st.DrawFn) -> dict[str, str]:
    return {**ATTRIBUTES, "type": draw(st.sampled_from([ATTRIBUTES["type"], STORAGE_TYPE]))}


@st.composite
def event_requests(draw: st.DrawFn) -> PostedRequest:
    """A request in one of the modes of events, or in none, with up to two of its headers changed."""
    body = mutated(BODIES)
    match draw(st.sampled_from(["binary", "binary", "structured", "structured", "batch", "none"])):
        case "binary":
            headers = {f"ce-{name}": value for name, value in draw(_attributes()).items()}
            posted = PostedRequest({**headers, "Content-Type": "application/json"}, draw(_bodies(body | ANYTHING)))
        case "structured":
            event = mutated(({**draw(_attributes()), "data": draw(body)},))
            posted = PostedRequest({"Content-Type": "application/cloudevents+json"}, draw(_bodies(event)))
        case "batch":
            events = st.lists(mutated(({**draw(_attributes()), "data": draw(body)},)), max_size=2)
            posted = PostedRequest({"Content-Type": "application/cloudevents-batch+json"}, draw(_bodies(events)))
        case _:
            posted = PostedRequest(
                {"Content-Type": "application/json"}, draw(_bodies(mutated((*BACKGROUND_EVENTS, *BODIES)) | ANYTHING))
            )
    headers = dict(posted.headers)
    for _ in range(draw(st.integers(0, 2))):
        match draw(st.sampled_from(["remove", "change", "add", "type"])):
            case "remove" if headers:
                del headers[draw(st.sampled_from(sorted(headers)))]
            case "change" if headers:
                headers[draw(st.sampled_from(sorted(headers)))] = draw(HEADER_TEXTS)
            case "type":
                headers["Content-Type"] = draw(CONTENT_TYPES)
            case _:
                headers[draw(HEADER_NAMES)] = draw(HEADER_TEXTS)
    return PostedRequest(headers, posted.body)
