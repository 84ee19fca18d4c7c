"""Buckets and the rules for their changes."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from localcloud.base.clock import Clock
from localcloud.storage.objects.catalog import Catalog
from localcloud.storage.objects.past_generations import PastGenerations
from localcloud.storage.rules.access import NO_LISTS, BucketLists, with_lock_of_uniform_access
from localcloud.storage.rules.bucket_settings import check_fit, check_unchangeable, patched_settings
from localcloud.storage.rules.customer_keys import with_enforcement
from localcloud.storage.rules.errors import Conflict, NotFound
from localcloud.storage.rules.naming import check_bucket_name, check_location
from localcloud.storage.rules.preconditions import NO_PRECONDITIONS, Preconditions
from localcloud.storage.rules.resources import Acl, Bucket
from localcloud.storage.rules.retention import locked, retention_end, with_policies


class BucketStore:
    """Buckets, kept in a catalog. Every method may be called from any thread."""

    def __init__(self, catalog: Catalog, past: PastGenerations, clock: Clock) -> None:
        """Use the catalog and the past generations of a store."""
        self._catalog = catalog
        self._past = past
        self._clock = clock
        self._lock = threading.RLock()
        self._last_notification = 0

    def create_bucket(
        self,
        name: str,
        *,
        location: str = "US",
        settings: Mapping[str, Any] | None = None,
        object_retention: bool = False,
        lists: BucketLists = NO_LISTS,
    ) -> Bucket:
        """Create a bucket.

        Args:
            name: The name.
            location: A region, dual-region or multi-region.
            settings: The fields of the resource that a caller may set.
            object_retention: Whether single objects may have a retention.
            lists: The access control lists that the caller gives.

        Raises:
            Conflict: The bucket exists.
            InvalidRequest: The name, the location or a setting is not valid.
        """
        check_bucket_name(name)
        check_location(location)
        with self._lock:
            if name in self._catalog.buckets:
                raise Conflict("Your previous request to create the named bucket succeeded and you already own it.")
            now = self._clock.now()
            wanted = with_enforcement(patched_settings({}, settings or {}), {}, now)
            wanted = with_lock_of_uniform_access(wanted, {}, now)
            bucket = Bucket(
                name=name,
                location=location.upper(),
                metageneration=1,
                created=now,
                updated=now,
                generation=self._catalog.next_generation(now),
                settings=with_policies(
                    wanted, {"objectRetention": {"mode": "Enabled"}} if object_retention else {}, now
                ),
            )
            check_unchangeable(bucket, settings or {})
            check_fit(bucket)
            bucket = lists.given_to(bucket)
            self._catalog.put_bucket(bucket)
            return bucket

    def ensure_bucket(self, name: str, *, location: str = "US", settings: Mapping[str, Any] | None = None) -> Bucket:
        """Return the bucket of that name; create it if it is missing."""
        with self._lock:
            if name in self._catalog.buckets:
                return self.bucket(name)
            return self.create_bucket(name, location=location, settings=settings)

    def bucket(self, name: str) -> Bucket:
        """Return a bucket. Raises ``NotFound``."""
        with self._lock:
            if name not in self._catalog.buckets:
                raise NotFound("The specified bucket does not exist.")
            bucket: Bucket = self._catalog.buckets[name]
            return bucket

    def has_bucket(self, name: str) -> bool:
        """Return whether a bucket of that name exists."""
        with self._lock:
            return name in self._catalog.buckets

    def buckets(self, prefix: str = "") -> list[Bucket]:
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
        lists: BucketLists = NO_LISTS,
    ) -> Bucket:
        """Change settings of a bucket, or replace all of them (``replace_all``), and its access control lists.

        Raises ``NotFound``, ``InvalidRequest``, ``PreconditionFailed`` or ``Forbidden``.
        """
        with self._lock:
            bucket = self.bucket(name)
            conditions.check_write(bucket)
            check_unchangeable(bucket, settings)
            now = self._clock.now()
            wanted = patched_settings({} if replace_all else bucket.settings, settings)
            wanted = with_enforcement(wanted, bucket.settings, now)
            wanted = with_lock_of_uniform_access(wanted, bucket.settings, now)
            return self._change_bucket(bucket, with_policies(wanted, bucket.settings, now), lists)

    def lock_retention(self, name: str, conditions: Preconditions) -> Bucket:
        """Lock the retention policy of a bucket, so that it can only be made longer.

        Raises ``NotFound``, ``InvalidRequest`` or ``PreconditionFailed``.
        """
        with self._lock:
            bucket = self.bucket(name)
            conditions.check_write(bucket)
            return self._change_bucket(bucket, locked(bucket))

    def set_access(
        self,
        name: str,
        *,
        acl: Acl | None = None,
        default_object_acl: Acl | None = None,
        policy: Mapping[str, Any] | None = None,
    ) -> Bucket:
        """Replace the access control lists or the policy of a bucket. Raises ``NotFound`` or ``PreconditionFailed``."""
        with self._lock:
            bucket = BucketLists(acl, default_object_acl).given_to(self.bucket(name))
            changed = replace(
                bucket,
                policy=bucket.policy if policy is None else policy,
                metageneration=bucket.metageneration + 1,
                updated=self._clock.now(),
            )
            self._catalog.put_bucket(changed)
            return changed

    def add_notification(self, name: str, configuration: Mapping[str, Any]) -> str:
        """Add a notification configuration to a bucket, and return its id. Raises ``NotFound``."""
        with self._lock:
            bucket = self.bucket(name)
            # The id of one that was deleted is not used again.
            self._last_notification = max([self._last_notification, *map(int, bucket.notifications)]) + 1
            added = {**bucket.notifications, str(self._last_notification): configuration}
            self._catalog.put_bucket(replace(bucket, notifications=added))
            return str(self._last_notification)

    def remove_notification(self, name: str, notification: str) -> None:
        """Remove a notification configuration of a bucket. Raises ``NotFound`` if there is no such bucket."""
        with self._lock:
            bucket = self.bucket(name)
            left = {key: kept for key, kept in bucket.notifications.items() if key != notification}
            self._catalog.put_bucket(replace(bucket, notifications=left))

    def _change_bucket(self, bucket: Bucket, settings: Mapping[str, Any], lists: BucketLists = NO_LISTS) -> Bucket:
        changed = replace(
            bucket, settings=settings, metageneration=bucket.metageneration + 1, updated=self._clock.now()
        )
        if bucket.settings.get("rpo") != settings.get("rpo"):
            check_fit(changed)
        changed = lists.given_to(changed)
        self._catalog.put_bucket(changed)
        if bucket.settings.get("retentionPolicy") != settings.get("retentionPolicy"):
            # A policy applies to the objects that exist, too.
            for stored in list(self._catalog.objects(bucket.name).values()):
                self._catalog.put_object(replace(stored, retained_until=retention_end(changed, stored)))
            for stored in list(self._catalog.past(bucket.name).values()):
                self._catalog.put_past(replace(stored, retained_until=retention_end(changed, stored)))
        return changed

    def delete_bucket(self, name: str, conditions: Preconditions = NO_PRECONDITIONS) -> None:
        """Delete a bucket. Raises ``NotFound``, or ``Conflict`` if objects are in it."""
        with self._lock:
            conditions.check_write(self.bucket(name))
            if self._catalog.objects(name) or self._past.has_noncurrent(name):
                raise Conflict("The bucket you tried to delete is not empty.")
            self._past.remove_all(name)
            self._catalog.remove_bucket(name)
