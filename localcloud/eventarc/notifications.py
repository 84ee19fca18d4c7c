"""Publishes the events of objects to the topics that the notification configurations of their buckets name.

https://cloud.google.com/storage/docs/pubsub-notifications
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import UTC
from typing import Any

from localcloud.pubsub.broker.broker import Broker
from localcloud.pubsub.broker.messages import PublishedMessage
from localcloud.pubsub.errors import PubSubError
from localcloud.storage.objects.store import ObjectStore
from localcloud.storage.rules.errors import NotFound
from localcloud.storage.rules.notifications import EVENT_TYPES, WITH_RESOURCE, matches, topic_of
from localcloud.storage.rules.resources import StorageEvent

log = logging.getLogger(__name__)


def publish_notifications(store: ObjectStore, broker: Broker) -> None:
    """Publish the later events of ``store`` to topics of ``broker``."""
    store.watch(lambda event: _publish(event, store, broker))


def _publish(event: StorageEvent, store: ObjectStore, broker: Broker) -> None:
    try:
        configurations = store.bucket(event.stored.bucket).notifications
    except NotFound:
        return  # The bucket was deleted meanwhile, and its configurations with it.
    for notification, configuration in configurations.items():
        if not matches(configuration, event):
            continue
        message = notification_message(notification, configuration, event)
        try:
            # The object exists already, so its event must not be refused.
            broker.publish(topic_of(configuration), [message], stored=False)
        except PubSubError as error:
            # As in the real service, events for a topic that was deleted are lost.
            log.warning("notification %s of %s lost: %s", notification, event.stored.bucket, error.message)


def notification_message(notification: str, configuration: Mapping[str, Any], event: StorageEvent) -> PublishedMessage:
    """Return the message that a configuration publishes for an event.

    Attributes: https://cloud.google.com/storage/docs/pubsub-notifications#attributes
    """
    stored = event.stored
    optional = {"overwroteGeneration": event.overwrote, "overwrittenByGeneration": event.overwritten_by}
    attributes = {
        **configuration.get("custom_attributes", {}),
        "notificationConfig": f"projects/_/buckets/{stored.bucket}/notificationConfigs/{notification}",
        "eventType": EVENT_TYPES[event.type],
        "payloadFormat": configuration["payload_format"],
        "bucketId": stored.bucket,
        "objectId": stored.name,
        "objectGeneration": str(stored.generation),
        "eventTime": (stored.deleted or stored.updated).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        **{name: str(generation) for name, generation in optional.items() if generation is not None},
    }
    with_resource = configuration["payload_format"] == WITH_RESOURCE
    return PublishedMessage(json.dumps(stored.resource()).encode() if with_resource else b"", attributes)
