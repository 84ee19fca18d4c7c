"""Buckets and objects, and their resources in the JSON API.

Fields: https://cloud.google.com/storage/docs/json_api/v1/objects and https://cloud.google.com/storage/docs/json_api/v1/buckets
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any
from urllib.parse import quote

from localcloud.base.clock import rfc3339

FINALIZED = "google.cloud.storage.object.v1.finalized"
DELETED = "google.cloud.storage.object.v1.deleted"
ARCHIVED = "google.cloud.storage.object.v1.archived"
METADATA_UPDATED = "google.cloud.storage.object.v1.metadataUpdated"

# Links in events are those of Google; links in answers lead to this service.
_SELF_LINKS = "https://www.googleapis.com"
_MEDIA_LINKS = "https://storage.googleapis.com"
# Buckets show the number of their project; nothing here depends on it.
PROJECT_NUMBER = "100000000001"

# The role of each entity in an access control list.
Acl = Mapping[str, str]

# The fields of records that are moments.
_MOMENTS = (
    *("created", "updated", "deleted", "soft_deleted", "hard_deleted", "released", "retained_until"),
    "storage_class_updated",
)

# https://cloud.google.com/storage/docs/locations
_LOCATION_TYPES = {
    **dict.fromkeys(("US", "EU", "ASIA"), "multi-region"),
    **dict.fromkeys(("ASIA1", "EUR4", "EUR5", "EUR7", "EUR8", "NAM4"), "dual-region"),
}


@dataclass(frozen=True)
class Bucket:
    """A bucket; ``settings`` are the fields of its resource that a caller may set.

    ``acl``, ``default_object_acl`` and ``policy`` are ``None`` until a caller sets them (``access.py``).
    """

    name: str
    location: str
    metageneration: int
    created: datetime
    updated: datetime
    generation: int
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)
    acl: Acl | None = field(default=None, hash=False)
    default_object_acl: Acl | None = field(default=None, hash=False)
    policy: Mapping[str, Any] | None = field(default=None, hash=False)
    notifications: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, hash=False)
    """The notification configurations by their ids (``notifications.py``)."""

    @property
    def is_uniform(self) -> bool:
        """Whether uniform bucket-level access is on, so that there are no access control lists."""
        configuration = self.settings.get("iamConfiguration", {})
        access = configuration.get("uniformBucketLevelAccess") or configuration.get("bucketPolicyOnly") or {}
        return access.get("enabled") is True

    @property
    def _uniform_access(self) -> dict[str, Any]:
        """Uniform bucket-level access, with the time until which it can be turned off."""
        access = self.settings.get("iamConfiguration", {}).get("uniformBucketLevelAccess", {})
        locked = {"lockedTime": access["lockedTime"]} if self.is_uniform and "lockedTime" in access else {}
        return {"enabled": self.is_uniform, **locked}

    @property
    def etag(self) -> str:
        """The entity tag of generation and metageneration."""
        return _etag(self.generation, self.metageneration)

    @property
    def public_access_prevention(self) -> str:
        """``inherited`` or ``enforced``."""
        return str(self.settings.get("iamConfiguration", {}).get("publicAccessPrevention", "inherited"))

    @property
    def location_type(self) -> str:
        """``region``, ``dual-region`` or ``multi-region``."""
        return _LOCATION_TYPES.get(self.location, "region")

    def resource(self, host: str | None = None) -> dict[str, Any]:
        """Return the resource in the JSON API, with links to ``host`` or else to Google."""
        return {
            "kind": "storage#bucket",
            "selfLink": f"{host or _SELF_LINKS}/storage/v1/b/{self.name}",
            "id": self.name,
            "name": self.name,
            "projectNumber": PROJECT_NUMBER,
            "generation": str(self.generation),
            "metageneration": str(self.metageneration),
            "location": self.location,
            "locationType": self.location_type,
            "storageClass": "STANDARD",
            "etag": self.etag,
            "timeCreated": rfc3339(self.created),
            "updated": rfc3339(self.updated),
            # https://cloud.google.com/storage/docs/availability-durability#turbo-replication
            **({} if self.location_type == "region" else {"rpo": "DEFAULT"}),
            **self.settings,
            "iamConfiguration": {
                "bucketPolicyOnly": self._uniform_access,
                "uniformBucketLevelAccess": self._uniform_access,
                "publicAccessPrevention": self.public_access_prevention,
            },
        }

    def record(self) -> str:
        """Return the bucket as text for ``from_record``."""
        return json.dumps(
            {**vars(self), "created": self.created.isoformat(), "updated": self.updated.isoformat()},
        )

    @classmethod
    def from_record(cls, record: str) -> Bucket:
        """Return the bucket of a record."""
        return cls(**_with_moments(json.loads(record)))


@dataclass(frozen=True)
class StoredObject:
    """One generation of an object.

    ``headers`` are the optional fields that are also headers of a download, by their names in the resource.
    ``content`` is the name of the file with its bytes, empty if there are none; ``content_type`` may be empty.
    ``deleted`` is when the generation stopped being the live one. If ``soft_deleted`` is set, it can only be restored, until
    ``hard_deleted``. ``retained_until`` is when the bucket's retention policy allows to delete it, and ``retention`` is its
    own retention, by the names in the resource. ``key_hash`` is the hash of its customer-supplied encryption key. ``owner`` is
    the entity of the account that wrote it.
    """

    bucket: str
    name: str
    generation: int
    metageneration: int
    size: int
    content_type: str
    crc32c: str
    created: datetime
    updated: datetime
    content: str
    md5: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict, hash=False)
    headers: Mapping[str, str] = field(default_factory=dict, hash=False)
    storage_class: str = "STANDARD"
    component_count: int | None = None
    custom_time: str | None = None
    deleted: datetime | None = None
    soft_deleted: datetime | None = None
    hard_deleted: datetime | None = None
    temporary_hold: bool | None = None
    event_based_hold: bool | None = None
    released: datetime | None = None
    retained_until: datetime | None = None
    retention: Mapping[str, str] = field(default_factory=dict, hash=False)
    key_hash: str | None = None
    acl: Acl = field(default_factory=dict, hash=False)
    owner: str | None = None
    storage_class_updated: datetime | None = None
    """When a lifecycle rule changed the storage class; ``None`` if none did."""

    @cached_property
    def etag(self) -> str:
        """The entity tag of generation and metageneration."""
        return _etag(self.generation, self.metageneration)

    def resource(self, host: str | None = None, *, without_key: bool = False) -> dict[str, Any]:
        """Return the resource in the JSON API.

        Args:
            host: The host of the links; Google's by default.
            without_key: Whether the caller did not give the encryption key, without which an object that has one shows no
                checksums.
        """
        resource = {
            **self._resource_without_links,
            "selfLink": f"{host or _SELF_LINKS}/storage/v1/{self._path}",
            "mediaLink": f"{host or _MEDIA_LINKS}/download/storage/v1/{self._path}"
            f"?generation={self.generation}&alt=media",
        }
        if self.metadata:
            resource["metadata"] = dict(self.metadata)
        if without_key and self.key_hash:
            resource.pop("md5Hash", None)
            del resource["crc32c"]
        return resource

    @cached_property
    def _path(self) -> str:
        return f"b/{self.bucket}/o/{quote(self.name, safe='')}"

    @cached_property
    def _resource_without_links(self) -> dict[str, Any]:
        """The part of the resource that is the same for every caller, kept since a list needs a thousand at once."""
        created = rfc3339(self.created)
        optional = {
            "md5Hash": self.md5,
            "componentCount": self.component_count,
            "customTime": self.custom_time,
            "timeDeleted": _moment(self.deleted),
            "softDeleteTime": _moment(self.soft_deleted),
            "hardDeleteTime": _moment(self.hard_deleted),
            "temporaryHold": self.temporary_hold,
            "eventBasedHold": self.event_based_hold,
            "retentionExpirationTime": _moment(self.retained_until),
            "retention": dict(self.retention) or None,
            "contentType": self.content_type or None,
            "customerEncryption": {"encryptionAlgorithm": "AES256", "keySha256": self.key_hash}
            if self.key_hash
            else None,
        }
        return {
            "kind": "storage#object",
            "id": f"{self.bucket}/{self.name}/{self.generation}",
            "name": self.name,
            "bucket": self.bucket,
            "generation": str(self.generation),
            "metageneration": str(self.metageneration),
            "storageClass": self.storage_class,
            "size": str(self.size),
            "crc32c": self.crc32c,
            "etag": self.etag,
            "timeCreated": created,
            "updated": created if self.updated == self.created else rfc3339(self.updated),
            "timeStorageClassUpdated": _moment(self.storage_class_updated) or created,
            "timeFinalized": created,
            **self.headers,
            **{name: value for name, value in optional.items() if value is not None},
        }

    def record(self) -> str:
        """Return the object as text for ``from_record``."""
        return json.dumps(
            {
                name: value.isoformat() if isinstance(value, datetime) else value
                for name in self.__dataclass_fields__
                if (value := getattr(self, name)) is not None
            }
        )

    @classmethod
    def from_record(cls, record: str) -> StoredObject:
        """Return the object of a record."""
        return cls(**_with_moments(json.loads(record)))


@dataclass(frozen=True)
class StorageEvent:
    """A change of an object; its resource is the data of the CloudEvent.

    ``type`` is one of ``FINALIZED``, ``DELETED``, ``ARCHIVED`` and ``METADATA_UPDATED``.
    Types: https://cloud.google.com/eventarc/docs/reference/supported-events#cloud-storage
    """

    type: str
    stored: StoredObject
    overwrote: int | None = None
    """The generation that a new one replaced."""
    overwritten_by: int | None = None
    """The generation that replaced this one."""


def _with_moments(record: dict[str, Any]) -> dict[str, Any]:
    moments = {name: datetime.fromisoformat(record[name]) for name in _MOMENTS if name in record}
    return {**record, **moments}


def _moment(moment: datetime | None) -> str | None:
    return rfc3339(moment) if moment else None


def _etag(generation: int, metageneration: int) -> str:
    return base64.b64encode(generation.to_bytes(8, "big") + metageneration.to_bytes(4, "big")).decode()
