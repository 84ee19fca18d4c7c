"""A small HTTP server that answers each request after the latency of its service. It costs a fraction of its callers' time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

_REASONS = {200: "OK", 204: "No Content", 206: "Partial Content"}


@dataclass(frozen=True)
class Request:
    """A request with its whole body."""

    method: str
    path: str
    """Still encoded: the name of an object may have slashes."""
    query: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body as JSON."""
        return json.loads(self.body)

    def names(self, *, after: str) -> list[str]:
        """Return the decoded parts of the path after a prefix."""
        return [unquote(part) for part in self.path.removeprefix(after).split("/")]


@dataclass(frozen=True)
class Response:
    """An answer, and how long the service takes for it."""

    body: bytes = b""
    status: int = 200
    seconds: float = 0.0
    headers: Mapping[str, str] = field(default_factory=dict)


def json_response(value: object, *, status: int = 200, seconds: float = 0.0) -> Response:
    """Return an answer with a JSON body."""
    return Response(json.dumps(value).encode(), status, seconds)


def error_response(status: int, reason: str, message: str, *, seconds: float = 0.0) -> Response:
    """Return an error as Google's JSON APIs write it: https://docs.cloud.google.com/apis/design/errors."""
    errors = [{"reason": reason, "message": message, "domain": "global"}]
    return json_response(
        {"error": {"code": status, "message": message, "errors": errors}}, status=status, seconds=seconds
    )


Handler = Callable[[Request], Response]


class Connection(asyncio.Protocol):
    """One connection, whose requests are answered one after the other."""

    def __init__(self, handler: Handler) -> None:
        """Answer with ``handler``."""
        self._handler = handler
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer the request once its body is there. Callers send no request before the answer to the last one."""
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        first, *lines = bytes(self._buffer[:end]).decode("latin-1").split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines if ": " in line)
        length = int(headers.get("content-length", 0))
        start = end + 4
        if len(self._buffer) < start + length:
            return
        body = bytes(self._buffer[start : start + length])
        del self._buffer[: start + length]
        method, target, _ = first.split(" ", 2)
        url = urlsplit(target)
        response = self._handler(Request(method, url.path, dict(parse_qsl(url.query)), body))
        asyncio.get_running_loop().call_later(response.seconds, self._send, response)

    def _send(self, response: Response) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        headers = {"Content-Type": "application/json", **response.headers, "Content-Length": str(len(response.body))}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"HTTP/1.1 {response.status} {_REASONS.get(response.status, 'Error')}\r\n{lines}\r\n"
        self._transport.write(head.encode("latin-1") + response.body)


async def serve(handler: Handler, port: int = 0) -> tuple[asyncio.Server, int]:
    """Serve on this machine; return the server and its port."""
    server = await asyncio.get_running_loop().create_server(
        partial(Connection, handler), "127.0.0.1", port, backlog=512
    )
    return server, int(server.sockets[0].getsockname()[1])
