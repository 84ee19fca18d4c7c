"""HMAC keys, which retry tests need: they are kept in memory and have no effect."""

from __future__ import annotations

import base64
import secrets
from typing import Any

from starlette.responses import Response

from localcloud.base.clock import Clock, rfc3339
from localcloud.base.json_api import Call, Route
from localcloud.storage.rest.api import Handler, page_size_of, resource_response
from localcloud.storage.rules.errors import InvalidRequest, NotFound, PreconditionFailed, Required

_LARGEST_PAGE = 250
_STATES = ("ACTIVE", "INACTIVE")

_Resource = dict[str, Any]


class HmacKeyApi:
    """Handlers for HMAC keys: https://cloud.google.com/storage/docs/json_api/v1/projects/hmacKeys."""

    def __init__(self, clock: Clock) -> None:
        """Start without keys."""
        self._clock = clock
        self._keys: dict[str, _Resource] = {}

    def routes(self) -> list[Route[Handler]]:
        """Return the routes of the handlers."""
        keys = "/storage/v1/projects/{project}/hmacKeys"
        return [
            Route("POST", keys, self._create),
            Route("GET", keys, self._list),
            Route("GET", f"{keys}/{{accessId}}", self._get),
            Route("PUT", f"{keys}/{{accessId}}", self._update),
            Route("DELETE", f"{keys}/{{accessId}}", self._delete),
        ]

    async def _create(self, call: Call) -> Response:
        email = call.query.get("serviceAccountEmail")
        if not email:
            raise Required("Required parameter: serviceAccountEmail")
        access_id = "GOOG1E" + base64.b32encode(secrets.token_bytes(35)).decode()[:55]
        now = rfc3339(self._clock.now())
        key = {
            "kind": "storage#hmacKeyMetadata",
            "id": f"{call.names['project']}/{access_id}",
            "selfLink": f"{call.host}{call.path}/{access_id}",
            "accessId": access_id,
            "projectId": call.names["project"],
            "serviceAccountEmail": email,
            "state": "ACTIVE",
            "timeCreated": now,
            "updated": now,
            "etag": _etag(),
        }
        self._keys[access_id] = key
        secret = base64.b64encode(secrets.token_bytes(30)).decode()
        return resource_response(call, {"kind": "storage#hmacKey", "metadata": key, "secret": secret})

    async def _list(self, call: Call) -> Response:
        email = call.query.get("serviceAccountEmail")
        with_deleted = call.query.get("showDeletedKeys", "").lower() == "true"
        keys = [
            key
            for access_id, key in sorted(self._keys.items())
            if key["projectId"] == call.names["project"]
            and (with_deleted or key["state"] != "DELETED")
            and email in (None, key["serviceAccountEmail"])
            and access_id >= call.query.get("pageToken", "")
        ]
        size = page_size_of(call, _LARGEST_PAGE)
        answer = {"kind": "storage#hmacKeysMetadata", "items": keys[:size]}
        if len(keys) > size:
            answer["nextPageToken"] = keys[size]["accessId"]
        return resource_response(call, answer)

    async def _get(self, call: Call) -> Response:
        return resource_response(call, self._key(call))

    async def _update(self, call: Call) -> Response:
        key, request = self._kept_key(call), call.json()
        if request.get("etag") not in (None, "", key["etag"]):
            raise PreconditionFailed
        if request.get("state") not in _STATES:
            raise InvalidRequest(f"Invalid state: {request.get('state')!r} is not one of {', '.join(_STATES)}")
        key |= {"state": request["state"], "updated": rfc3339(self._clock.now()), "etag": _etag()}
        return resource_response(call, key)

    async def _delete(self, call: Call) -> Response:
        key = self._kept_key(call)
        if key["state"] != "INACTIVE":
            raise InvalidRequest(f"Cannot delete a key in the state {key['state']}; it must be INACTIVE.")
        key |= {"state": "DELETED", "updated": rfc3339(self._clock.now()), "etag": _etag()}
        return Response(status_code=204)

    def _kept_key(self, call: Call) -> _Resource:
        """Return a key that is not deleted. Raises ``NotFound``."""
        key = self._key(call)
        if key["state"] == "DELETED":
            raise NotFound(f"Access ID {key['accessId']} is deleted.")
        return key

    def _key(self, call: Call) -> _Resource:
        key = self._keys.get(call.names["accessId"])
        if key is None or key["projectId"] != call.names["project"]:
            raise NotFound(f"Access ID not found in project {call.names['project']}: {call.names['accessId']}")
        return key


def _etag() -> str:
    return secrets.token_urlsafe(6)
