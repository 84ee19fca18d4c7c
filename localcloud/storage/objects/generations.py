"""What a generation of an object has: when it is made, and when its fields change."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from localcloud.storage.objects.contents import Content
from localcloud.storage.rules.access import (
    check_not_public,
    check_not_uniform,
    default_acl_of_objects,
    with_owner,
)
from localcloud.storage.rules.errors import InvalidRequest
from localcloud.storage.rules.fields import ObjectFields
from localcloud.storage.rules.resources import Bucket, StoredObject
from localcloud.storage.rules.retention import retention_end, with_holds

DEFAULT_CONTENT_TYPE = "application/octet-stream"


def check_fields_fit(bucket: Bucket, fields: ObjectFields, verb: str) -> None:
    """Raise ``InvalidRequest`` or ``PreconditionFailed`` if objects of ``bucket`` cannot have the list in ``fields``.

    ``verb`` is what the caller wants to do.
    """
    if fields.acl is not None:
        check_not_uniform(bucket, verb)
        check_not_public(bucket, fields.acl)


def check_storage_class(stored: StoredObject, fields: ObjectFields) -> None:
    """Raise ``InvalidRequest`` if ``fields`` have another storage class, which only a rewrite can change."""
    if fields.storage_class not in (None, stored.storage_class):
        raise InvalidRequest(
            f"The storage class of an object cannot be changed from {stored.storage_class} to {fields.storage_class};"
            " rewrite the object."
        )


def new_generation(
    bucket: Bucket,
    name: str,
    content: Content,
    fields: ObjectFields,
    component_count: int | None,
    generation: int,
    now: datetime,
    owner: str,
) -> StoredObject:
    """Return a new generation of an object in ``bucket``.

    Args:
        bucket: The bucket, which has the defaults.
        name: The name of the object.
        content: Its bytes.
        fields: What the caller sets.
        component_count: The number of components of a composed object, ``None`` for others.
        generation: The number of the generation.
        now: The time of creation.
        owner: The entity that owns the object.

    Raises:
        InvalidRequest: The bucket does not allow a retention of single objects.
    """
    composed = component_count is not None
    stored = StoredObject(
        bucket=bucket.name,
        name=name,
        generation=generation,
        metageneration=1,
        size=content.size,
        # A composed object has a type only if the caller gives one.
        content_type=fields.content_type or ("" if composed else DEFAULT_CONTENT_TYPE),
        crc32c=content.crc32c,
        md5=None if composed else content.md5 or None,
        created=now,
        updated=now,
        content=content.id,
        metadata=dict(fields.metadata),
        headers=dict(fields.headers),
        storage_class=fields.storage_class or bucket.settings.get("storageClass", "STANDARD"),
        component_count=component_count,
        custom_time=fields.custom_time,
        key_hash=fields.key_hash,
        acl=with_owner(default_acl_of_objects(bucket) if fields.acl is None else fields.acl, owner),
        owner=owner,
        event_based_hold=True if bucket.settings.get("defaultEventBasedHold") else None,
    )
    stored = with_holds(bucket, stored, fields.protection, now)
    return replace(stored, retained_until=retention_end(bucket, stored))


def with_fields(
    bucket: Bucket,
    stored: StoredObject,
    fields: ObjectFields,
    now: datetime,
    owner: str,
    *,
    override_retention: bool = False,
) -> StoredObject:
    """Return ``stored``, an object of ``bucket``, with changed ``fields`` and the next metageneration.

    ``owner`` owns the object if nobody does; ``override_retention`` allows to weaken a retention that is not locked.
    Raises ``InvalidRequest`` or ``Forbidden``.
    """
    changed = with_holds(bucket, stored, fields.protection, now, override=override_retention)
    return replace(
        changed,
        content_type=fields.content_type or DEFAULT_CONTENT_TYPE,
        metadata=dict(fields.metadata),
        headers=dict(fields.headers),
        custom_time=fields.custom_time,
        metageneration=stored.metageneration + 1,
        updated=now,
        acl=stored.acl if fields.acl is None else with_owner(fields.acl, stored.owner or owner),
        retained_until=retention_end(bucket, changed),
    )
