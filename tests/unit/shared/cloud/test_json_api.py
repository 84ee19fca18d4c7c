"""Calls of JSON APIs: what is sent, what is read, which answers are repeated, and the errors of the others."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import google_crc32c
import pytest
import requests
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials, Credentials
from google.cloud import storage
from google.cloud.storage.retry import DEFAULT_RETRY

from shared.cloud.calls import CallOptions
from shared.cloud.json_api import Answer, JsonApi
from shared.cloud.storage import Objects

OPTIONS: CallOptions = {"retry": DEFAULT_RETRY.with_delay(0.0, 0.01).with_timeout(0.5), "timeout": 5.0}
CONTENT = b'{"kind": "predict"}'
CHECKSUM = base64.b64encode(google_crc32c.value(CONTENT).to_bytes(4, "big")).decode()


@dataclass
class Server:
    """Answers calls with the given answers, the last one again and again, and keeps the requests."""

    url: str = ""
    answers: list[tuple[int, bytes, dict[str, str]]] = field(default_factory=list)
    requests: list[tuple[str, str, bytes]] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)

    def answer(self, status: int = 200, body: bytes = b"{}", **headers: str) -> None:
        """Add an answer."""
        self.answers.append((status, body, {name.replace("_", "-"): value for name, value in headers.items()}))


@pytest.fixture
def server() -> Iterator[Server]:
    """A running server without answers."""
    known = Server()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            known.tokens.append(self.headers.get("Authorization"))
            known.requests.append((self.command, self.path, body))
            status, content, headers = known.answers.pop(0) if len(known.answers) > 1 else known.answers[0]
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)
            self.close_connection = "Content-Length" in headers

        def log_message(self, *values: Any) -> None:
            """Print nothing."""

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running.daemon_threads = True
    known.url = f"http://127.0.0.1:{running.server_address[1]}"
    threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield known
    running.shutdown()
    running.server_close()


def get(server: Server) -> dict[str, Any]:
    api = JsonApi(AnonymousCredentials(), server.url)
    return api.call("GET", "/b/name", {"state": ("a", "b"), "none": None}, OPTIONS, read=Answer.json)


def objects(server: Server) -> Objects:
    client = storage.Client("units", AnonymousCredentials(), client_options={"api_endpoint": server.url})
    return Objects(client, "bucket")


def test_parameters_are_repeated_for_lists_and_left_out_without_a_value(server: Server) -> None:
    server.answer(body=b'{"a": 1}')
    assert get(server) == {"a": 1}
    assert server.requests == [("GET", "/b/name?state=a&state=b", b"")]


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_passing_error_is_repeated(server: Server, status: int) -> None:
    server.answer(status)
    server.answer(body=b'{"a": 1}')
    assert get(server) == {"a": 1}


def test_a_body_that_ends_too_early_is_repeated(server: Server) -> None:
    server.answer(body=b'{"a"', Content_Length="20")
    server.answer(body=b'{"a": 1}')
    assert get(server) == {"a": 1}


@pytest.mark.parametrize(
    ("status", "error"), [(404, exceptions.NotFound), (412, exceptions.PreconditionFailed), (403, exceptions.Forbidden)]
)
def test_a_refusal_is_the_error_of_the_client_with_its_reason(server: Server, status: int, error: type) -> None:
    body = b'{"error": {"message": "no such object", "errors": [{"reason": "notFound"}]}}'
    server.answer(status, body)
    with pytest.raises(error) as raised:
        get(server)
    assert raised.value.errors == [{"reason": "notFound"}]
    assert raised.value.message == f"GET {server.url}/b/name?state=a&state=b: no such object"
    assert len(server.requests) == 1


@pytest.mark.parametrize("body", [b"<html>Forbidden</html>", b"[]", b"\xff", b""])
def test_an_error_that_is_not_json_is_the_error_of_its_status(server: Server, body: bytes) -> None:
    server.answer(403, body)
    with pytest.raises(exceptions.Forbidden):
        get(server)


@pytest.mark.parametrize("body", [b"<html>Sign in</html>", b"[]", b'"text"', b""])
def test_a_page_in_place_of_an_answer_is_an_error_of_the_network(server: Server, body: bytes) -> None:
    server.answer(body=body)
    with pytest.raises(OSError, match="not a JSON object"):
        get(server)


class Tokens(Credentials):
    """Credentials whose first token was revoked."""

    def __init__(self) -> None:
        super().__init__()
        self.token = "revoked"

    def refresh(self, request: object) -> None:
        self.token = "valid"


def test_a_refused_token_is_replaced_once(server: Server) -> None:
    api, credentials = server.url, Tokens()
    server.answer(401)
    server.answer(body=b'{"a": 1}')
    assert JsonApi(credentials, api).call("GET", "/", {}, OPTIONS, read=Answer.json) == {"a": 1}
    server.answer(401)
    server.answers = server.answers[-1:]
    with pytest.raises(exceptions.Unauthorized):
        JsonApi(credentials, api).call("GET", "/", {}, OPTIONS, read=Answer.json)
    assert server.tokens == ["Bearer revoked", "Bearer valid", "Bearer valid", "Bearer valid"]


def test_a_redirection_is_not_followed(server: Server) -> None:
    server.answer(302, Location="/elsewhere")
    with pytest.raises(exceptions.GoogleAPICallError):
        get(server)
    assert len(server.requests) == 1


def test_a_server_that_does_not_answer_is_an_error_of_the_network(server: Server) -> None:
    api = JsonApi(AnonymousCredentials(), "http://127.0.0.1:9")
    with pytest.raises(exceptions.RetryError) as raised:
        api.call("GET", "/", {}, OPTIONS, read=Answer.json)
    assert isinstance(raised.value.cause, requests.ConnectionError)


def test_an_object_is_read_with_its_generation(server: Server) -> None:
    server.answer(206, CONTENT, X_Goog_Generation="7", X_Goog_Hash=f"crc32c={CHECKSUM},md5=x")
    assert objects(server).download("a/b", 100, **OPTIONS) == (CONTENT, 7)
    assert server.requests == [("GET", "/download/storage/v1/b/bucket/o/a%2Fb?alt=media", b"")]


def test_no_more_of_an_object_is_read_than_asked_for(server: Server) -> None:
    server.answer(200, CONTENT, X_Goog_Generation="7", X_Goog_Hash=f"crc32c={CHECKSUM}")
    assert objects(server).download("a", 3, **OPTIONS) == (CONTENT[:4], 7)


def test_an_object_that_ends_too_early_is_read_again(server: Server) -> None:
    server.answer(206, CONTENT[:4], X_Goog_Generation="7", Content_Length=str(len(CONTENT)))
    server.answer(206, CONTENT, X_Goog_Generation="7")
    assert objects(server).download("a", 100, **OPTIONS) == (CONTENT, 7)


def test_bytes_without_the_checksum_of_the_object_are_an_error(server: Server) -> None:
    server.answer(206, b"{}", X_Goog_Generation="7", X_Goog_Hash=f"crc32c={CHECKSUM}")
    with pytest.raises(exceptions.DataLoss):
        objects(server).download("a", 100, **OPTIONS)
