"""Requests to the URL of a function that takes events which are not CloudEvents."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

ATTRIBUTES = {
    "id": "9471350642518230",
    "source": "//pubsub.googleapis.com/projects/local-project/topics/modeldrop-predict",
    "specversion": "1.0",
    "type": "google.cloud.pubsub.topic.v1.messagePublished",
}
JSON = {"Content-Type": "application/json"}
BINARY = {**{f"ce-{name}": value for name, value in ATTRIBUTES.items()}, **JSON}
STRUCTURED = {"Content-Type": "application/cloudevents+json"}
BATCH = {"Content-Type": "application/cloudevents-batch+json"}


class PostedRequest(NamedTuple):
    """A request that is posted to a function."""

    headers: dict[str, str]
    body: bytes


def deep(depth: int) -> bytes:
    """Return JSON that is nested so deep."""
    return b"[" * depth + b"]" * depth


def structured(**fields: Any) -> bytes:
    """Return an event in structured mode, with these fields added or changed."""
    return json.dumps({**ATTRIBUTES, **fields}).encode()


def wrong_events(text: str) -> dict[str, PostedRequest]:
    """Return requests that are not CloudEvents, by what is wrong with them. Each holds ``text``."""
    said = json.dumps(text).encode()
    data = {"message": {"data": text}}
    return {
        "binary, a number of 5,000 digits": PostedRequest(BINARY, b"[%b, %b]" % (said, b"9" * 5_000)),
        "binary, 100,000 deep": PostedRequest(BINARY, b"[%b, %b]" % (said, deep(100_000))),
        "binary, no version known": PostedRequest({**BINARY, "ce-specversion": text}, b"{}"),
        "binary, an empty id": PostedRequest({**BINARY, "ce-id": "", "ce-time": text}, b"{}"),
        "binary, extensions that are none": PostedRequest({**BINARY, "ce-extensions": text}, b"{}"),
        "structured, not UTF-8": PostedRequest(STRUCTURED, structured(data=data) + b"\xff"),
        "structured, not JSON": PostedRequest(STRUCTURED, b"{" + said),
        "structured, a list": PostedRequest(STRUCTURED, b"[%b]" % said),
        "structured, id is null": PostedRequest(STRUCTURED, structured(id=None, data=data)),
        "structured, id is a list": PostedRequest(STRUCTURED, structured(id=[text], data=data)),
        "structured, type is an object": PostedRequest(STRUCTURED, structured(type={text: 1}, data=data)),
        "structured, version is a list": PostedRequest(STRUCTURED, structured(specversion=[text])),
        "structured, data_base64 is a number": PostedRequest(STRUCTURED, structured(data_base64=5, subject=text)),
        "structured, data_base64 is not base64": PostedRequest(STRUCTURED, structured(data_base64="A", subject=text)),
        "structured, deep data": PostedRequest(
            STRUCTURED, structured(subject=text, data="DEEP").replace(b'"DEEP"', deep(100_000))
        ),
        "structured, a number of 5,000 digits": PostedRequest(
            STRUCTURED, structured(subject=text, data="LONG").replace(b'"LONG"', b"9" * 5_000)
        ),
        "a batch": PostedRequest(BATCH, b"[%b]" % structured(data=data)),
        "no mode, nothing known": PostedRequest({"Content-Type": text}, said),
        "no mode, not JSON": PostedRequest(JSON, b"{" + said),
        "no mode, a list": PostedRequest(JSON, b"[1, %b]" % said),
        "no mode, a context that is a number": PostedRequest(JSON, json.dumps({"context": 5, "data": text}).encode()),
        "no mode, a context that is a text": PostedRequest(JSON, json.dumps({"context": text, "data": {}}).encode()),
        "no mode, an unknown context": PostedRequest(JSON, json.dumps({"context": {text: 1}, "data": {}}).encode()),
        "no mode, the data of a context is a number": PostedRequest(
            JSON,
            json.dumps(
                {"context": {"eventId": text, "eventType": "google.pubsub.topic.publish", "resource": "x"}, "data": 5}
            ).encode(),
        ),
        "no mode, a message without data": PostedRequest(
            JSON, json.dumps({"message": {"messageId": text}, "subscription": "s"}).encode()
        ),
    }
