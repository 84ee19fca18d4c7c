"""Pub/Sub over REST: what ``gcloud pubsub`` and clients without gRPC speak.

https://cloud.google.com/pubsub/docs/reference/rest
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from google.protobuf import empty_pb2, json_format
from google.pubsub_v1 import types
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from localcloud.base.http import ASGIApp
from localcloud.pubsub.errors import InvalidArgument, PubSubError, Unimplemented
from localcloud.pubsub.methods import Methods, Patience


@dataclass(frozen=True)
class Binding:
    """How one REST method becomes a call: as the ``google.api.http`` annotations of the service say it."""

    verb: str
    path: str
    named: str
    """The field of the request that the name in the path goes into."""
    request: Any
    method: str
    """The name in ``Methods``."""


TOPICS = "/v1/projects/{project}/topics"
ONE_TOPIC = "/v1/projects/{project}/topics/{id}"
SUBSCRIPTIONS = "/v1/projects/{project}/subscriptions"
ONE_SUBSCRIPTION = "/v1/projects/{project}/subscriptions/{id}"

# A path with a verb after a colon stands before the one without, which would match it too.
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

# System parameters that every Google API takes; they are no fields of a request.
SYSTEM_PARAMETERS = frozenset({"alt", "prettyPrint", "key", "quotaUser", "fields", "$alt", "$.xgafv"})


def rest_api(methods: Methods) -> ASGIApp:
    """Return the application that serves ``/v1/projects/P/topics...`` and ``/v1/projects/P/subscriptions...``."""
    routes = [_route(methods, binding) for binding in BINDINGS]
    return Starlette(routes=routes, exception_handlers={HTTPException: _no_such_method})


def error_response(error: PubSubError) -> Response:
    """Return ``error`` as Google's JSON APIs show it."""
    body = {"code": error.code, "message": error.message, "status": error.status}
    return JSONResponse({"error": body}, status_code=error.code)


async def _no_such_method(request: Request, error: Exception) -> Response:
    """Answer a path that is none of the service's, or that has not this verb."""
    return error_response(Unimplemented(f"{request.method} {request.url.path} is not served by the local Pub/Sub."))


def _route(methods: Methods, binding: Binding) -> Route:
    call = getattr(methods, binding.method)

    async def endpoint(request: Request) -> Response:
        try:
            message = _parse(binding, request, await request.body())
            answer = await run_in_threadpool(call, message, Patience())
        except PubSubError as error:
            return error_response(error)
        if isinstance(answer, empty_pb2.Empty):
            return JSONResponse({})
        return JSONResponse(json_format.MessageToDict(answer))

    return Route(binding.path, endpoint, methods=[binding.verb], name=binding.method)


def _parse(binding: Binding, request: Request, body: bytes) -> Any:
    """Return the protobuf message of a call: fields of the body or the query, and the name in the path."""
    fields: dict[str, Any] = {key: value for key, value in request.query_params.items() if key not in SYSTEM_PARAMETERS}
    message = binding.request()
    try:
        if body:
            fields |= json.loads(body)
        json_format.ParseDict(fields, message)
    except (json_format.ParseError, ValueError, TypeError) as error:
        raise InvalidArgument(f"Invalid JSON payload received. {error}") from error
    project, name = request.path_params["project"], _full_name(request)
    owner, _, field = binding.named.rpartition(".")
    setattr(getattr(message, owner) if owner else message, field, f"projects/{project}" if name is None else name)
    return message


def _full_name(request: Request) -> str | None:
    if "id" not in request.path_params:
        return None
    kind = "topics" if f"/topics/{request.path_params['id']}" in request.url.path else "subscriptions"
    return f"projects/{request.path_params['project']}/{kind}/{request.path_params['id']}"
