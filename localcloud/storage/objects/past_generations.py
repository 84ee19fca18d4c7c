"""The generations that are no longer live: noncurrent ones of a bucket with versioning, and soft-deleted ones.

Sources: https://cloud.google.com/storage/docs/object-versioning and https://cloud.google.com/storage/docs/soft-delete
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from sortedcontainers import SortedDict

from localcloud.storage.objects.catalog import Catalog
from localcloud.storage.objects.contents import ContentDirectory
from localcloud.storage.objects.events import EventQueue
from localcloud.storage.objects.listing import key_of_generation
from localcloud.storage.rules.errors import NotFound
from localcloud.storage.rules.resources import ARCHIVED, DELETED, StorageEvent, StoredObject
from localcloud.storage.rules.retention import keeps_versions, soft_delete_period


class PastGenerations:
    """Keeps, shows and removes past generations. Every method is called under the lock of the store."""

    def __init__(self, catalog: Catalog, contents: ContentDirectory, events: EventQueue) -> None:
        """Use the catalog, contents and events of a store."""
        self._catalog = catalog
        self._contents = contents
        self._events = events

    def kept(self, stored: StoredObject, now: datetime, *, for_good: bool = False) -> StoredObject | None:
        """Return what remains of a generation that stops being live; ``None`` if nothing does.

        Args:
            stored: The generation.
            now: The current time.
            for_good: Delete it even in a bucket that keeps noncurrent generations.
        """
        past = replace(stored, deleted=now)
        if keeps_versions(self._catalog.buckets[stored.bucket]) and not for_good:
            return past
        period = soft_delete_period(self._catalog.buckets[stored.bucket])
        return replace(past, soft_deleted=now, hard_deleted=now + period) if period else None

    def finish(
        self, stored: StoredObject, kept: StoredObject | None, now: datetime, *, overwritten_by: int | None = None
    ) -> None:
        """Add the event of a generation that stopped being live, and remove its content unless it is ``kept``.

        ``overwritten_by`` is the generation that replaced it, if one did.
        """
        archived = kept is not None and kept.soft_deleted is None
        past = replace(stored, deleted=now)
        self._events.add(StorageEvent(ARCHIVED if archived else DELETED, past, overwritten_by=overwritten_by))
        if kept is None:
            self._contents.remove(stored.content)
        self.remove_ended(now)

    def delete(self, stored: StoredObject, now: datetime) -> None:
        """Delete a noncurrent generation."""
        kept = self.kept(stored, now, for_good=True)
        if kept is None:
            self._catalog.remove_past(stored)
        else:
            self._catalog.put_past(replace(kept, deleted=stored.deleted))
        self.finish(stored, kept, now)

    def update(self, stored: StoredObject) -> None:
        """Store changed fields of a noncurrent generation."""
        self._catalog.put_past(stored)

    def noncurrent(self, bucket: str, name: str, generation: int) -> StoredObject | None:
        """Return a noncurrent generation, or ``None``."""
        found: StoredObject | None = self._catalog.past(bucket).get((name, generation))
        return found if found is not None and found.soft_deleted is None else None

    def soft_deleted(self, bucket: str, name: str, generation: int, now: datetime) -> StoredObject:
        """Return a generation that can be restored. Raises ``NotFound``."""
        self.remove_ended(now)
        found: StoredObject | None = self._catalog.past(bucket).get((name, generation))
        if found is None or found.soft_deleted is None:
            raise NotFound(f"No such object: {bucket}/{name}#{generation} is not soft-deleted")
        return found

    def all_of(self, bucket: str, now: datetime, *, soft_deleted: bool) -> SortedDict:
        """Return the soft-deleted generations of a bucket, or all others with the live ones, sorted for a list."""
        self.remove_ended(now)
        past = [
            found for found in self._catalog.past(bucket).values() if (found.soft_deleted is not None) is soft_deleted
        ]
        live = [] if soft_deleted else self._catalog.objects(bucket).values()
        return SortedDict((key_of_generation(found), found) for found in (*live, *past))

    def has_noncurrent(self, bucket: str) -> bool:
        """Return whether a bucket has noncurrent generations."""
        return any(found.soft_deleted is None for found in self._catalog.past(bucket).values())

    def remove_all(self, bucket: str) -> None:
        """Remove the soft-deleted generations of a bucket that is deleted."""
        for found in list(self._catalog.past(bucket).values()):
            self._remove(found)

    def remove_ended(self, now: datetime) -> None:
        """Remove the generations that can no longer be restored at ``now``."""
        for found in self._catalog.ended(now):
            self._remove(found)

    def _remove(self, stored: StoredObject) -> None:
        self._catalog.remove_past(stored)
        self._contents.remove(stored.content)
