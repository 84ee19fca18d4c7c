"""Notification configurations, which publish the events of a bucket's objects to topics of Pub/Sub.

Rules: https://cloud.google.com/storage/docs/pubsub-notifications
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from localcloud.storage.rules.errors import InvalidRequest, Required
from localcloud.storage.rules.resources import ARCHIVED, DELETED, FINALIZED, METADATA_UPDATED, StorageEvent

EVENT_TYPES: Mapping[str, str] = {
    FINALIZED: "OBJECT_FINALIZE",
    METADATA_UPDATED: "OBJECT_METADATA_UPDATE",
    DELETED: "OBJECT_DELETE",
    ARCHIVED: "OBJECT_ARCHIVE",
}
"""The names that configurations and messages have for the types of events."""
WITH_RESOURCE, WITHOUT_PAYLOAD = "JSON_API_V1", "NONE"
_SERVICE = "//pubsub.googleapis.com/"
_TOPIC = re.compile(r"projects/[^/]+/topics/[^/]+")


def topic_of(configuration: Mapping[str, Any]) -> str:
    """Return the full name of the topic, ``projects/P/topics/T``. Raises ``InvalidRequest`` if it is malformed.

    A request may leave out the name of the service, as ``gcloud`` does.
    """
    named = configuration["topic"]
    topic = named.removeprefix(_SERVICE) if isinstance(named, str) else ""
    if not _TOPIC.fullmatch(topic):
        raise InvalidRequest(
            f"Invalid Google Cloud Pub/Sub topic: {named!r} is not {_SERVICE}projects/PROJECT/topics/TOPIC"
        )
    return topic


def checked_configuration(resource: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a new configuration that are kept. Raises ``Required`` or ``InvalidRequest``."""
    for name in ("topic", "payload_format"):
        if not resource.get(name):
            raise Required(f"Required: {name}")
    types, attributes = resource.get("event_types") or [], resource.get("custom_attributes") or {}
    prefix = resource.get("object_name_prefix") or ""
    if resource["payload_format"] not in (WITH_RESOURCE, WITHOUT_PAYLOAD):
        raise InvalidRequest(f"Invalid value for field payload_format: {resource['payload_format']!r}")
    if not isinstance(types, list) or not set(types) <= set(EVENT_TYPES.values()):
        raise InvalidRequest(
            f"Invalid value for field event_types: a list of {', '.join(EVENT_TYPES.values())} is expected"
        )
    if not isinstance(attributes, dict) or not all(isinstance(value, str) for value in attributes.values()):
        raise InvalidRequest("Invalid value for field custom_attributes: keys and values are strings")
    if not isinstance(prefix, str):
        raise InvalidRequest("Invalid value for field object_name_prefix")
    kept = {"event_types": types, "custom_attributes": attributes, "object_name_prefix": prefix}
    return {
        "topic": _SERVICE + topic_of(resource),
        "payload_format": resource["payload_format"],
        **{name: value for name, value in kept.items() if value},
    }


def matches(configuration: Mapping[str, Any], event: StorageEvent) -> bool:
    """Return whether a configuration publishes an event; without event types it publishes all."""
    types = configuration.get("event_types")
    return (not types or EVENT_TYPES[event.type] in types) and event.stored.name.startswith(
        configuration.get("object_name_prefix", "")
    )
