"""Access control lists and policies of buckets and objects. They are kept and shown; the local cloud checks no permissions.

Rules: https://cloud.google.com/storage/docs/access-control/lists and https://cloud.google.com/storage/docs/access-control/iam
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from localcloud.base.clock import rfc3339
from localcloud.base.iam import check_binding
from localcloud.storage.rules.errors import InvalidRequest, NotFound, PreconditionFailed, Required
from localcloud.storage.rules.resources import PROJECT_NUMBER, Acl, Bucket, StoredObject

_OWNERS, _EDITORS, _VIEWERS = (f"project-{team}-{PROJECT_NUMBER}" for team in ("owners", "editors", "viewers"))
_PRIVATE = {_OWNERS: "OWNER"}
_PROJECT_PRIVATE = {_OWNERS: "OWNER", _EDITORS: "OWNER", _VIEWERS: "READER"}
_READ = {"publicRead": {"allUsers": "READER"}, "authenticatedRead": {"allAuthenticatedUsers": "READER"}}

# https://cloud.google.com/storage/docs/access-control/lists#predefined-acl
PREDEFINED_BUCKET_ACLS: Mapping[str, Acl] = {
    "private": _PRIVATE,
    "projectPrivate": _PROJECT_PRIVATE,
    "publicReadWrite": {**_PRIVATE, "allUsers": "WRITER"},
    **{name: {**_PRIVATE, **readers} for name, readers in _READ.items()},
}
# The owner of an object is in its list in any case.
PREDEFINED_OBJECT_ACLS: Mapping[str, Acl] = {
    "private": {},
    "projectPrivate": _PROJECT_PRIVATE,
    "bucketOwnerFullControl": _PRIVATE,
    "bucketOwnerRead": {_OWNERS: "READER"},
    **_READ,
}
BUCKET_ROLES = ("OWNER", "WRITER", "READER")
OBJECT_ROLES = ("OWNER", "READER")

_ENTITY = re.compile(
    r"allUsers|allAuthenticatedUsers|(user|group)-[^@\s]+@[^@\s]+|domain-[\w.-]+|project-(owners|editors|viewers)-[\w-]+"
)
_UNTIL_LOCKED = timedelta(days=90)
_UNIFORM = "Read more at https://cloud.google.com/storage/docs/uniform-bucket-level-access"
_PUBLIC = {"allUsers", "allAuthenticatedUsers"}
_PERMISSION = re.compile(r"storage\.\w+\.\w+")
# https://cloud.google.com/iam/docs/policies#versions
_VERSIONS = (1, 3)
_VERSION_WITH_CONDITIONS = 3


@dataclass(frozen=True)
class BucketLists:
    """The access control lists that a request gives a bucket; ``None`` leaves one as it is."""

    acl: Acl | None = None
    default_object_acl: Acl | None = None

    @classmethod
    def of_request(cls, resource: Mapping[str, Any], parameters: Mapping[str, str]) -> BucketLists:
        """Read the lists in a resource, and those that parameters name. Raises ``InvalidRequest`` or ``Required``."""
        acl, default = resource.get("acl"), resource.get("defaultObjectAcl")
        predefined = predefined_acl(parameters.get("predefinedAcl"), PREDEFINED_BUCKET_ACLS, "predefinedAcl")
        predefined_default = predefined_acl(
            parameters.get("predefinedDefaultObjectAcl"), PREDEFINED_OBJECT_ACLS, "predefinedDefaultObjectAcl"
        )
        if predefined is None and acl is not None:
            predefined = read_acl(acl, BUCKET_ROLES)
        if predefined_default is None and default is not None:
            predefined_default = read_acl(default, OBJECT_ROLES)
        return cls(predefined, predefined_default)

    def given_to(self, bucket: Bucket) -> Bucket:
        """Return ``bucket`` with these lists.

        Raises ``InvalidRequest`` if it has no lists, ``PreconditionFailed`` if it prevents public access.
        """
        if self == NO_LISTS:
            return bucket
        check_not_uniform(bucket, "update")
        check_not_public(bucket, (*(self.acl or ()), *(self.default_object_acl or ())))
        return replace(
            bucket,
            acl=bucket.acl if self.acl is None else self.acl,
            default_object_acl=bucket.default_object_acl
            if self.default_object_acl is None
            else self.default_object_acl,
        )


NO_LISTS = BucketLists()


def with_lock_of_uniform_access(
    settings: Mapping[str, Any], before: Mapping[str, Any], now: datetime
) -> dict[str, Any]:
    """Return the ``settings`` of a bucket with the time from which uniform bucket-level access cannot be turned off.

    Args:
        settings: The settings as the caller wants them.
        before: The settings so far; empty for a new bucket.
        now: The current time.

    Raises:
        InvalidRequest: It would be turned off after that time.
    """
    earlier = before.get("iamConfiguration", {}).get("uniformBucketLevelAccess", {})
    locked = earlier.get("lockedTime") if earlier.get("enabled") else None
    configuration = settings.get("iamConfiguration", {})
    access = configuration.get("uniformBucketLevelAccess", {})
    if access.get("enabled"):
        access = {"enabled": True, "lockedTime": locked or rfc3339(now + _UNTIL_LOCKED)}
        return {**settings, "iamConfiguration": {**configuration, "uniformBucketLevelAccess": access}}
    if locked and datetime.fromisoformat(locked) <= now:
        raise InvalidRequest(
            f"Uniform bucket-level access cannot be disabled, as it is locked since {locked}. {_UNIFORM}"
        )
    return dict(settings)


def check_not_uniform(bucket: Bucket, verb: str) -> None:
    """Raise ``InvalidRequest`` if the bucket has no access control lists; ``verb`` is what the caller wants to do."""
    if bucket.is_uniform:
        raise InvalidRequest(f"Cannot {verb} legacy ACL for a bucket that has uniform bucket-level access. {_UNIFORM}")


def check_not_public(bucket: Bucket, members: Iterable[str]) -> None:
    """Raise ``PreconditionFailed`` if ``members`` has the public, and the bucket prevents public access."""
    if bucket.public_access_prevention == "enforced" and not _PUBLIC.isdisjoint(members):
        raise PreconditionFailed(
            "The member bindings allUsers and allAuthenticatedUsers are not allowed since public access prevention is"
            " enforced."
        )


def acl_of_bucket(bucket: Bucket) -> Acl:
    """Return the access control list of a bucket."""
    return _PROJECT_PRIVATE if bucket.acl is None else bucket.acl


def default_acl_of_objects(bucket: Bucket) -> Acl:
    """Return the access control list that the objects of a bucket get."""
    return _PROJECT_PRIVATE if bucket.default_object_acl is None else bucket.default_object_acl


def owner_of_objects(account: str | None) -> str:
    """Return the entity that owns the objects that ``account`` writes; without an account, the owners of the project."""
    return _OWNERS if account is None else f"user-{account}"


def with_owner(acl: Acl, owner: str) -> Acl:
    """Return the list of an object, of which its owner is always part.

    Source: https://cloud.google.com/storage/docs/access-control/lists#bestpractices
    """
    return {owner: "OWNER"} | {entity: role for entity, role in acl.items() if entity != owner}


def predefined_acl(name: str | None, acls: Mapping[str, Acl], parameter: str) -> Acl | None:
    """Return the list of that name, ``None`` without a name. Raises ``InvalidRequest`` if there is no such list."""
    if name is None:
        return None
    if name not in acls:
        raise InvalidRequest(f"Invalid value for parameter {parameter}: {name!r} is not one of {', '.join(acls)}")
    return acls[name]


def read_acl(entries: object, roles: Iterable[str]) -> Acl:
    """Return the list that a resource has in its field ``acl``. Raises ``InvalidRequest`` or ``Required``."""
    if not isinstance(entries, list):
        raise InvalidRequest("Invalid value for field acl")
    return dict(read_entry(entry, roles) for entry in entries)


def read_entry(entry: object, roles: Iterable[str], entity: str | None = None) -> tuple[str, str]:
    """Return entity and role of one entry; ``entity`` is that of the path. Raises ``InvalidRequest`` or ``Required``."""
    if not isinstance(entry, dict):
        raise InvalidRequest("Invalid value for an entry of an access control list")
    named = entity or entry.get("entity")
    if not named or not entry.get("role"):
        raise Required("Required: entity and role")
    role = str(entry["role"]).upper()
    if not isinstance(named, str) or not _ENTITY.fullmatch(named):
        raise InvalidRequest(f"Invalid entity: {named!r}")
    if role not in roles:
        raise InvalidRequest(f"Invalid role: {role!r} is not one of {', '.join(roles)}")
    return named, role


def acl_fields(bucket: Bucket) -> dict[str, Any]:
    """Return what the resource of a bucket has with the projection ``full``."""
    if bucket.is_uniform:
        return {}
    return {
        "acl": entries("storage#bucketAccessControl", acl_of_bucket(bucket), bucket=bucket.name),
        "defaultObjectAcl": entries("storage#objectAccessControl", default_acl_of_objects(bucket)),
        "owner": {"entity": _OWNERS},
    }


def acl_fields_of_object(bucket: Bucket, stored: StoredObject) -> dict[str, Any]:
    """Return what the resource of an object has with the projection ``full``."""
    if bucket.is_uniform:
        return {}
    listed = entries("storage#objectAccessControl", stored.acl, bucket=bucket.name, object=stored.name)
    return {"acl": listed, "owner": {"entity": stored.owner or _OWNERS}}


def entries(kind: str, acl: Acl, **names: str) -> list[dict[str, Any]]:
    """Return the entries of a list as the JSON API shows them, with the ``names`` of bucket and object."""
    return [
        {"kind": kind, **names, "entity": entity, "role": role, **_parts_of(entity)} for entity, role in acl.items()
    ]


def _parts_of(entity: str) -> dict[str, Any]:
    """Return the fields that an entry has for the parts of its entity."""
    kind, _, named = entity.partition("-")
    match kind:
        case "user" | "group":
            return {"email": named}
        case "domain":
            return {"domain": named}
        case "project":
            team, _, number = named.partition("-")
            return {"projectTeam": {"projectNumber": number, "team": team}}
    return {}


def role_of(acl: Acl, entity: str) -> str:
    """Return the role of an entity. Raises ``NotFound``."""
    if entity not in acl:
        raise NotFound(f"The specified ACL entry does not exist: {entity}")
    return acl[entity]


def policy_of(bucket: Bucket, requested_version: int | None = _VERSION_WITH_CONDITIONS) -> dict[str, Any]:
    """Return the policy of a bucket as the JSON API shows it.

    Raises ``InvalidRequest`` if the policy has conditions, which the ``requested_version`` does not have.
    """
    policy = bucket.policy or {
        "version": 1,
        "bindings": [
            {
                "role": "roles/storage.legacyBucketOwner",
                "members": [f"projectEditor:{PROJECT_NUMBER}", f"projectOwner:{PROJECT_NUMBER}"],
            },
            {"role": "roles/storage.legacyBucketReader", "members": [f"projectViewer:{PROJECT_NUMBER}"]},
        ],
    }
    if policy["version"] > (requested_version or 1):
        raise InvalidRequest(
            "The policy has conditions: optionsRequestedPolicyVersion must be at least"
            f" {_VERSION_WITH_CONDITIONS}, not {requested_version}."
        )
    etag = base64.b64encode(hashlib.sha256(json.dumps(policy).encode()).digest()[:6]).decode()
    return {"kind": "storage#policy", "resourceId": f"projects/_/buckets/{bucket.name}", **policy, "etag": etag}


def checked_policy(bucket: Bucket, policy: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts of a new policy that are kept.

    Raises:
        InvalidRequest: The policy is not valid.
        PreconditionFailed: The policy was changed since the caller read it, or it has conditions and the bucket has access
            control lists, which have none.
    """
    if policy.get("etag") not in (None, "", policy_of(bucket)["etag"]):
        raise PreconditionFailed
    bindings, version = policy.get("bindings", []), policy.get("version", 1)
    if not isinstance(bindings, list):
        raise InvalidRequest("Invalid value for field bindings: a list is expected")
    for binding in bindings:
        try:
            check_binding(binding)
        except ValueError as error:
            raise InvalidRequest(f"Invalid value for field bindings: {error}") from None
    if version not in _VERSIONS:
        raise InvalidRequest(f"Invalid policy version: {version!r} is not one of {_VERSIONS}")
    has_conditions = any(binding.get("condition") for binding in bindings)
    if has_conditions and not bucket.is_uniform:
        raise PreconditionFailed(
            f"To set IAM conditions, enable uniform bucket-level access on the bucket first. {_UNIFORM}"
        )
    if has_conditions and version < _VERSION_WITH_CONDITIONS:
        raise InvalidRequest(
            f"The version of a policy with conditions must be at least {_VERSION_WITH_CONDITIONS}, not {version}."
        )
    check_not_public(bucket, (member for binding in bindings for member in binding["members"]))
    return {"version": _VERSION_WITH_CONDITIONS if has_conditions else 1, "bindings": bindings}


def known_permissions(permissions: Iterable[str]) -> list[str]:
    """Return the ``permissions`` that the caller has: all of them. Raises ``InvalidRequest`` if one does not exist."""
    for permission in permissions:
        if not _PERMISSION.fullmatch(permission):
            raise InvalidRequest(f"Invalid permission: {permission!r}")
    return list(permissions)
