"""The methods of the Publisher and Subscriber services, independent of transport: they map protobuf messages.

The gRPC and REST APIs both call these methods, so their behaviour cannot differ.
https://cloud.google.com/pubsub/docs/reference/rpc/google.pubsub.v1
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from google.iam.v1 import iam_policy_pb2
from google.pubsub_v1 import types

from localcloud.pubsub.api.policies import Policies, checked_permissions
from localcloud.pubsub.api.unsupported import UNSUPPORTED_FIELDS, check_fields, method_refusal
from localcloud.pubsub.api.wire import (
    MAXIMUM_MESSAGES,
    MAXIMUM_REQUEST_BYTES,
    EmptyMessage,
    check_range,
    message_from_wire,
    moment_from_wire,
    push_from_wire,
    received_to_wire,
    subscription_from_wire,
    subscription_to_wire,
    topic_from_wire,
    topic_to_wire,
)
from localcloud.pubsub.broker.broker import Broker
from localcloud.pubsub.broker.resources import PushTarget, Subscription, Topic
from localcloud.pubsub.errors import (
    FailedPrecondition,
    InvalidAckIds,
    InvalidArgument,
)
from localcloud.pubsub.names import check_ack_ids, check_name, check_project

PULL_WAIT_SECONDS = 10.0
"""How long a pull waits for its first message; the documentation says only that the wait is bounded."""
MAXIMUM_PAGE = 1000
LARGEST_INT32 = 2**31 - 1
UPDATABLE_TOPIC = frozenset({"labels"})
UPDATABLE_SUBSCRIPTION = frozenset(
    {
        "ack_deadline_seconds",
        "dead_letter_policy",
        "enable_exactly_once_delivery",
        "expiration_policy",
        "labels",
        "message_retention_duration",
        "push_config",
        "retain_acked_messages",
        "retry_policy",
    }
)


@dataclass(frozen=True)
class Patience:
    """How long the caller of a method waits, and whether it has given up."""

    seconds: float = PULL_WAIT_SECONDS
    interrupted: threading.Event | None = None
    """Set once the caller has given up; None if the transport does not report it."""


class Methods:
    """Both services over one broker.

    Each method receives the protobuf request of its RPC, returns the protobuf response, and raises ``PubSubError``.
    """

    def __init__(self, broker: Broker, policies: Policies) -> None:
        """Serve the topics and subscriptions of ``broker``, with their ``policies``."""
        self.broker = broker
        self._policies = policies

    # Publisher

    def create_topic(self, request: Any, patience: Patience) -> Any:
        """Create a topic."""
        return topic_to_wire(self.broker.put_new_topic(topic_from_wire(request)))

    def update_topic(self, request: Any, patience: Patience) -> Any:
        """Change the fields of a topic that the update mask names."""
        known = topic_to_wire(self.broker.topic(request.topic.name))
        _merge(known, request.topic, request.update_mask, UPDATABLE_TOPIC)
        return topic_to_wire(self.broker.replace_topic(topic_from_wire(known)))

    def publish(self, request: Any, patience: Patience) -> Any:
        """Publish messages to a topic."""
        check_range("message_count", len(request.messages), 1, MAXIMUM_MESSAGES)
        if request.ByteSize() > MAXIMUM_REQUEST_BYTES:
            raise InvalidArgument(f"Request payload size exceeds the limit: {MAXIMUM_REQUEST_BYTES} bytes.")
        messages = [message_from_wire(message) for message in request.messages]
        return types.PublishResponse.pb()(message_ids=self.broker.publish(request.topic, messages))

    def get_topic(self, request: Any, patience: Patience) -> Any:
        """Return a topic."""
        return topic_to_wire(self.broker.topic(request.topic))

    def list_topics(self, request: Any, patience: Patience) -> Any:
        """Return a page of the topics of a project."""
        check_project(request.project)
        found = [topic for topic in self.broker.topics() if topic.name.startswith(f"{request.project}/")]
        page, token = _page(found, request)
        return types.ListTopicsResponse.pb()(topics=[topic_to_wire(topic) for topic in page], next_page_token=token)

    def list_topic_subscriptions(self, request: Any, patience: Patience) -> Any:
        """Return a page of the names of the subscriptions attached to a topic."""
        topic: Topic = self.broker.topic(request.topic)
        found = [each.name for each in self.broker.subscriptions() if each.topic == topic.name and not each.detached]
        page, token = _page(found, request)
        return types.ListTopicSubscriptionsResponse.pb()(subscriptions=page, next_page_token=token)

    def delete_topic(self, request: Any, patience: Patience) -> Any:
        """Delete a topic."""
        self.broker.delete_topic(request.topic)
        self._policies.forget(request.topic)
        return EmptyMessage()

    def detach_subscription(self, request: Any, patience: Patience) -> Any:
        """Detach a subscription from its topic."""
        self.broker.detach_subscription(request.subscription)
        return types.DetachSubscriptionResponse.pb()()

    # Subscriber

    def create_subscription(self, request: Any, patience: Patience) -> Any:
        """Create a subscription; without a name, one gets a random name in the project of its topic.

        https://cloud.google.com/pubsub/docs/reference/rpc/google.pubsub.v1#google.pubsub.v1.Subscriber.CreateSubscription
        """
        check_name(request.topic, "topics")
        if not request.name:
            project = request.topic.partition("/topics/")[0]
            request.name = f"{project}/subscriptions/subscription-{uuid.uuid4()}"
        settings = subscription_from_wire(request)
        if settings.dead_letter is not None:
            self.broker.topic(settings.dead_letter.topic)
        return subscription_to_wire(self.broker.create_subscription(settings))

    def get_subscription(self, request: Any, patience: Patience) -> Any:
        """Return a subscription."""
        return subscription_to_wire(self.broker.subscription(request.subscription))

    def update_subscription(self, request: Any, patience: Patience) -> Any:
        """Change the fields of a subscription that the update mask names."""
        current = self.broker.subscription(request.subscription.name)
        known = subscription_to_wire(current)
        _merge(known, request.subscription, request.update_mask, UPDATABLE_SUBSCRIPTION)
        wanted = subscription_from_wire(known)
        if wanted.dead_letter is not None and wanted.dead_letter != current.dead_letter:
            self.broker.topic(wanted.dead_letter.topic)
        wanted = replace(wanted, push=_with_current_envelope(wanted.push, current.push))
        return subscription_to_wire(self.broker.update_subscription(wanted))

    def list_subscriptions(self, request: Any, patience: Patience) -> Any:
        """Return a page of the subscriptions of a project."""
        check_project(request.project)
        found = [each for each in self.broker.subscriptions() if each.name.startswith(f"{request.project}/")]
        page, token = _page(found, request)
        return types.ListSubscriptionsResponse.pb()(
            subscriptions=[subscription_to_wire(each) for each in page], next_page_token=token
        )

    def delete_subscription(self, request: Any, patience: Patience) -> Any:
        """Delete a subscription."""
        self.broker.delete_subscription(request.subscription)
        self._policies.forget(request.subscription)
        return EmptyMessage()

    def pull(self, request: Any, patience: Patience) -> Any:
        """Lease messages, waiting for the first one."""
        check_range("max_messages", request.max_messages, 1, LARGEST_INT32)
        self.pullable(request.subscription)
        received = self.broker.pull(
            request.subscription,
            request.max_messages,
            wait_seconds=0.0 if request.return_immediately else patience.seconds,
            interrupted=patience.interrupted,
        )
        return types.PullResponse.pb()(received_messages=[received_to_wire(each) for each in received])

    def acknowledge(self, request: Any, patience: Patience) -> Any:
        """Acknowledge messages."""
        self._check_ack_ids(request)
        self._report_invalid(request.subscription, self.broker.acknowledge(request.subscription, request.ack_ids))
        return EmptyMessage()

    def modify_ack_deadline(self, request: Any, patience: Patience) -> Any:
        """Extend the leases of messages, or refuse the messages with a deadline of 0."""
        self._check_ack_ids(request)
        if not 0 <= request.ack_deadline_seconds <= 600:
            raise InvalidArgument(f"Invalid ack deadline given ({request.ack_deadline_seconds}): must be 0 to 600.")
        seconds = request.ack_deadline_seconds
        invalid = self.broker.modify_ack_deadline(request.subscription, request.ack_ids, seconds)
        self._report_invalid(request.subscription, invalid)
        return EmptyMessage()

    def modify_push_config(self, request: Any, patience: Patience) -> Any:
        """Change the push endpoint of a subscription, or switch it to pull."""
        settings = self.broker.subscription(request.subscription)
        push = _with_current_envelope(push_from_wire(request.push_config), settings.push)
        self.broker.update_subscription(replace(settings, push=push))
        return EmptyMessage()

    def seek(self, request: Any, patience: Patience) -> Any:
        """Treat messages published before a time as acknowledged, and later ones as not acknowledged."""
        self.broker.subscription(request.subscription)
        if request.HasField("snapshot"):
            raise method_refusal("Seek to a snapshot")
        if not request.HasField("time"):
            raise InvalidArgument("No target was specified in the SeekRequest. Specify a time.")
        self.broker.seek(request.subscription, moment_from_wire(request.time))
        return types.SeekResponse.pb()()

    # IAM policies

    def get_iam_policy(self, request: Any, patience: Patience) -> Any:
        """Return the policy of a topic or subscription."""
        return self._policies.get(self._governed(request))

    def set_iam_policy(self, request: Any, patience: Patience) -> Any:
        """Replace the policy of a topic or subscription."""
        if request.HasField("update_mask") and "bindings" not in request.update_mask.paths:
            raise method_refusal("SetIamPolicy without bindings in its update_mask")
        return self._policies.set(self._governed(request), request.policy)

    def test_iam_permissions(self, request: Any, patience: Patience) -> Any:
        """Return which permissions the caller has on a topic or subscription: all that exist."""
        self._governed(request)
        return iam_policy_pb2.TestIamPermissionsResponse(permissions=checked_permissions(request.permissions))

    def _governed(self, request: Any) -> str:
        """Return the name of the resource of a policy. Raises ``PubSubError`` if it does not exist, or has no policies here."""
        name: str = request.resource
        for kind in ("snapshot", "schema"):
            if f"/{kind}s/" in name:
                raise method_refusal(f"the policy of the {kind} {name}")
        if "/subscriptions/" in name:
            self.broker.subscription(name)
        else:
            self.broker.topic(name)
        return name

    def _check_ack_ids(self, request: Any) -> None:
        """Check the acknowledgement ids of a request for a subscription that exists. Raises ``PubSubError``."""
        self.broker.subscription(request.subscription)
        if not request.ack_ids:
            raise InvalidArgument("You have not specified an ack ID in the request.")
        check_ack_ids(request.ack_ids)

    def _report_invalid(self, subscription: str, ack_ids: list[str]) -> None:
        """Raise ``InvalidAckIds`` if exactly-once delivery, which reports invalid ids, is enabled."""
        if ack_ids and self.broker.subscription(subscription).enable_exactly_once_delivery:
            raise InvalidAckIds(ack_ids)

    def pullable(self, subscription: str) -> Subscription:
        """Return the settings of a subscription that can be pulled. Raises ``FailedPrecondition``."""
        settings = self.broker.subscription(subscription)
        if settings.push is not None:
            raise FailedPrecondition(f"{subscription.rsplit('/', 1)[-1]} is a push subscription and cannot be pulled.")
        return settings


def _with_current_envelope(wanted: PushTarget | None, current: PushTarget | None) -> PushTarget | None:
    """Return ``wanted`` with the envelope of ``current``, so that Eventarc still sends CloudEvents."""
    if wanted is None or current is None:
        return wanted
    return replace(wanted, envelope=current.envelope)


def _page(found: Sequence[Any], request: Any) -> tuple[Sequence[Any], str]:
    """Return the requested page and the token of the next one; a token is the offset of its page."""
    if request.page_size < 0:
        raise InvalidArgument(f"Invalid page size given ({request.page_size}): must be 0 or more.")
    if request.page_token and not request.page_token.isdecimal():
        raise InvalidArgument(f"Invalid page token given ({request.page_token}).")
    start = int(request.page_token or 0)
    end = start + min(request.page_size or MAXIMUM_PAGE, MAXIMUM_PAGE)
    return found[start:end], str(end) if end < len(found) else ""


def _merge(known: Any, wanted: Any, mask: Any, updatable: frozenset[str]) -> None:
    """Copy the fields of ``mask`` from ``wanted`` to ``known``; fields that ``wanted`` does not set are cleared."""
    if not mask.paths:
        raise InvalidArgument("The update_mask in the request is empty.")
    check_fields(wanted)
    for path in mask.paths:
        field, _, rest = path.partition(".")
        if field in UNSUPPORTED_FIELDS[known.DESCRIPTOR.name]:
            continue  # it has no value to clear
        if field not in updatable:
            raise InvalidArgument(f"Invalid update_mask provided in the request: {path} is not a known update path.")
        if rest:
            raise InvalidArgument(f"Invalid update_mask provided in the request: {path} is not a top-level field.")
        known.ClearField(field)
        if known.DESCRIPTOR.fields_by_name[field].message_type is None:
            setattr(known, field, getattr(wanted, field))
        elif known.DESCRIPTOR.fields_by_name[field].message_type.GetOptions().map_entry:
            getattr(known, field).update(getattr(wanted, field))
        elif wanted.HasField(field):
            getattr(known, field).CopyFrom(getattr(wanted, field))
