"""Pub/Sub's REST API, which ``gcloud pubsub`` and clients without gRPC use.

https://cloud.google.com/pubsub/docs/reference/rest
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from google.iam.v1 import iam_policy_pb2
from google.protobuf import json_format
from google.pubsub_v1 import types
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from localcloud.apis.discovery import missing_method
from localcloud.apis.messages import Messages
from localcloud.base.json_api import Call, JsonApi, Route, json_response
from localcloud.base.partial_response import Selection, parse_fields, select
from localcloud.pubsub.api.methods import Methods, Patience
from localcloud.pubsub.api.unsupported import KEPT_PARAMETERS, method_refusal
from localcloud.pubsub.errors import InvalidArgument, NotFound, PubSubError, Unimplemented


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

_POLICY_BINDINGS = [
    Binding(verb, f"{resource}:{method}", "resource", request, name)
    for resource in (ONE_TOPIC, ONE_SUBSCRIPTION)
    for verb, method, request, name in (
        ("GET", "getIamPolicy", iam_policy_pb2.GetIamPolicyRequest, "get_iam_policy"),
        ("POST", "setIamPolicy", iam_policy_pb2.SetIamPolicyRequest, "set_iam_policy"),
        ("POST", "testIamPermissions", iam_policy_pb2.TestIamPermissionsRequest, "test_iam_permissions"),
    )
]
# Custom methods come first, since the name in a path is any text.
BINDINGS = [
    *_POLICY_BINDINGS,
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
# https://cloud.google.com/apis/docs/system-parameters
SYSTEM_PARAMETERS = frozenset({"alt", "$alt", "fields", *KEPT_PARAMETERS})

_BODIES = Messages("pubsub.v1", "", "google.pubsub.v1")
_INTEGER = re.compile(r"-?[0-9]+")
BASE64 = re.compile(r"[A-Za-z0-9+/_-]*={0,2}")

Handler = Callable[[Call], dict[str, Any]]


class PubSubApi(JsonApi[Handler]):
    """The REST API as an ASGI application: ``/v1/projects/P/topics...`` and ``/v1/projects/P/subscriptions...``."""

    def __init__(self, methods: Methods) -> None:
        """Create the application that serves ``methods``."""
        super().__init__(Route(binding.verb, binding.path, _handler(methods, binding)) for binding in BINDINGS)

    async def answer(self, handler: Handler, call: Call) -> Response:
        """Run ``handler`` in a thread, since a pull waits for messages. Raises ``PubSubError``."""
        selection = _selection(call)
        answer = await run_in_threadpool(handler, call)
        return json_response(select(answer, selection))

    def unknown_method(self, method: str, path: str, *, path_exists: bool) -> PubSubError:
        """Return the error for a request that no route serves."""
        return _unknown_method(method, path)


def _unknown_method(method: str, path: str) -> PubSubError:
    name = missing_method("pubsub", method, path)
    if name is None:
        return NotFound(f"The requested URL {path} was not found on this server.")
    return method_refusal(name)


def _selection(call: Call) -> Selection:
    """Return the fields that the answer has; empty for all. Raises ``PubSubError``."""
    form = (call.query.get("$alt") or call.query.get("alt") or "json").partition(";")[0]
    if form != "json":
        raise Unimplemented(f"The local Pub/Sub answers in JSON only: alt={form}.")
    try:
        return parse_fields(call.query["fields"]) if call.query.get("fields") else {}
    except ValueError as error:
        raise InvalidArgument(str(error)) from None


def _handler(methods: Methods, binding: Binding) -> Handler:
    method = getattr(methods, binding.method)

    def handle(call: Call) -> dict[str, Any]:
        if any(":" in name for kind, name in call.names.items() if kind != "project"):
            raise _unknown_method(call.request.method, call.path)  # no name has a colon: this is a custom method
        body: dict[str, Any] = json_format.MessageToDict(method(_request_message(binding, call), Patience()))
        return body

    return handle


def _request_message(binding: Binding, call: Call) -> Any:
    """Return the protobuf request of a call, from its query, its body and the name in its path."""
    body = call.json()
    fields = _query_fields(binding, call) | body
    if isinstance(fields.get("updateMask"), str):
        # Google's APIs accept the names of fields in both forms.
        fields["updateMask"] = re.sub("_([a-z])", lambda letter: letter[1].upper(), fields["updateMask"])
    _check_data(fields.get("messages"))
    message = binding.request()
    try:
        json_format.ParseDict(fields, message)
    except (json_format.ParseError, ValueError, TypeError) as error:
        raise InvalidArgument(_problem(binding, body) or f"Invalid JSON payload received. {error}") from error
    owner, _, field = binding.named.rpartition(".")
    setattr(getattr(message, owner) if owner else message, field, _full_name(**call.names))
    return message


def _query_fields(binding: Binding, call: Call) -> dict[str, Any]:
    """Return the fields of the request that the query names. Raises ``InvalidArgument`` if there is no such field."""
    known = binding.request.DESCRIPTOR
    fields: dict[str, Any] = {}
    for key, value in call.query.items():
        if key in SYSTEM_PARAMETERS:
            continue
        # A parameter may name a field of a field: options.requestedPolicyVersion.
        outer, _, inner = key.partition(".")
        field = known.fields_by_name.get(outer) or known.fields_by_camelcase_name.get(outer)
        if field is None:
            raise InvalidArgument(
                f"Invalid JSON payload received. Unknown name \"{key}\": Cannot bind query parameter. Field '{key}' could not"
                " be found in request message."
            )
        if field.type == field.TYPE_INT32 and not _INTEGER.fullmatch(value):
            raise InvalidArgument(f"Invalid value at '{field.name}' (TYPE_INT32), \"{value}\"")
        fields[outer] = {**fields.get(outer, {}), inner: value} if inner else value
    return fields


def _problem(binding: Binding, body: dict[str, Any]) -> str:
    """Return what is wrong with a body in the words of Google's parser; empty if they do not say it."""
    kind = binding.request.DESCRIPTOR.name
    # The description has no types for requests without a body.
    return "\n".join(_BODIES.errors(kind, body)) if _BODIES.has(kind) else ""


def _check_data(messages: Any) -> None:
    """Raise ``InvalidArgument`` if the data of a message is not in base64. ``ParseDict`` skips wrong characters."""
    for index, message in enumerate(messages if isinstance(messages, list) else ()):
        data = message.get("data") if isinstance(message, dict) else None
        if isinstance(data, str) and not BASE64.fullmatch(data):
            raise InvalidArgument(
                f"Invalid value at 'messages[{index}].data' (TYPE_BYTES), Base64 decoding failed for \"{data[:100]}\""
            )


def _full_name(project: str, topic: str | None = None, subscription: str | None = None) -> str:
    """Return the full name of the resource in a path."""
    if topic is not None:
        return f"projects/{project}/topics/{topic}"
    if subscription is not None:
        return f"projects/{project}/subscriptions/{subscription}"
    return f"projects/{project}"
