"""What Cloud Storage's JSON API adds to every Google API: its errors, preconditions and partial answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from starlette.responses import Response

from localcloud.apis.discovery import Discovery
from localcloud.apis.selections import check_selection
from localcloud.base.gate import LARGEST_BODY_BYTES
from localcloud.base.gzip_bodies import gunzip
from localcloud.base.json_api import Call, JsonApi, json_response
from localcloud.base.partial_response import Selection, parse_fields, select
from localcloud.storage.rules.access import acl_fields_of_object
from localcloud.storage.rules.errors import (
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    NotImplementedHere,
    StorageError,
    Unavailable,
)
from localcloud.storage.rules.naming import check_bucket_name
from localcloud.storage.rules.preconditions import Preconditions, integer_parameter
from localcloud.storage.rules.resources import Bucket, StoredObject
from localcloud.storage.rules.unsupported import check_parameters, refused_method

_DISCOVERY = Discovery()

Handler = Callable[[Call], Awaitable[Response]]


class StorageApi(JsonApi[Handler]):
    """The JSON API as an ASGI application."""

    async def answer(self, handler: Handler, call: Call) -> Response:
        """Return the answer of ``handler``. Raises ``StorageError``."""
        check_parameters(call.query)
        if call.query.get("alt", "json") not in ("json", "media"):
            raise InvalidRequest(f"Invalid value for parameter alt: {call.query['alt']!r} is not json or media")
        if "bucket" in call.names:
            check_bucket_name(call.names["bucket"])
        if call.content and is_gzipped(call):
            try:
                call = replace(call, content=gunzip(call.content, LARGEST_BODY_BYTES))
            except ValueError as error:
                raise InvalidRequest(f"The body is not gzip, as its Content-Encoding says: {error}") from None
        return await handler(call)

    def unknown_method(self, method: str, path: str, *, path_exists: bool) -> StorageError:
        """Return the error for a request that no route serves."""
        refused = refused_method(method, path)
        if refused is not None:
            return NotImplementedHere(f"The local cloud does not have {refused}.")
        return MethodNotAllowed("Method Not Allowed") if path_exists else NotFound("Not Found")

    def malformed_body(self, problem: str) -> StorageError:
        """Return the error for a body that cannot be read."""
        return InvalidRequest(f"Parse Error: {problem}")

    def unavailable(self, problem: str) -> StorageError:
        """Return the error for a request that may succeed later."""
        return Unavailable(problem)


def generation_of(call: Call) -> int | None:
    """Return the generation that a call names, if any. Raises ``InvalidRequest`` if it is not an integer."""
    return integer_parameter(call.query, "generation")


def preconditions_of(call: Call) -> Preconditions:
    """Return the conditions in a call's query and headers. Raises ``InvalidRequest`` if one is not an integer."""
    headers = call.headers
    return Preconditions.from_parameters(
        call.query, etag_match=headers.get("if-match"), etag_not_match=headers.get("if-none-match")
    )


def is_gzipped(call: Call) -> bool:
    """Return whether the body is compressed on its way here. Raises ``InvalidRequest`` if it is, and not with gzip.

    This does not set the encoding of an object, as it does in the XML API.
    https://cloud.google.com/sdk/gcloud/reference/storage/cp#--gzip-in-flight
    """
    encoding = call.headers.get("content-encoding", "identity").lower()
    if encoding not in ("identity", "gzip"):
        raise InvalidRequest(f"Invalid value for header content-encoding: {encoding!r} is not gzip")
    return encoding == "gzip"


def is_true(call: Call, parameter: str) -> bool:
    """Return whether a query parameter is ``true``. Raises ``InvalidRequest`` if it is neither that nor ``false``."""
    value = call.query.get(parameter, "")
    if value.lower() not in ("true", "false", ""):
        raise InvalidRequest(f"Invalid value for parameter {parameter}: {value!r} is not true or false")
    return value.lower() == "true"


def shows_lists(call: Call, *, by_default: bool) -> bool:
    """Return whether the answer shows access control lists: with the projection ``full``.

    Args:
        call: The call.
        by_default: Whether it shows them if the call names no projection.

    Raises:
        InvalidRequest: There is no such projection.
    """
    projection = call.query.get("projection") or ("full" if by_default else "noAcl")
    if projection not in ("full", "noAcl"):
        raise InvalidRequest(f"Invalid value for parameter projection: {projection!r} is not full or noAcl")
    return projection == "full"


def object_resource(
    call: Call, bucket: Bucket, stored: StoredObject, *, with_lists: bool = False, without_key: bool = False
) -> dict[str, Any]:
    """Return the resource of an object in the projection of a call.

    Args:
        call: The call.
        bucket: The bucket of the object.
        stored: The object.
        with_lists: Whether the resource has the access control list if the call names no projection.
        without_key: Whether the caller did not give the encryption key of the object.
    """
    lists = acl_fields_of_object(bucket, stored) if shows_lists(call, by_default=with_lists) else {}
    return stored.resource(call.host, without_key=without_key) | lists


def page_size_of(call: Call, largest: int) -> int:
    """Return how many items a page of a list may have. Raises ``InvalidRequest`` if ``maxResults`` is negative."""
    size = integer_parameter(call.query, "maxResults")
    if size is not None and size < 0:
        raise InvalidRequest(f"Invalid value for parameter maxResults: {size} is negative")
    return min(size or largest, largest)


def resource_response(call: Call, resource: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    """Return the answer that shows ``resource``, cut down to the ``fields`` that the call names."""
    selection = _selection(call)
    return json_response(select(resource, selection) if selection else resource, headers=headers)


def _selection(call: Call) -> Selection:
    """Return the fields that a call names; empty for all. Raises ``InvalidRequest`` if the answer can have no such fields."""
    fields = call.query.get("fields")
    if not fields:
        return {}
    called = _DISCOVERY.find("storage", call.request.method, call.request.scope["raw_path"].decode("latin-1"))
    try:
        selection = parse_fields(fields)
        if called is not None:
            check_selection(selection, called)
    except ValueError as error:
        raise InvalidRequest(str(error)) from None
    return selection
