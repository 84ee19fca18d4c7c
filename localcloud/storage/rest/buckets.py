"""The JSON API's buckets: https://cloud.google.com/storage/docs/json_api/v1/buckets."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from localcloud.base.json_api import Call, Route
from localcloud.storage.objects.store import ObjectStore
from localcloud.storage.rest.api import (
    Handler,
    generation_of,
    is_true,
    page_size_of,
    preconditions_of,
    resource_response,
    shows_lists,
)
from localcloud.storage.rules.access import BucketLists, acl_fields
from localcloud.storage.rules.errors import InvalidRequest, NotFound, NotImplementedHere, Required
from localcloud.storage.rules.resources import PROJECT_NUMBER, Bucket

_LARGEST_PAGE = 1000


class BucketApi:
    """Handlers for buckets and their sub-resources."""

    def __init__(self, store: ObjectStore) -> None:
        """Serve ``store``."""
        self._store = store

    def routes(self) -> list[Route[Handler]]:
        """Return the routes of the handlers."""
        bucket = "/storage/v1/b/{bucket}"
        return [
            Route("POST", "/storage/v1/b", self._insert),
            Route("GET", "/storage/v1/b", self._list),
            Route("GET", bucket, self._get),
            Route("PATCH", bucket, self._patch),
            Route("PUT", bucket, self._update),
            Route("DELETE", bucket, self._delete),
            Route("POST", f"{bucket}/lockRetentionPolicy", self._lock_retention),
            Route("GET", f"{bucket}/storageLayout", self._storage_layout),
            Route("GET", f"{bucket}/managedFolders", self._managed_folders),
            Route("GET", "/storage/v1/projects/{project}/serviceAccount", self._service_account),
        ]

    async def _insert(self, call: Call) -> Response:
        _check_project(call)
        resource = call.json()
        location = resource.get("location") or "US"
        if not isinstance(location, str):
            raise InvalidRequest("Invalid value for field location")
        if not resource.get("name"):
            raise Required("Required")
        bucket = self._store.create_bucket(
            resource["name"],
            location=location,
            settings=resource,
            object_retention=is_true(call, "enableObjectRetention"),
            lists=BucketLists.of_request(resource, call.query),
        )
        return self._answer(call, bucket, with_lists="acl" in resource or "defaultObjectAcl" in resource)

    async def _list(self, call: Call) -> Response:
        _check_project(call)
        _check_not_soft_deleted(call)
        buckets = self._store.buckets(call.query.get("prefix", ""))
        # A page token is the name at which its page begins.
        following = [bucket for bucket in buckets if bucket.name >= call.query.get("pageToken", "")]
        size = page_size_of(call, _LARGEST_PAGE)
        answer = {
            "kind": "storage#buckets",
            "items": [_resource(call, bucket, with_lists=False) for bucket in following[:size]],
        }
        if len(following) > size:
            answer["nextPageToken"] = following[size].name
        return resource_response(call, answer)

    async def _get(self, call: Call) -> Response:
        _check_not_soft_deleted(call)
        bucket = self._store.bucket(call.names["bucket"])
        if generation_of(call) not in (None, bucket.generation):
            raise NotFound("The specified bucket does not exist.")
        preconditions_of(call).check_read(bucket)
        return self._answer(call, bucket, with_lists=False)

    async def _patch(self, call: Call) -> Response:
        return self._change(call, replace_all=False)

    async def _update(self, call: Call) -> Response:
        return self._change(call, replace_all=True)

    def _change(self, call: Call, *, replace_all: bool) -> Response:
        resource = call.json()
        changed = self._store.patch_bucket(
            call.names["bucket"],
            resource,
            preconditions_of(call),
            replace_all=replace_all,
            lists=BucketLists.of_request(resource, call.query),
        )
        return self._answer(call, changed, with_lists=True)

    def _answer(self, call: Call, bucket: Bucket, *, with_lists: bool) -> Response:
        return resource_response(call, _resource(call, bucket, with_lists=with_lists))

    async def _delete(self, call: Call) -> Response:
        self._store.delete_bucket(call.names["bucket"], preconditions_of(call))
        return Response(status_code=204)

    async def _lock_retention(self, call: Call) -> Response:
        conditions = preconditions_of(call)
        if conditions.metageneration_match is None:
            raise Required("Required parameter: ifMetagenerationMatch")
        return resource_response(call, self._store.lock_retention(call.names["bucket"], conditions).resource(call.host))

    async def _storage_layout(self, call: Call) -> Response:
        bucket = self._store.bucket(call.names["bucket"])
        layout = {
            "kind": "storage#storageLayout",
            "bucket": bucket.name,
            "location": bucket.location,
            "locationType": bucket.location_type,
        }
        return resource_response(call, layout)

    async def _managed_folders(self, call: Call) -> Response:
        self._store.bucket(call.names["bucket"])
        return resource_response(call, {"kind": "storage#managedFolders"})

    async def _service_account(self, call: Call) -> Response:
        address = f"service-{PROJECT_NUMBER}@gs-project-accounts.iam.gserviceaccount.com"
        return resource_response(call, {"kind": "storage#serviceAccount", "email_address": address})


def _check_project(call: Call) -> None:
    if not call.query.get("project"):
        raise Required("Required parameter: project")


def _check_not_soft_deleted(call: Call) -> None:
    if is_true(call, "softDeleted"):
        raise NotImplementedHere("The local cloud does not have soft deletion of buckets, which softDeleted asks for.")


def _resource(call: Call, bucket: Bucket, *, with_lists: bool) -> dict[str, Any]:
    """Return the resource of a bucket; ``with_lists`` is whether it has its lists if the call names no projection."""
    lists = acl_fields(bucket) if shows_lists(call, by_default=with_lists) else {}
    return bucket.resource(call.host) | lists
