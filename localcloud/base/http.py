"""Runs an ASGI application on a port of this machine, in a thread with an event loop of its own."""

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
    """The connection that a request came by: ``scope["state"]["connection"]``."""

    transport: asyncio.Transport
    caller: str | None = None
    """Who calls, once somebody has found out."""
    caller_is_known: bool = False


class _ConnectionProtocol(HttpToolsProtocol):
    """Uvicorn's own protocol, which also tells the application the connection that it serves."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state = {**self.app_state, "connection": Connection(transport)}


class ReservedPort:
    """A port of this machine that nobody else is given, and that a server here or in a child process can bind.

    It is held by a socket that is bound and does not listen. On Linux a server that asks to reuse the address, as
    uvicorn, gunicorn and gRPC do, can bind it all the same; elsewhere it could not, so there the port is let go at once
    and only likely to stay free.
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
        """Let go of the port; a server that listens on it is not disturbed."""
        self._held.close()


class HttpServer:
    """An ASGI application behind ``http://127.0.0.1:PORT``.

    The socket is bound at once, so ``port`` and ``url`` are known before ``start``.
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
        """Serve, and return once connections are accepted."""
        self._socket.listen(4096)  # from here on connections queue up, so nobody is refused
        self._thread.start()

    def stop(self) -> None:
        """Stop serving; requests under way get a moment to end."""
        self._server.should_exit = True
        self._server.force_exit = True
        if self._thread.is_alive():
            self._thread.join(timeout=10)
        self._socket.close()
