"""The fields of objects and buckets that a caller may set, read from the resource in a request's body."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from localcloud.base.clock import rfc3339
from localcloud.storage.errors import InvalidRequest
from localcloud.storage.resources import StoredObject

# The optional fields of an object that are headers of its downloads.
HEADER_OF_FIELD = {
    "cacheControl": "cache-control",
    "contentDisposition": "content-disposition",
    "contentEncoding": "content-encoding",
    "contentLanguage": "content-language",
}
STORAGE_CLASSES = ("STANDARD", "NEARLINE", "COLDLINE", "ARCHIVE", "MULTI_REGIONAL", "REGIONAL")
# The size of metadata is the number of bytes in its keys and values: https://cloud.google.com/storage/quotas#objects
_MOST_METADATA_BYTES = 8192

BUCKET_SETTINGS: Mapping[str, type] = {
    "autoclass": dict,
    "billing": dict,
    "cors": list,
    "customPlacementConfig": dict,
    "defaultEventBasedHold": bool,
    "encryption": dict,
    "hierarchicalNamespace": dict,
    "iamConfiguration": dict,
    "labels": dict,
    "lifecycle": dict,
    "logging": dict,
    "retentionPolicy": dict,
    "rpo": str,
    "softDeletePolicy": dict,
    "storageClass": str,
    "versioning": dict,
    "website": dict,
}


@dataclass(frozen=True)
class ObjectFields:
    """The fields of an object that a caller may set."""

    content_type: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    storage_class: str | None = None
    custom_time: str | None = None

    @classmethod
    def from_resource(cls, resource: Mapping[str, Any]) -> ObjectFields:
        """Read an object resource. Raises ``InvalidRequest`` if a field has the wrong type."""
        return cls().patched(resource)

    @classmethod
    def of(cls, stored: StoredObject) -> ObjectFields:
        """Return the fields of ``stored``."""
        return cls(
            content_type=stored.content_type,
            metadata=stored.metadata,
            headers=stored.headers,
            storage_class=stored.storage_class,
            custom_time=stored.custom_time,
        )

    def patched(self, resource: Mapping[str, Any]) -> ObjectFields:
        """Return these fields, updated from ``resource``; ``null`` removes a field or a metadata key.

        Raises ``InvalidRequest`` if a field has the wrong type.
        """
        headers = dict(self.headers)
        for name in HEADER_OF_FIELD:
            if name in resource:
                headers[name] = _text(resource, name)
        patched = replace(self, headers={name: value for name, value in headers.items() if value})
        if "contentType" in resource:
            patched = replace(patched, content_type=_text(resource, "contentType") or None)
        if "customTime" in resource:
            patched = replace(patched, custom_time=_moment(resource, "customTime"))
        if resource.get("storageClass"):
            patched = replace(patched, storage_class=_storage_class(resource))
        if "metadata" in resource:
            patched = replace(patched, metadata=_patched_metadata(self.metadata, resource["metadata"]))
        return patched

    def over_type(self, content_type: str) -> ObjectFields:
        """Return these fields, with ``content_type`` unless they have one."""
        return self if self.content_type else replace(self, content_type=content_type)

    def __bool__(self) -> bool:
        """Return whether any field is set."""
        return self != ObjectFields()


def patched_settings(settings: Mapping[str, Any], resource: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ``settings`` of a bucket, updated from ``resource``.

    Objects are merged key by key, and ``null`` removes a key. Raises ``InvalidRequest`` if one has the wrong type.
    """
    changes = {name: value for name, value in resource.items() if name in BUCKET_SETTINGS}
    for name, value in changes.items():
        if value is not None and not isinstance(value, BUCKET_SETTINGS[name]):
            raise InvalidRequest(f"Invalid value for field {name}")
    return _merged(settings, changes)


def _merged(settings: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(settings)
    for name, change in changes.items():
        if isinstance(change, dict):
            merged[name] = _merged(merged.get(name) or {}, change)
        else:
            merged[name] = change
    return {name: value for name, value in merged.items() if value not in (None, {})}


def _text(resource: Mapping[str, Any], name: str) -> str:
    value = resource[name]
    if value is None:
        return ""
    if not isinstance(value, str) or not value.isprintable():
        raise InvalidRequest(f"Invalid value for field {name}")
    return value


def _moment(resource: Mapping[str, Any], name: str) -> str | None:
    text = _text(resource, name)
    try:
        return rfc3339(datetime.fromisoformat(text)) if text else None
    except ValueError:
        raise InvalidRequest(f"Invalid value for field {name}: {text!r} is not an RFC 3339 time") from None


def _storage_class(resource: Mapping[str, Any]) -> str:
    value = _text(resource, "storageClass").upper()
    if value not in STORAGE_CLASSES:
        raise InvalidRequest(f"Invalid storage class: {value}")
    return value


def _patched_metadata(metadata: Mapping[str, str], changes: object) -> dict[str, str]:
    if changes is None:
        return {}
    if not isinstance(changes, dict) or not all(value is None or isinstance(value, str) for value in changes.values()):
        raise InvalidRequest("Invalid value for field metadata: keys and values are strings")
    patched = {key: value for key, value in {**metadata, **changes}.items() if value is not None}
    try:
        length = sum(len(key.encode()) + len(value.encode()) for key, value in patched.items())
    except UnicodeEncodeError:
        raise InvalidRequest("Invalid value for field metadata: not valid Unicode") from None
    if length > _MOST_METADATA_BYTES:
        raise InvalidRequest(f"The metadata is {length} bytes long; at most {_MOST_METADATA_BYTES} are allowed.")
    return patched
