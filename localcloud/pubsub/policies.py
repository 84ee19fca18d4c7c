"""The IAM policies of topics and subscriptions: they are kept and shown while the local cloud runs, and nobody checks them.

https://cloud.google.com/pubsub/docs/reference/rest/v1/projects.topics/setIamPolicy
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterable
from typing import Any

from google.iam.v1 import policy_pb2
from google.protobuf import json_format

from localcloud.base.iam import check_binding
from localcloud.pubsub.errors import Aborted, InvalidArgument

_VERSIONS = (0, 1, 3)
_VERSION_WITH_CONDITIONS = 3
_PERMISSION = re.compile(r"pubsub\.\w+\.\w+")


class Policies:
    """The policies by the full names of their resources. Every method may be called from any thread."""

    def __init__(self) -> None:
        """Start without policies."""
        self._lock = threading.Lock()
        self._kept: dict[str, Any] = {}

    def get(self, resource: str) -> Any:
        """Return the policy of a resource, without bindings if none was set."""
        with self._lock:
            return self._kept.get(resource) or _with_etag(policy_pb2.Policy())

    def set(self, resource: str, policy: Any) -> Any:
        """Replace the policy of a resource, and return it.

        Raises:
            InvalidArgument: The policy is not valid.
            Aborted: The policy was changed since the caller read it.
        """
        _check(policy)
        with self._lock:
            before = self._kept.get(resource) or _with_etag(policy_pb2.Policy())
            if policy.etag not in (b"", before.etag):
                raise Aborted("There were concurrent policy changes. Please retry the whole read-modify-write.")
            self._kept[resource] = _with_etag(policy)
            return self._kept[resource]

    def forget(self, resource: str) -> None:
        """Forget the policy of a resource that was deleted."""
        with self._lock:
            self._kept.pop(resource, None)


def checked_permissions(permissions: Iterable[str]) -> list[str]:
    """Return the ``permissions`` that the caller has: all of them. Raises ``InvalidArgument`` if one does not exist."""
    found = list(permissions)
    for permission in found:
        if not _PERMISSION.fullmatch(permission):
            raise InvalidArgument(f"Permission {permission} is not valid for this resource.")
    return found


def _check(policy: Any) -> None:
    bindings = json_format.MessageToDict(policy).get("bindings", [])
    for binding in bindings:
        try:
            check_binding({"members": [], **binding})
        except ValueError as error:
            raise InvalidArgument(f"Invalid policy: {error}.") from None
    if policy.version not in _VERSIONS:
        raise InvalidArgument(f"Invalid policy: its version is {policy.version}, not one of {_VERSIONS}.")
    if any("condition" in binding for binding in bindings) and policy.version < _VERSION_WITH_CONDITIONS:
        raise InvalidArgument(f"Invalid policy: with conditions its version is {_VERSION_WITH_CONDITIONS}.")


def _with_etag(policy: Any) -> Any:
    kept = policy_pb2.Policy()
    kept.CopyFrom(policy)
    kept.etag = b""
    kept.etag = hashlib.sha256(kept.SerializeToString(deterministic=True)).digest()[:8]
    return kept
