"""Vertex AI's REST face: paths, JSON, and enums as names or numbers.

How requests are written: https://cloud.google.com/apis/docs/system-parameters
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route as StarletteRoute

from localcloud.base.http import ASGIApp
from localcloud.gemini.errors import BackendError, RequestError
from localcloud.vertex.enums import encode_enums
from localcloud.vertex.operations import in_version

# First segment of the path: the API version that it means. Google's clients ask for operations below /ui/.
VERSIONS = {"v1": "v1", "v1beta1": "v1beta1", "ui": "v1"}

METHODS = ["GET", "POST", "PATCH", "DELETE"]
CALLS_AT_A_TIME = 32


@dataclass(frozen=True)
class Call:
    """A request to the API.

    Attributes:
        query: The query's parameters.
        body: The body's JSON; empty if there is none.
    """

    query: dict[str, str]
    body: dict[str, Any]


@dataclass(frozen=True)
class Stream:
    """An answer in pieces."""

    pieces: Iterator[dict[str, Any]]


Handler = Callable[..., "dict[str, Any] | Stream"]


@dataclass(frozen=True)
class Route:
    """A method of the API.

    Attributes:
        method: The HTTP method.
        path: The path after the version, or from its first slash if it is no part of Google's API. ``{names}`` go to
            the handler; ``{name*}`` goes across slashes.
        handle: Answers the call; raises ``RequestError`` or ``BackendError``.
    """

    method: str
    path: str
    handle: Handler

    def pattern(self) -> re.Pattern[str]:
        """Return what matches the paths of this method."""
        across = re.sub(r"\\{(\w+)\\\*\\}", r"(?P<\1>[^:]+)", re.escape(self.path))
        return re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/:]+)", across))


class Rest:
    """Answers HTTP requests by a table of routes."""

    def __init__(self, routes: list[Route]) -> None:
        self._routes = [(route.method, route.pattern(), route.handle) for route in routes]
        self._pool = ThreadPoolExecutor(CALLS_AT_A_TIME, thread_name_prefix="vertex-call")
        self.app: ASGIApp = Starlette(routes=[StarletteRoute("/{path:path}", self._serve, methods=METHODS)])

    def stop(self) -> None:
        """Take no more calls; nobody waits for those under way."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _serve(self, request: Request) -> Response:
        content = await request.body()
        # In a pool of its own: a slow model must not hold up the other services of the port.
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, self._answer, request, content)

    def _answer(self, request: Request, content: bytes) -> Response:
        try:
            answer = self._handle(request, content)
        except RequestError as error:
            return JSONResponse(error.body(), error.http)
        except BackendError as error:
            return JSONResponse(error.body(), error.code)
        alternatives = (request.query_params.get("$alt") or request.query_params.get("alt") or "json").split(";")
        encode = encode_enums if "enum-encoding=int" in alternatives else _unchanged
        if isinstance(answer, dict):
            return _json(encode(answer))
        pieces = (encode(piece) for piece in answer.pieces)
        if "sse" in alternatives:
            lines = (f"data: {json.dumps(piece, ensure_ascii=False)}\r\n\r\n" for piece in pieces)
            return StreamingResponse(lines, media_type="text/event-stream")
        return _json(list(pieces))

    def _handle(self, request: Request, content: bytes) -> dict[str, Any] | Stream:
        first, _, path = request.url.path.removeprefix("/").partition("/")
        version = VERSIONS.get(first)
        for method, pattern, handle in self._routes:
            found = pattern.fullmatch(path if version else request.url.path) if method == request.method else None
            if found:
                call = Call(dict(request.query_params), _parse_body(content))
                answer = handle(call, **found.groupdict())
                return in_version(answer, version) if version and isinstance(answer, dict) else answer
        raise RequestError("NOT_FOUND", f"The requested URL {request.url.path} was not found on this server.")


def _parse_body(content: bytes) -> dict[str, Any]:
    if not content.strip():
        return {}
    try:
        body = json.loads(content)
    except ValueError as error:
        raise RequestError("INVALID_ARGUMENT", f"Invalid JSON payload received. {error}") from None
    if not isinstance(body, dict):
        raise RequestError("INVALID_ARGUMENT", "Invalid JSON payload received. Root element must be a message.")
    return body


def _json(content: Any) -> Response:
    return Response(json.dumps(content, ensure_ascii=False), media_type="application/json; charset=UTF-8")


def _unchanged(answer: dict[str, Any]) -> dict[str, Any]:
    return answer
