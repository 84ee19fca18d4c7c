"""How calls to Cloud Storage are made: its errors and retries, and the calls that the ledger makes very often."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Unpack
from urllib.parse import quote

import google_crc32c
from google.api_core import exceptions
from google.cloud import storage
from google.cloud.storage.retry import DEFAULT_RETRY

from shared.cloud.calls import CALL_SECONDS, CallOptions, Service
from shared.cloud.json_api import Answer, JsonApi

STORAGE = Service("Cloud Storage", retry=DEFAULT_RETRY.with_timeout(CALL_SECONDS))

# How many objects one call lists at most: https://docs.cloud.google.com/storage/docs/json_api/v1/objects/list
PAGE = 1000

_LIST_FIELDS = "nextPageToken,items(name,generation,metageneration,metadata,timeCreated)"


@dataclass(frozen=True, slots=True)
class ListedPage:
    """One page of a list of objects."""

    resources: list[dict[str, Any]]
    """The objects, with their names, generations, metadata and times."""
    token: str | None
    """Leads to the next page; None after the last one."""


class Objects:
    """The objects of one bucket, by the methods of the JSON API. Several threads may use them.

    https://docs.cloud.google.com/storage/docs/json_api/v1/objects

    Each method takes the options that ``STORAGE.call`` yields, and raises the errors of Google's clients.
    """

    def __init__(self, client: storage.Client, bucket: str) -> None:
        """Use the bucket with this name, with the credentials and the address of the client."""
        path = f"/storage/v1/b/{quote(bucket, safe='')}/o"
        self._api = JsonApi(client._credentials, client.api_endpoint)
        self._objects = path
        self._download = f"/download{path}"
        self._upload = f"/upload{path}"

    def download(self, name: str, most: int, **options: Unpack[CallOptions]) -> tuple[bytes, int]:
        """Return the first ``most`` + 1 bytes of an object as they are stored, and its generation.

        Raises:
            RequestRangeNotSatisfiable: The object is empty.
            DataLoss: The bytes do not have the checksum of the object.
        """

        def read(answer: Answer) -> tuple[bytes, int]:
            checksum = _stated_checksum(answer)
            if len(answer.body) <= most and checksum and checksum != _checksum(answer.body):
                raise exceptions.DataLoss(f"the bytes of {name} do not have its checksum")
            return answer.body, int(answer.headers["X-Goog-Generation"])

        # As stored: an object that is compressed is not unpacked on the way, which knows no bound.
        path, headers = f"{self._download}/{quote(name, safe='')}", {"Range": f"bytes=0-{most}"}
        return self._api.call("GET", path, {"alt": "media"}, options, read=read, headers=headers, most=most + 1)

    def insert(
        self,
        name: str,
        content: bytes,
        content_type: str,
        metadata: Mapping[str, str],
        *,
        generation: int | None,
        **options: Unpack[CallOptions],
    ) -> int:
        """Write an object and return its generation.

        Args:
            name: The name of the object.
            content: Its content.
            content_type: The media type of the content.
            metadata: Its metadata.
            generation: The generation that the object must have, 0 if it must not exist; None: any.
            options: The options of the call.
        """
        resource = {"name": name, "contentType": content_type, "crc32c": _checksum(content), "metadata": dict(metadata)}
        boundary = secrets.token_hex(16)
        body = (
            f"--{boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n{json.dumps(resource)}\r\n"
            f"--{boundary}\r\nContent-Type: {content_type}\r\n\r\n"
        ).encode() + b"%s\r\n--%s--" % (content, boundary.encode())
        query = {"uploadType": "multipart", "fields": "generation", "ifGenerationMatch": generation}
        headers = {"Content-Type": f'multipart/related; boundary="{boundary}"'}
        written = self._api.call("POST", self._upload, query, options, read=Answer.json, body=body, headers=headers)
        return int(written["generation"])

    def patch(
        self,
        name: str,
        metadata: Mapping[str, str | None],
        *,
        generation: int,
        metageneration: int | None,
        **options: Unpack[CallOptions],
    ) -> int:
        """Set metadata of an object, or remove it where the value is None, and return the new metageneration."""
        query = {
            "fields": "metageneration",
            "ifGenerationMatch": generation,
            "ifMetagenerationMatch": metageneration,
        }
        body = json.dumps({"metadata": dict(metadata)}).encode()
        headers = {"Content-Type": "application/json"}
        changed = self._api.call("PATCH", self._url(name), query, options, read=Answer.json, body=body, headers=headers)
        return int(changed["metageneration"])

    def generation(self, name: str, **options: Unpack[CallOptions]) -> int:
        """Return the generation of an object."""
        return int(
            self._api.call("GET", self._url(name), {"fields": "generation"}, options, read=Answer.json)["generation"]
        )

    def delete(self, name: str, *, generation: int, **options: Unpack[CallOptions]) -> None:
        """Delete an object that has this generation."""
        self._api.call("DELETE", self._url(name), {"ifGenerationMatch": generation}, options, read=lambda _: None)

    def page(
        self,
        prefix: str,
        *,
        start: str = "",
        end: str = "",
        token: str | None = None,
        most: int = PAGE,
        **options: Unpack[CallOptions],
    ) -> ListedPage:
        """List at most ``most`` objects.

        Args:
            prefix: What their names begin with.
            start: The first name, which need not exist; empty: the first one with the prefix.
            end: The name before which the list ends; empty: the last one with the prefix.
            token: The token of the page before; None for the first page.
            most: The number of objects, 1,000 at most.
            options: The options of the call.
        """
        query = {
            "prefix": prefix,
            "startOffset": start or None,
            "endOffset": end or None,
            "pageToken": token or None,
            "maxResults": min(most, PAGE),
            "fields": _LIST_FIELDS,
            "prettyPrint": "false",
        }
        answer = self._api.call("GET", self._objects, query, options, read=Answer.json)
        return ListedPage(answer.get("items") or [], answer.get("nextPageToken") or None)

    def _url(self, name: str) -> str:
        return f"{self._objects}/{quote(name, safe='')}"


def _checksum(content: bytes) -> str:
    """Return the CRC32C of an object's content as the API writes it."""
    return base64.b64encode(google_crc32c.value(content).to_bytes(4, "big")).decode()


def _stated_checksum(answer: Answer) -> str | None:
    """Return the CRC32C of the whole object, as its download states it."""
    for each in answer.headers.get("X-Goog-Hash", "").split(","):
        name, _, value = each.strip().partition("=")
        if name == "crc32c":
            return value
    return None
