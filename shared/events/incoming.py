"""The events that the functions receive, parsed once.

Events of Cloud Storage and Pub/Sub are CloudEvents over HTTP: https://docs.cloud.google.com/eventarc/docs/cloudevents.
They may be delivered twice, late and out of order.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cloudevents.http import CloudEvent

from shared.events.payloads import json_object

FINALIZED = "google.cloud.storage.object.v1.finalized"
DELETED = "google.cloud.storage.object.v1.deleted"


@dataclass(frozen=True)
class StoredObject:
    """An object that was written to a bucket, or deleted from it."""

    bucket: str
    name: str
    generation: int
    created: datetime | None
    """When the object was written; None if the event does not say."""

    @classmethod
    def from_event(cls, event: CloudEvent, event_type: str) -> StoredObject | None:
        """Parse an event of ``event_type``, ``FINALIZED`` or ``DELETED``; return None for any other or a damaged one."""
        data = event.data
        if event["type"] != event_type or not isinstance(data, Mapping):
            return None
        bucket, name = data.get("bucket"), data.get("name")
        if not isinstance(bucket, str) or not isinstance(name, str):
            return None
        try:
            # JSON holds int64 fields as strings.
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
    over_http: bool = False
    """Whether it is an HTTP request instead, whose id no publisher knows."""

    @property
    def is_event(self) -> bool:
        """Whether it is an event of Modeldrop. A rejection of it could come back, and be rejected again, without end."""
        return str(self.attributes.get("ce-type")).startswith("modeldrop.")

    @property
    def publishers_id(self) -> str | None:
        """The id that Pub/Sub gave to the publisher; None for an HTTP request."""
        return None if self.over_http else self.id

    @classmethod
    def from_event(cls, event: CloudEvent) -> Message:
        """Parse a ``google.cloud.pubsub.topic.v1.messagePublished`` event.

        Missing fields are left empty. ``payload`` then rejects the message, so that its publisher gets an event.
        """
        wrapped = event.data.get("message") if isinstance(event.data, Mapping) else None
        message: Mapping[str, Any] = wrapped if isinstance(wrapped, Mapping) else {}
        attributes = message.get("attributes")
        return cls(
            # Pub/Sub sends both spellings, and either may be missing: https://cloud.google.com/pubsub/docs/push
            id=str(message.get("messageId") or message.get("message_id") or event["id"]),
            data=_decoded(message.get("data")),
            attributes=attributes if isinstance(attributes, Mapping) else {},
            published=_moment(message.get("publishTime") or message.get("publish_time") or event.get("time"))
            or datetime.now(UTC),
        )

    def payload(self) -> Mapping[str, Any]:
        """Return the JSON object in the message; raise ``Rejected`` if its data is not one."""
        return json_object(self.data)


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
