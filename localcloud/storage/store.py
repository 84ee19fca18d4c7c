"""Buckets and objects, and the rules for their changes: used by the JSON API and by the other local services."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from localcloud.base.clock import Clock
from localcloud.storage.catalog import Catalog
from localcloud.storage.contents import Content, ContentDirectory, ContentWriter
from localcloud.storage.errors import Conflict, InvalidRequest, NotFound
from localcloud.storage.events import EventQueue, Listener
from localcloud.storage.fields import ObjectFields, patched_settings
from localcloud.storage.listing import ListQuery, Page, list_page
from localcloud.storage.naming import check_bucket_name, check_object_name
from localcloud.storage.preconditions import NO_PRECONDITIONS, Preconditions
from localcloud.storage.quota import WriteQuota
from localcloud.storage.resources import (
    DELETED,
    FINALIZED,
    METADATA_UPDATED,
    Bucket,
    StorageEvent,
    StoredObject,
)

# The store has a method called ``list``, which hides the type of that name.
Objects = list[StoredObject]
Buckets = list[Bucket]

_PIECE = 1 << 20
_DEFAULT_CONTENT_TYPE = "application/octet-stream"


class ObjectStore:
    """Buckets and their live objects, kept in a directory. Every method may be called from any thread.

    Changes are atomic: no caller sees half of one. Noncurrent generations are not kept.
    """

    def __init__(self, directory: Path, *, clock: Clock) -> None:
        """Open the store in ``directory``, which is created if it is missing."""
        self._clock = clock
        self._contents = ContentDirectory(directory / "contents")
        self._catalog = Catalog(directory / "catalog.sqlite")
        self._contents.sweep({stored.content for stored in self._catalog.every_object()})
        self._lock = threading.RLock()
        self._quota = WriteQuota()
        self._events = EventQueue()

    # Buckets

    def create_bucket(self, name: str, *, location: str = "US", settings: Mapping[str, Any] | None = None) -> Bucket:
        """Create a bucket. Raises ``Conflict`` if it exists, ``InvalidRequest`` if its name is not valid."""
        check_bucket_name(name)
        with self._lock:
            if name in self._catalog.buckets:
                raise Conflict("Your previous request to create the named bucket succeeded and you already own it.")
            now = self._clock.now()
            bucket = Bucket(
                name=name,
                location=location.upper(),
                metageneration=1,
                created=now,
                updated=now,
                generation=self._catalog.next_generation(now),
                settings=patched_settings({}, settings or {}),
            )
            self._catalog.put_bucket(bucket)
            return bucket

    def ensure_bucket(self, name: str, *, location: str = "US") -> Bucket:
        """Return the bucket of that name; create it if it is missing."""
        with self._lock:
            if name in self._catalog.buckets:
                return self.bucket(name)
            return self.create_bucket(name, location=location)

    def bucket(self, name: str) -> Bucket:
        """Return a bucket. Raises ``NotFound``."""
        with self._lock:
            if name not in self._catalog.buckets:
                raise NotFound("The specified bucket does not exist.")
            bucket: Bucket = self._catalog.buckets[name]
            return bucket

    def buckets(self, prefix: str = "") -> Buckets:
        """Return the buckets with ``prefix``, sorted by name."""
        with self._lock:
            return [bucket for name, bucket in self._catalog.buckets.items() if name.startswith(prefix)]

    def patch_bucket(
        self,
        name: str,
        settings: Mapping[str, Any],
        conditions: Preconditions = NO_PRECONDITIONS,
        *,
        replace_all: bool = False,
    ) -> Bucket:
        """Change settings of a bucket, or replace all of them (``replace_all``). Raises ``NotFound``."""
        with self._lock:
            bucket = self.bucket(name)
            conditions.check_write(bucket)
            changed = replace(
                bucket,
                settings=patched_settings({} if replace_all else bucket.settings, settings),
                metageneration=bucket.metageneration + 1,
                updated=self._clock.now(),
            )
            self._catalog.put_bucket(changed)
            return changed

    def delete_bucket(self, name: str, conditions: Preconditions = NO_PRECONDITIONS) -> None:
        """Delete a bucket. Raises ``NotFound``, or ``Conflict`` if objects are in it."""
        with self._lock:
            conditions.check_write(self.bucket(name))
            if self._catalog.objects(name):
                raise Conflict("The bucket you tried to delete is not empty.")
            self._catalog.remove_bucket(name)

    # Reading objects

    def get(self, bucket: str, name: str, generation: int | None = None) -> StoredObject:
        """Return the live object of that name, of that generation if one is given. Raises ``NotFound``."""
        with self._lock:
            stored = self._live(bucket, name)
            if stored is None or generation not in (None, stored.generation):
                raise NotFound(f"No such object: {bucket}/{name}")
            return stored

    def list(self, bucket: str, prefix: str = "") -> Objects:
        """Return the live objects with ``prefix``, sorted by name. Raises ``NotFound``."""
        with self._lock:
            self.bucket(bucket)
            objects = self._catalog.objects(bucket)
            return list_page(objects, ListQuery(prefix=prefix, max_results=len(objects))).items

    def page(self, bucket: str, query: ListQuery) -> Page:
        """Return one page of a list. Raises ``NotFound`` or ``InvalidRequest``."""
        with self._lock:
            self.bucket(bucket)
            return list_page(self._catalog.objects(bucket), query)

    def open(self, stored: StoredObject) -> BinaryIO:
        """Open the content of ``stored``. Raises ``NotFound`` if that generation is gone.

        An open content stays readable after its object is replaced or deleted.
        """
        try:
            return self._contents.open(stored.content)
        except FileNotFoundError:
            raise NotFound(f"No such object: {stored.bucket}/{stored.name}") from None

    def open_live(self, bucket: str, name: str, generation: int | None = None) -> tuple[StoredObject, BinaryIO]:
        """Return the live object and its content, read atomically. Raises ``NotFound``."""
        with self._lock:
            stored = self.get(bucket, name, generation)
            return stored, self.open(stored)

    def read(self, bucket: str, name: str) -> bytes:
        """Return the content of the live object. Raises ``NotFound``."""
        _, content = self.open_live(bucket, name)
        with content:
            return content.read()

    # Writing objects

    def write(
        self,
        bucket: str,
        name: str,
        data: bytes | BinaryIO,
        *,
        content_type: str = _DEFAULT_CONTENT_TYPE,
        metadata: dict[str, str] | None = None,
    ) -> StoredObject:
        """Write a whole object. Raises ``NotFound`` if the bucket does not exist."""
        self.bucket(bucket)
        fields = ObjectFields(content_type=content_type, metadata=metadata or {})
        with self.begin_content() as writer:
            if isinstance(data, bytes):
                writer.write(data)
            else:
                while piece := data.read(_PIECE):
                    writer.write(piece)
            return self.finalize(bucket, name, writer.finish(), fields)

    def begin_content(self) -> ContentWriter:
        """Start a content, which ``finalize`` turns into an object."""
        return self._contents.create()

    def check_write(self, bucket: str, name: object, conditions: Preconditions) -> None:
        """Raise the errors that ``finalize`` would raise now, so that the client does not send bytes in vain."""
        checked = check_object_name(name)
        with self._lock:
            conditions.check_write(self._live(bucket, checked))

    def finalize(
        self,
        bucket: str,
        name: str,
        content: Content,
        fields: ObjectFields,
        conditions: Preconditions = NO_PRECONDITIONS,
        *,
        component_count: int | None = None,
    ) -> StoredObject:
        """Make ``content`` the live object of that name; a composed object has a ``component_count``.

        Raises ``NotFound``, ``InvalidRequest``, ``PreconditionFailed`` or ``RateLimited``.
        """
        check_object_name(name)
        with self._lock:
            conditions.check_write(self._live(bucket, name))
            stored = self._put(bucket, name, content, fields, component_count)
        self._events.deliver()
        return stored

    def move(
        self,
        bucket: str,
        name: str,
        destination: str,
        source_conditions: Preconditions = NO_PRECONDITIONS,
        conditions: Preconditions = NO_PRECONDITIONS,
    ) -> StoredObject:
        """Rename the live object of that name atomically; return it with its new name.

        Raises ``NotFound``, ``InvalidRequest``, ``PreconditionFailed`` or ``RateLimited``.
        """
        check_object_name(destination)
        if name == destination:
            raise InvalidRequest("The source and destination object names must be different.")
        with self._lock:
            source = self.get(bucket, name)
            source_conditions.check_write(source)
            conditions.check_write(self._live(bucket, destination))
            with self.copied_content(source) as content:
                fields = ObjectFields.of(source)
                moved = self._put(bucket, destination, content, fields, source.component_count)
            self._remove(source)
        self._events.deliver()
        return moved

    def update_fields(
        self,
        bucket: str,
        name: str,
        resource: Mapping[str, Any],
        conditions: Preconditions = NO_PRECONDITIONS,
        *,
        generation: int | None = None,
        replace_all: bool = False,
    ) -> StoredObject:
        """Change fields of an object, or replace all that a caller may set (``replace_all``).

        Raises ``NotFound``, ``InvalidRequest``, ``PreconditionFailed`` or ``RateLimited``.
        """
        with self._lock:
            stored = self.get(bucket, name, generation)
            conditions.check_write(stored)
            before = ObjectFields() if replace_all else ObjectFields.of(stored)
            fields = before.patched(resource)
            now = self._clock.now()
            self._quota.take(bucket, name, now)
            changed = replace(
                stored,
                content_type=fields.content_type or _DEFAULT_CONTENT_TYPE,
                metadata=dict(fields.metadata),
                headers=dict(fields.headers),
                custom_time=fields.custom_time,
                metageneration=stored.metageneration + 1,
                updated=now,
            )
            self._catalog.put_object(changed)
            self._events.add(StorageEvent(METADATA_UPDATED, changed))
        self._events.deliver()
        return changed

    def delete(
        self,
        bucket: str,
        name: str,
        conditions: Preconditions = NO_PRECONDITIONS,
        *,
        generation: int | None = None,
    ) -> None:
        """Delete the live object. Raises ``NotFound``, ``PreconditionFailed`` or ``RateLimited``."""
        with self._lock:
            stored = self.get(bucket, name, generation)
            conditions.check_write(stored)
            self._quota.take(bucket, name, self._clock.now())
            self._remove(stored)
        self._events.deliver()

    @contextmanager
    def copied_content(self, stored: StoredObject) -> Iterator[Content]:
        """Create a second content with the bytes of ``stored``, which ``finalize`` turns into an object.

        It is removed if an exception leaves the context. Raises ``NotFound`` if that generation is gone.
        """
        try:
            copied = self._contents.link(stored.content)
        except FileNotFoundError:
            raise NotFound(f"No such object: {stored.bucket}/{stored.name}") from None
        try:
            yield Content(copied, stored.size, stored.crc32c, stored.md5 or "")
        except BaseException:
            self._contents.remove(copied)
            raise

    # Events and limits

    def watch(self, listener: Listener) -> None:
        """Call ``listener`` once after each change of an object, in the order of the changes.

        The thread of a change calls it without a lock, so it should return quickly. Its exceptions are logged and do not
        undo the change.
        """
        self._events.add_listener(listener)

    def limit_writes(self, per_second: float | None) -> None:
        """Reject more than ``per_second`` changes a second of one object name; ``None`` sets no limit."""
        with self._lock:
            self._quota.limit(per_second)

    def close(self) -> None:
        """Close the files."""
        with self._lock:
            self._catalog.close()

    def _live(self, bucket: str, name: str) -> StoredObject | None:
        self.bucket(bucket)
        stored: StoredObject | None = self._catalog.objects(bucket).get(name)
        return stored

    def _default_storage_class(self, bucket: str) -> str:
        storage_class: str = self._catalog.buckets[bucket].settings.get("storageClass", "STANDARD")
        return storage_class

    def _put(
        self, bucket: str, name: str, content: Content, fields: ObjectFields, component_count: int | None
    ) -> StoredObject:
        """Make a new generation live, under the lock."""
        now = self._clock.now()
        self._quota.take(bucket, name, now)
        replaced = self._live(bucket, name)
        stored = StoredObject(
            bucket=bucket,
            name=name,
            generation=self._catalog.next_generation(now),
            metageneration=1,
            size=content.size,
            content_type=fields.content_type or _DEFAULT_CONTENT_TYPE,
            crc32c=content.crc32c,
            md5=content.md5 if component_count is None else None,
            created=now,
            updated=now,
            content=content.id,
            metadata=dict(fields.metadata),
            headers=dict(fields.headers),
            storage_class=fields.storage_class or self._default_storage_class(bucket),
            component_count=component_count,
            custom_time=fields.custom_time,
        )
        self._catalog.put_object(stored)
        self._events.add(StorageEvent(FINALIZED, stored))
        if replaced is not None:
            self._discard(replaced)
        return stored

    def _remove(self, stored: StoredObject) -> None:
        """Remove a live object, under the lock."""
        self._catalog.remove_object(stored)
        self._discard(stored)

    def _discard(self, stored: StoredObject) -> None:
        """Remove the content of a generation that is no longer live; a replaced one has a deleted event, too.

        Source: https://cloud.google.com/storage/docs/pubsub-notifications#events
        """
        self._contents.remove(stored.content)
        self._events.add(StorageEvent(DELETED, replace(stored, deleted=self._clock.now())))
