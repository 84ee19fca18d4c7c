"""The IAM policies of topics and subscriptions: they are kept and shown, and nobody checks them.

https://cloud.google.com/pubsub/docs/reference/rest/v1/projects.topics/setIamPolicy
"""

from __future__ import annotations

import hashlib
import re
import sqlite3
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from google.iam.v1 import policy_pb2
from google.protobuf import json_format

from localcloud.base.background import in_words
from localcloud.base.iam import check_binding
from localcloud.base.sqlite_file import open_database
from localcloud.pubsub.errors import Aborted, InvalidArgument, Unavailable

_TABLES = "CREATE TABLE IF NOT EXISTS policies (resource TEXT PRIMARY KEY, policy BLOB NOT NULL) WITHOUT ROWID"
_IN_MEMORY = Path(":memory:")
_VERSIONS = (0, 1, 3)
_VERSION_WITH_CONDITIONS = 3
_PERMISSION = re.compile(r"pubsub\.\w+\.\w+")


class Policies:
    """The policies by the full names of their resources. Every method may be called from any thread."""

    def __init__(self, path: Path | None = None) -> None:
        """Keep policies in the file ``path``, which is created if it is missing; without one, in memory."""
        self._lock = threading.Lock()
        self._database = open_database(path or _IN_MEMORY, _TABLES)

    def get(self, resource: str) -> Any:
        """Return the policy of a resource, without bindings if none was set."""
        with self._lock:
            return self._read(resource)

    def set(self, resource: str, policy: Any) -> Any:
        """Replace the policy of a resource, and return it.

        Raises:
            InvalidArgument: The policy is not valid.
            Aborted: The policy was changed since the caller read it.
            Unavailable: The policy cannot be stored now.
        """
        _check(policy)
        with self._lock:
            if policy.etag not in (b"", self._read(resource).etag):
                raise Aborted("There were concurrent policy changes. Please retry the whole read-modify-write.")
            kept = _with_etag(policy)
            row = (resource, kept.SerializeToString())
            try:
                self._database.execute("INSERT OR REPLACE INTO policies VALUES (?, ?)", row)
            except sqlite3.OperationalError as error:
                raise Unavailable(f"The policy cannot be stored: {in_words(error)}.") from error
            return kept

    def forget(self, resource: str) -> None:
        """Forget the policy of a resource that was deleted."""
        with self._lock:
            self._database.execute("DELETE FROM policies WHERE resource = ?", (resource,))

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    def _read(self, resource: str) -> Any:
        row = self._database.execute("SELECT policy FROM policies WHERE resource = ?", (resource,)).fetchone()
        return policy_pb2.Policy.FromString(row[0]) if row else _with_etag(policy_pb2.Policy())


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
