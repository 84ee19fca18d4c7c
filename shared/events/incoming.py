"""Events as they come in, read once at the edge.

Cloud Storage and Pub/Sub events come as CloudEvents over HTTP: https://docs.cloud.google.com/eventarc/docs/cloudevents.
They may come twice, late and out of order.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cloudevents.http import CloudEvent

from shared.errors import Rejected

FINALIZED = "google.cloud.storage.object.v1.finalized"

# Far more than any message needs, and far less than what Python can read but not write again.
DEEPEST_JSON = 50


@dataclass(frozen=True)
class FinalizedObject:
    """An object that was written to a bucket."""

    bucket: str
    name: str
    generation: int
    created: datetime | None
    """When it was written; None if the event does not tell."""

    @classmethod
    def from_event(cls, event: CloudEvent) -> FinalizedObject | None:
        """Read a ``google.cloud.storage.object.v1.finalized`` event; None if it is not one."""
        data = event.data
        if event["type"] != FINALIZED or not isinstance(data, Mapping):
            return None
        bucket, name = data.get("bucket"), data.get("name")
        if not isinstance(bucket, str) or not isinstance(name, str):
            return None
        try:
            # int64 fields come as strings.
            return cls(bucket, name, int(data.get("generation", 0)), _moment(data.get("timeCreated")))
        except (TypeError, ValueError, OverflowError):
            return None


@dataclass(frozen=True)
class Message:
    """A Pub/Sub message."""

    id: str
    data: bytes
    attributes: Mapping[str, str]
    published: datetime

    @classmethod
    def from_event(cls, event: CloudEvent) -> Message:
        """Read a ``google.cloud.pubsub.topic.v1.messagePublished`` event.

        Whatever is missing is left empty: that the message is not what was expected is told by ``payload``, to whoever
        published it.
        """
        wrapped = event.data.get("message") if isinstance(event.data, Mapping) else None
        message: Mapping[str, Any] = wrapped if isinstance(wrapped, Mapping) else {}
        attributes = message.get("attributes")
        return cls(
            # Both spellings come, and either may be missing: https://cloud.google.com/pubsub/docs/push
            id=str(message.get("messageId") or message.get("message_id") or event["id"]),
            data=_decoded(message.get("data")),
            attributes=attributes if isinstance(attributes, Mapping) else {},
            published=_moment(message.get("publishTime") or message.get("publish_time") or event.get("time"))
            or datetime.now(UTC),
        )

    def payload(self) -> Mapping[str, Any]:
        """Return the JSON object that the message holds; raise ``Rejected`` if it holds none."""
        return json_object(self.data)


def json_object(data: bytes) -> Mapping[str, Any]:
    """Return the JSON object in ``data``; raise ``Rejected`` if there is none."""
    try:
        value = json.loads(data, parse_constant=_refuse_constant, parse_float=_finite)
        # Half of a surrogate pair is JSON, but no text that a service would take.
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise Rejected(f"the message is not JSON: {error}"[:200], code="invalid_json") from error
    if not isinstance(value, dict):
        raise Rejected("the message must be a JSON object", code="invalid_json")
    if _deeper_than(value, DEEPEST_JSON):
        raise Rejected(f"the message is nested more than {DEEPEST_JSON} deep", code="invalid_json")
    return value


def _deeper_than(value: object, limit: int) -> bool:
    inner: list[object] = []
    match value:
        case Mapping():
            inner = list(value.values())
        case list():
            inner = value
    return bool(inner) and (limit == 0 or any(_deeper_than(each, limit - 1) for each in inner))


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is too large for a number")
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _decoded(data: object) -> bytes:
    if isinstance(data, bytes):
        return data
    if not isinstance(data, str):
        return b""
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        return data.encode(errors="replace")


def _moment(text: object) -> datetime | None:
    if isinstance(text, datetime):
        return text.astimezone(UTC)
    try:
        moment = datetime.fromisoformat(str(text))
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
