"""Conversion of topics, subscriptions and messages from and to Google's protocol.

Requests are checked here against the documented limits.
https://cloud.google.com/pubsub/quotas#resource_limits
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf import empty_pb2
from google.pubsub_v1 import types

from localcloud.pubsub.api.labels import checked_labels
from localcloud.pubsub.api.unsupported import check_fields
from localcloud.pubsub.broker.messages import Message, PublishedMessage, ReceivedMessage
from localcloud.pubsub.broker.resources import (
    DAY,
    Backoff,
    DeadLetterPolicy,
    PushTarget,
    Subscription,
    Topic,
)
from localcloud.pubsub.errors import InvalidArgument
from localcloud.pubsub.names import check_name

# The classes of google-cloud-pubsub wrap these protobuf messages.
TopicMessage: Any = types.Topic.pb()
SubscriptionMessage: Any = types.Subscription.pb()
PubsubMessage: Any = types.PubsubMessage.pb()
ReceivedMessageMessage: Any = types.ReceivedMessage.pb()
# protobuf creates the class at run time.
EmptyMessage: Any = empty_pb2.Empty  # type: ignore[attr-defined]

MAXIMUM_REQUEST_BYTES = 10_485_760
MAXIMUM_MESSAGES = 1000
MAXIMUM_ATTRIBUTES = 100
# Both are the same form: https://cloud.google.com/pubsub/docs/reference/rest/v1/PushConfig (attributes)
PUSH_VERSIONS = ("v1", "v1beta2")
MAXIMUM_KEY_BYTES = 256
MAXIMUM_VALUE_BYTES = 1024
MAXIMUM_ORDERING_KEY_BYTES = 1024


def topic_from_wire(message: Any) -> Topic:
    """Return the topic of a protobuf message. Raises ``InvalidArgument``, ``Unimplemented``."""
    check_fields(message)
    return Topic(check_name(message.name, "topics"), checked_labels(message.labels))


def topic_to_wire(topic: Topic) -> Any:
    """Return the protobuf message of a topic."""
    return TopicMessage(name=topic.name, labels=dict(topic.labels))


def push_from_wire(message: Any) -> PushTarget | None:
    """Return the target of a push config; None for a pull subscription. Raises ``PubSubError``."""
    if not message.push_endpoint:
        if message.ListFields():
            given = ", ".join(field.name for field, _ in message.ListFields())
            raise InvalidArgument(f"Invalid push config given: {given} without a push_endpoint.")
        return None
    if not message.push_endpoint.startswith(("http://", "https://")):
        raise InvalidArgument(f"Invalid push endpoint given (endpoint={message.push_endpoint}).")
    for name, value in message.attributes.items():
        if name != "x-goog-version" or value not in PUSH_VERSIONS:
            raise InvalidArgument(
                f"Invalid push attribute given ({name}={value}): x-goog-version is expected, with one of "
                f"{', '.join(PUSH_VERSIONS)}."
            )
    token = message.oidc_token
    if message.HasField("oidc_token") and not token.service_account_email:
        raise InvalidArgument("Invalid oidc_token given: it has no service_account_email.")
    return PushTarget(
        message.push_endpoint,
        dict(message.attributes),
        token.service_account_email,
        token.audience,
        wrapped=not message.HasField("no_wrapper"),
        write_metadata=message.no_wrapper.write_metadata,
    )


def subscription_from_wire(message: Any) -> Subscription:
    """Return the subscription of a protobuf message. Raises ``InvalidArgument``, ``Unimplemented``."""
    check_fields(message)
    if message.enable_exactly_once_delivery and message.push_config.push_endpoint:
        raise InvalidArgument("Exactly-once delivery is for pull subscriptions: a push_config cannot be set with it.")
    retention, expiration = _retention_from_wire(message), _expiration_from_wire(message)
    if expiration is not None and message.HasField("expiration_policy") and expiration < retention:
        # https://cloud.google.com/pubsub/docs/subscription-properties#expiration_period
        raise InvalidArgument(
            f"Invalid expiration policy given: its ttl ({expiration}s) is shorter than the message retention duration "
            f"({retention}s)."
        )
    return Subscription(
        name=check_name(message.name, "subscriptions"),
        topic=message.topic,
        ack_deadline_seconds=_within("ack deadline", message.ack_deadline_seconds or 10, 10, 600),
        push=push_from_wire(message.push_config),
        backoff=_backoff_from_wire(message),
        dead_letter=_dead_letter_from_wire(message),
        enable_message_ordering=message.enable_message_ordering,
        enable_exactly_once_delivery=message.enable_exactly_once_delivery,
        filter=message.filter,
        message_retention_seconds=retention,
        retain_acked_messages=message.retain_acked_messages,
        expiration_seconds=expiration,
        labels=checked_labels(message.labels),
        detached=message.detached,
    )


def subscription_to_wire(settings: Subscription) -> Any:
    """Return the protobuf message of a subscription."""
    message = SubscriptionMessage(
        name=settings.name,
        topic=settings.topic,
        ack_deadline_seconds=settings.ack_deadline_seconds,
        enable_message_ordering=settings.enable_message_ordering,
        enable_exactly_once_delivery=settings.enable_exactly_once_delivery,
        filter=settings.filter,
        retain_acked_messages=settings.retain_acked_messages,
        labels=dict(settings.labels),
        detached=settings.detached,
        state="ACTIVE",
    )
    message.message_retention_duration.seconds = settings.message_retention_seconds
    message.push_config.SetInParent()
    message.expiration_policy.SetInParent()
    if settings.expiration_seconds is not None:
        message.expiration_policy.ttl.seconds = settings.expiration_seconds
    if settings.push is not None:
        message.push_config.push_endpoint = settings.push.endpoint
        message.push_config.attributes.update(settings.push.attributes)
        if not settings.push.wrapped:
            message.push_config.no_wrapper.write_metadata = settings.push.write_metadata
            message.push_config.no_wrapper.SetInParent()
        if settings.push.oidc_service_account:
            message.push_config.oidc_token.service_account_email = settings.push.oidc_service_account
            message.push_config.oidc_token.audience = settings.push.oidc_audience
    if settings.backoff is not None:
        policy = message.retry_policy
        policy.minimum_backoff.FromTimedelta(timedelta(seconds=settings.backoff.minimum_seconds))
        policy.maximum_backoff.FromTimedelta(timedelta(seconds=settings.backoff.maximum_seconds))
    if settings.dead_letter is not None:
        message.dead_letter_policy.dead_letter_topic = settings.dead_letter.topic
        message.dead_letter_policy.max_delivery_attempts = settings.dead_letter.maximum_delivery_attempts
    return message


def message_from_wire(message: Any) -> PublishedMessage:
    """Return the message to publish. Raises ``InvalidArgument`` if it is empty or exceeds a limit."""
    attributes = dict(message.attributes)
    if not message.data and not attributes:
        raise InvalidArgument(
            "One or more messages in the publish request is empty. "
            "Each message must contain either non-empty data, or at least one attribute."
        )
    if len(attributes) > MAXIMUM_ATTRIBUTES:
        raise InvalidArgument(f"A message in the publish request has more than {MAXIMUM_ATTRIBUTES} attributes.")
    for key, value in attributes.items():
        if not key or len(key.encode()) > MAXIMUM_KEY_BYTES or key.startswith("goog"):
            raise InvalidArgument(f"Invalid attribute key: {key[:MAXIMUM_KEY_BYTES]!r}.")
        if len(value.encode()) > MAXIMUM_VALUE_BYTES:
            raise InvalidArgument(f"The value of attribute {key!r} is longer than {MAXIMUM_VALUE_BYTES} bytes.")
    if len(message.ordering_key.encode()) > MAXIMUM_ORDERING_KEY_BYTES:
        raise InvalidArgument(f"The ordering key is longer than {MAXIMUM_ORDERING_KEY_BYTES} bytes.")
    return PublishedMessage(message.data, attributes, message.ordering_key)


def received_to_wire(received: ReceivedMessage) -> Any:
    """Return the protobuf message of a delivery."""
    message: Message = received.message
    wire = ReceivedMessageMessage(ack_id=received.ack_id, delivery_attempt=received.delivery_attempt or 0)
    wire.message.data = message.data
    wire.message.attributes.update(message.attributes)
    wire.message.message_id = message.id
    wire.message.ordering_key = message.ordering_key
    wire.message.publish_time.FromDatetime(message.published.replace(tzinfo=None))
    return wire


def moment_from_wire(timestamp: Any) -> datetime:
    """Return a protobuf timestamp as a time in UTC."""
    moment: datetime = timestamp.ToDatetime(tzinfo=UTC)
    return moment


def check_range(name: str, value: int, lowest: int, highest: int) -> int:
    """Return the value of a field if it is in its range. Raises ``InvalidArgument``, in the service's own wording."""
    if lowest <= value <= highest:
        return value
    size, kind, limit = ("small", "minimum", lowest) if value < lowest else ("large", "maximum", highest)
    raise InvalidArgument(
        f"The value for {name} is too {size}. You passed {value} in the request, but the {kind} value is {limit}."
    )


