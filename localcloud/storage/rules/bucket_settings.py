"""The fields of a bucket that a caller may set: their types, and how a request changes them.

Fields: https://cloud.google.com/storage/docs/json_api/v1/buckets
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from localcloud.storage.rules.errors import InvalidRequest
from localcloud.storage.rules.lifecycle import check_rules
from localcloud.storage.rules.resources import Bucket
from localcloud.storage.rules.unsupported import check_settings

STORAGE_CLASSES = (
    "STANDARD",
    "NEARLINE",
    "COLDLINE",
    "ARCHIVE",
    "MULTI_REGIONAL",
    "REGIONAL",
    "DURABLE_REDUCED_AVAILABILITY",
)

# https://cloud.google.com/storage/docs/cors-configurations ("*" means all methods)
_METHODS = ("*", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT")
_ENFORCEMENT = {"restrictionMode": ("NotRestricted", "FullyRestricted"), "effectiveTime": str}
_SWITCH = {"enabled": bool, "lockedTime": str}
_NUMBER = (int, str)
_RANGES = {"allowedIpCidrRanges": [str]}
_CONDITION = {
    **dict.fromkeys(("age", "daysSinceCustomTime", "daysSinceNoncurrentTime", "numNewerVersions"), int),
    **dict.fromkeys(("createdBefore", "customTimeBefore", "noncurrentTimeBefore", "matchesPattern"), str),
    **{name: [str] for name in ("matchesPrefix", "matchesSuffix", "matchesStorageClass")},
    "isLive": bool,
}

# The type of each field: a class, a tuple of the allowed texts or classes, a list with the type of its members, or the
# fields of an object. Fields that are not here are left out, as Cloud Storage does with unknown fields.
BUCKET_SETTINGS: Mapping[str, Any] = {
    "autoclass": {
        "enabled": bool,
        **dict.fromkeys(("terminalStorageClass", "terminalStorageClassUpdateTime", "toggleTime"), str),
    },
    "billing": {"requesterPays": bool},
    "cors": [{"maxAgeSeconds": int, "method": [_METHODS], "origin": [str], "responseHeader": [str]}],
    "customPlacementConfig": {"dataLocations": [str]},
    "defaultEventBasedHold": bool,
    "encryption": {
        "defaultKmsKeyName": str,
        "googleManagedEncryptionEnforcementConfig": _ENFORCEMENT,
        "customerManagedEncryptionEnforcementConfig": _ENFORCEMENT,
        "customerSuppliedEncryptionEnforcementConfig": _ENFORCEMENT,
    },
    "hierarchicalNamespace": {"enabled": bool},
    "iamConfiguration": {
        "bucketPolicyOnly": _SWITCH,
        "uniformBucketLevelAccess": _SWITCH,
        "publicAccessPrevention": ("inherited", "enforced", "unspecified"),
    },
    "ipFilter": {
        "mode": ("Enabled", "Disabled"),
        "allowAllServiceAgentAccess": bool,
        "allowCrossOrgVpcs": bool,
        "publicNetworkSource": _RANGES,
        "vpcNetworkSources": [{"network": str, **_RANGES}],
    },
    "labels": str,
    "lifecycle": {
        "rule": [
            {
                "action": {
                    "type": ("Delete", "SetStorageClass", "AbortIncompleteMultipartUpload"),
                    "storageClass": STORAGE_CLASSES,
                },
                "condition": _CONDITION,
            }
        ]
    },
    "logging": {"logBucket": str, "logObjectPrefix": str},
    "retentionPolicy": {"retentionPeriod": _NUMBER, "effectiveTime": str, "isLocked": bool},
    "rpo": ("DEFAULT", "ASYNC_TURBO"),
    "softDeletePolicy": {
        "retentionDurationSeconds": _NUMBER,
        "effectiveTime": str,
        "hardDeletePause": {"enabled": bool, "effectiveTime": str},
    },
    "storageClass": STORAGE_CLASSES,
    "versioning": {"enabled": bool},
    "website": {"mainPageSuffix": str, "notFoundPage": str},
}

_LOCATION_TYPES_OF_RPO = {"DEFAULT": ("dual-region", "multi-region"), "ASYNC_TURBO": ("dual-region",)}

# Objects that would mean more without one of their fields: a rule would apply to objects that its caller excludes.
_WHOLE = frozenset({"lifecycle.rule[].condition"})

# https://cloud.google.com/storage/docs/tags-and-labels#bucket-labels
_MOST_LABELS = 64
_LABEL_VALUE = re.compile(r"[\w-]{0,63}")


def check_unchangeable(bucket: Bucket, resource: Mapping[str, Any]) -> None:
    """Raise ``InvalidRequest`` if a request would change what a bucket has for its whole life."""
    for name, present in (("name", bucket.name), ("location", bucket.location)):
        wanted = resource.get(name) or present
        if not isinstance(wanted, str) or wanted.upper() != present.upper():
            raise InvalidRequest(f"The {name} of a bucket cannot be changed from {present} to {wanted}.")
    if resource.get("objectRetention") not in (None, bucket.settings.get("objectRetention")):
        raise InvalidRequest(
            "objectRetention is set by the parameter enableObjectRetention when the bucket is created, and not changed later."
        )


def check_fit(bucket: Bucket) -> None:
    """Raise ``InvalidRequest`` if a bucket has a setting that its location does not have.

    Source: https://cloud.google.com/storage/docs/availability-durability#cross-region-redundancy
    """
    rpo = bucket.settings.get("rpo")
    if rpo is not None and bucket.location_type not in _LOCATION_TYPES_OF_RPO[rpo]:
        allowed = " or a ".join(_LOCATION_TYPES_OF_RPO[rpo])
        raise InvalidRequest(
            f"Invalid value for field rpo: {rpo} is for buckets in a {allowed}; {bucket.location} is a"
            f" {bucket.location_type}."
        )


def patched_settings(settings: Mapping[str, Any], resource: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ``settings`` of a bucket, updated from ``resource``.

    Objects are merged key by key, and ``null`` removes a key.

    Raises:
        InvalidRequest: A field has the wrong type, or a value that it cannot have.
        NotImplementedHere: The local cloud does not carry out a field.
    """
    changes = {name: value for name, value in resource.items() if name in BUCKET_SETTINGS}
    for name, value in changes.items():
        if value is not None and isinstance(BUCKET_SETTINGS[name], dict) and not isinstance(value, dict):
            raise InvalidRequest(f"Invalid value for field {name}: an object is expected")
    check_settings(changes)
    if changes.get("iamConfiguration"):
        changes["iamConfiguration"] = _with_present_name(changes["iamConfiguration"])
    merged = _merged(
        settings,
        {
            name: _labels(value) if name == "labels" else _checked(value, BUCKET_SETTINGS[name], name)
            for name, value in changes.items()
        },
    )
    check_rules(merged)
    if len(merged.get("labels", {})) > _MOST_LABELS:
        raise InvalidRequest(f"A bucket can have at most {_MOST_LABELS} labels, not {len(merged['labels'])}.")
    return merged


