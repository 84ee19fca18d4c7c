"""The front end of a function: it receives whole requests, and passes each to the function's process.

On Google Cloud, a front end of Google does this. Without it, a function's few threads wait for requests that are only half
sent. A request has at most 32 MiB there, too: https://cloud.google.com/functions/quotas#resource_limits

It also holds to the declared number of instances, and to the timeout: https://cloud.google.com/run/docs/configuring/request-timeout
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import httptools
from starlette.responses import JSONResponse

from localcloud.base.api_errors import error_body
from localcloud.base.asgi import Receive, Scope, Send
from localcloud.base.http import Connection
from localcloud.functions.instances import Instances, NoInstanceError

LARGEST_REQUEST_BYTES = 32 << 20
# These belong to one connection: https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1. The server sets the last two itself.
_OWN_HEADERS = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade"}
) | {b"date", b"server"}


class _RefusedError(Exception):
    """A request is answered with an error of the front end; the text is its message."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class FrontEnd:
    """An ASGI application that passes requests to a server on a Unix socket."""

    def __init__(self, server: Path, name: str, instances: Instances, timeout_seconds: float) -> None:
        """Pass requests to the socket ``server``, which may not exist yet.

        The first part of a request's path must be ``name``. The function does not see it.
        """
        self._server = server
        self._name = name
        self._instances = instances
        self._timeout_seconds = timeout_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; hang up if the function's process does not exist or ends before it has answered."""
        body = bytearray()
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
        try:
            response = await self._pass(scope, bytes(body))
        except _RefusedError as refused:
            answer = error_body(refused.status, str(refused), reason=refused.reason)
            await JSONResponse(answer, status_code=refused.status)(scope, receive, send)
            return
        if response is None:
            connection: Connection = scope["state"]["connection"]
            connection.transport.abort()
            return
        await send({"type": "http.response.start", "status": response.status, "headers": response.headers})
        await send({"type": "http.response.body", "body": bytes(response.body)})

    async def _pass(self, scope: Scope, body: bytes) -> _Response | None:
        """Return the response to a whole request, None if the process does not exist or ends before it has answered.

        Raises:
            _RefusedError: The function does not get the request, or does not answer in time.
        """
        name = self._name
        if scope["path"].split("/")[1] != name:
            message = f"This is the function {name}, at the path /{name}; {scope['path'][:200]} is not its path. The "
            raise _RefusedError(404, "notFound", f"{message}variables may be of a local cloud that has stopped.")
        try:
            async with self._instances.place():
                return await asyncio.wait_for(self._exchange(scope, body), self._timeout_seconds)
        except NoInstanceError:
            message = f"No instance of {name} is free: `maximum_instances` of them take `concurrency` requests each."
            raise _RefusedError(429, "rateLimitExceeded", message) from None
        except TimeoutError:
            message = f"{name} did not answer in {self._timeout_seconds:g} s, its `timeout_seconds`."
            raise _RefusedError(504, "backendError", message) from None
        except (OSError, httptools.HttpParserError):
            return None

    async def _exchange(self, scope: Scope, body: bytes) -> _Response | None:
        """Return the response, None if it is not complete. Raises ``OSError`` if no process listens."""
        reader, writer = await asyncio.open_unix_connection(self._server)
        try:
            writer.write(_head(scope, self._name, len(body)) + body)
            await writer.drain()
            response = _Response(has_body=scope["method"] != "HEAD")
            response.read(await reader.read())  # the function's server closes the connection after its response
            return response if response.complete else None
        finally:
            writer.close()


def _head(scope: Scope, name: str, length: int) -> bytes:
    """Return the head of the request to the function's process."""
    query = scope["query_string"]
    path = scope["raw_path"].removeprefix(f"/{name}".encode()) or b"/"
    target = path + (b"?" + query if query else b"")
    left_out = _OWN_HEADERS | {b"content-length", b"expect"}
    headers = [(name, value) for name, value in scope["headers"] if name not in left_out]
    declared = {name for name, _ in scope["headers"]}
    if length or declared & {b"content-length", b"transfer-encoding"}:
        headers.append((b"content-length", str(length).encode()))
    headers.append((b"connection", b"close"))
    lines = [scope["method"].encode() + b" " + target + b" HTTP/1.1", *(b"%s: %s" % header for header in headers)]
    return b"\r\n".join(lines) + b"\r\n\r\n"


@dataclass
class _Response:
    """The response of the function's process. The parser calls the methods that begin with ``on``."""

    has_body: bool
    status: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)
    complete: bool = False

    def read(self, content: bytes) -> None:
        """Read the whole response."""
        parser = httptools.HttpResponseParser(self)
        parser.feed_data(content)
        self.status = parser.get_status_code()
        names = {name for name, _ in self.headers}
        if not names & {b"content-length", b"transfer-encoding"}:
            self.complete = bool(self.status)  # the end of the connection ends the body
        self.headers = [(name, value) for name, value in self.headers if name not in _OWN_HEADERS]
        if b"content-length" not in names and self.has_body and self.status not in (204, 304):
            self.headers.append((b"content-length", str(len(self.body)).encode()))

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        if not self.has_body:
            self.complete = True

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.complete = True
