"""The fields of objects that a caller may set, read from the resource in a request's body."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from localcloud.base.clock import rfc3339
from localcloud.storage.rules.access import OBJECT_ROLES, PREDEFINED_OBJECT_ACLS, predefined_acl, read_acl
from localcloud.storage.rules.bucket_settings import STORAGE_CLASSES
from localcloud.storage.rules.errors import InvalidRequest
from localcloud.storage.rules.resources import Acl, StoredObject
from localcloud.storage.rules.unsupported import check_fields

# The optional fields of an object that are headers of its downloads.
HEADER_OF_FIELD = {
    "cacheControl": "cache-control",
    "contentDisposition": "content-disposition",
    "contentEncoding": "content-encoding",
    "contentLanguage": "content-language",
}
# The fields that protect an object from being removed.
PROTECTION = ("temporaryHold", "eventBasedHold", "retention")
# The size of metadata is the number of bytes in its keys and values: https://cloud.google.com/storage/quotas#objects
_MOST_METADATA_BYTES = 8192
# https://cloud.google.com/storage/docs/metadata#content-language
_LONGEST_LANGUAGE = 100


@dataclass(frozen=True)
class ObjectFields:
    """The fields of an object that a caller may set."""

    content_type: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    storage_class: str | None = None
    custom_time: str | None = None
    protection: Mapping[str, Any] = field(default_factory=dict)
    """Holds and retention, as in the resource: ``retention.with_holds`` reads them."""
    acl: Acl | None = None
    """The access control list, if the caller gives one; ``of`` does not copy it."""
    key_hash: str | None = None
    """The hash of the customer-supplied encryption key, which is not part of the resource in a request."""

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
            key_hash=stored.key_hash,
        )

    def patched(self, resource: Mapping[str, Any]) -> ObjectFields:
        """Return these fields, updated from ``resource``; ``null`` removes a field or a metadata key.

        Raises ``InvalidRequest`` if a field has the wrong type, ``NotImplementedHere`` if it is not carried out.
        """
        check_fields(resource)
        headers = dict(self.headers)
        for name in HEADER_OF_FIELD:
            if name in resource:
                headers[name] = _text(resource, name)
        if len(headers.get("contentLanguage", "")) > _LONGEST_LANGUAGE:
            raise InvalidRequest(f"Invalid value for field contentLanguage: longer than {_LONGEST_LANGUAGE} characters")
        patched = replace(self, headers={name: value for name, value in headers.items() if value})
        if "contentType" in resource:
            patched = replace(patched, content_type=_text(resource, "contentType") or None)
        if "customTime" in resource:
            patched = replace(patched, custom_time=_custom_time(self.custom_time, resource))
        if resource.get("storageClass"):
            patched = replace(patched, storage_class=_storage_class(resource))
        protection = {name: resource[name] for name in PROTECTION if name in resource}
        if protection:
            patched = replace(patched, protection=protection)
        if resource.get("acl") is not None:
            patched = replace(patched, acl=read_acl(resource["acl"], OBJECT_ROLES))
        if "metadata" in resource:
            patched = replace(patched, metadata=_patched_metadata(self.metadata, resource["metadata"]))
        return patched

    def with_predefined_acl(self, name: str | None, parameter: str = "predefinedAcl") -> ObjectFields:
        """Return these fields with the access control list of that name, if there is a name. Raises ``InvalidRequest``."""
        acl = predefined_acl(name, PREDEFINED_OBJECT_ACLS, parameter)
        return self if acl is None else replace(self, acl=acl)

    def over_type(self, content_type: str) -> ObjectFields:
        """Return these fields, with ``content_type`` unless they have one."""
        return self if self.content_type else replace(self, content_type=content_type)

    def __bool__(self) -> bool:
        """Return whether any field is set."""
        return self != ObjectFields()


def check_place(resource: Mapping[str, Any], bucket: str, name: str | None = None) -> None:
    """Raise ``InvalidRequest`` if a resource says that it is of another bucket or object than the path of its request."""
    for field_name, of_path in (("bucket", bucket), ("name", name)):
        said = resource.get(field_name)
        if None not in (said, of_path) and said != of_path:
            raise InvalidRequest(
                f"Value {said!r} in content does not agree with value {of_path!r}. This can happen when a value set through"
                " a parameter is inconsistent with a value set in the request."
            )


def _text(resource: Mapping[str, Any], name: str) -> str:
    value = resource[name]
    if value is None:
        return ""
    if not isinstance(value, str) or not value.isprintable():
        raise InvalidRequest(f"Invalid value for field {name}")
    return value


def _custom_time(former: str | None, resource: Mapping[str, Any]) -> str | None:
    """Return the custom time to the microsecond. Once set, it cannot be removed or moved to an earlier time.

    Source: https://cloud.google.com/storage/docs/metadata#custom-time
    """
    text = _text(resource, "customTime")
    try:
        moment = datetime.fromisoformat(text) if text else None
    except ValueError:
        moment = None
    if text and (moment is None or moment.tzinfo is None):
        raise InvalidRequest(f"Invalid value for field customTime: {text!r} is not an RFC 3339 time")
    if former is not None and (moment is None or moment < datetime.fromisoformat(former)):
        raise InvalidRequest(f"Custom time cannot be removed or set to an earlier time than {former}.")
    if moment is None or not moment.microsecond % 1000:
        return None if moment is None else rfc3339(moment)
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


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
