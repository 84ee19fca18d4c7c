"""Cloud Storage with its latency and its limit of one write a second of an object. Objects are in memory.

https://docs.cloud.google.com/storage/docs/json_api/v1/objects and https://docs.cloud.google.com/storage/quotas#objects
"""

from __future__ import annotations

import base64
import json
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from urllib.parse import unquote

import google_crc32c
from sortedcontainers import SortedDict

from benchmarks.services.http import Request, Response, error_response, json_response
from localcloud.base.clock import rfc3339

API, UPLOAD, DOWNLOAD = "/storage/v1/b/", "/upload/storage/v1/b/", "/download/storage/v1/b/"
WRITE_SECONDS = 1.0
PAGE = 1000
# A list of these fields has no others.
LISTED_FIELDS = ("name", "generation", "metageneration", "metadata", "timeCreated")
LISTED = f"nextPageToken,items({','.join(LISTED_FIELDS)})"


@dataclass(frozen=True)
class StoredObject:
    """One generation of an object."""

    content: bytes
    generation: int
    resource: bytes
    """The resource of the JSON API."""
    listed: bytes
    """The fields of the resource that the ledger lists."""
    crc32c: str


class Storage:
    """All buckets as one: the names of objects have the bucket in front."""

    def __init__(self, latency: float, write_seconds: float = WRITE_SECONDS) -> None:
        """Start without objects.

        Args:
            latency: The seconds that each call takes.
            write_seconds: How far apart two writes of one object must be; 0: no limit.
        """
        self.refused: Counter[str] = Counter()
        """How many writes came too early, by object."""
        self.calls: Counter[str] = Counter()
        """The calls, by method."""
        self._latency = latency
        self._write_seconds = write_seconds
        self._objects: SortedDict = SortedDict()
        self._written: dict[str, float] = {}

    def put(self, bucket: str, name: str, content: bytes, metadata: Mapping[str, str], created: str) -> StoredObject:
        """Write an object without any limit, as if it was created at this time."""
        return self._put(f"{bucket}/{name}", content, dict(metadata), created)

    def handle(self, request: Request) -> Response:
        """Answer a call of the JSON API."""
        if request.path.startswith(UPLOAD):
            return self._insert(request)
        is_download = request.path.startswith(DOWNLOAD)
        bucket, _, rest = request.path.removeprefix(DOWNLOAD if is_download else API).partition("/o")
        if request.method == "GET" and not rest:
            return self._list(bucket, request)
        key = f"{bucket}/{unquote(rest.removeprefix('/'))}"
        match request.method:
            case "GET" if is_download or request.query.get("alt") == "media":
                return self._download(key)
            case "GET":
                return self._get(key)
            case "DELETE":
                return self._delete(key, request)
            case _:
                return self._patch(key, request)

    def _insert(self, request: Request) -> Response:
        self.calls["insert"] += 1
        bucket = request.path.removeprefix(UPLOAD).partition("/")[0]
        boundary = request.body[: request.body.index(b"\r\n")]
        _, first, second, _ = request.body.split(boundary)
        fields = json.loads(first.partition(b"\r\n\r\n")[2])
        content = second.partition(b"\r\n\r\n")[2][:-2]
        key = f"{bucket}/{fields['name']}"
        refusal = self._too_early(key) or self._other_generation(key, request)
        if refusal is not None:
            return refusal
        stored = self._put(key, content, fields.get("metadata") or {})
        return Response(stored.resource, seconds=self._latency)

    def _patch(self, key: str, request: Request) -> Response:
        self.calls["patch"] += 1
        refusal = self._too_early(key) or self._missing(key) or self._other_generation(key, request)
        if refusal is not None:
            return refusal
        stored: StoredObject = self._objects[key]
        resource = json.loads(stored.resource)
        changes = request.json().get("metadata") or {}
        metadata = {**resource.get("metadata", {}), **changes}
        resource["metadata"] = {name: value for name, value in metadata.items() if value is not None}
        resource["metageneration"] = str(int(resource["metageneration"]) + 1)
        changed = replace(stored, resource=json.dumps(resource).encode(), listed=_listed(resource))
        self._objects[key] = changed
        return Response(changed.resource, seconds=self._latency)

    def _delete(self, key: str, request: Request) -> Response:
        self.calls["delete"] += 1
        refusal = self._missing(key) or self._too_early(key) or self._other_generation(key, request)
        if refusal is not None:
            return refusal
        del self._objects[key]
        return Response(status=204, seconds=self._latency)

    def _get(self, key: str) -> Response:
        self.calls["get"] += 1
        return self._missing(key) or Response(self._objects[key].resource, seconds=self._latency)

    def _download(self, key: str) -> Response:
        self.calls["get"] += 1
        if (missing := self._missing(key)) is not None:
            return missing
        stored: StoredObject = self._objects[key]
        headers = {
            "X-Goog-Generation": str(stored.generation),
            "X-Goog-Metageneration": "1",
            "X-Goog-Hash": f"crc32c={stored.crc32c}",
            "Content-Range": f"bytes 0-{len(stored.content) - 1}/{len(stored.content)}",
        }
        return Response(stored.content, 206, self._latency, headers)

    def _list(self, bucket: str, request: Request) -> Response:
        self.calls["list"] += 1
        prefix = f"{bucket}/{request.query.get('prefix', '')}"
        start = max(prefix, f"{bucket}/{request.query.get('startOffset', '')}", request.query.get("pageToken", ""))
        end = f"{bucket}/{request.query['endOffset']}" if "endOffset" in request.query else None
        most = min(int(request.query.get("maxResults", PAGE)), PAGE)
        is_short = request.query.get("fields") == LISTED
        found: list[bytes] = []
        following = ""
        for key in self._objects.irange(start, end, (True, False)) if end is None or start < end else ():
            if not key.startswith(prefix):
                break
            if len(found) == most:
                following = key
                break
            stored: StoredObject = self._objects[key]
            found.append(stored.listed if is_short else stored.resource)
        token = b', "nextPageToken": ' + json.dumps(following).encode() if following else b""
        return Response(
            b'{"kind": "storage#objects", "items": [%s]%s}' % (b",".join(found), token), seconds=self._latency
        )

    def _put(self, key: str, content: bytes, metadata: Mapping[str, str], created: str = "") -> StoredObject:
        bucket, _, name = key.partition("/")
        generation = time.time_ns() // 1000
        created = created or rfc3339(datetime.now(UTC))
        crc32c = base64.b64encode(google_crc32c.value(content).to_bytes(4, "big")).decode()
        resource = {
            "kind": "storage#object",
            "id": f"{key}/{generation}",
            "bucket": bucket,
            "name": name,
            "generation": str(generation),
            "metageneration": "1",
            "contentType": "application/json",
            "timeCreated": created,
            "updated": created,
            "size": str(len(content)),
            "crc32c": crc32c,
            "metadata": dict(metadata),
        }
        stored = StoredObject(content, generation, json.dumps(resource).encode(), _listed(resource), crc32c)
        self._objects[key] = stored
        return stored

    def _too_early(self, key: str) -> Response | None:
        now = time.monotonic()
        if self._write_seconds and now - self._written.get(key, -1e9) < self._write_seconds:
            self.refused[key] += 1
            message = f"The object {key} exceeded the rate limit for object mutation operations."
            return error_response(429, "rateLimitExceeded", message, seconds=self._latency)
        self._written[key] = now
        return None

    def _missing(self, key: str) -> Response | None:
        if key in self._objects:
            return None
        return error_response(404, "notFound", f"No such object: {key}", seconds=self._latency)

    def _other_generation(self, key: str, request: Request) -> Response | None:
        wanted = request.query.get("ifGenerationMatch")
        stored: StoredObject | None = self._objects.get(key)
        if wanted is None or int(wanted) == (stored.generation if stored else 0):
            return None
        message = "At least one of the pre-conditions you specified did not hold."
        return error_response(412, "conditionNotMet", message, seconds=self._latency)


def _listed(resource: Mapping[str, object]) -> bytes:
    return json.dumps({name: resource[name] for name in LISTED_FIELDS}).encode()


def empty_bucket(name: str) -> Response:
    """Return the resource of a bucket."""
    return json_response({"kind": "storage#bucket", "name": name})
