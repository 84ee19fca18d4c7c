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

from localcloud.apis.discovery import missing_method
from localcloud.base.api_errors import ApiError
from localcloud.base.json_api import Call, JsonApi, Route, json_response
from localcloud.base.partial_response import Selection, parse_fields, select
from localcloud.gemini.models import EVERYWHERE, REGION
from localcloud.vertex.base.enums import encode_enums
from localcloud.vertex.base.errors import RequestError
from localcloud.vertex.base.operations import in_version

# By first segment of the path, the API version. Google's clients request operations below /ui/.
VERSIONS = {"v1": "v1", "v1beta1": "v1beta1", "ui": "v1"}

CALLS_AT_A_TIME = 32

# Parameters of the query string that are refused, and what they belong to.
REFUSED_PARAMETERS = {
    "gdcZone": "zones of Google Distributed Cloud",
    "huggingFaceToken": "models of Hugging Face",
    "isHuggingFaceModel": "models of Hugging Face",
    "orderBy": "an order of lists (the newest come first)",
}
# Parameters that are accepted and have no effect, and why.
KEPT_PARAMETERS = {
    "$.xgafv": "errors have one form",
    "access_token": "calls need no token",
    "callback": "answers are JSON only",
    "key": "calls need no key",
    "languageCode": "descriptions are in English",
    "oauth_token": "calls need no token",
    "prettyPrint": "answers are not indented",
    "quotaUser": "calls are not counted, so they cannot exceed a quota",
    "readMask": "all fields are shown",
    "returnPartialSuccess": "all operations can be reached",
    "uploadType": "there are no uploads",
    "upload_protocol": "there are no uploads",
    "view": "all fields are shown",
}

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

    def unknown_method(self, method: str, path: str, *, path_exists: bool) -> ApiError:
        """Return the error for a request that no route serves: UNIMPLEMENTED if Vertex AI has the method."""
        name = missing_method("vertex", method, path)
        if name is None:
            return super().unknown_method(method, path, path_exists=path_exists)
        return RequestError("UNIMPLEMENTED", f"The local Vertex AI does not have the method {name}.")

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
    for name, feature in REFUSED_PARAMETERS.items():
        if call.query.get(name, "false").lower() not in ("", "false"):
            raise RequestError("UNIMPLEMENTED", f"The local Vertex AI does not have {feature}: {name}.")
    selection = _selection(call)
    answer = handler(call)
    alternatives = (call.query.get("$alt") or call.query.get("alt") or "json").split(";")
    encode = encode_enums if "enum-encoding=int" in alternatives else _unchanged
    if isinstance(answer, dict):
        version = VERSIONS.get(call.path.split("/")[1])
        return json_response(select(encode(in_version(answer, version) if version else answer), selection))
    pieces = (encode(piece) for piece in answer.pieces)
    if "sse" in alternatives:
        lines = (f"data: {json.dumps(piece, ensure_ascii=False)}\r\n\r\n" for piece in pieces)
        return StreamingResponse(lines, media_type="text/event-stream")
    return json_response(list(pieces))


def _selection(call: Call) -> Selection:
    """Return the fields of the answer that a call names; empty for all. Raises ``RequestError`` if they are malformed."""
    try:
        return parse_fields(call.query["fields"]) if call.query.get("fields") else {}
    except ValueError as error:
        raise RequestError("INVALID_ARGUMENT", str(error)) from None


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
