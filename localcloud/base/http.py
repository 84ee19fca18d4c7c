"""An HTTP server on a port of this machine, in a thread with its own event loop."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
import sys
import threading
from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from localcloud.base.asgi import ASGIApp, Receive, Scope
from localcloud.base.gate import LARGEST_BODY_BYTES, Gate

HOST = "127.0.0.1"
LARGEST_HEAD_BYTES = 64 << 10
"""The largest head of a request, and the most bytes between two pieces of a body (chunk sizes, trailers)."""
STALL_SECONDS = 30.0
"""How long a request may take to send its head, and how long it may pause within its body."""
MOST_WAITING = 128
"""How many connections may be without the whole head of a request before the oldest are closed."""
WAITING_SECONDS = 2.0
"""The age from which such a connection may be closed for another."""


@dataclass(eq=False)
class Connection:
    """The connection of a request, in ``scope["state"]["connection"]``."""

    transport: asyncio.Transport
    caller: str | None = None
    """The function at the other end, None if it is another process or not known yet."""
    caller_is_known: bool = False
    """Whether ``caller`` was looked up."""


class _ConnectionProtocol(HttpToolsProtocol):
    """Uvicorn's protocol, which also passes the connection to the application and limits unfinished requests.

    Uvicorn itself waits for the rest of a request for any time and stores heads of any size.
    """

    def __init__(
        self, *arguments: Any, waiting: dict[_ConnectionProtocol, float], stall_seconds: float, **named: Any
    ) -> None:
        """Create the protocol of one connection.

        Args:
            arguments: Uvicorn's arguments.
            waiting: The server's connections without a whole head, oldest first, with the times of their beginning.
            stall_seconds: How long a request may take to send its head, and pause within its body.
            named: Uvicorn's further arguments.
        """
        super().__init__(*arguments, **named)
        self._waiting = waiting
        self._stall_seconds = stall_seconds
        self._expecting = False
        self._progress = 0.0
        self._last_chance = False
        self._bytes_without_progress = 0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state = {**self.app_state, "connection": Connection(transport)}
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._waiting.pop(self, None)
        self._expecting = False
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._bytes_without_progress += len(data)
        super().data_received(data)
        if self._bytes_without_progress > LARGEST_HEAD_BYTES and not self.transport.is_closing():
            self.transport.write(
                b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
            )
            self.transport.close()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self not in self._waiting:
            self._expect_head()

    def on_headers_complete(self) -> None:
        self._waiting.pop(self, None)
        self._note_progress()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._note_progress()
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._note_progress()
        self._expecting = False
        super().on_message_complete()

    def _note_progress(self) -> None:
        self._progress = self.loop.time()
        self._last_chance = False
        self._bytes_without_progress = 0

    def _expect_head(self) -> None:
        self._progress = self._waiting[self] = self.loop.time()
        self._expecting = True
        if self._timer is None:  # the timer of an earlier request serves this one, too
            self._check_again_in(self._stall_seconds)
        if len(self._waiting) > MOST_WAITING:
            oldest, since = next(iter(self._waiting.items()))
            if self.loop.time() - since > WAITING_SECONDS:
                del self._waiting[oldest]
                oldest.transport.abort()

    def _check_progress(self) -> None:
        """Close the connection if the client has sent nothing useful for too long."""
        self._timer = None
        if not self._expecting or self.transport.is_closing():
            return
        if self.flow.read_paused or (self.cycle is not None and self.cycle.waiting_for_100_continue):
            self._note_progress()  # the client waits for the application
        left = self._progress + self._stall_seconds - self.loop.time()
        if left > 0:
            self._check_again_in(left)
        elif not self._last_chance:
            # On a busy machine, the rest may have arrived without having been read.
            self._last_chance = True
            self._check_again_in(min(1.0, self._stall_seconds))
        else:
            self.transport.abort()

    def _check_again_in(self, seconds: float) -> None:
        self._timer = self.loop.call_later(seconds, self._check_progress)


async def read_to_the_end(receive: Receive) -> None:
    """Read the whole request: a client that is still sending would see a broken connection, not the status."""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            return


async def hang_up(scope: Scope, receive: Receive, *, reset: bool, after_sending: bool = False) -> None:
    """Close the connection of a request, and wait until it is closed.

    Args:
        scope: The request.
        receive: Returns the messages of the request.
        reset: Whether the client gets a TCP reset.
        after_sending: Whether what was sent so far still reaches the client.
    """
    connection: Connection = scope["state"]["connection"]
    if reset:
        # With a linger time of 0, closing the socket sends a reset.
        lingering = struct.pack("ii", 1, 0)
        connection.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, lingering)
    if after_sending:
        connection.transport.close()
    else:
        connection.transport.abort()
    while (await receive())["type"] != "http.disconnect":
        pass


class ReservedPort:
    """A port that no other program gets, and that a server in this or a child process can bind.

    A socket that is bound but does not listen holds the port. On Linux, a server that sets ``SO_REUSEADDR``, as uvicorn,
    gunicorn and gRPC do, can bind it nevertheless. On other systems it cannot, so the port is released at once there and
    is only likely to stay free.
    """

    def __init__(self, port: int = 0) -> None:
        """Reserve ``port`` (0: a free one). Raises ``OSError`` if it is taken."""
        self._held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._held.bind((HOST, port))
        except OSError:
            self._held.close()
            raise
        self.number: int = self._held.getsockname()[1]
        if sys.platform != "linux":
            self._held.close()

    def release(self) -> None:
        """Release the port; a server that listens on it keeps it."""
        self._held.close()


class HttpServer:
    """An ASGI application behind ``http://127.0.0.1:PORT`` and a gate (``gate.py``).

    ``port`` and ``url`` are known before ``start``, since the socket is bound at once.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        port: int = 0,
        name: str = "http",
        host_names: Collection[str] = (),
        is_google_api: bool = True,
        streamed: re.Pattern[str] | None = None,
        largest_body: int = LARGEST_BODY_BYTES,
        stall_seconds: float = STALL_SECONDS,
    ) -> None:
        """Bind ``port``.

        Args:
            app: The application.
            port: The port; 0 means a free one.
            name: The name of the thread.
            host_names: The host names that requests may have in addition to those of this machine.
            is_google_api: Whether the paths are those of Google's APIs, where uploads and token requests have any type.
            streamed: The paths whose bodies the application writes to disk while they arrive, so that they have no limit.
            largest_body: The largest body in bytes; uploads to Google's APIs may be larger.
            stall_seconds: How long a request may take to send its head, and how long it may pause within its body.

        Raises:
            OSError: The port is taken.
        """
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((HOST, port))
        except OSError:
            self._socket.close()
            raise
        self.port: int = self._socket.getsockname()[1]
        config = uvicorn.Config(
            Gate(
                app,
                host_names=host_names,
                is_google_api=is_google_api,
                streamed=streamed,
                largest_body=largest_body,
            ),
            interface="asgi3",
            http=partial(_ConnectionProtocol, waiting={}, stall_seconds=stall_seconds),  # type: ignore[arg-type]  # any callable will do
            ws="none",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            lifespan="off",
            timeout_keep_alive=600,
            backlog=4096,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name=name, daemon=True
        )

    @property
    def url(self) -> str:
        """The address without a trailing slash."""
        return f"http://{HOST}:{self.port}"

    def start(self) -> None:
        """Start to serve; connections are accepted when this returns."""
        self._socket.listen(4096)  # connections wait in the queue until the thread runs
        self._thread.start()

    def stop(self) -> None:
        """Stop serving; requests in progress get a moment to end."""
        self._server.should_exit = True
        self._server.force_exit = True
        if self._thread.is_alive():
            self._thread.join(timeout=10)
        self._socket.close()
