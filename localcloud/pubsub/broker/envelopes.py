"""The HTTP requests that carry pushed messages."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from localcloud.base.clock import rfc3339
from localcloud.pubsub.broker.messages import Message

# https://www.rfc-editor.org/rfc/rfc9110#section-5.1
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
# What the connection itself needs.
_OF_CONNECTIONS = frozenset({"connection", "content-length", "host", "transfer-encoding", "user-agent"})


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


def unwrap_message(pushed: PushedMessage, *, with_metadata: bool) -> PushRequest:
    """Return the push request whose body is the data of the message.

    Args:
        pushed: The message.
        with_metadata: Whether headers carry the rest of the message. Attributes that no header can carry are left out.

    Source: https://cloud.google.com/pubsub/docs/payload-unwrapping
    """
    message = pushed.message
    headers = {"User-Agent": "CloudPubSub-Google"}
    if with_metadata:
        metadata = {
            "subscription-name": pushed.subscription,
            "message-id": message.id,
            "publish-time": rfc3339(message.published),
            "ordering-key": message.ordering_key,
        }
        headers |= {name: value for name, value in message.attributes.items() if _is_header(name, value)}
        headers |= {f"x-goog-pubsub-{name}": value for name, value in metadata.items() if value}
    # The client library of HTTP encodes headers as Latin-1.
    return PushRequest({name: value.encode().decode("latin-1") for name, value in headers.items()}, message.data)


def _is_header(name: str, value: str) -> bool:
    return _HEADER_NAME.fullmatch(name) is not None and name.lower() not in _OF_CONNECTIONS and value.isprintable()
