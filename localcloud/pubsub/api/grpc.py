"""Pub/Sub's gRPC API, which the official client libraries use when PUBSUB_EMULATOR_HOST is set."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from google.iam.v1 import iam_policy_pb2, policy_pb2
from google.pubsub_v1 import types
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from localcloud.base.http import HOST
from localcloud.pubsub.api.methods import PULL_WAIT_SECONDS, Methods, Patience
from localcloud.pubsub.api.streaming import stream_messages
from localcloud.pubsub.api.unsupported import method_refusal
from localcloud.pubsub.api.wire import EmptyMessage
from localcloud.pubsub.errors import InvalidAckIds, PubSubError

# A waiting pull holds one thread, an open stream two. Idle threads cost almost nothing.
THREADS = 256
LARGEST_REQUEST_BYTES = 16 << 20
"""The largest request, compressed or not. Pub/Sub accepts 10 MB: https://cloud.google.com/pubsub/quotas#resource_limits"""
RESPONSE_RESERVE_SECONDS = 0.5
"""How long before the caller's deadline an empty pull responds, so that the caller gets an empty response in time."""

OPTIONS = [
    ("grpc.max_receive_message_length", LARGEST_REQUEST_BYTES),
    ("grpc.max_send_message_length", -1),
    ("grpc.so_reuseport", 0),
    # The subscriber client pings every 30 seconds; by default a server closes the connection of such a client.
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 1000),
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.keepalive_permit_without_calls", 1),
]

PUBLISHER = "google.pubsub.v1.Publisher"
SUBSCRIBER = "google.pubsub.v1.Subscriber"
POLICIES = "google.iam.v1.IAMPolicy"

# Service, method, type of the request, type of the response, name in Methods.
UNARY: list[tuple[str, str, Any, Any, str]] = [
    (PUBLISHER, "CreateTopic", types.Topic.pb(), types.Topic.pb(), "create_topic"),
    (PUBLISHER, "UpdateTopic", types.UpdateTopicRequest.pb(), types.Topic.pb(), "update_topic"),
    (PUBLISHER, "Publish", types.PublishRequest.pb(), types.PublishResponse.pb(), "publish"),
    (PUBLISHER, "GetTopic", types.GetTopicRequest.pb(), types.Topic.pb(), "get_topic"),
    (PUBLISHER, "ListTopics", types.ListTopicsRequest.pb(), types.ListTopicsResponse.pb(), "list_topics"),
    (
        PUBLISHER,
        "ListTopicSubscriptions",
        types.ListTopicSubscriptionsRequest.pb(),
        types.ListTopicSubscriptionsResponse.pb(),
        "list_topic_subscriptions",
    ),
    (PUBLISHER, "DeleteTopic", types.DeleteTopicRequest.pb(), EmptyMessage, "delete_topic"),
    (
        PUBLISHER,
        "DetachSubscription",
        types.DetachSubscriptionRequest.pb(),
        types.DetachSubscriptionResponse.pb(),
        "detach_subscription",
    ),
    (SUBSCRIBER, "CreateSubscription", types.Subscription.pb(), types.Subscription.pb(), "create_subscription"),
    (SUBSCRIBER, "GetSubscription", types.GetSubscriptionRequest.pb(), types.Subscription.pb(), "get_subscription"),
    (
        SUBSCRIBER,
        "UpdateSubscription",
        types.UpdateSubscriptionRequest.pb(),
        types.Subscription.pb(),
        "update_subscription",
    ),
    (
        SUBSCRIBER,
        "ListSubscriptions",
        types.ListSubscriptionsRequest.pb(),
        types.ListSubscriptionsResponse.pb(),
        "list_subscriptions",
    ),
    (SUBSCRIBER, "DeleteSubscription", types.DeleteSubscriptionRequest.pb(), EmptyMessage, "delete_subscription"),
    (SUBSCRIBER, "Pull", types.PullRequest.pb(), types.PullResponse.pb(), "pull"),
    (SUBSCRIBER, "Acknowledge", types.AcknowledgeRequest.pb(), EmptyMessage, "acknowledge"),
    (SUBSCRIBER, "ModifyAckDeadline", types.ModifyAckDeadlineRequest.pb(), EmptyMessage, "modify_ack_deadline"),
    (SUBSCRIBER, "ModifyPushConfig", types.ModifyPushConfigRequest.pb(), EmptyMessage, "modify_push_config"),
    (SUBSCRIBER, "Seek", types.SeekRequest.pb(), types.SeekResponse.pb(), "seek"),
    (POLICIES, "GetIamPolicy", iam_policy_pb2.GetIamPolicyRequest, policy_pb2.Policy, "get_iam_policy"),
    (POLICIES, "SetIamPolicy", iam_policy_pb2.SetIamPolicyRequest, policy_pb2.Policy, "set_iam_policy"),
    (
        POLICIES,
        "TestIamPermissions",
        iam_policy_pb2.TestIamPermissionsRequest,
        iam_policy_pb2.TestIamPermissionsResponse,
        "test_iam_permissions",
    ),
]


