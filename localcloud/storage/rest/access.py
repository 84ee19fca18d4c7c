"""The JSON API's access control lists and policies.

https://cloud.google.com/storage/docs/json_api/v1/bucketAccessControls, .../defaultObjectAccessControls,
.../objectAccessControls and https://cloud.google.com/storage/docs/json_api/v1/buckets/getIamPolicy
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable

from starlette.responses import Response

from localcloud.base.json_api import Call, Route
from localcloud.storage.objects.store import ObjectStore
from localcloud.storage.rest.api import Handler, generation_of, preconditions_of, resource_response
from localcloud.storage.rules.access import (
    BUCKET_ROLES,
    OBJECT_ROLES,
    acl_of_bucket,
    check_not_uniform,
    checked_policy,
    default_acl_of_objects,
    entries,
    known_permissions,
    policy_of,
    read_entry,
    role_of,
)
from localcloud.storage.rules.errors import Required
from localcloud.storage.rules.preconditions import integer_parameter
from localcloud.storage.rules.resources import Acl

_BUCKET = "/storage/v1/b/{bucket}"


class _AclApi(ABC):
    """Handlers for the access control lists of one kind of resource."""

    kind = ""
    path = ""
    roles: Iterable[str] = OBJECT_ROLES

    def __init__(self, store: ObjectStore) -> None:
        self.store = store

    def routes(self) -> list[Route[Handler]]:
        entry = f"{self.path}/{{entity}}"
        return [
            Route("GET", self.path, self._list),
            Route("POST", self.path, self._insert),
            Route("GET", entry, self._get),
            Route("PUT", entry, self._change),
            Route("PATCH", entry, self._change),
            Route("DELETE", entry, self._delete),
        ]

    @abstractmethod
    def read(self, call: Call) -> Acl:
        """Return the list."""

    @abstractmethod
    def write(self, call: Call, acl: Acl) -> None:
        """Replace the list."""

    async def _list(self, call: Call) -> Response:
        preconditions_of(call).check_read(self.store.bucket(call.names["bucket"]))
        acl = self._read(call, "get")
        return resource_response(call, {"kind": f"{self.kind}s", "items": entries(self.kind, acl, **_names(call))})

    async def _get(self, call: Call) -> Response:
        entity = call.names["entity"]
        return self._answer(call, entity, role_of(self._read(call, "get"), entity))

    async def _insert(self, call: Call) -> Response:
        return self._put(call, None)

    async def _change(self, call: Call) -> Response:
        role_of(self._read(call, "update"), call.names["entity"])
        return self._put(call, call.names["entity"])

    def _put(self, call: Call, named: str | None) -> Response:
        acl = self._read(call, "update")
        entity, role = read_entry(call.json(), self.roles, named)
        self.write(call, {**acl, entity: role})
        return self._answer(call, entity, role)

    async def _delete(self, call: Call) -> Response:
        acl, entity = self._read(call, "delete"), call.names["entity"]
        role_of(acl, entity)
        self.write(call, {other: role for other, role in acl.items() if other != entity})
        return Response(status_code=204)

    def _read(self, call: Call, verb: str) -> Acl:
        check_not_uniform(self.store.bucket(call.names["bucket"]), verb)
        return self.read(call)

    def _answer(self, call: Call, entity: str, role: str) -> Response:
        [resource] = entries(self.kind, {entity: role}, **_names(call))
        return resource_response(call, resource)


class _BucketAcl(_AclApi):
    kind, path, roles = "storage#bucketAccessControl", f"{_BUCKET}/acl", BUCKET_ROLES

    def read(self, call: Call) -> Acl:
        return acl_of_bucket(self.store.bucket(call.names["bucket"]))

    def write(self, call: Call, acl: Acl) -> None:
        self.store.set_access(call.names["bucket"], acl=acl)


class _DefaultObjectAcl(_AclApi):
    kind, path = "storage#objectAccessControl", f"{_BUCKET}/defaultObjectAcl"

    def read(self, call: Call) -> Acl:
        return default_acl_of_objects(self.store.bucket(call.names["bucket"]))

    def write(self, call: Call, acl: Acl) -> None:
        self.store.set_access(call.names["bucket"], default_object_acl=acl)


class _ObjectAcl(_AclApi):
    kind, path = "storage#objectAccessControl", f"{_BUCKET}/o/{{object}}/acl"

    def read(self, call: Call) -> Acl:
        return self.store.get(call.names["bucket"], call.names["object"], generation_of(call)).acl

    def write(self, call: Call, acl: Acl) -> None:
        self.store.set_object_acl(call.names["bucket"], call.names["object"], acl, generation=generation_of(call))


class AccessApi:
    """Handlers for access control lists and policies."""

    def __init__(self, store: ObjectStore) -> None:
        """Serve ``store``."""
        self._store = store

    def routes(self) -> list[Route[Handler]]:
        """Return the routes of the handlers."""
        lists = [kind(self._store) for kind in (_BucketAcl, _DefaultObjectAcl, _ObjectAcl)]
        return [
            *(route for one in lists for route in one.routes()),
            Route("GET", f"{_BUCKET}/iam", self._policy),
            Route("PUT", f"{_BUCKET}/iam", self._set_policy),
            Route("GET", f"{_BUCKET}/iam/testPermissions", self._test_permissions),
        ]

    async def _policy(self, call: Call) -> Response:
        version = integer_parameter(call.query, "optionsRequestedPolicyVersion")
        return resource_response(call, policy_of(self._store.bucket(call.names["bucket"]), version))

    async def _set_policy(self, call: Call) -> Response:
        policy = checked_policy(self._store.bucket(call.names["bucket"]), call.json())
        return resource_response(call, policy_of(self._store.set_access(call.names["bucket"], policy=policy)))

    async def _test_permissions(self, call: Call) -> Response:
        self._store.bucket(call.names["bucket"])
        permissions = known_permissions(call.request.query_params.getlist("permissions"))
        if not permissions:
            raise Required("Required parameter: permissions")
        return resource_response(call, {"kind": "storage#testIamPermissionsResponse", "permissions": permissions})


def _names(call: Call) -> dict[str, str]:
    return {name: call.names[name] for name in ("bucket", "object") if name in call.names}
