"""Several calls in one request: https://cloud.google.com/storage/docs/batch."""

from __future__ import annotations

import json
import re
import secrets
from email.parser import BytesHeaderParser
from http import HTTPStatus
from urllib.parse import parse_qsl, unquote, urlsplit

from starlette.responses import Response

from localcloud.base.asgi import ASGIApp
from localcloud.base.asgi import Message as AsgiMessage
from localcloud.base.json_api import Call, Route
from localcloud.base.multipart import Part, read_parts
from localcloud.storage.rest.api import Handler
from localcloud.storage.rules.errors import InvalidRequest

MOST_CALLS = 1000
_BLANK_LINE = re.compile(rb"\r?\n\r?\n")


class BatchApi:
    """The handler for batches, which passes their calls to ``app``, one after the other."""

    def __init__(self, app: ASGIApp) -> None:
        """Pass calls to ``app``."""
        self._app = app

    def routes(self) -> list[Route[Handler]]:
        """Return the routes of the handler."""
        return [Route("POST", "/batch/storage/v1", self._run)]

    async def _run(self, call: Call) -> Response:
        """Answer the calls of a batch in their order."""
        parts = list(read_parts(call.headers.get("content-type", ""), call.content))
        if len(parts) > MOST_CALLS:
            raise InvalidRequest(f"The batch has {len(parts)} calls; at most {MOST_CALLS} are allowed.")
        boundary = f"batch_{secrets.token_hex(16)}"
        answers = [f"--{boundary}\r\n".encode() + await self._run_one(call, part) for part in parts]
        body = b"".join(answers) + f"--{boundary}--\r\n".encode()
        return Response(body, media_type=f"multipart/mixed; boundary={boundary}")

    async def _run_one(self, call: Call, part: Part) -> bytes:
        """Answer one call; return it as a part of the batch's answer."""
        try:
            status, headers, body = await self._send(call, part)
        except InvalidRequest as error:
            status, headers, body = (
                error.code,
                [("content-type", "application/json")],
                json.dumps(error.body()).encode(),
            )
        lines = [
            "Content-Type: application/http",
            f"Content-ID: <response-{part.headers.get('content-id', '').strip('<> ')}>",
            "",
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
            *(f"{name}: {value}" for name, value in headers if name != "content-length"),
            f"Content-Length: {len(body)}",
            "",
            "",
        ]
        return "\r\n".join(lines).encode("latin-1") + body + b"\r\n"

    async def _send(self, call: Call, part: Part) -> tuple[int, list[tuple[str, str]], bytes]:
        """Pass the call in ``part`` to the application and return status, headers and body of the answer.

        Raises ``InvalidRequest`` if a batch cannot hold the call: uploads and downloads are among these.
        """
        head, _, body = _BLANK_LINE.sub(b"\n\n", part.content.lstrip(), count=1).partition(b"\n\n")
        request_line, _, header_lines = head.partition(b"\n")
        method, _, target = request_line.strip().decode("latin-1").partition(" ")
        url = urlsplit(target.removesuffix(" HTTP/1.1"))
        is_media = ("alt", "media") in parse_qsl(url.query)
        if not url.path.startswith("/storage/v1/") or is_media:
            raise InvalidRequest(
                f"A batch can't hold '{method} {url.path}': it holds calls of the JSON API without media."
            )
        inner = BytesHeaderParser().parsebytes(header_lines)
        headers = {b"host": call.headers.get("host", "").encode("latin-1")}
        headers |= {name.lower().encode("latin-1"): value.encode("latin-1") for name, value in inner.items()}
        scope = {
            **call.request.scope,
            "method": method,
            "path": unquote(url.path),
            "raw_path": url.path.encode("latin-1"),
            "query_string": url.query.encode("latin-1"),
            "headers": list(headers.items()),
        }
        sent: list[AsgiMessage] = []

        async def receive() -> AsgiMessage:
            return {"type": "http.request", "body": body.strip(), "more_body": False}

        async def send(message: AsgiMessage) -> None:
            sent.append(message)

        await self._app(scope, receive, send)
        answered = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in sent[0]["headers"]]
        return sent[0]["status"], answered, b"".join(message.get("body", b"") for message in sent[1:])
