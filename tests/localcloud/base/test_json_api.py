"""The JSON API layer, served over HTTP: routes, bodies and errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from starlette.responses import Response

from localcloud.base.api_errors import ApiError, NotFound, Unimplemented
from localcloud.base.http import HttpServer
from localcloud.base.json_api import Call, JsonApi, Route, json_response

Handler = Callable[[Call], Any]


class NotModified(ApiError):
    code, status = 304, "FAILED_PRECONDITION"

    def __init__(self) -> None:
        super().__init__("Not Modified")
        self.headers = {"etag": "abc"}


class ShelfApi(JsonApi[Handler]):
    """Answers with what a handler of its own received."""

    def __init__(self) -> None:
        super().__init__(
            [
                Route("GET", "/v1/shelves/{shelf}", lambda call: {"names": call.names, "query": dict(call.query)}),
                Route("POST", "/v1/shelves/{shelf}", lambda call: {"shelf": call.names["shelf"], "body": call.json()}),
                Route("POST", "/v1/shelves/{shelf}:clear", lambda call: {"cleared": call.names["shelf"]}),
                Route("PUT", "/v1/shelves/{shelf}", self._length, streams=True),
                Route("DELETE", "/v1/shelves/{shelf}", self._missing),
                Route("GET", "/v1/unchanged", self._unchanged),
            ]
        )

    async def answer(self, handler: Handler, call: Call) -> Response:
        answer = handler(call)
        return json_response(answer if isinstance(answer, dict) else await answer)

    def unknown_method(self, method: str, path: str, *, path_exists: bool) -> ApiError:
        return Unimplemented(f"{method} {path}: {path_exists}")

    async def _length(self, call: Call) -> dict[str, Any]:
        return {"length": sum([len(piece) async for piece in call.stream()]), "content": call.content.decode()}

    def _missing(self, call: Call) -> dict[str, Any]:
        raise NotFound(f"No such shelf: {call.names['shelf']}")

    def _unchanged(self, call: Call) -> dict[str, Any]:
        raise NotModified


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = HttpServer(ShelfApi())
    server.start()
    yield f"{server.url}/v1"
    server.stop()


def test_a_name_may_contain_an_escaped_slash_and_a_colon(url: str) -> None:
    answer = requests.get(f"{url}/shelves/a%2Fb:c", params={"page": ["1", "2"]}, timeout=60)
    assert answer.json() == {"names": {"shelf": "a/b:c"}, "query": {"page": "2"}}
    assert answer.headers["content-type"] == "application/json; charset=UTF-8"


def test_a_route_with_a_verb_precedes_one_without(url: str) -> None:
    assert requests.post(f"{url}/shelves/top:clear", timeout=60).json() == {"cleared": "top"}
    assert requests.post(f"{url}/shelves/top", timeout=60).json() == {"shelf": "top", "body": {}}


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("{", "Expecting property name"),
        ("[]", "Root element must be a message."),
        ("[" * 100_000, "It is nested too deeply."),
        (b"\xff", "codec can't decode"),
    ],
    ids=["not JSON", "not an object", "too deep", "not UTF-8"],
)
@pytest.mark.usefixtures("usual_recursion_limit")
def test_a_malformed_body_is_rejected(url: str, body: str | bytes, problem: str) -> None:
    answer = requests.post(f"{url}/shelves/top", data=body, timeout=60)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["status"]) == (400, 400, "INVALID_ARGUMENT")
    assert error["message"].startswith("Invalid JSON payload received.")
    assert problem in error["message"]


def test_a_streaming_route_reads_the_body_itself(url: str) -> None:
    answer = requests.put(f"{url}/shelves/top", data=b"x" * 300_000, timeout=60)
    assert answer.json() == {"length": 300_000, "content": ""}


def test_a_raised_error_becomes_the_answer(url: str) -> None:
    answer = requests.delete(f"{url}/shelves/top", timeout=60)
    assert answer.status_code == 404
    assert answer.json() == {"error": {"code": 404, "message": "No such shelf: top", "status": "NOT_FOUND"}}


def test_not_modified_has_headers_and_no_body(url: str) -> None:
    answer = requests.get(f"{url}/unchanged", timeout=60)
    assert (answer.status_code, answer.headers["etag"], answer.content) == (304, "abc", b"")


@pytest.mark.parametrize(("method", "path", "exists"), [("PATCH", "shelves/top", True), ("GET", "books", False)])
def test_an_unknown_method_has_the_error_of_its_api(url: str, method: str, path: str, exists: bool) -> None:
    answer = requests.request(method, f"{url}/{path}", timeout=60)
    assert (answer.status_code, answer.json()["error"]["message"]) == (501, f"{method} /v1/{path}: {exists}")


def test_half_of_a_surrogate_pair_is_escaped() -> None:
    assert json_response({"text": "ü\ud800"}).body == b'{"text":"\xc3\xbc\\ud800"}'
