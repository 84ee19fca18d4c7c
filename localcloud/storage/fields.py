"""What a writer decides about an object or a bucket, read from the resource in a request's body."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from localcloud.storage.errors import InvalidRequest

# The optional fields of an object that its downloads have as headers.
HEADER_OF_FIELD = {
    "cacheControl": "cache-control",
    "contentDisposition": "content-disposition",
    "contentEncoding": "content-encoding",
    "contentLanguage": "content-language",
}
STORAGE_CLASSES = ("STANDARD", "NEARLINE", "COLDLINE", "ARCHIVE", "MULTI_REGIONAL", "REGIONAL")
# Metadata is counted by the bytes of its keys and values: https://cloud.google.com/storage/quotas#objects
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
    """The fields of an object that a writer may set."""

    content_type: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    storage_class: str | None = None
    custom_time: str | None = None

    @classmethod
    def from_resource(cls, resource: Mapping[str, Any]) -> ObjectFields:
        """Read an object resource. Raises ``InvalidRequest`` if a field has the wrong type."""
        return cls().patched(resource)

    def patched(self, resource: Mapping[str, Any]) -> ObjectFields:
        """Return these fields with those of ``resource`` over them; ``null`` takes a field or a metadata key away.

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
            patched = replace(patched, custom_time=_text(resource, "customTime") or None)
        if resource.get("storageClass"):
            patched = replace(patched, storage_class=_storage_class(resource))
        if "metadata" in resource:
            patched = replace(patched, metadata=_patched_metadata(self.metadata, resource["metadata"]))
        return patched

    def over_type(self, content_type: str) -> ObjectFields:
        """Return these fields, with ``content_type`` if they have none."""
        return self if self.content_type else replace(self, content_type=content_type)

    def __bool__(self) -> bool:
        """Whether anything is set."""
        return self != ObjectFields()


def patched_settings(settings: Mapping[str, Any], resource: Mapping[str, Any]) -> dict[str, Any]:
    """Return a bucket's ``settings`` with those of ``resource`` over them.

    ``null`` takes a setting away; labels are merged key by key. Raises ``InvalidRequest`` if one has the wrong type.
    """
    patched = dict(settings)
    for name, kind in BUCKET_SETTINGS.items():
        if name not in resource:
            continue
        value = resource[name]
        if value is None:
            patched.pop(name, None)
        elif not isinstance(value, kind):
            raise InvalidRequest(f"Invalid value for field {name}")
        elif name == "labels":
            labels = {**settings.get("labels", {}), **value}
            patched["labels"] = {key: text for key, text in labels.items() if text is not None}
        else:
            patched[name] = value
    return {name: value for name, value in patched.items() if name != "labels" or value}


def _text(resource: Mapping[str, Any], name: str) -> str:
    value = resource[name]
    if value is None:
        return ""
    if not isinstance(value, str) or not value.isprintable():
        raise InvalidRequest(f"Invalid value for field {name}")
    return value


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
