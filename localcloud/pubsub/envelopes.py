"""The HTTP requests that carry pushed messages."""

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
    """A message to push, with the names that its request shows."""

    subscription: str
    """``projects/P/subscriptions/S``."""
    topic: str
    """``projects/P/topics/T``."""
    message: Message
    delivery_attempt: int | None
    """The number of the delivery, counted from 1; None without a dead-letter policy."""


@dataclass(frozen=True)
class PushRequest:
    """The POST request that carries a message."""

    headers: Mapping[str, str]
    body: bytes


Envelope = Callable[[PushedMessage], PushRequest]
"""Builds the request of a message."""


def message_resource(message: Message) -> dict[str, Any]:
    """Return the JSON of ``message`` in a push request, where some fields appear under two names.

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
    """Return the JSON body of a standard push request."""
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
