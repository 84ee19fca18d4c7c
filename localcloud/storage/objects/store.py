"""Buckets and objects, and the rules for their changes: used by the JSON API and by the other local services."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from localcloud.base.clock import Clock
from localcloud.storage.objects.access import (
    check_not_public,
    check_not_uniform,
    default_acl_of_objects,
    owner_of_objects,
    with_owner,
)
from localcloud.storage.objects.bucket_store import BucketStore
from localcloud.storage.objects.catalog import Catalog
from localcloud.storage.objects.contents import Content, ContentDirectory, ContentWriter
from localcloud.storage.objects.customer_keys import check_encryption, check_key
from localcloud.storage.objects.errors import InvalidRequest, NotFound
from localcloud.storage.objects.events import EventQueue, Listener
from localcloud.storage.objects.fields import ObjectFields
from localcloud.storage.objects.listing import ListQuery, Page, list_page
from localcloud.storage.objects.naming import check_object_name
from localcloud.storage.objects.past_generations import PastGenerations
from localcloud.storage.objects.preconditions import NO_PRECONDITIONS, Preconditions
from localcloud.storage.objects.quota import WriteQuota
from localcloud.storage.objects.resources import (
    FINALIZED,
    METADATA_UPDATED,
    Acl,
    StorageEvent,
    StoredObject,
)
from localcloud.storage.objects.retention import (
    check_removable,
    keeps_versions,
    retention_end,
    with_holds,
)

# The store has a method called ``list``, which hides the type of that name.
Objects = list[StoredObject]

_PIECE = 1 << 20
_DEFAULT_CONTENT_TYPE = "application/octet-stream"


class ObjectStore(BucketStore):
    """Buckets and their objects, kept in a directory. Every method may be called from any thread.

    Changes are atomic: no caller sees half of one.
    """

    def __init__(self, directory: Path, *, clock: Clock, account: str | None = None) -> None:
        """Open the store in ``directory``, which is created if it is missing; ``account`` owns the objects in it."""
        contents = ContentDirectory(directory / "contents")
        catalog = Catalog(directory / "catalog.sqlite")
        contents.sweep({stored.content for stored in catalog.every_object()})
        self._events = EventQueue()
        super().__init__(catalog, PastGenerations(catalog, contents, self._events), clock)
        self._contents = contents
        self._quota = WriteQuota()
        self._owner = owner_of_objects(account)

    # Reading objects

    def get(self, bucket: str, name: str, generation: int | None = None) -> StoredObject:
        """Return the live object of that name, or the ``generation`` that is given. Raises ``NotFound``."""
        with self._lock:
            stored = self._live(bucket, name)
            if generation is not None and (stored is None or stored.generation != generation):
                stored = self._past.noncurrent(bucket, name, generation)
            if stored is None:
                raise NotFound(f"No such object: {bucket}/{name}")
            return stored

    def get_soft_deleted(self, bucket: str, name: str, generation: int) -> StoredObject:
        """Return a generation that was deleted and can be restored. Raises ``NotFound``."""
        with self._lock:
            self.bucket(bucket)
            return self._past.soft_deleted(bucket, name, generation, self._clock.now())

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
            if query.versions or query.soft_deleted:
                objects = self._past.all_of(bucket, self._clock.now(), soft_deleted=query.soft_deleted)
                return list_page(objects, query)
            return list_page(self._catalog.objects(bucket), query)

    def open(self, stored: StoredObject, *, key_hash: str | None = None) -> BinaryIO:
        """Open the content of ``stored``, which stays readable after its object is replaced or deleted.

        Args:
            stored: The object.
            key_hash: The hash of the customer-supplied encryption key that the caller gave.

        Raises:
            NotFound: That generation is gone.
            CustomerKeyProblem: The object needs another key.
        """
        check_key(stored.key_hash, key_hash)
        try:
            return self._contents.open(stored.content)
        except FileNotFoundError:
            raise NotFound(f"No such object: {stored.bucket}/{stored.name}") from None

    def open_live(
        self, bucket: str, name: str, generation: int | None = None, *, key_hash: str | None = None
    ) -> tuple[StoredObject, BinaryIO]:
        """Return an object as ``get`` does and its content as ``open`` does, read atomically."""
        with self._lock:
            stored = self.get(bucket, name, generation)
            return stored, self.open(stored, key_hash=key_hash)

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
            live = self._live(bucket, checked)
            conditions.check_write(live)
            if live is not None:
                self._check_removable(live)

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

        Raises ``NotFound``, ``InvalidRequest``, ``PreconditionFailed``, ``RateLimited`` or ``Forbidden``.
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
            self._check_removable(source)
            with self.copied_content(source) as content:
                fields = ObjectFields.of(source)
                moved = self._put(bucket, destination, content, fields, source.component_count)
            self._remove(source)
        self._events.deliver()
        return moved

    def restore(
        self,
        bucket: str,
        name: str,
        generation: int,
        conditions: Preconditions = NO_PRECONDITIONS,
        *,
        copy_acl: bool = False,
    ) -> StoredObject:
        """Make a live object of a soft-deleted generation, which stays until its time is over; return the object.

        With ``copy_acl`` it has the access control list of that generation, otherwise the default list of the bucket.

        Raises ``NotFound``, ``PreconditionFailed``, ``RateLimited`` or ``Forbidden``.
        """
        with self._lock:
            past = self.get_soft_deleted(bucket, name, generation)
            conditions.check_write(self._live(bucket, name))
            fields = replace(ObjectFields.of(past), acl=past.acl if copy_acl else None)
            with self.copied_content(past) as content:
                restored = self._put(bucket, name, content, fields, past.component_count)
        self._events.deliver()
        return restored

    def update_fields(
        self,
        bucket: str,
        name: str,
        resource: Mapping[str, Any],
        conditions: Preconditions = NO_PRECONDITIONS,
        *,
        generation: int | None = None,
        replace_all: bool = False,
        predefined_acl: str | None = None,
        override_retention: bool = False,
    ) -> StoredObject:
        """Change fields of an object, or replace all that a caller may set (``replace_all``).

        ``override_retention`` allows to remove, shorten or lock a retention that is not locked.
        Raises ``NotFound``, ``InvalidRequest``, ``PreconditionFailed``, ``RateLimited`` or ``Forbidden``.
        """
        with self._lock:
            stored = self.get(bucket, name, generation)
            conditions.check_write(stored)
            before = ObjectFields() if replace_all else ObjectFields.of(stored)
            fields = before.patched(resource).with_predefined_acl(predefined_acl)
            if fields.storage_class not in (None, stored.storage_class):
                raise InvalidRequest(
                    f"The storage class of an object cannot be changed from {stored.storage_class} to"
                    f" {fields.storage_class}; rewrite the object."
                )
            in_bucket = self.bucket(bucket)
            if fields.acl is not None:
                check_not_uniform(in_bucket, "update")
                check_not_public(in_bucket, fields.acl)
            now = self._clock.now()
            self._quota.take(bucket, name, now)
            changed = with_holds(in_bucket, stored, fields.protection, now, override=override_retention)
            changed = replace(
                changed,
                content_type=fields.content_type or _DEFAULT_CONTENT_TYPE,
                metadata=dict(fields.metadata),
                headers=dict(fields.headers),
                custom_time=fields.custom_time,
                metageneration=stored.metageneration + 1,
                updated=now,
                acl=stored.acl if fields.acl is None else with_owner(fields.acl, stored.owner or self._owner),
                retained_until=retention_end(in_bucket, changed),
            )
            if stored.deleted is None:
                self._catalog.put_object(changed)
            else:
                self._past.update(changed)
            self._events.add(StorageEvent(METADATA_UPDATED, changed))
        self._events.deliver()
        return changed

    def set_object_acl(self, bucket: str, name: str, acl: Acl, *, generation: int | None = None) -> StoredObject:
        """Replace the access control list of an object. Raises as ``update_fields`` does."""
        entries = [{"entity": entity, "role": role} for entity, role in acl.items()]
        return self.update_fields(bucket, name, {"acl": entries}, generation=generation)

    def delete(
        self,
        bucket: str,
        name: str,
        conditions: Preconditions = NO_PRECONDITIONS,
        *,
        generation: int | None = None,
    ) -> None:
        """Delete the live object, or the ``generation`` that is given.

        In a bucket with versioning the live object stays as a noncurrent generation, unless its generation is given.
        Raises ``NotFound``, ``PreconditionFailed``, ``RateLimited`` or ``Forbidden``.
        """
        with self._lock:
            stored = self.get(bucket, name, generation)
            conditions.check_write(stored)
            now = self._clock.now()
            self._check_removable(stored, for_good=generation is not None)
            self._quota.take(bucket, name, now)
            if stored.deleted is None:
                self._remove(stored, for_good=generation is not None)
            else:
                self._past.delete(stored, now)
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
        in_bucket = self.bucket(bucket)
        if fields.acl is not None:
            check_not_uniform(in_bucket, "insert")
            check_not_public(in_bucket, fields.acl)
        check_encryption(in_bucket, fields.key_hash)
        replaced = self._live(bucket, name)
        if replaced is not None:
            self._check_removable(replaced)
        self._quota.take(bucket, name, now)
        stored = StoredObject(
            bucket=bucket,
            name=name,
            generation=self._catalog.next_generation(now),
            metageneration=1,
            size=content.size,
            # A composed object has a type only if the caller gives one.
            content_type=fields.content_type or (_DEFAULT_CONTENT_TYPE if component_count is None else ""),
            crc32c=content.crc32c,
            md5=(content.md5 or None) if component_count is None else None,
            created=now,
            updated=now,
            content=content.id,
            metadata=dict(fields.metadata),
            headers=dict(fields.headers),
            storage_class=fields.storage_class or self._default_storage_class(bucket),
            component_count=component_count,
            custom_time=fields.custom_time,
            key_hash=fields.key_hash,
            acl=with_owner(default_acl_of_objects(in_bucket) if fields.acl is None else fields.acl, self._owner),
            owner=self._owner,
            event_based_hold=True if in_bucket.settings.get("defaultEventBasedHold") else None,
        )
        stored = with_holds(in_bucket, stored, fields.protection, now)
        stored = replace(stored, retained_until=retention_end(in_bucket, stored))
        kept = self._past.kept(replaced, now) if replaced is not None else None
        self._catalog.put_object(stored, past=kept)
        self._events.add(StorageEvent(FINALIZED, stored))
        if replaced is not None:
            # A replaced generation has an event, too: https://cloud.google.com/storage/docs/pubsub-notifications#events
            self._past.finish(replaced, kept, now)
        return stored

    def _remove(self, stored: StoredObject, *, for_good: bool = False) -> None:
        """Remove a live object, under the lock."""
        now = self._clock.now()
        kept = self._past.kept(stored, now, for_good=for_good)
        self._catalog.remove_object(stored, past=kept)
        self._past.finish(stored, kept, now)

    def _check_removable(self, stored: StoredObject, *, for_good: bool = False) -> None:
        archived = keeps_versions(self.bucket(stored.bucket)) and not for_good
        check_removable(stored, self._clock.now(), archived=archived)
