"""Requests that never end, are too large or grow when they are unpacked: they are closed, and other requests go on."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import socket
from collections.abc import Callable, Iterator

import pytest
import requests

from localcloud.base.asgi import Message, Receive, Scope, Send
from localcloud.base.gate import Gate
from localcloud.base.gzip_bodies import gunzip
from localcloud.base.http import MOST_WAITING, HttpServer
from tests.waiting import LAST_LIMIT, wait_until

LARGEST_BODY = 1000
HEAD = b"POST /x HTTP/1.1\r\nHost: localhost\r\n"
Start = Callable[..., HttpServer]


async def count_bytes(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the size of the whole body; without a whole body, do not answer."""
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size, more = size + len(message["body"]), message.get("more_body", False)
    body = str(size).encode()
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(body)).encode())]}
    )
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a server with ``count_bytes``."""
    servers: list[HttpServer] = []

    def start(**options: float) -> HttpServer:
        servers.append(HttpServer(count_bytes, largest_body=LARGEST_BODY, **options))  # type: ignore[arg-type]
        servers[-1].start()
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def connect() -> Iterator[Callable[[HttpServer, bytes], socket.socket]]:
    """Opens a connection to a server and sends bytes over it."""
    with contextlib.ExitStack() as opened:

        def connect(server: HttpServer, sent: bytes = b"") -> socket.socket:
            connection = opened.enter_context(socket.create_connection(("127.0.0.1", server.port), LAST_LIMIT))
            connection.sendall(sent)
            return connection

        yield connect


Connect = Callable[..., socket.socket]


def is_answered(server: HttpServer) -> bool:
    return requests.post(server.url, data=b"12345", timeout=LAST_LIMIT).text == "5"


@pytest.mark.parametrize("sent", [b"", b"POST", HEAD, HEAD + b"Content-Length: 100\r\n\r\nhalf"])
def test_half_sent_requests_do_not_keep_others_from_an_answer(start: Start, connect: Connect, sent: bytes) -> None:
    server = start()
    for _ in range(200):
        connect(server, sent)
    assert is_answered(server)


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        HEAD,
        HEAD + b"Content-Length: 100\r\n\r\nhalf",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        HEAD + b"Content-Length: 0\r\n\r\n" + HEAD,
    ],
)
def test_a_request_that_stops_half_way_is_closed(start: Start, connect: Connect, sent: bytes) -> None:
    connection = connect(start(stall_seconds=0.1), sent)
    with contextlib.suppress(ConnectionResetError):
        while connection.recv(4096):
            pass


def test_a_head_that_comes_in_small_pieces_is_closed_in_the_end(start: Start, connect: Connect) -> None:
    connection = connect(start(stall_seconds=0.1), HEAD)

    def is_closed() -> bool:
        try:
            connection.sendall(b"a: b\r\n")
        except OSError:
            return True
        return False

    wait_until(is_closed)


def test_the_oldest_of_too_many_waiting_connections_are_closed(start: Start, connect: Connect) -> None:
    server = start()
    oldest = connect(server, HEAD)
    for _ in range(MOST_WAITING):
        connect(server)
    oldest.settimeout(0.01)

    def is_closed() -> bool:
        connect(server)
        try:
            return oldest.recv(1) == b""
        except TimeoutError:
            return False
        except OSError:
            return True

    wait_until(is_closed)
    assert is_answered(server)


@pytest.mark.parametrize(
    ("begin", "again"),
    [
        (HEAD, b"name: value\r\n"),
        (HEAD + b"name: ", b"value" * 100),
        (b"GET /", b"path" * 100),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"trailer: value\r\n"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n5;", b"extension" * 100),
    ],
    ids=["headers", "header", "path", "trailers", "chunk extension"],
)
def test_an_endless_head_is_refused(start: Start, connect: Connect, begin: bytes, again: bytes) -> None:
    server = start()
    connection = connect(server, begin)
    answer = b""
    with contextlib.suppress(ConnectionError):
        for _ in range(LARGEST_HEAD_PIECES):
            connection.sendall(again * 10)
        answer = connection.recv(4096)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 4")
    assert is_answered(server)


LARGEST_HEAD_PIECES = 100_000
"""Many more than fit into the buffers of both ends: a server that reads all of them would keep the sender busy."""


def test_a_body_that_says_that_it_is_too_large_is_refused_before_it_is_sent(start: Start, connect: Connect) -> None:
    connection = connect(start(), HEAD + b"Content-Length: 1000000000000\r\n\r\n")
    assert connection.recv(4096).startswith(b"HTTP/1.1 413")


def test_only_the_limits_of_uploads_are_higher(start: Start, connect: Connect) -> None:
    google = start()
    upload = HEAD.replace(b"/x", b"/upload/bigquery/v2/projects/p/jobs") + b"Content-Length: 1001\r\n\r\n" + b"x" * 1001
    assert connect(google, upload).recv(4096).startswith(b"HTTP/1.1 200")
    too_large = upload.replace(b"1001", str((128 << 20) + 1).encode())
    assert connect(google, too_large).recv(4096).startswith(b"HTTP/1.1 413")
    assert connect(start(is_google_api=False), upload).recv(4096).startswith(b"HTTP/1.1 413")


def test_a_chunked_body_is_refused_once_it_is_too_large(start: Start, connect: Connect) -> None:
    connection = connect(start(), HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    connection.sendall(b"3e8\r\n" + b"x" * 1000 + b"\r\n")
    connection.sendall(b"1\r\nx\r\n")
    assert connection.recv(4096).startswith(b"HTTP/1.1 413")


def test_bodies_that_are_too_large_together_are_refused() -> None:
    statuses: list[int] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"x" * 60, "more_body": False}

    async def send(message: Message) -> None:
        statuses.append(message.get("status", 0))

    async def call_again(scope: Scope, inner: Receive, answer: Send) -> None:
        await inner()
        if scope["path"] == "/outer":
            await gate({**scope, "path": "/inner"}, receive, send)
        await answer({"type": "http.response.start", "status": 200, "headers": []})

    gate = Gate(call_again, together=100)
    scope = {"type": "http", "method": "GET", "path": "/outer", "headers": [(b"host", b"localhost")]}
    asyncio.run(gate(scope, receive, send))
    assert [status for status in statuses if status] == [503, 200]


def test_a_compressed_body_is_unpacked_up_to_the_limit_only() -> None:
    bomb = gzip.compress(b"\0" * 10_000_000)
    assert gunzip(gzip.compress(b"content"), 100) == b"content"
    with pytest.raises(ValueError, match="it has more than 1,000 bytes without its compression"):
        gunzip(bomb, 1000)
    with pytest.raises(ValueError, match="it is cut off"):
        gunzip(bomb[:1000], 1 << 30)
    with pytest.raises(ValueError, match="incorrect header check"):
        gunzip(b"content", 100)
