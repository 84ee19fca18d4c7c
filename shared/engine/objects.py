"""The objects of the state bucket: every read, write and deletion of the ledger goes through this module.

Reads are bounded and checked, and raise ``Unreadable`` for every kind of damage. A person with access to the bucket may have
put an object there, or a newer version of Modeldrop may have written it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from google.api_core import exceptions
from google.cloud import storage

from shared.cloud.calls import CallOptions
from shared.cloud.storage import STORAGE
from shared.engine.pace import Pace
from shared.errors import LostRace, Rejected, Unreadable

# The size of the largest object that is read, in bytes.
LARGEST_BYTES = 8 * 1024 * 1024
# How many of the characters that separate values an object may have. An empty value takes 20 times its text in memory.
MOST_SEPARATORS = 1_500_000
# A new object may have the limits divided by this, so that it can grow.
NEW_SHARE = 2

# The metadata of an object that was reported as unreadable.
REPORTED = "reported"

# The answers of Cloud Storage that each call handles by itself.
_KNOWN_ERRORS = (exceptions.NotFound, exceptions.PreconditionFailed)
_LIST_FIELDS = "nextPageToken,items(name,generation,metageneration,metadata,timeCreated)"


@dataclass(frozen=True)
class Record:
    """A JSON object of the ledger, with its generation."""

    value: Mapping[str, Any]
    generation: int


@dataclass(frozen=True, slots=True)
class ListedObject:
    """An object of the state bucket as a list call returns it."""

    name: str
    generation: int
    metageneration: int
    metadata: Mapping[str, str]
    written: datetime
    """When this generation was written. Changes of its metadata do not count."""

    @property
    def reported(self) -> bool:
        """Whether this generation was reported as unreadable."""
        return REPORTED in self.metadata


class StateObjects:
    """The objects of one bucket. Several threads may use them."""

    def __init__(self, client: storage.Client, bucket: str, pace: Pace) -> None:
        """Use the bucket with this name, and keep writes of one object apart."""
        self._client = client
        self._pace = pace
        self._bucket = client.bucket(bucket)

    def uri(self, name: str) -> str:
        """Return the address of an object: ``gs://bucket/name``."""
        return f"gs://{self._bucket.name}/{name}"

    def bucket_created(self) -> datetime | None:
        """Return when the bucket was created; None if the functions' account may not see it."""
        passes = (exceptions.Forbidden, exceptions.NotFound)
        try:
            with STORAGE.call("return the bucket", passes=passes) as options:
                created: datetime | None = self._client.get_bucket(self._bucket.name, **options).time_created
                return created
        except passes:
            return None

    def read(self, name: str) -> Record | None:
        """Return the JSON object with this name, or None if there is none.

        Raises:
            Unreadable: The object is too large or is not a JSON object.
            TryLater: Cloud Storage does not answer.
        """
        blob = self._bucket.blob(name)
        passes = (*_KNOWN_ERRORS, exceptions.RequestRangeNotSatisfiable)
        try:
            with STORAGE.call(f"return {name}", passes=passes) as options:
                text = blob.download_as_bytes(end=LARGEST_BYTES, raw_download=True, **options)
        except exceptions.NotFound:
            return None
        except exceptions.RequestRangeNotSatisfiable:
            raise Unreadable(name, self.generation(name) or 0, "it is empty") from None
        generation = int(blob.generation or 0)
        if excess := _excess(text):
            raise Unreadable(name, generation, excess)
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            # The text of the error could quote the object, which holds data of users.
            raise Unreadable(name, generation, "it is not JSON") from None
        if not isinstance(value, dict):
            raise Unreadable(name, generation, "it is not a JSON object")
        return Record(value, generation)

    def write(
        self, name: str, value: Mapping[str, Any], *, generation: int, metadata: Mapping[str, str] | None = None
    ) -> Record:
        """Write a JSON object.

        Args:
            name: The name of the object.
            value: Its content.
            generation: The generation that was read; 0 if the object does not exist.
            metadata: The metadata of the object.

        Raises:
            Rejected: The object would be too large.
            LostRace: The object has another generation.
        """
        text = json.dumps(value, sort_keys=True).encode()
        if excess := _excess(text, share=1 if generation else NEW_SHARE):
            raise Rejected(f"the work needs more room than the ledger has: {excess}", code="too_large")
        blob = self._bucket.blob(name)
        blob.metadata = dict(metadata or {})
        try:
            with self._pace.write(name), _call(f"write {name}") as options:
                blob.upload_from_string(
                    text, content_type="application/json", if_generation_match=generation, **options
                )
        except exceptions.PreconditionFailed as error:
            raise LostRace(f"another call changed {name}") from error
        return Record(value, int(blob.generation))

    def write_empty(self, name: str, metadata: Mapping[str, str], *, only_if_missing: bool) -> int | None:
        """Write an object without content; return its generation, or None if one exists and may not be replaced."""
        blob = self._bucket.blob(name)
        blob.metadata = dict(metadata)
        try:
            with self._pace.write(name), _call(f"write {name}") as options:
                blob.upload_from_string(
                    b"", content_type="text/plain", if_generation_match=0 if only_if_missing else None, **options
                )
        except exceptions.PreconditionFailed:
            return None
        return int(blob.generation)

    def change_metadata(
        self, name: str, changes: Mapping[str, str | None], *, generation: int, metageneration: int | None = None
    ) -> int | None:
        """Set or remove metadata of an object. Its generation stays the same.

        https://docs.cloud.google.com/storage/docs/json_api/v1/objects/patch

        Args:
            name: The name of the object.
            changes: The new values; None removes one.
            generation: The generation that the object must have.
            metageneration: The metageneration that it must have; None: any.

        Returns:
            The new metageneration, or None if another call changed or deleted the object.
        """
        blob = self._bucket.blob(name)
        blob.metadata = dict(changes)
        try:
            with self._pace.write(name), _call(f"change the metadata of {name}") as options:
                blob.patch(if_generation_match=generation, if_metageneration_match=metageneration, **options)
        except _KNOWN_ERRORS:
            return None
        return int(blob.metageneration)

    def generation(self, name: str) -> int | None:
        """Return the generation of an object, or None if there is none."""
        blob = self._bucket.blob(name)
        try:
            with _call(f"return the metadata of {name}") as options:
                blob.reload(**options)
        except exceptions.NotFound:
            return None
        return int(blob.generation)

    def remove(self, name: str, generation: int) -> bool:
        """Delete an object with this generation; return whether it existed."""
        try:
            with self._pace.write(name), _call(f"delete {name}") as options:
                self._bucket.blob(name).delete(if_generation_match=generation, **options)
        except _KNOWN_ERRORS:
            return False
        return True

    def listed(self, prefix: str, *, start: str = "", most: int | None = None) -> Iterator[ListedObject]:
        """Yield the objects below ``prefix``, without the folders that some tools create. One call lists 1,000 objects.

        Args:
            prefix: What their names begin with.
            start: The first name, which need not exist; empty: the first one below ``prefix``.
            most: How many objects are listed at most; None: all.
        """
        with _call(f"list {prefix}") as options:
            found = self._client.list_blobs(
                self._bucket,
                prefix=prefix,
                start_offset=start or None,
                max_results=most,
                page_size=1000,
                fields=_LIST_FIELDS,
                **options,
            )
            # The resources as they are: an object of the client for each takes more time than the call.
            found.item_to_value = _resource
            for resource in found:
                if not resource["name"].endswith("/"):
                    yield ListedObject(
                        resource["name"],
                        int(resource["generation"]),
                        int(resource["metageneration"]),
                        resource.get("metadata") or {},
                        datetime.fromisoformat(resource["timeCreated"]),
                    )


def _resource(iterator: object, resource: dict[str, Any]) -> dict[str, Any]:
    return resource


def _excess(text: bytes, *, share: int = 1) -> str | None:
    """Return how a JSON text exceeds the limits, divided by ``share``; None if it does not."""
    if len(text) > LARGEST_BYTES // share:
        return f"it is larger than {LARGEST_BYTES // share} bytes"
    if sum(map(text.count, (b",", b"[", b"{"))) > MOST_SEPARATORS // share:
        return f"it has more than {MOST_SEPARATORS // share} values"
    return None


def _call(action: str) -> AbstractContextManager[CallOptions]:
    return STORAGE.call(action, passes=_KNOWN_ERRORS)
