"""The features of Vertex AI's REST API: versions, enums as numbers, and streamed responses.

https://cloud.google.com/apis/docs/system-parameters
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from starlette.responses import Response, StreamingResponse

from localcloud.base.json_api import Call, JsonApi, Route, json_response
from localcloud.gemini.models import EVERYWHERE, REGION
from localcloud.vertex.base.enums import encode_enums
from localcloud.vertex.base.errors import RequestError
from localcloud.vertex.base.operations import in_version

# By first segment of the path, the API version. Google's clients request operations below /ui/.
VERSIONS = {"v1": "v1", "v1beta1": "v1beta1", "ui": "v1"}

CALLS_AT_A_TIME = 32

# The path of a location, the parent of jobs, models and endpoints.
LOCATION = "projects/{project}/locations/{location}"


@dataclass(frozen=True)
class Stream:
    """A response in pieces."""

    pieces: Iterator[dict[str, Any]]


Handler = Callable[[Call], "dict[str, Any] | Stream"]


class VertexApi(JsonApi[Handler]):
    """The REST API as an ASGI application. Handlers raise ``RequestError`` or ``BackendError``."""

    def __init__(self, routes: Iterable[Route[Handler]]) -> None:
        """Serve each of ``routes`` in every version; a path that begins with a slash is not part of Google's API."""
        super().__init__(versioned for route in routes for versioned in _in_every_version(route))
        self._pool = ThreadPoolExecutor(CALLS_AT_A_TIME, thread_name_prefix="vertex-call")

    def stop(self) -> None:
        """Accept no more calls; those in progress are not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def answer(self, handler: Handler, call: Call) -> Response:
        """Run ``handler`` in a pool of its own: a slow model must not delay the other services of the port."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, _answer, handler, call)


def version_of(call: Call) -> str:
    """Return the API version of a call, ``v1`` or ``v1beta1``."""
    return VERSIONS[call.path.split("/")[1]]


def _in_every_version(route: Route[Handler]) -> Iterator[Route[Handler]]:
    if route.path.startswith("/"):
        yield route
        return
    for version in VERSIONS:
        yield replace(route, path=f"/{version}/{route.path}")


def _answer(handler: Handler, call: Call) -> Response:
    _check_location(call.names.get("location"))
    answer = handler(call)
    alternatives = (call.query.get("$alt") or call.query.get("alt") or "json").split(";")
    encode = encode_enums if "enum-encoding=int" in alternatives else _unchanged
    if isinstance(answer, dict):
        version = VERSIONS.get(call.path.split("/")[1])
        return json_response(encode(in_version(answer, version) if version else answer))
    pieces = (encode(piece) for piece in answer.pieces)
    if "sse" in alternatives:
        lines = (f"data: {json.dumps(piece, ensure_ascii=False)}\r\n\r\n" for piece in pieces)
        return StreamingResponse(lines, media_type="text/event-stream")
    return json_response(list(pieces))


def _check_location(location: str | None) -> None:
    """Check the location of a path.

    https://docs.cloud.google.com/gemini-enterprise-agent-platform/resources/locations
    """
    if location is not None and location not in EVERYWHERE and not REGION.fullmatch(location):
        raise RequestError(
            "INVALID_ARGUMENT",
            f"Unsupported location {location!r}: use global, us, eu or a region such as us-central1.",
        )


def _unchanged(answer: dict[str, Any]) -> dict[str, Any]:
    return answer
