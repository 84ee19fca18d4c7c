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
METADATA_UPDATED = "google.cloud.storage.object.v1.metadataUpdated"

# Links in events are those of Google; links in answers lead to this service.
_SELF_LINKS = "https://www.googleapis.com"
_MEDIA_LINKS = "https://storage.googleapis.com"
# Buckets show the number of their project; nothing here depends on it.
PROJECT_NUMBER = "100000000001"

# https://cloud.google.com/storage/docs/locations
_LOCATION_TYPES = {
    **dict.fromkeys(("US", "EU", "ASIA"), "multi-region"),
    **dict.fromkeys(("ASIA1", "EUR4", "EUR5", "EUR7", "EUR8", "NAM4"), "dual-region"),
}


@dataclass(frozen=True)
class Bucket:
    """A bucket; ``settings`` are the fields of its resource that a caller may set."""

    name: str
    location: str
    metageneration: int
    created: datetime
    updated: datetime
    generation: int
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def etag(self) -> str:
        """The entity tag of generation and metageneration."""
        return _etag(self.generation, self.metageneration)

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
            # Uniform access means that there are no access control lists.
            "iamConfiguration": {
                "bucketPolicyOnly": {"enabled": True},
                "uniformBucketLevelAccess": {"enabled": True},
                "publicAccessPrevention": "inherited",
            },
            **self.settings,
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
    ``content`` is the name of the file with its bytes, empty if there are none.
    """

    bucket: str
    name: str
    generation: int
    metageneration: int
    size: int
    content_type: str
    crc32c: str
    md5: str | None
    created: datetime
    updated: datetime
    content: str
    metadata: Mapping[str, str] = field(default_factory=dict, hash=False)
    headers: Mapping[str, str] = field(default_factory=dict, hash=False)
    storage_class: str = "STANDARD"
    component_count: int | None = None
    custom_time: str | None = None
    deleted: datetime | None = None

    @cached_property
    def etag(self) -> str:
        """The entity tag of generation and metageneration."""
        return _etag(self.generation, self.metageneration)

    def resource(self, host: str | None = None) -> dict[str, Any]:
        """Return the resource in the JSON API, with links to ``host`` or else to Google."""
        resource = {
            **self._resource_without_links,
            "selfLink": f"{host or _SELF_LINKS}/storage/v1/{self._path}",
            "mediaLink": f"{host or _MEDIA_LINKS}/download/storage/v1/{self._path}"
            f"?generation={self.generation}&alt=media",
        }
        if self.metadata:
            resource["metadata"] = dict(self.metadata)
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
            "timeDeleted": rfc3339(self.deleted) if self.deleted else None,
        }
        return {
            "kind": "storage#object",
            "id": f"{self.bucket}/{self.name}/{self.generation}",
            "name": self.name,
            "bucket": self.bucket,
            "generation": str(self.generation),
            "metageneration": str(self.metageneration),
            "contentType": self.content_type,
            "storageClass": self.storage_class,
            "size": str(self.size),
            "crc32c": self.crc32c,
            "etag": self.etag,
            "timeCreated": created,
            "updated": created if self.updated == self.created else rfc3339(self.updated),
            "timeStorageClassUpdated": created,
            "timeFinalized": created,
            **self.headers,
            **{name: value for name, value in optional.items() if value is not None},
        }

    def record(self) -> str:
        """Return the object as text for ``from_record``."""
        return json.dumps(
            {
                **{name: getattr(self, name) for name in self.__dataclass_fields__},
                "created": self.created.isoformat(),
                "updated": self.updated.isoformat(),
            }
        )

    @classmethod
    def from_record(cls, record: str) -> StoredObject:
        """Return the object of a record."""
        return cls(**_with_moments(json.loads(record)))


@dataclass(frozen=True)
class StorageEvent:
    """A change of an object; its resource is the data of the CloudEvent.

    ``type`` is one of ``FINALIZED``, ``DELETED`` and ``METADATA_UPDATED``.
    Types: https://cloud.google.com/eventarc/docs/reference/supported-events#cloud-storage
    """

    type: str
    stored: StoredObject


def _with_moments(record: dict[str, Any]) -> dict[str, Any]:
    moments = {name: datetime.fromisoformat(record[name]) for name in ("created", "updated")}
    return {**record, **moments}


def _etag(generation: int, metageneration: int) -> str:
    return base64.b64encode(generation.to_bytes(8, "big") + metageneration.to_bytes(4, "big")).decode()
