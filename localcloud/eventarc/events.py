"""The events that functions receive: CloudEvents 1.0 over HTTP in binary mode.

https://cloud.google.com/eventarc/docs/cloudevents
"""

from __future__ import annotations

import hashlib
import json
from urllib.parse import quote

from localcloud.base.clock import rfc3339
from localcloud.pubsub.broker.envelopes import PushedMessage, PushRequest, wrapped_message
from localcloud.pubsub.broker.messages import PublishedMessage
from localcloud.storage.rules.resources import StorageEvent

MESSAGE_PUBLISHED = "google.cloud.pubsub.topic.v1.messagePublished"

# The characters that a header contains without encoding. The percent sign is encoded too, because it starts an encoded
# character.
# https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md#3132-http-header-values
PLAIN = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")


def storage_message(event: StorageEvent) -> PublishedMessage:
    """Return the message that carries a storage event to a trigger.

    The message has the event's attributes and data, so that a dead letter contains the whole event.
    """
    stored = event.stored
    identity = f"{event.type}/{stored.bucket}/{stored.name}/{stored.generation}/{stored.metageneration}"
    attributes = {
        "ce-id": str(int.from_bytes(hashlib.sha256(identity.encode()).digest()[:7], "big")),
        "ce-source": f"//storage.googleapis.com/projects/_/buckets/{stored.bucket}",
        "ce-specversion": "1.0",
        "ce-type": event.type,
        "ce-time": rfc3339(stored.updated),
        "ce-subject": f"objects/{stored.name}",
        "ce-bucket": stored.bucket,
        "content-type": "application/json",
    }
    return PublishedMessage(json.dumps(stored.resource()).encode(), attributes)


def storage_event(pushed: PushedMessage) -> PushRequest:
    """Return the request that delivers a storage event, from a message of ``storage_message``, to a function."""
    attributes = pushed.message.attributes
    headers = {name: quote(value, safe=PLAIN) for name, value in attributes.items() if name.startswith("ce-")}
    return PushRequest(headers | {"Content-Type": "application/json"}, pushed.message.data)


def message_event(pushed: PushedMessage) -> PushRequest:
    """Return the request that delivers a message published to a topic to a function.

    https://github.com/googleapis/google-cloudevents/blob/main/proto/google/events/cloud/pubsub/v1/data.proto
    """
    headers = {
        "ce-id": pushed.message.id,
        "ce-source": f"//pubsub.googleapis.com/{pushed.topic}",
        "ce-specversion": "1.0",
        "ce-type": MESSAGE_PUBLISHED,
        "ce-time": rfc3339(pushed.message.published),
        "Content-Type": "application/json",
    }
    return PushRequest(headers, json.dumps(wrapped_message(pushed)).encode())
