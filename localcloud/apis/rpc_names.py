"""The names of Pub/Sub's RPCs as the REST API's method ids, which fault rules and recorded exchanges use."""

from __future__ import annotations

from collections.abc import Mapping

_PUBLISHER = {
    "CreateTopic": "topics.create",
    "UpdateTopic": "topics.patch",
    "Publish": "topics.publish",
    "GetTopic": "topics.get",
    "ListTopics": "topics.list",
    "ListTopicSubscriptions": "topics.subscriptions.list",
    "ListTopicSnapshots": "topics.snapshots.list",
    "DeleteTopic": "topics.delete",
    "DetachSubscription": "subscriptions.detach",
}
_SUBSCRIBER = {
    "CreateSubscription": "subscriptions.create",
    "GetSubscription": "subscriptions.get",
    "UpdateSubscription": "subscriptions.patch",
    "ListSubscriptions": "subscriptions.list",
    "DeleteSubscription": "subscriptions.delete",
    "ModifyAckDeadline": "subscriptions.modifyAckDeadline",
    "Acknowledge": "subscriptions.acknowledge",
    "Pull": "subscriptions.pull",
    # REST has no such method; the name follows the others.
    "StreamingPull": "subscriptions.streamingPull",
    "ModifyPushConfig": "subscriptions.modifyPushConfig",
    "Seek": "subscriptions.seek",
}

METHODS: Mapping[str, str] = {
    f"/google.pubsub.v1.{service}/{rpc}": f"pubsub.projects.{name}"
    for service, rpcs in {"Publisher": _PUBLISHER, "Subscriber": _SUBSCRIBER}.items()
    for rpc, name in rpcs.items()
}
"""By the path of the RPC, such as ``/google.pubsub.v1.Publisher/Publish``."""
