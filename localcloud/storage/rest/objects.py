"""The JSON API's objects, except uploads: https://cloud.google.com/storage/docs/json_api/v1/objects."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from localcloud.base.json_api import Call, Route
from localcloud.storage.objects.copying import Source, compose, copy
from localcloud.storage.objects.listing import LARGEST_PAGE, ListQuery
from localcloud.storage.objects.store import ObjectStore
from localcloud.storage.rest.api import (
    Handler,
    generation_of,
    is_true,
    object_resource,
    page_size_of,
    preconditions_of,
    resource_response,
)
from localcloud.storage.rest.downloads import download
from localcloud.storage.rules.customer_keys import check_key, key_hash
from localcloud.storage.rules.errors import InvalidRequest, Required
from localcloud.storage.rules.fields import ObjectFields, check_place
from localcloud.storage.rules.preconditions import Preconditions, integer_parameter
from localcloud.storage.rules.resources import StoredObject

_MEBIBYTE = 1 << 20


class ObjectApi:
    """Handlers for objects."""

    def __init__(self, store: ObjectStore) -> None:
        """Serve ``store``."""
        self._store = store

    def routes(self) -> list[Route[Handler]]:
        """Return the routes of the handlers."""
        objects = "/storage/v1/b/{bucket}/o"
        source = f"{objects}/{{object}}"
        destination = "b/{destinationBucket}/o/{destinationObject}"
        return [
            Route("GET", objects, self._list),
            Route("GET", source, self._get),
            Route("GET", f"/download{source}", self._download),
            Route("PATCH", source, self._patch),
            Route("PUT", source, self._update),
            Route("DELETE", source, self._delete),
            Route("POST", f"{source}/compose", self._compose),
            Route("POST", f"{source}/restore", self._restore),
            Route("POST", f"{source}/rewriteTo/{destination}", self._rewrite),
            Route("POST", f"{source}/copyTo/{destination}", self._copy),
            Route("POST", f"{source}/moveTo/o/{{destinationObject}}", self._move),
        ]

    async def _list(self, call: Call) -> Response:
        parameters = call.query
        query = ListQuery(
            prefix=parameters.get("prefix", ""),
            delimiter=parameters.get("delimiter", ""),
            start_offset=parameters.get("startOffset", ""),
            end_offset=parameters.get("endOffset", ""),
            match_glob=parameters.get("matchGlob", ""),
            include_trailing_delimiter=is_true(call, "includeTrailingDelimiter"),
            page_token=parameters.get("pageToken", ""),
            max_results=page_size_of(call, LARGEST_PAGE),
            versions=is_true(call, "versions"),
            soft_deleted=is_true(call, "softDeleted"),
        )
        if query.versions and query.soft_deleted:
            raise InvalidRequest("versions and softDeleted cannot be used together.")
        page = self._store.page(call.names["bucket"], query)
        answer: dict[str, Any] = {"kind": "storage#objects"}
        if page.next_page_token:
            answer["nextPageToken"] = page.next_page_token
        if page.prefixes:
            answer["prefixes"] = page.prefixes
        if page.items:
            bucket = self._store.bucket(call.names["bucket"])
            answer["items"] = [object_resource(call, bucket, stored, without_key=True) for stored in page.items]
        return resource_response(call, answer)

    async def _get(self, call: Call) -> Response:
        if call.query.get("alt") == "media":
            return await self._download(call)
        bucket, name, generation = call.names["bucket"], call.names["object"], generation_of(call)
        if is_true(call, "softDeleted"):
            stored = self._store.get_soft_deleted(bucket, name, _required_generation(generation))
        else:
            stored = self._store.get(bucket, name, generation)
        preconditions_of(call).check_read(stored)
        key = key_hash(call.headers)
        if key is not None:
            check_key(stored.key_hash, key)
        return self._answer(call, stored, without_key=key is None)

    async def _download(self, call: Call) -> Response:
        if is_true(call, "softDeleted"):
            raise InvalidRequest("The content of a soft-deleted object cannot be read; restore the object first.")
        bucket, name = call.names["bucket"], call.names["object"]
        key = key_hash(call.headers)
        stored, content = self._store.open_live(bucket, name, generation_of(call), key_hash=key)
        return await download(call, stored, content)

    async def _patch(self, call: Call) -> Response:
        return self._answer(call, self._update_fields(call, call.json(), replace_all=False), with_lists=True)

    async def _update(self, call: Call) -> Response:
        return self._answer(call, self._update_fields(call, call.json(), replace_all=True), with_lists=True)

    def _update_fields(self, call: Call, resource: dict[str, Any], *, replace_all: bool) -> StoredObject:
        check_place(resource, call.names["bucket"], call.names["object"])
        return self._store.update_fields(
            call.names["bucket"],
            call.names["object"],
            resource,
            preconditions_of(call),
            generation=generation_of(call),
            replace_all=replace_all,
            predefined_acl=call.query.get("predefinedAcl"),
            override_retention=is_true(call, "overrideUnlockedRetention"),
        )

    async def _delete(self, call: Call) -> Response:
        self._store.delete(
            call.names["bucket"], call.names["object"], preconditions_of(call), generation=generation_of(call)
        )
        return Response(status_code=204)

    async def _restore(self, call: Call) -> Response:
        restored = self._store.restore(
            call.names["bucket"],
            call.names["object"],
            _required_generation(generation_of(call)),
            preconditions_of(call),
            copy_acl=is_true(call, "copySourceAcl"),
        )
        return self._answer(call, restored, with_lists=True)

    async def _compose(self, call: Call) -> Response:
        request = call.json()
        bucket, name = call.names["bucket"], call.names["object"]
        sources = [_component(bucket, component) for component in _list_of_objects(request, "sourceObjects")]
        destination = _object(request, "destination")
        check_place(destination, bucket, name)
        fields = replace(ObjectFields.from_resource(destination), key_hash=key_hash(call.headers))
        fields = fields.with_predefined_acl(call.query.get("destinationPredefinedAcl"), "destinationPredefinedAcl")
        # In a thread: it reads and writes all contents, which would delay all other requests.
        composed = await run_in_threadpool(compose, self._store, sources, bucket, name, fields, preconditions_of(call))
        if request.get("deleteSourceObjects") is True:
            for source in sources:
                if source.name != name:
                    self._store.delete(bucket, source.name, source.conditions, generation=source.generation)
        return self._answer(call, composed)

    async def _rewrite(self, call: Call) -> Response:
        if call.query.get("rewriteToken"):
            raise InvalidRequest(
                "Invalid rewriteToken: the first call copies the whole object, so there are no tokens."
            )
        most = integer_parameter(call.query, "maxBytesRewrittenPerCall")
        if most is not None and (most < 1 or most % _MEBIBYTE):
            raise InvalidRequest(f"Invalid value for parameter maxBytesRewrittenPerCall: {most} is not in whole MiB")
        copied = await self._copy_object(call)
        answer = {
            "kind": "storage#rewriteResponse",
            "totalBytesRewritten": str(copied.size),
            "objectSize": str(copied.size),
            "done": True,
            "resource": self._resource(call, copied, with_lists="acl" in call.json()),
        }
        return resource_response(call, answer)

    async def _copy(self, call: Call) -> Response:
        return self._answer(call, await self._copy_object(call), with_lists="acl" in call.json())

    async def _copy_object(self, call: Call) -> StoredObject:
        source = Source(
            call.names["bucket"],
            call.names["object"],
            integer_parameter(call.query, "sourceGeneration"),
            Preconditions.from_parameters(call.query, prefix="ifSource"),
            key_hash(call.headers, of_source=True),
        )
        resource = call.json()
        check_place(resource, call.names["destinationBucket"], call.names["destinationObject"])
        overrides = ObjectFields.from_resource(resource)
        acl = overrides.with_predefined_acl(call.query.get("destinationPredefinedAcl"), "destinationPredefinedAcl").acl
        destination = call.names["destinationBucket"], call.names["destinationObject"]
        key = key_hash(call.headers)
        return copy(self._store, source, *destination, overrides, preconditions_of(call), key_hash=key, acl=acl)

    async def _move(self, call: Call) -> Response:
        moved = self._store.move(
            call.names["bucket"],
            call.names["object"],
            call.names["destinationObject"],
            Preconditions.from_parameters(call.query, prefix="ifSource"),
            preconditions_of(call),
        )
        return self._answer(call, moved)

    def _answer(
        self, call: Call, stored: StoredObject, *, with_lists: bool = False, without_key: bool = False
    ) -> Response:
        resource = self._resource(call, stored, with_lists=with_lists, without_key=without_key)
        return resource_response(call, resource, {"etag": stored.etag})

    def _resource(
        self, call: Call, stored: StoredObject, *, with_lists: bool = False, without_key: bool = False
    ) -> dict[str, Any]:
        bucket = self._store.bucket(stored.bucket)
        return object_resource(call, bucket, stored, with_lists=with_lists, without_key=without_key)


def _required_generation(generation: int | None) -> int:
    if generation is None:
        raise Required("Required parameter: generation, since many generations of a name can be soft-deleted")
    return generation


def _component(bucket: str, component: dict[str, Any]) -> Source:
    """Return one source of a composition. Raises ``Required`` or ``InvalidRequest``."""
    name = component.get("name")
    if not isinstance(name, str) or not name:
        raise Required("Required: sourceObjects.name")
    generation = component.get("generation")
    expected = _object(component, "objectPreconditions").get("ifGenerationMatch")
    try:
        return Source(
            bucket,
            name,
            None if generation is None else int(generation),
            Preconditions(generation_match=None if expected is None else int(expected)),
        )
    except (TypeError, ValueError):
        raise InvalidRequest("Invalid value for field sourceObjects: a generation is not an integer") from None


def _object(resource: dict[str, Any], name: str) -> dict[str, Any]:
    value = resource.get(name) or {}
    if not isinstance(value, dict):
        raise InvalidRequest(f"Invalid value for field {name}")
    return value


def _list_of_objects(resource: dict[str, Any], name: str) -> list[dict[str, Any]]:
    value = resource.get(name) or []
    if not isinstance(value, list) or not all(isinstance(member, dict) for member in value):
        raise InvalidRequest(f"Invalid value for field {name}")
    return value
