"""The form in which a pushed message travels: the HTTP request that is made of it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from localcloud.base.clock import rfc3339
from localcloud.pubsub.messages import Message


@dataclass(frozen=True)
class PushedMessage:
    """One message about to be pushed."""

    subscription: str
    """``projects/P/subscriptions/S``."""
    topic: str
    """``projects/P/topics/T``."""
    message: Message
    delivery_attempt: int | None
    """The attempt, counted from 1, where the subscription has a dead-letter policy."""


@dataclass(frozen=True)
class PushRequest:
    """The POST that carries a message."""

    headers: Mapping[str, str]
    body: bytes


Envelope = Callable[[PushedMessage], PushRequest]


def message_resource(message: Message) -> dict[str, Any]:
    """Return ``message`` as push requests show it, with the two names that some of its fields have.

    https://cloud.google.com/pubsub/docs/push#receive_push
    """
    resource: dict[str, Any] = {}
    if message.attributes:
        resource["attributes"] = dict(message.attributes)
    if message.data:
        resource["data"] = base64.b64encode(message.data).decode("ascii")
    if message.ordering_key:
        resource["orderingKey"] = message.ordering_key
    published = rfc3339(message.published)
    return resource | {
        "messageId": message.id,
        "message_id": message.id,
        "publishTime": published,
        "publish_time": published,
    }


def wrapped_message(pushed: PushedMessage) -> dict[str, Any]:
    """Return the JSON object around a pushed message."""
    wrapped: dict[str, Any] = {"message": message_resource(pushed.message), "subscription": pushed.subscription}
    if pushed.delivery_attempt is not None:
        wrapped["deliveryAttempt"] = pushed.delivery_attempt
    return wrapped


def wrap_message(pushed: PushedMessage) -> PushRequest:
    """Return the standard push request.

    https://cloud.google.com/pubsub/docs/push#receive_push
    """
    headers = {"Content-Type": "application/json", "User-Agent": "CloudPubSub-Google"}
    return PushRequest(headers, json.dumps(wrapped_message(pushed)).encode())
