"""One request to the JSON API, and the table by which it finds its handler."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

from starlette.datastructures import QueryParams
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from localcloud.base.http import Receive, Scope, Send
from localcloud.storage.errors import (
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    NotModified,
    RangeNotSatisfiable,
    StorageError,
)
from localcloud.storage.partial_response import parse_fields, select
from localcloud.storage.preconditions import Preconditions, integer_parameter


@dataclass(frozen=True)
class Call:
    """A request; ``ids`` are the names in its path, ``parameters`` those in its query."""

    request: Request
    ids: Mapping[str, str]
    parameters: Mapping[str, str]

    @property
    def host(self) -> str:
        """The address by which the caller reached this service, without a trailing slash."""
        return f"{self.request.url.scheme}://{self.request.headers.get('host', 'localhost')}"

    @property
    def generation(self) -> int | None:
        """The generation that is asked for. Raises ``InvalidRequest`` if it is no integer."""
        return self.integer("generation")

    @property
    def preconditions(self) -> Preconditions:
        """The conditions in parameters and headers. Raises ``InvalidRequest`` if one is no integer."""
        headers = self.request.headers
        return Preconditions.from_parameters(
            self.parameters, etag_match=headers.get("if-match"), etag_not_match=headers.get("if-none-match")
        )

    def integer(self, name: str) -> int | None:
        """Return a parameter as a number, ``None`` if it is not given. Raises ``InvalidRequest`` if it is no number."""
        return integer_parameter(self.parameters, name)

    def boolean(self, name: str) -> bool:
        """Return whether a parameter is ``true``."""
        return self.parameters.get(name, "").lower() == "true"

    async def resource(self) -> dict[str, Any]:
        """Return the JSON object in the body; an empty one if there is no body. Raises ``InvalidRequest``."""
        return parse_resource(await self.request.body())

    def answer(self, resource: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
        """Return ``resource`` as the answer, cut down to the ``fields`` that are asked for."""
        fields = self.parameters.get("fields")
        body = select(resource, parse_fields(fields)) if fields else resource
        return json_response(200, body, headers)


Handler = Callable[[Call], Awaitable[Response]]


@dataclass(frozen=True)
class Route:
    """Requests of a method and a path, in which ``{name}`` stands for one segment, go to a handler."""

    method: str
    path: str
    handler: Handler


class JsonApi:
    """An ASGI application made of routes."""

    def __init__(self, routes: Iterable[Route]) -> None:
        # Few routes have the same number of segments, so that nearly nothing is left to try.
        self._by_length: dict[int, list[tuple[tuple[str, ...], Route]]] = defaultdict(list)
        for route in routes:
            segments = tuple(route.path.split("/"))
            self._by_length[len(segments)].append((segments, route))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        request = Request(scope, receive)
        try:
            handler, ids = self._find(request.method, _raw_path(scope))
            response = await handler(Call(request, ids, QueryParams(scope["query_string"])))
        except NotModified:
            response = Response(status_code=304)
        except RangeNotSatisfiable as refusal:
            response = _refuse(refusal, {"content-range": f"bytes */{refusal.size}"})
        except StorageError as refusal:
            response = _refuse(refusal)
        except ClientDisconnect:
            return  # nobody is there to be answered
        except RecursionError:
            response = _refuse(InvalidRequest("The request is nested too deeply."))
        await response(scope, receive, send)

    def _find(self, method: str, path: str) -> tuple[Handler, dict[str, str]]:
        """Return the handler and the names in the path, which is split before its escapes are resolved.

        Raises ``NotFound`` or ``MethodNotAllowed``.
        """
        segments = path.rstrip("/").split("/")
        path_is_known = False
        for pattern, route in self._by_length[len(segments)]:
            ids = _match(pattern, segments)
            if ids is None:
                continue
            if route.method == method:
                return route.handler, ids
            path_is_known = True
        if path_is_known:
            raise MethodNotAllowed("Method Not Allowed")
        raise NotFound("Not Found")


def parse_resource(body: bytes) -> dict[str, Any]:
    """Return the JSON object that ``body`` holds; an empty body is an empty object. Raises ``InvalidRequest``."""
    if not body.strip():
        return {}
    try:
        resource = json.loads(body)
    except (ValueError, RecursionError):
        raise InvalidRequest("Parse Error") from None
    if not isinstance(resource, dict):
        raise InvalidRequest("Parse Error: the body is not a JSON object")
    return resource


def json_response(status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    """Return an answer with a JSON body."""
    content = json.dumps(body, separators=(",", ":")).encode()
    return Response(content, status, headers, media_type="application/json; charset=UTF-8")


def _refuse(refusal: StorageError, headers: Mapping[str, str] | None = None) -> Response:
    return json_response(refusal.code, refusal.body(), headers)


def _raw_path(scope: Scope) -> str:
    """Return the path with its escapes: a name's own slashes are escaped, those between names are not."""
    raw = scope.get("raw_path")
    return raw.decode("latin-1") if raw else quote(scope["path"])


def _match(pattern: tuple[str, ...], segments: list[str]) -> dict[str, str] | None:
    ids = {}
    for expected, segment in zip(pattern, segments, strict=True):
        if expected.startswith("{"):
            ids[expected[1:-1]] = unquote(segment)
        elif expected != segment:
            return None
    return ids
