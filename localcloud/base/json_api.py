"""A JSON API in Google's style: finds the handler of a request by method and path, and answers errors."""

from __future__ import annotations

import json
import logging
import sqlite3
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import quote, unquote

from starlette.datastructures import Headers, QueryParams
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from localcloud.base.api_errors import ApiError, InvalidArgument, MalformedBody, NotFound, Unavailable
from localcloud.base.asgi import Receive, Scope, Send
from localcloud.base.background import Trouble, in_words
from localcloud.base.gate import SAFE_METHODS

HandlerT = TypeVar("HandlerT")

_log = logging.getLogger(__name__)

JSON_TYPE = "application/json; charset=UTF-8"


@dataclass(frozen=True)
class Call:
    """One request.

    Attributes:
        request: The request as it arrived.
        names: The values of the ``{names}`` in the route's path, without escapes.
        query: The parameters of the query string; of a repeated one the last.
        content: The body; empty if the route streams it.
    """

    request: Request
    names: Mapping[str, str]
    query: Mapping[str, str]
    content: bytes = b""

    @property
    def headers(self) -> Headers:
        """The headers; names are found in any case."""
        return self.request.headers

    @property
    def path(self) -> str:
        """The path, without escapes."""
        return str(self.request.scope["path"])

    @property
    def host(self) -> str:
        """The address at which the caller reached this service, without a trailing slash."""
        return f"{self.request.scope['scheme']}://{self.headers.get('host', 'localhost')}"

    def json(self) -> dict[str, Any]:
        """Return the JSON object in the body, an empty one if there is no body. Raises ``MalformedBody``."""
        return parse_json_object(self.content)

    def stream(self) -> AsyncIterator[bytes]:
        """Return the body in the pieces in which it arrives, on a route that streams it."""
        return self.request.stream()


@dataclass(frozen=True)
class Route(Generic[HandlerT]):
    """One method of an API.

    Attributes:
        method: The HTTP method.
        path: The path. A ``{name}`` takes one segment; ``{name}:verb`` takes one that ends with the verb.
        handler: Answers the calls; each API says how it is run.
        streams: Whether the handler reads the body itself, piece by piece.
    """

    method: str
    path: str
    handler: HandlerT
    streams: bool = False


class JsonApi(ABC, Generic[HandlerT]):
    """An ASGI application made of routes."""

    def __init__(self, routes: Iterable[Route[HandlerT]]) -> None:
        """Create the application; a route with a verb goes before one without, which would match it too."""
        self._trouble = Trouble(_log, "a request", after="its sender can try again")
        # Few routes have the same number of segments, so nearly nothing is left to try.
        self._by_length: dict[int, list[tuple[tuple[_Segment, ...], Route[HandlerT]]]] = defaultdict(list)
        for route in routes:
            segments = tuple(_Segment.parse(segment) for segment in route.path.split("/"))
            self._by_length[len(segments)].append((segments, route))
        for candidates in self._by_length.values():
            candidates.sort(key=lambda candidate: not candidate[0][-1].verb)

    @abstractmethod
    async def answer(self, handler: HandlerT, call: Call) -> Response:
        """Run ``handler`` and return its answer. Raises ``ApiError``."""

    def unknown_method(self, method: str, path: str, *, path_exists: bool) -> ApiError:
        """Return the error for a request that no route serves; ``path_exists`` if another HTTP method has the path."""
        return NotFound(f"The requested URL {path} was not found on this server.")

    def malformed_body(self, problem: str) -> ApiError:
        """Return the error for a body that is not a JSON object."""
        return InvalidArgument(f"Invalid JSON payload received. {problem}")

    def unavailable(self, problem: str) -> ApiError:
        """Return the error for a request that may succeed later."""
        return Unavailable(problem)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        request = Request(scope, receive)
        try:
            response = await self._respond(request)
            if request.method not in SAFE_METHODS:
                self._trouble.is_over()
        except ApiError as error:
            response = error_response(error)
        except MalformedBody as error:
            response = error_response(self.malformed_body(str(error)))
        except RecursionError:
            response = error_response(self.malformed_body("It is nested too deeply."))
        except ClientDisconnect:
            return
        except (OSError, sqlite3.OperationalError) as error:
            self._trouble.report(error)
            response = error_response(self.unavailable(f"The request cannot be stored: {in_words(error)}."))
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> Response:
        route, names = self._find(request)
        content = b"" if route.streams else await request.body()
        return await self.answer(
            route.handler, Call(request, names, QueryParams(request.scope["query_string"]), content)
        )

    def _find(self, request: Request) -> tuple[Route[HandlerT], dict[str, str]]:
        """Return the route of a request and the names in its path, which is split before escapes are resolved."""
        segments = _raw_path(request.scope).rstrip("/").split("/")
        path_exists = False
        for pattern, route in self._by_length.get(len(segments), ()):
            names = _match(pattern, segments)
            if names is None:
                continue
            if route.method == request.method:
                return route, names
            path_exists = True
        raise self.unknown_method(request.method, request.scope["path"], path_exists=path_exists)


def parse_json_object(content: bytes) -> dict[str, Any]:
    """Return the JSON object in ``content``, an empty one if there is nothing in it. Raises ``MalformedBody``."""
    if not content.strip():
        return {}
    try:
        parsed = json.loads(content)
    except ValueError as error:
        raise MalformedBody(str(error)) from None
    except RecursionError:
        raise MalformedBody("It is nested too deeply.") from None
    if not isinstance(parsed, dict):
        raise MalformedBody("Root element must be a message.")
    return parsed


def json_response(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return an answer whose body is ``content`` as JSON."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    # Half of a surrogate pair has no UTF-8 encoding; its backslash escape is valid JSON.
    return Response(text.encode("utf-8", "backslashreplace"), status, headers, media_type=JSON_TYPE)


def error_response(error: ApiError) -> Response:
    """Return the answer that reports ``error``."""
    if error.code == 304:  # has no body: https://www.rfc-editor.org/rfc/rfc9110#section-15.4.5
        return Response(status_code=error.code, headers=error.headers)
    return json_response(error.body(), error.code, error.headers)


@dataclass(frozen=True)
class _Segment:
    """A segment of a route's path: a literal, or a name with the verb that it ends with."""

    literal: str
    name: str = ""
    verb: str = ""

    @classmethod
    def parse(cls, text: str) -> _Segment:
        if not text.startswith("{"):
            return cls(text)
        name, _, verb = text[1:].partition("}")
        return cls("", name, verb)


def _match(pattern: tuple[_Segment, ...], segments: list[str]) -> dict[str, str] | None:
    """Return the names in a path, None if it does not match."""
    names = {}
    for expected, segment in zip(pattern, segments, strict=True):
        if not expected.name:
            if expected.literal != segment:
                return None
        elif segment.endswith(expected.verb):
            names[expected.name] = unquote(segment.removesuffix(expected.verb))
        else:
            return None
    return names


def _raw_path(scope: Scope) -> str:
    """Return the path with its escapes: slashes within a name are escaped, those between names are not."""
    raw = scope.get("raw_path")
    return raw.decode("latin-1") if raw else quote(scope["path"])
