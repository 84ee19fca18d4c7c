"""The parts of Cloud Storage that the local cloud does not carry out. It refuses them by name.

docs/storage.md lists them, and a test compares the two.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from localcloud.storage.rules.errors import NotImplementedHere

_BUCKET = "/storage/v1/b/{bucket}"

UNSUPPORTED_RESOURCES: Mapping[str, str] = {
    f"{_BUCKET}/anywhereCaches": "Anywhere Cache",
    f"{_BUCKET}/rapidCaches": "Rapid Cache",
    f"{_BUCKET}/folders": "folders (hierarchical namespace)",
    f"{_BUCKET}/managedFolders": "managed folders",
    f"{_BUCKET}/operations": "long-running operations",
    f"{_BUCKET}/o/{{object}}/iam": "policies of objects",
    "/storage/v1/projects/{project}/hmacKeys": "HMAC keys",
    "/retry_test": "the retry-test API, unless it is started with `--retry-tests`",
    "/retry_tests": "the retry-test API, unless it is started with `--retry-tests`",
}
"""The paths under which all methods are refused, and what they belong to. Lists of what no bucket has are empty."""

UNSUPPORTED_METHODS: Mapping[str, str] = {
    f"POST {_BUCKET}/o": "objects without content (send uploads to /upload/storage/v1)",
    f"POST {_BUCKET}/o/bulkRestore": "bulk restore (restore objects one by one)",
    f"POST {_BUCKET}/o/watch": "object change notification",
    "POST /storage/v1/channels/stop": "object change notification",
    f"GET {_BUCKET}/o/{{object}}/viewFullContext": "object contexts",
    f"POST {_BUCKET}/relocate": "relocation of buckets",
    f"POST {_BUCKET}/restore": "soft deletion of buckets",
}
"""Further methods that are refused, and what they belong to."""

UNSUPPORTED_PARAMETERS: Mapping[str, str] = {
    "destinationKmsKeyName": "Cloud KMS keys",
    "dropContextGroups": "object contexts",
    "filter": "object contexts",
    "kmsKeyName": "Cloud KMS keys",
    "restoreToken": "the hierarchical namespace",
}
"""The parameters of the query that are refused, and what they belong to."""

UNSUPPORTED_FIELDS: Mapping[str, str] = {"contexts": "object contexts", "kmsKeyName": "Cloud KMS keys"}
"""The fields of an object that are refused if they have a value, and what they belong to."""

UNSUPPORTED_HEADERS: Mapping[str, str] = {
    "x-goog-copy-source": "copies of parts (upload the part)",
    "x-goog-encryption-kms-key-name": "Cloud KMS keys",
    "x-goog-object-lock-mode": "retention by the XML API (use the JSON API)",
    "x-goog-object-lock-retain-until-date": "retention by the XML API (use the JSON API)",
}
"""Headers of the XML API that are refused, and what they belong to. Other headers that are not carried out are, too."""

UNSUPPORTED_SETTINGS: Mapping[str, str] = {
    "autoclass.enabled": "Autoclass",
    "customPlacementConfig.dataLocations": "configurable dual-regions",
    "encryption.defaultKmsKeyName": "Cloud KMS keys",
    "hierarchicalNamespace.enabled": "the hierarchical namespace",
    "ipFilter.mode": "IP filters",
    "logging.logBucket": "usage logs",
    "softDeletePolicy.hardDeletePause": "the pause of hard deletions",
}
"""The settings of a bucket that are refused if they have a value, and what they belong to."""

KEPT_SETTINGS: Mapping[str, str] = {
    "billing": "nobody is billed, and all callers belong to the project of the bucket",
    "cors": "answers of the JSON API have no CORS headers; those of the XML API have",
    "ipFilter": "a filter can only be `Disabled`",
    "lifecycle": "rules are carried out, except `AbortIncompleteMultipartUpload`: uploads end with the local cloud",
    "rpo": "there is one copy",
    "website": "it is for buckets that have a domain of their own, which no bucket here has",
}
"""The settings of a bucket that are kept and shown, and have no effect."""

KEPT_PARAMETERS: Mapping[str, str] = {
    "includeFoldersAsPrefixes": "no bucket has folders",
    "key": "calls need no key",
    "maxBytesRewrittenPerCall": "one call copies the whole object",
    "oauth_token": "calls need no token",
    "prettyPrint": "answers are not indented",
    "project": "all buckets belong to one project",
    "quotaUser": "calls are not counted, so they cannot exceed a quota",
    "returnPartialSuccess": "all buckets can be reached",
    "userIp": "calls are not counted, so they cannot exceed a quota",
    "userProject": "nobody is billed",
}
"""The parameters of the query that are accepted and have no effect."""

# The values that do not use what the setting belongs to.
_WITHOUT_EFFECT = {"ipFilter.mode": "Disabled", "softDeletePolicy.hardDeletePause": {"enabled": False}}


def refused_method(method: str, path: str) -> str | None:
    """Return what a call without a handler belongs to, ``None`` if Cloud Storage has no such method either.

    Args:
        method: The HTTP method.
        path: The path, without escapes.
    """
    for pattern, name in _REFUSED.items():
        if pattern.fullmatch(f"{method} {path.rstrip('/')}"):
            return name
    return None


def check_settings(settings: Mapping[str, Any]) -> None:
    """Raise ``NotImplementedHere`` if a bucket would get a setting that is not carried out."""
    for path, name in UNSUPPORTED_SETTINGS.items():
        group, _, field = path.partition(".")
        value = (settings.get(group) or {}).get(field)
        if value and value != _WITHOUT_EFFECT.get(path):
            raise NotImplementedHere(f"The local cloud does not have {name}, which {path} asks for.")


def check_fields(resource: Mapping[str, Any]) -> None:
    """Raise ``NotImplementedHere`` if an object would get a field that is not carried out."""
    _refuse_if_set(resource, UNSUPPORTED_FIELDS)


def check_parameters(parameters: Mapping[str, str]) -> None:
    """Raise ``NotImplementedHere`` if a request has a parameter that is not carried out."""
    _refuse_if_set(parameters, UNSUPPORTED_PARAMETERS)


def _refuse_if_set(values: Mapping[str, Any], refused: Mapping[str, str]) -> None:
    for field, name in refused.items():
        if values.get(field):
            raise NotImplementedHere(f"The local cloud does not have {name}, which {field} asks for.")


def _pattern(template: str, *, with_rest: bool) -> re.Pattern[str]:
    """Return the pattern of the calls of ``template``; names of objects and folders may have slashes."""
    text = re.escape(template).replace(r"\{object\}", ".+")
    text = re.sub(r"\\\{\w+\\\}", "[^/]+", text)
    return re.compile(rf"\w+\ {text}(/.*)?" if with_rest else text)


_REFUSED = {
    **{_pattern(path, with_rest=True): name for path, name in UNSUPPORTED_RESOURCES.items()},
    **{_pattern(place, with_rest=False): name for place, name in UNSUPPORTED_METHODS.items()},
}
