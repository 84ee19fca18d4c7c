"""The JSON API's notification configurations: https://cloud.google.com/storage/docs/json_api/v1/notifications."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from starlette.responses import Response

from localcloud.base.json_api import Call, Route
from localcloud.storage.objects.store import ObjectStore
from localcloud.storage.rest.api import Handler, resource_response
from localcloud.storage.rules.errors import InvalidRequest, NotFound
from localcloud.storage.rules.notifications import checked_configuration, topic_of

_CONFIGURATIONS = "/storage/v1/b/{bucket}/notificationConfigs"


class NotificationApi:
    """Handlers for notification configurations."""

    def __init__(self, store: ObjectStore, has_topic: Callable[[str], bool]) -> None:
        """Keep configurations in ``store``; ``has_topic`` returns whether Pub/Sub has a topic, by its full name."""
        self._store = store
        self._has_topic = has_topic

    def routes(self) -> list[Route[Handler]]:
        """Return the routes of the handlers."""
        return [
            Route("POST", _CONFIGURATIONS, self._create),
            Route("GET", _CONFIGURATIONS, self._list),
            Route("GET", f"{_CONFIGURATIONS}/{{notification}}", self._get),
            Route("DELETE", f"{_CONFIGURATIONS}/{{notification}}", self._delete),
        ]

    async def _create(self, call: Call) -> Response:
        bucket = call.names["bucket"]
        self._store.bucket(bucket)
        configuration = checked_configuration(call.json())
        topic = topic_of(configuration)
        if not self._has_topic(topic):
            raise InvalidRequest(f"Invalid Google Cloud Pub/Sub topic: there is no {topic}")
        return resource_response(call, self._resource(call, self._store.add_notification(bucket, configuration)))

    async def _list(self, call: Call) -> Response:
        kept = self._store.bucket(call.names["bucket"]).notifications
        items = [self._resource(call, notification) for notification in kept]
        return resource_response(call, {"kind": "storage#notifications", "items": items})

    async def _get(self, call: Call) -> Response:
        return resource_response(call, self._resource(call, call.names["notification"]))

    async def _delete(self, call: Call) -> Response:
        self._configuration(call, call.names["notification"])
        self._store.remove_notification(call.names["bucket"], call.names["notification"])
        return Response(status_code=204)

    def _resource(self, call: Call, notification: str) -> dict[str, Any]:
        bucket = call.names["bucket"]
        return {
            "kind": "storage#notification",
            "id": notification,
            "selfLink": f"{call.host}/storage/v1/b/{bucket}/notificationConfigs/{notification}",
            "etag": notification,
            **self._configuration(call, notification),
        }

    def _configuration(self, call: Call, notification: str) -> Mapping[str, Any]:
        found = self._store.bucket(call.names["bucket"]).notifications.get(notification)
        if found is None:
            raise NotFound(f"Notification {notification} does not exist.")
        return found
