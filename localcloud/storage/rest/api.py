"""What Cloud Storage's JSON API adds to every Google API: its errors, preconditions and partial answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.responses import Response

from localcloud.base.json_api import Call, JsonApi, json_response
from localcloud.storage.objects.errors import InvalidRequest, MethodNotAllowed, NotFound, StorageError, Unavailable
from localcloud.storage.objects.preconditions import Preconditions, integer_parameter
from localcloud.storage.rest.partial_response import parse_fields, select

Handler = Callable[[Call], Awaitable[Response]]


class StorageApi(JsonApi[Handler]):
    """The JSON API as an ASGI application."""

    async def answer(self, handler: Handler, call: Call) -> Response:
        """Return the answer of ``handler``. Raises ``StorageError``."""
        return await handler(call)

    def unknown_method(self, method: str, path: str, *, path_exists: bool) -> StorageError:
        """Return the error for a request that no route serves."""
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


def is_true(call: Call, parameter: str) -> bool:
    """Return whether a query parameter is ``true``."""
    return call.query.get(parameter, "").lower() == "true"


def resource_response(call: Call, resource: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    """Return the answer that shows ``resource``, cut down to the ``fields`` that the call names."""
    fields = call.query.get("fields")
    return json_response(select(resource, parse_fields(fields)) if fields else resource, headers=headers)
