"""HTTP requests and responses of the BigQuery API, between ASGI and plain values."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from localcloud.base.asgi import Receive, Scope, Send
from localcloud.base.gate import LARGEST_UPLOAD_BYTES
from localcloud.base.gzip_bodies import gunzip
from localcloud.bigquery.base.errors import QueryError

JSON_TYPE = b"application/json; charset=UTF-8"


@dataclass
class Response:
    """An HTTP response.

    Attributes:
        status: The HTTP status.
        body: The JSON value of the body, or None.
        content: The bytes of the body, in place of ``body``.
        headers: Headers in addition to content type and length.
    """

    status: int = 200
    body: Any = None
    content: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)

    async def send(self, send: Send) -> None:
        """Send the response."""
        content = self.content
        if content is None:
            content = b"" if self.body is None else json.dumps(self.body, separators=(",", ":")).encode()
        headers = [(b"content-type", JSON_TYPE), (b"content-length", str(len(content)).encode())]
        headers += [(name.lower().encode(), value.encode()) for name, value in self.headers.items()]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": content})


@dataclass(frozen=True)
class Call:
    """One request.

    Attributes:
        method: ``GET`` and so on.
        path: The path without the query string.
        query: The query parameters, with the last value of repeated ones.
        headers: The headers, with names in lower case.
        content: The body, decompressed.
        repeated: The query parameters with all values.
    """

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    content: bytes
    repeated: dict[str, list[str]]

    def json(self) -> dict[str, Any]:
        """Return the body as a JSON object, empty without a body. Raises ``QueryError`` if it is not a JSON object."""
        if not self.content:
            return {}
        try:
            value = json.loads(self.content)
        except ValueError as error:
            raise QueryError(f"Invalid JSON payload received. {error}", reason="parseError") from error
        if not isinstance(value, dict):
            raise QueryError("Invalid JSON payload received. It must be an object.", reason="parseError")
        return value

    def integer(self, name: str) -> int | None:
        """Return a query parameter as an integer, or None if it is missing. Raises ``QueryError``."""
        text = self.query.get(name)
        if text is None or text == "":
            return None
        try:
            return int(text)
        except ValueError as error:
            raise QueryError(f"Invalid value for {name}: {text}", reason="invalid") from error

    def flag(self, name: str) -> bool:
        """Return a boolean query parameter, or False if it is missing."""
        return self.query.get(name, "").lower() in ("true", "1")


async def read_call(scope: Scope, receive: Receive) -> Call:
    """Read a whole request. Raises ``QueryError`` if the body is not complete or can't be decompressed."""
    chunks: list[bytes] = []
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            # A part of a request must have no effect.
            raise QueryError("The connection was lost before the whole request arrived.", reason="badRequest")
        chunks.append(message.get("body", b""))
        more = message.get("more_body", False)
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    content = b"".join(chunks)
    if headers.get("content-encoding", "").lower() == "gzip":
        try:
            content = gunzip(content, LARGEST_UPLOAD_BYTES)
        except ValueError as error:
            raise QueryError(f"Malformed gzip request body: {error}", reason="badRequest") from error
        headers.pop("content-encoding")
    pairs = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    repeated: dict[str, list[str]] = {}
    for name, value in pairs:
        repeated.setdefault(name, []).append(value)
    return Call(scope["method"], scope["path"], dict(pairs), headers, content, repeated)


def check_etag(call: Call, etag: str) -> None:
    """Reject a change of a resource that has changed since the caller read it.

    Raises:
        QueryError: The header ``If-Match`` has another entity tag than the resource.
    """
    expected = call.headers.get("if-match", "*")
    if expected not in ("*", etag):
        raise QueryError("Precondition check failed.", reason="conditionNotMet", status=412)
