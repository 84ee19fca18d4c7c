"""The fields that a job's resource may have, and their types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from localcloud.base.api_errors import InvalidArgument, Unimplemented

Shape = Mapping[str, Any]
"""The type of each field, or the shape of the object in it."""

TEXTS = {"*": str}
"""An object with any names and text values."""

# The fields that a caller may set; the service sets the others.
# https://cloud.google.com/scheduler/docs/reference/rest/v1/projects.locations.jobs#Job
SETTINGS: Shape = {
    "name": str,
    "description": str,
    "schedule": str,
    "timeZone": str,
    "attemptDeadline": str,
    "retryConfig": {
        "retryCount": int,
        "maxRetryDuration": str,
        "minBackoffDuration": str,
        "maxBackoffDuration": str,
        "maxDoublings": int,
    },
    "httpTarget": {
        "uri": str,
        "httpMethod": str,
        "headers": TEXTS,
        "body": str,
        "oauthToken": {"serviceAccountEmail": str, "scope": str},
        "oidcToken": {"serviceAccountEmail": str, "audience": str},
    },
    "pubsubTarget": {"topicName": str, "data": str, "attributes": TEXTS},
}
UNSUPPORTED_FIELDS = {"appEngineHttpTarget": "App Engine"}
"""The fields that are refused by name, and what they belong to. docs/scheduler.md lists them, and a test compares the two."""

KEPT_FIELDS = {
    "httpTarget.oauthToken": "attempts carry no token, because no receiver can check one",
    "httpTarget.oidcToken": "attempts carry no token, because no receiver can check one",
}
"""The fields that are kept and shown, and have no effect."""

OUTPUT_ONLY = frozenset({"userUpdateTime", "state", "status", "scheduleTime", "lastAttemptTime", "satisfiesPzs"})


def check_shape(resource: Mapping[str, Any]) -> None:
    """Raise ``InvalidArgument`` if ``resource`` has an unknown field or one of another type.

    Raises ``Unimplemented`` if it has a field that is not carried out.
    """
    for name, belongs in UNSUPPORTED_FIELDS.items():
        if name in resource:
            raise Unimplemented(f"The local Cloud Scheduler does not have {belongs}: {name}.")
    _check({name: value for name, value in resource.items() if name not in OUTPUT_ONLY}, SETTINGS, "job")


def check_path(path: str) -> None:
    """Raise ``InvalidArgument`` unless ``path`` (such as ``httpTarget.uri``) names a field that a caller may set."""
    shape: Any = SETTINGS
    for name in path.split("."):
        shape = shape.get(name, shape.get("*")) if isinstance(shape, Mapping) else None
    if shape is None and path.partition(".")[0] not in OUTPUT_ONLY:
        raise InvalidArgument(f"Invalid update_mask: a job has no field {path}.")


def _check(value: object, shape: Any, path: str) -> None:
    if not isinstance(shape, Mapping):
        if not isinstance(value, shape) or isinstance(value, bool):
            raise InvalidArgument(f"Invalid value at '{path}': {value!r}.")
        return
    if not isinstance(value, Mapping):
        raise InvalidArgument(f"Invalid value at '{path}': {value!r}.")
    for name, inner in value.items():
        expected = shape.get(name, shape.get("*"))
        if expected is None:
            raise InvalidArgument(f"Invalid JSON payload received. Unknown name {name!r} at '{path}'.")
        _check(inner, expected, f"{path}.{name}")
