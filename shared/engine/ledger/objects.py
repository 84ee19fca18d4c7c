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
from shared.cloud.storage import PAGE, STORAGE, Objects
from shared.engine.ledger.pace import Pace
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


@dataclass(frozen=True)
class Page:
    """What one call lists."""

    objects: list[ListedObject]
    """The objects, without folders."""
    token: str | None
    """Leads to the next page; None after the last one."""
    listed: int
    """How many objects the call listed, folders included."""


class StateObjects:
    """The objects of one bucket. Several threads may use them."""

    def __init__(self, client: storage.Client, bucket: str, pace: Pace) -> None:
        """Use the bucket with this name, and keep writes of one object apart."""
        self._client = client
        self._name = bucket
        self._pace = pace
        self._objects = Objects(client, bucket)

    def uri(self, name: str) -> str:
        """Return the address of an object: ``gs://bucket/name``."""
        return f"gs://{self._name}/{name}"

    def bucket_created(self) -> datetime | None:
        """Return when the bucket was created; None if the functions' account may not see it."""
        passes = (exceptions.Forbidden, exceptions.NotFound)
        try:
            with STORAGE.call("return the bucket", passes=passes) as options:
                created: datetime | None = self._client.get_bucket(self._name, **options).time_created
                return created
        except passes:
            return None

    def read(self, name: str) -> Record | None:
        """Return the JSON object with this name, or None if there is none.

        Raises:
            Unreadable: The object is too large or is not a JSON object.
            TryLater: Cloud Storage does not answer.
        """
        passes = (*_KNOWN_ERRORS, exceptions.RequestRangeNotSatisfiable)
        try:
            with STORAGE.call(f"return {name}", passes=passes) as options:
                text, generation = self._objects.download(name, LARGEST_BYTES, **options)
        except exceptions.NotFound:
            return None
        except exceptions.RequestRangeNotSatisfiable:
            raise Unreadable(name, self.generation(name) or 0, "it is empty") from None
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
        try:
            with self._pace.write(name), _call(f"write {name}") as options:
                written = self._objects.insert(
                    name, text, "application/json", metadata or {}, generation=generation, **options
                )
        except exceptions.PreconditionFailed as error:
            raise LostRace(f"another call changed {name}") from error
        return Record(value, written)

    def write_empty(self, name: str, metadata: Mapping[str, str], *, only_if_missing: bool) -> int | None:
        """Write an object without content; return its generation, or None if one exists and may not be replaced."""
        generation = 0 if only_if_missing else None
        try:
            with self._pace.write(name), _call(f"write {name}") as options:
                return self._objects.insert(name, b"", "text/plain", metadata, generation=generation, **options)
        except exceptions.PreconditionFailed:
            return None

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
        try:
            with self._pace.write(name), _call(f"change the metadata of {name}") as options:
                return self._objects.patch(
                    name, changes, generation=generation, metageneration=metageneration, **options
                )
        except _KNOWN_ERRORS:
            return None

    def generation(self, name: str) -> int | None:
        """Return the generation of an object, or None if there is none."""
        try:
            with _call(f"return the metadata of {name}") as options:
                return self._objects.generation(name, **options)
        except exceptions.NotFound:
            return None

    def remove(self, name: str, generation: int) -> bool:
        """Delete an object with this generation; return whether it existed."""
        try:
            with self._pace.write(name), _call(f"delete {name}") as options:
                self._objects.delete(name, generation=generation, **options)
        except _KNOWN_ERRORS:
            return False
        return True

    def listed(self, prefix: str, *, start: str = "", end: str = "", most: int | None = None) -> Iterator[ListedObject]:
        """Yield the objects below ``prefix``, without the folders that some tools create. One call lists 1,000 objects.

        Args:
            prefix: What their names begin with.
            start: The first name, which need not exist; empty: the first one below ``prefix``.
            end: The name before which the list ends; empty: the last one below ``prefix``.
            most: How many objects are listed at most; None: all.
        """
        token: str | None = ""
        while token is not None and most != 0:
            page = self.page(prefix, start=start, end=end, token=token, most=most or PAGE)
            yield from page.objects
            token, most = page.token, None if most is None else max(most - page.listed, 0)

    def page(self, prefix: str, *, start: str = "", end: str = "", token: str = "", most: int = PAGE) -> Page:
        """Return what one call lists; the arguments are those of ``listed``, and ``token`` is that of the page before."""
        with _call(f"list {prefix}") as options:
            found = self._objects.page(prefix, start=start, end=end, token=token, most=most, **options)
        objects = [
            ListedObject(
                resource["name"],
                int(resource["generation"]),
                int(resource["metageneration"]),
                resource.get("metadata") or {},
                datetime.fromisoformat(resource["timeCreated"]),
            )
            for resource in found.resources
            if not resource["name"].endswith("/")
        ]
        return Page(objects, found.token, len(found.resources))


def _excess(text: bytes, *, share: int = 1) -> str | None:
    """Return how a JSON text exceeds the limits, divided by ``share``; None if it does not."""
    if len(text) > LARGEST_BYTES // share:
        return f"it is larger than {LARGEST_BYTES // share} bytes"
    if sum(map(text.count, (b",", b"[", b"{"))) > MOST_SEPARATORS // share:
        return f"it has more than {MOST_SEPARATORS // share} values"
    return None


def _call(action: str) -> AbstractContextManager[CallOptions]:
    return STORAGE.call(action, passes=_KNOWN_ERRORS)
