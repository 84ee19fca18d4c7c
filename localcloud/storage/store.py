"""Buckets and objects, and the rules by which they change: what the JSON API and the other services here stand on."""

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
from localcloud.storage.events import Announcer, Listener
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

    An object appears, changes and goes at one instant: nobody sees half of one. Former generations are not kept.
    """

    def __init__(self, directory: Path, *, clock: Clock) -> None:
        """Open the store in ``directory``, which is made if it is not there."""
        self._clock = clock
        self._contents = ContentDirectory(directory / "contents")
        self._catalog = Catalog(directory / "catalog.sqlite")
        self._contents.sweep({stored.content for stored in self._catalog.every_object()})
        self._lock = threading.RLock()
        self._quota = WriteQuota()
        self._announcer = Announcer()

    # Buckets

    def create_bucket(self, name: str, *, location: str = "US", settings: Mapping[str, Any] | None = None) -> Bucket:
        """Make a bucket. Raises ``Conflict`` if it is there, ``InvalidRequest`` if it may not be called so."""
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
        """Return the bucket of that name; make it if it is not there."""
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
        """Return the buckets whose names begin with ``prefix``, by name."""
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
        """Change a bucket's settings, or (``replace_all``) put these in the place of all. Raises ``NotFound``."""
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
        """Return the live objects whose names begin with ``prefix``, by name. Raises ``NotFound``."""
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

        What is open stays readable, whatever happens to the object.
        """
        try:
            return self._contents.open(stored.content)
        except FileNotFoundError:
            raise NotFound(f"No such object: {stored.bucket}/{stored.name}") from None

    def open_live(self, bucket: str, name: str, generation: int | None = None) -> tuple[StoredObject, BinaryIO]:
        """Return the live object and its content, which belong together. Raises ``NotFound``."""
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
        """Write an object in one go. Raises ``NotFound`` if there is no such bucket."""
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
        """Begin a content, to be made an object by ``finalize`` or to be discarded."""
        return self._contents.create()

    def check_write(self, bucket: str, name: object, conditions: Preconditions) -> None:
        """Raise what ``finalize`` would raise now, so that an upload in vain is refused before its bytes are sent."""
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
        """Make ``content`` the live object of that name. An object with ``component_count`` is a composed one.

        Raises ``NotFound``, ``InvalidRequest``, ``PreconditionFailed`` or ``RateLimited``.
        """
        check_object_name(name)
        with self._lock:
            conditions.check_write(self._live(bucket, name))
            stored = self._put(bucket, name, content, fields, component_count)
        self._announcer.tell()
        return stored

    def move(
        self,
        bucket: str,
        name: str,
        destination: str,
        source_conditions: Preconditions = NO_PRECONDITIONS,
        conditions: Preconditions = NO_PRECONDITIONS,
    ) -> StoredObject:
        """Give the live object of that name another one, at one instant; return it under its new name.

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
        self._announcer.tell()
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
        """Change what an owner may change of an object, or (``replace_all``) put it in the place of all that.

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
            self._announcer.note(StorageEvent(METADATA_UPDATED, changed))
        self._announcer.tell()
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
        self._announcer.tell()

    @contextmanager
    def copied_content(self, stored: StoredObject) -> Iterator[Content]:
        """Give a second content with the bytes of ``stored``, to be made an object by ``finalize``.

        It is taken back if the context is left by an exception. Raises ``NotFound`` if that generation is gone.
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

    # Being told

    def watch(self, listener: Listener) -> None:
        """Call ``listener`` once after each change of an object, in the order of the changes.

        It is called without a lock held, by whichever thread made a change, so it should only take note and return.
        What it raises is logged; the change stands.
        """
        self._announcer.add(listener)

    def limit_writes(self, per_second: float | None) -> None:
        """Refuse more than ``per_second`` changes a second of one object name; ``None``: refuse none."""
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
        """Put a new generation in place, under the lock."""
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
        self._announcer.note(StorageEvent(FINALIZED, stored))
        if replaced is not None:
            self._let_go(replaced)
        return stored

    def _remove(self, stored: StoredObject) -> None:
        """Take a live object away, under the lock."""
        self._catalog.remove_object(stored)
        self._let_go(stored)

    def _let_go(self, stored: StoredObject) -> None:
        """Let go of a generation that is live no longer. One that was replaced is told of as deleted, too.

        Source: https://cloud.google.com/storage/docs/pubsub-notifications#events
        """
        self._contents.remove(stored.content)
        self._announcer.note(StorageEvent(DELETED, replace(stored, deleted=self._clock.now())))
