"""Publishes events, and requests to Modeldrop itself. Events are CloudEvents 1.0 over Pub/Sub in binary mode.

https://github.com/googleapis/google-cloudevents/blob/main/docs/spec/pubsub.md
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from google.api_core.gapic_v1.method import DEFAULT
from google.cloud import pubsub_v1

from shared import spans, trace
from shared.cloud.calls import Service
from shared.events.outgoing import Event

PUBSUB = Service("Pub/Sub", retry=DEFAULT)


class RequestPublisher:
    """Publishes requests to Modeldrop itself."""

    def __init__(self, client: pubsub_v1.PublisherClient) -> None:
        """Create the publisher with a client of Pub/Sub."""
        self._client = client

    def publish(self, topic: str, request: Mapping[str, Any]) -> None:
        """Publish a request and wait for Pub/Sub's confirmation.

        Args:
            topic: The topic's resource name.
            request: The request, such as a predict message.

        Raises:
            TryLater: Pub/Sub does not confirm it in time.
        """
        with PUBSUB.call("confirm a request") as options:
            self._client.publish(topic, json.dumps(dict(request)).encode(), **options).result(
                timeout=options["timeout"]
            )


class EventPublisher:
    """Publishes events to one topic."""

    def __init__(self, client: pubsub_v1.PublisherClient, topic: str, source: str) -> None:
        """Create the publisher.

        Args:
            client: The client of Pub/Sub.
            topic: The topic's resource name.
            source: The ``source`` attribute of all events.
        """
        self._client = client
        self._topic = topic
        self._source = source

    def publish(self, event: Event) -> None:
        """Publish ``event`` and wait for Pub/Sub's confirmation; raise ``TryLater`` if there is none in time."""
        attributes = {
            "ce-id": event.id,
            "ce-type": event.type,
            "ce-source": self._source,
            "ce-time": event.time.isoformat().replace("+00:00", "Z"),
            "ce-subject": event.subject,
            "ce-specversion": "1.0",
            "content-type": "application/json",
        }
        data = json.dumps(event.data).encode()
        with spans.span(f"publish {event.type}", spans.PRODUCER), PUBSUB.call("confirm an event") as options:
            if traceparent := trace.current_traceparent():
                attributes[trace.TRACEPARENT] = traceparent
            self._client.publish(self._topic, data, **options, **attributes).result(timeout=options["timeout"])
