"""Pub/Sub on this machine: topics, subscriptions, pull and push."""

from localcloud.pubsub.broker import Broker
from localcloud.pubsub.delivery import DeliveryFaults
from localcloud.pubsub.messages import Message, PublishedMessage, ReceivedMessage
from localcloud.pubsub.resources import Backoff, DeadLetterPolicy, PushTarget, RetryPolicy, Subscription, Topic
from localcloud.pubsub.service import PubSub

__all__ = [
    "Backoff",
    "Broker",
    "DeadLetterPolicy",
    "DeliveryFaults",
    "Message",
    "PubSub",
    "PublishedMessage",
    "PushTarget",
    "ReceivedMessage",
    "RetryPolicy",
    "Subscription",
    "Topic",
]