def _within(what: str, value: int, lowest: int, highest: int) -> int:
    if not lowest <= value <= highest:
        raise InvalidArgument(f"Invalid {what} given ({value}): must be between {lowest} and {highest}.")
    return value


def _retention_from_wire(message: Any) -> int:
    if not message.HasField("message_retention_duration"):
        return 7 * DAY
    return _within("message retention duration", _whole_seconds(message.message_retention_duration), 600, 31 * DAY)


def _expiration_from_wire(message: Any) -> int | None:
    if not message.HasField("expiration_policy"):
        return 31 * DAY
    if not message.expiration_policy.HasField("ttl"):
        return None
    return _within("expiration policy's ttl", _whole_seconds(message.expiration_policy.ttl), DAY, 10 * 365 * DAY)


def _whole_seconds(duration: Any) -> int:
    if duration.nanos:
        raise InvalidArgument(f"Invalid duration given ({duration.ToJsonString()}): it must be in whole seconds.")
    seconds: int = duration.seconds
    return seconds


def _backoff_from_wire(message: Any) -> Backoff | None:
    """Return the retry policy, whose bounds are 10 and 600 seconds by default.

    https://cloud.google.com/pubsub/docs/reference/rest/v1/RetryPolicy
    """
    if not message.HasField("retry_policy"):
        return None
    policy = message.retry_policy
    minimum = policy.minimum_backoff.ToTimedelta().total_seconds() if policy.HasField("minimum_backoff") else 10.0
    maximum = policy.maximum_backoff.ToTimedelta().total_seconds() if policy.HasField("maximum_backoff") else 600.0
    if not 0 <= minimum <= maximum <= 600:
        raise InvalidArgument(f"Invalid retry policy given (minimum={minimum}s, maximum={maximum}s).")
    return Backoff(minimum, maximum)


def _dead_letter_from_wire(message: Any) -> DeadLetterPolicy | None:
    if not message.HasField("dead_letter_policy"):
        return None
    policy = message.dead_letter_policy
    attempts = check_range("max_delivery_attempts", policy.max_delivery_attempts or 5, 5, 100)
    return DeadLetterPolicy(check_name(policy.dead_letter_topic, "topics"), attempts)
