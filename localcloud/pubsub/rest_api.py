"""Pub/Sub's REST API, which ``gcloud pubsub`` and clients without gRPC use.

https://cloud.google.com/pubsub/docs/reference/rest
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from google.protobuf import json_format
from google.pubsub_v1 import types
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from localcloud.base.json_api import Call, JsonApi, Route, json_response
from localcloud.pubsub.errors import InvalidArgument, PubSubError
from localcloud.pubsub.methods import Methods, Patience
from localcloud.pubsub.unsupported import method_refusal


@dataclass(frozen=True)
class Binding:
    """The mapping of a REST method to an RPC, as in the service's ``google.api.http`` annotations."""

    verb: str
    path: str
    named: str
    """The field of the request that contains the name in the path."""
    request: Any
    """The protobuf class of the request."""
    method: str
    """The name in ``Methods``."""


TOPICS = "/v1/projects/{project}/topics"
ONE_TOPIC = "/v1/projects/{project}/topics/{topic}"
SUBSCRIPTIONS = "/v1/projects/{project}/subscriptions"
ONE_SUBSCRIPTION = "/v1/projects/{project}/subscriptions/{subscription}"

BINDINGS = [
    Binding("POST", f"{ONE_TOPIC}:publish", "topic", types.PublishRequest.pb(), "publish"),
    Binding(
        "GET",
        f"{ONE_TOPIC}/subscriptions",
        "topic",
        types.ListTopicSubscriptionsRequest.pb(),
        "list_topic_subscriptions",
    ),
    Binding("PUT", ONE_TOPIC, "name", types.Topic.pb(), "create_topic"),
    Binding("PATCH", ONE_TOPIC, "topic.name", types.UpdateTopicRequest.pb(), "update_topic"),
    Binding("GET", ONE_TOPIC, "topic", types.GetTopicRequest.pb(), "get_topic"),
    Binding("DELETE", ONE_TOPIC, "topic", types.DeleteTopicRequest.pb(), "delete_topic"),
    Binding("GET", TOPICS, "project", types.ListTopicsRequest.pb(), "list_topics"),
    Binding(
        "POST",
        f"{ONE_SUBSCRIPTION}:detach",
        "subscription",
        types.DetachSubscriptionRequest.pb(),
        "detach_subscription",
    ),
    Binding("POST", f"{ONE_SUBSCRIPTION}:pull", "subscription", types.PullRequest.pb(), "pull"),
    Binding("POST", f"{ONE_SUBSCRIPTION}:acknowledge", "subscription", types.AcknowledgeRequest.pb(), "acknowledge"),
    Binding(
        "POST",
        f"{ONE_SUBSCRIPTION}:modifyAckDeadline",
        "subscription",
        types.ModifyAckDeadlineRequest.pb(),
        "modify_ack_deadline",
    ),
    Binding(
        "POST",
        f"{ONE_SUBSCRIPTION}:modifyPushConfig",
        "subscription",
        types.ModifyPushConfigRequest.pb(),
        "modify_push_config",
    ),
    Binding("POST", f"{ONE_SUBSCRIPTION}:seek", "subscription", types.SeekRequest.pb(), "seek"),
    Binding("PUT", ONE_SUBSCRIPTION, "name", types.Subscription.pb(), "create_subscription"),
    Binding(
        "PATCH",
        ONE_SUBSCRIPTION,
        "subscription.name",
        types.UpdateSubscriptionRequest.pb(),
        "update_subscription",
    ),
    Binding("GET", ONE_SUBSCRIPTION, "subscription", types.GetSubscriptionRequest.pb(), "get_subscription"),
    Binding("DELETE", ONE_SUBSCRIPTION, "subscription", types.DeleteSubscriptionRequest.pb(), "delete_subscription"),
    Binding("GET", SUBSCRIPTIONS, "project", types.ListSubscriptionsRequest.pb(), "list_subscriptions"),
]

# System parameters, which every Google API accepts. They are not fields of a request.
SYSTEM_PARAMETERS = frozenset({"alt", "prettyPrint", "key", "quotaUser", "fields", "$alt", "$.xgafv"})


Handler = Callable[[Call], dict[str, Any]]


class PubSubApi(JsonApi[Handler]):
    """The REST API as an ASGI application: ``/v1/projects/P/topics...`` and ``/v1/projects/P/subscriptions...``."""

    def __init__(self, methods: Methods) -> None:
        """Create the application that serves ``methods``."""
        super().__init__(Route(binding.verb, binding.path, _handler(methods, binding)) for binding in BINDINGS)

    async def answer(self, handler: Handler, call: Call) -> Response:
        """Run ``handler`` in a thread, since a pull waits for messages. Raises ``PubSubError``."""
        return json_response(await run_in_threadpool(handler, call))

    def unknown_method(self, method: str, path: str, *, path_exists: bool) -> PubSubError:
        """Return the error for a request that no route serves."""
        return method_refusal(f"{method} {path}")


def _handler(methods: Methods, binding: Binding) -> Handler:
    method = getattr(methods, binding.method)

    def handle(call: Call) -> dict[str, Any]:
        body: dict[str, Any] = json_format.MessageToDict(method(_request_message(binding, call), Patience()))
        return body

    return handle


def _request_message(binding: Binding, call: Call) -> Any:
    """Return the protobuf request of a call, from its query, its body and the name in its path."""
    fields: dict[str, Any] = {key: value for key, value in call.query.items() if key not in SYSTEM_PARAMETERS}
    message = binding.request()
    try:
        json_format.ParseDict(fields | call.json(), message)
    except (json_format.ParseError, ValueError, TypeError) as error:
        raise InvalidArgument(f"Invalid JSON payload received. {error}") from error
    owner, _, field = binding.named.rpartition(".")
    setattr(getattr(message, owner) if owner else message, field, _full_name(**call.names))
    return message


def _full_name(project: str, topic: str | None = None, subscription: str | None = None) -> str:
    """Return the full name of the resource in a path."""
    if topic is not None:
        return f"projects/{project}/topics/{topic}"
    if subscription is not None:
        return f"projects/{project}/subscriptions/{subscription}"
    return f"projects/{project}"
