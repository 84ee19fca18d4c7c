"""An HTTP server on a port of this machine, in a thread with its own event loop."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

HOST = "127.0.0.1"


@dataclass(eq=False)
class Connection:
    """The connection of a request, in ``scope["state"]["connection"]``."""

    transport: asyncio.Transport
    caller: str | None = None
    """The function at the other end, None if it is another process or not known yet."""
    caller_is_known: bool = False
    """Whether ``caller`` was looked up."""


class _ConnectionProtocol(HttpToolsProtocol):
    """Uvicorn's protocol, which also passes the connection to the application."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state = {**self.app_state, "connection": Connection(transport)}


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
    """An ASGI application behind ``http://127.0.0.1:PORT``.

    ``port`` and ``url`` are known before ``start``, since the socket is bound at once.
    """

    def __init__(self, app: ASGIApp, *, port: int = 0, name: str = "http") -> None:
        """Bind ``port`` (0: a free one). Raises ``OSError`` if it is taken."""
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((HOST, port))
        except OSError:
            self._socket.close()
            raise
        self.port: int = self._socket.getsockname()[1]
        config = uvicorn.Config(
            app,
            interface="asgi3",
            http=_ConnectionProtocol,
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