def _with_present_name(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``iamConfiguration`` with ``bucketPolicyOnly`` as ``uniformBucketLevelAccess``, which takes precedence.

    Source: https://cloud.google.com/storage/docs/uniform-bucket-level-access
    """
    renamed = dict(configuration)
    former = renamed.pop("bucketPolicyOnly", None)
    return renamed if former is None else {"uniformBucketLevelAccess": former, **renamed}


def _checked(value: Any, expected: Any, path: str) -> Any:
    """Return ``value`` with its known fields. Raises ``InvalidRequest`` if it does not have the ``expected`` type."""
    if value is None:
        return None
    if isinstance(expected, dict):
        if not isinstance(value, dict):
            raise InvalidRequest(f"Invalid value for field {path}: an object is expected")
        if path in _WHOLE and not value.keys() <= expected.keys():
            raise InvalidRequest(f"Unknown field in {path}: {', '.join(sorted(value.keys() - expected.keys()))}")
        return {
            name: _checked(value[name], inner, f"{path}.{name}") for name, inner in expected.items() if name in value
        }
    if isinstance(expected, list):
        if not isinstance(value, list):
            raise InvalidRequest(f"Invalid value for field {path}: a list is expected")
        return [_checked(member, expected[0], f"{path}[]") for member in value]
    if isinstance(expected, tuple) and isinstance(expected[0], str):
        allowed = {text.upper(): text for text in expected}
        if not isinstance(value, str) or value.upper() not in allowed:
            raise InvalidRequest(f"Invalid value for field {path}: {value!r} is not one of {', '.join(expected)}")
        return allowed[value.upper()]
    if not isinstance(value, expected) or (isinstance(value, bool) and expected is not bool):
        raise InvalidRequest(f"Invalid value for field {path}: {value!r} has the wrong type")
    return value


def _labels(labels: object) -> dict[str, str | None] | None:
    """Return the changes of labels. Raises ``InvalidRequest``."""
    if labels is None:
        return None
    if not isinstance(labels, dict):
        raise InvalidRequest("Invalid value for field labels: an object is expected")
    for key, value in labels.items():
        if not key or not _LABEL_VALUE.fullmatch(key) or key != key.lower() or not key[0].isalpha():
            raise InvalidRequest(
                f"Invalid label key {key!r}: a lower-case letter and up to 62 lower-case letters, digits, _ and - are"
                " expected"
            )
        if value is not None and (
            not isinstance(value, str) or not _LABEL_VALUE.fullmatch(value) or value != value.lower()
        ):
            raise InvalidRequest(
                f"Invalid value of label {key}: up to 63 lower-case letters, digits, _ and - are expected"
            )
    return labels


def _merged(settings: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(settings)
    for name, change in changes.items():
        if isinstance(change, dict):
            merged[name] = _merged(merged.get(name) or {}, change)
        else:
            merged[name] = change
    return {name: value for name, value in merged.items() if value not in (None, {})}
