"""Buckets and objects, and the rules for their changes: used by the JSON API and by the other local services."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from localcloud.base.clock import Clock
from localcloud.storage.objects.catalog import Catalog
from localcloud.storage.objects.contents import Content, ContentDirectory, ContentWriter
from localcloud.storage.objects.events import EventQueue, Listener
from localcloud.storage.objects.generations import (
    DEFAULT_CONTENT_TYPE,
    check_fields_fit,
    check_storage_class,
    new_generation,
    with_fields,
)
from localcloud.storage.objects.past_generations import PastGenerations
from localcloud.storage.objects.quota import WriteQuota
from localcloud.storage.objects.reading import ReadableStore
from localcloud.storage.rules.access import owner_of_objects
from localcloud.storage.rules.customer_keys import check_encryption
from localcloud.storage.rules.errors import InvalidRequest, NotFound
from localcloud.storage.rules.fields import ObjectFields
from localcloud.storage.rules.lifecycle import due_actions
from localcloud.storage.rules.naming import check_object_name
from localcloud.storage.rules.preconditions import NO_PRECONDITIONS, Preconditions
from localcloud.storage.rules.resources import (
    FINALIZED,
    METADATA_UPDATED,
    Acl,
    Bucket,
    StorageEvent,
    StoredObject,
)
from localcloud.storage.rules.retention import check_removable, is_removable, keeps_versions

_PIECE = 1 << 20


class ObjectStore(ReadableStore):
    """Buckets and their objects, kept in a directory. Every method may be called from any thread.

    Changes are atomic: no caller sees half of one.
    """

    def __init__(self, directory: Path, *, clock: Clock, account: str | None = None) -> None:
        """Open the store in ``directory``, which is created if it is missing; ``account`` owns the objects in it."""
        contents = ContentDirectory(directory / "contents")
        catalog = Catalog(directory / "catalog.sqlite")
        contents.sweep({stored.content for stored in catalog.every_object()})
        self._events = EventQueue()
        super().__init__(catalog, PastGenerations(catalog, contents, self._events), contents, clock)
        self._quota = WriteQuota()
        self._owner = owner_of_objects(account)

    # Writing objects

    def write(
        self,
        bucket: str,
        name: str,
        data: bytes | BinaryIO,
        *,
        content_type: str = DEFAULT_CONTENT_TYPE,
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
            check_storage_class(stored, fields)
            in_bucket = self.bucket(bucket)
            check_fields_fit(in_bucket, fields, "update")
            now = self._clock.now()
            self._quota.take(bucket, name, now)
            changed = with_fields(in_bucket, stored, fields, now, self._owner, override_retention=override_retention)
            self._replace(changed)
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
            self._discard(stored, now, for_good=generation is not None)
        self._events.deliver()

    def apply_lifecycle(self) -> None:
        """Do what the lifecycle rules of all buckets say of their objects now, except where a hold or retention forbids it."""
        for bucket in self.buckets():
            if bucket.settings.get("lifecycle"):
                with self._lock:
                    self._apply_rules(bucket)
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

    def _put(
        self, bucket: str, name: str, content: Content, fields: ObjectFields, component_count: int | None
    ) -> StoredObject:
        """Make a new generation live, under the lock."""
        now = self._clock.now()
        in_bucket = self.bucket(bucket)
        check_fields_fit(in_bucket, fields, "insert")
        check_encryption(in_bucket, fields.key_hash)
        replaced = self._live(bucket, name)
        if replaced is not None:
            self._check_removable(replaced)
        self._quota.take(bucket, name, now)
        generation = self._catalog.next_generation(now)
        stored = new_generation(in_bucket, name, content, fields, component_count, generation, now, self._owner)
        kept = self._past.kept(replaced, now) if replaced is not None else None
        self._catalog.put_object(stored, past=kept)
        overwrote = None if replaced is None else replaced.generation
        self._events.add(StorageEvent(FINALIZED, stored, overwrote=overwrote))
        if replaced is not None:
            # A replaced generation has an event, too: https://cloud.google.com/storage/docs/pubsub-notifications#events
            self._past.finish(replaced, kept, now, overwritten_by=stored.generation)
        return stored

    def _remove(self, stored: StoredObject, *, for_good: bool = False) -> None:
        """Remove a live object, under the lock."""
        now = self._clock.now()
        kept = self._past.kept(stored, now, for_good=for_good)
        self._catalog.remove_object(stored, past=kept)
        self._past.finish(stored, kept, now)

    def _apply_rules(self, bucket: Bucket) -> None:
        """Carry out the lifecycle rules of a bucket, under the lock."""
        if not self.has_bucket(bucket.name):
            return
        now = self._clock.now()
        for due in due_actions(bucket, self._past.all_of(bucket.name, now, soft_deleted=False).values(), now):
            stored = due.stored
            if due.storage_class is not None:
                changed = replace(
                    stored,
                    storage_class=due.storage_class,
                    storage_class_updated=now,
                    updated=now,
                    metageneration=stored.metageneration + 1,
                )
                self._replace(changed)
            elif is_removable(stored, now, archived=stored.deleted is None and keeps_versions(bucket)):
                self._discard(stored, now)

    def _replace(self, changed: StoredObject) -> None:
        """Store changed fields of a generation, live or noncurrent, under the lock."""
        if changed.deleted is None:
            self._catalog.put_object(changed)
        else:
            self._past.update(changed)
        self._events.add(StorageEvent(METADATA_UPDATED, changed))

    def _discard(self, stored: StoredObject, now: datetime, *, for_good: bool = False) -> None:
        """Remove a generation, live or noncurrent, under the lock."""
        if stored.deleted is None:
            self._remove(stored, for_good=for_good)
        else:
            self._past.delete(stored, now)

    def _check_removable(self, stored: StoredObject, *, for_good: bool = False) -> None:
        archived = keeps_versions(self.bucket(stored.bucket)) and not for_good
        check_removable(stored, self._clock.now(), archived=archived)