class GrpcServer:
    """Serves the Publisher and Subscriber services, and the policies of their resources, on one insecure local port."""

    def __init__(self, methods: Methods, *, port: int = 0, interceptors: Sequence[grpc.ServerInterceptor] = ()) -> None:
        """Bind ``port`` (0: a free one). Raises ``RuntimeError`` if the port is taken."""
        self._methods = methods
        executor = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="pubsub-grpc")
        self._server = grpc.server(executor, options=OPTIONS, interceptors=list(interceptors))
        self._server.add_generic_rpc_handlers(self._handlers())
        self.port: int = self._server.add_insecure_port(f"{HOST}:{port}")

    def start(self) -> None:
        """Start serving."""
        self._server.start()

    def stop(self) -> None:
        """Stop serving; open streams end with UNAVAILABLE or CANCELLED."""
        self._server.stop(grace=0.2).wait(timeout=5)

    def _handlers(self) -> list[grpc.GenericRpcHandler]:
        handlers: dict[str, dict[str, grpc.RpcMethodHandler[Any, Any]]] = {PUBLISHER: {}, SUBSCRIBER: {}, POLICIES: {}}
        for service, method, request, response, name in UNARY:
            handlers[service][method] = grpc.unary_unary_rpc_method_handler(
                self._unary(getattr(self._methods, name)),
                request_deserializer=request.FromString,
                response_serializer=response.SerializeToString,
            )
        handlers[SUBSCRIBER]["StreamingPull"] = grpc.stream_stream_rpc_method_handler(
            self._streaming_pull,
            request_deserializer=types.StreamingPullRequest.pb().FromString,
            response_serializer=types.StreamingPullResponse.pb().SerializeToString,
        )
        services = [grpc.method_handlers_generic_handler(service, table) for service, table in handlers.items()]
        return [*services, _Refusals()]

    def _unary(self, method: Callable[[Any, Patience], Any]) -> Callable[[Any, grpc.ServicerContext], Any]:
        def respond(request: Any, context: grpc.ServicerContext) -> Any:
            try:
                return method(request, self._patience(request, context))
            except InvalidAckIds as error:
                context.abort_with_status(_with_reasons(error))
            except PubSubError as error:
                context.abort(grpc.StatusCode[error.status], error.message)

        return respond

    def _patience(self, request: Any, context: grpc.ServicerContext) -> Patience:
        """Return how long a call may wait: no longer than its caller does."""
        interrupted = threading.Event()
        subscription = getattr(request, "subscription", None)
        if not isinstance(subscription, str):
            return Patience()

        def interrupt() -> None:
            interrupted.set()
            self._methods.broker.wake(subscription)

        context.add_callback(interrupt)
        left = context.time_remaining()
        if left is None:
            return Patience(PULL_WAIT_SECONDS, interrupted)
        return Patience(max(0.0, min(PULL_WAIT_SECONDS, left - RESPONSE_RESERVE_SECONDS)), interrupted)

    def _streaming_pull(self, requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        try:
            yield from stream_messages(self._methods, requests, context)
        except PubSubError as error:
            context.abort(grpc.StatusCode[error.status], error.message)


class _Refusals(grpc.GenericRpcHandler):
    """Refuses by name the methods that no service above has."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any]:
        error = method_refusal(str(handler_call_details.method).removeprefix("/"))

        def refuse(request: Any, context: grpc.ServicerContext) -> None:
            context.abort(grpc.StatusCode[error.status], error.message)

        return grpc.unary_unary_rpc_method_handler(refuse)


def _with_reasons(error: InvalidAckIds) -> grpc.Status:
    """Return the status that shows the client library which of its acknowledgement ids were invalid."""
    status = status_pb2.Status(code=grpc.StatusCode[error.status].value[0], message=error.message)
    info = error_details_pb2.ErrorInfo(
        reason="EXACTLY_ONCE_ACKID_FAILURE", domain="pubsub.googleapis.com", metadata=error.reasons
    )
    status.details.add().Pack(info)
    converted: grpc.Status = rpc_status.to_status(status)
    return converted
