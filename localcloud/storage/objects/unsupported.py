"""The parts of Cloud Storage that the local cloud does not carry out. It refuses them by name.

docs/storage.md lists them, and a test compares the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from localcloud.storage.objects.errors import NotImplementedHere

UNSUPPORTED_METHODS: Mapping[str, str] = {
    "POST /storage/v1/b/{bucket}/anywhereCaches": "Anywhere Cache",
    "GET /storage/v1/b/{bucket}/anywhereCaches": "Anywhere Cache",
    "POST /storage/v1/b/{bucket}/folders": "folders (hierarchical namespace)",
    "GET /storage/v1/b/{bucket}/folders": "folders (hierarchical namespace)",
    "POST /storage/v1/b/{bucket}/managedFolders": "managed folders",
    "POST /storage/v1/b/{bucket}/notificationConfigs": "notification configurations (functions get events from their triggers)",
    "POST /storage/v1/b/{bucket}/o/bulkRestore": "bulk restore (restore objects one by one)",
    "POST /storage/v1/b/{bucket}/o/watch": "object change notification",
    "POST /storage/v1/b/{bucket}/relocate": "relocation of buckets",
    "POST /storage/v1/b/{bucket}/restore": "soft deletion of buckets",
    "POST /storage/v1/projects/{project}/hmacKeys": "HMAC keys",
    "GET /storage/v1/projects/{project}/hmacKeys": "HMAC keys",
}
"""The methods that are refused, and what they belong to."""

UNSUPPORTED_SETTINGS: Mapping[str, str] = {
    "autoclass.enabled": "Autoclass",
    "billing.requesterPays": "requester pays",
    "customPlacementConfig.dataLocations": "configurable dual-regions",
    "encryption.defaultKmsKeyName": "Cloud KMS keys",
    "hierarchicalNamespace.enabled": "the hierarchical namespace",
    "logging.logBucket": "usage logs",
    "website.mainPageSuffix": "websites",
    "website.notFoundPage": "websites",
}
"""The settings of a bucket that are refused if they have a value, and what they belong to."""

KEPT_SETTINGS: Mapping[str, str] = {
    "cors": "answers have no CORS headers",
    "lifecycle": "no rule is carried out",
    "rpo": "there is one copy",
}
"""The settings of a bucket that are kept and shown, and have no effect."""


def check_settings(settings: Mapping[str, Any]) -> None:
    """Raise ``NotImplementedHere`` if a bucket would get a setting that is not carried out."""
    for path, name in UNSUPPORTED_SETTINGS.items():
        group, _, field = path.partition(".")
        if (settings.get(group) or {}).get(field):
            raise NotImplementedHere(f"The local cloud does not have {name}, which {path} asks for.")


def check_key_name(parameters: Mapping[str, str], parameter: str) -> None:
    """Raise ``NotImplementedHere`` if a request names a Cloud KMS key in ``parameter``."""
    if parameters.get(parameter):
        raise NotImplementedHere(f"The local cloud does not have Cloud KMS keys, which {parameter} asks for.")
