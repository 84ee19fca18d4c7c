"""Several calls in one request: https://cloud.google.com/storage/docs/batch."""

from __future__ import annotations

import secrets
from email.message import Message
from email.parser import BytesParser, Parser
from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.responses import Response

from localcloud.base.http import ASGIApp
from localcloud.base.http import Message as AsgiMessage
from localcloud.storage.call import Call, Route
from localcloud.storage.errors import InvalidRequest

MOST_CALLS = 1000


class BatchApi:
    """The handler for batches; it passes their calls to ``app``, one after the other."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def routes(self) -> list[Route]:
        """Return the routes of the handler."""
        return [Route("POST", "/batch/storage/v1", self.run)]

    async def run(self, call: Call) -> Response:
        """Answer every call of a batch, in their order."""
        head = f"Content-Type: {call.request.headers.get('content-type', '')}\r\n\r\n".encode("latin-1")
        batch = BytesParser().parsebytes(head + await call.request.body())
        if batch.get_content_maintype() != "multipart" or not batch.is_multipart():
            raise InvalidRequest("The batch is not a multipart/mixed body.")
        parts: list[Message] = batch.get_payload()  # type: ignore[assignment]
        if len(parts) > MOST_CALLS:
            raise InvalidRequest(f"The batch has {len(parts)} calls; at most {MOST_CALLS} are allowed.")
        boundary = f"batch_{secrets.token_hex(16)}"
        answers = [f"--{boundary}\r\n".encode() + await self._run_one(call, part) for part in parts]
        body = b"".join(answers) + f"--{boundary}--\r\n".encode()
        return Response(body, media_type=f"multipart/mixed; boundary={boundary}")

    async def _run_one(self, call: Call, part: Message) -> bytes:
        """Return the answer to one call as a part of the batch's answer."""
        status, headers, body = await self._send(call, part)
        lines = [
            "Content-Type: application/http",
            f"Content-ID: <response-{part.get('content-id', '').strip('<> ')}>",
            "",
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
            *(f"{name}: {value}" for name, value in headers if name != "content-length"),
            f"Content-Length: {len(body)}",
            "",
            "",
        ]
        return "\r\n".join(lines).encode("latin-1") + body + b"\r\n"

    async def _send(self, call: Call, part: Message) -> tuple[int, list[tuple[str, str]], bytes]:
        """Pass the call that ``part`` holds to the application and return its status, headers and body."""
        request_line, _, rest = str(part.get_payload()).lstrip().partition("\n")
        method, _, target = request_line.strip().partition(" ")
        url = urlsplit(target.removesuffix(" HTTP/1.1"))
        if not url.path.startswith("/storage/v1/") or "alt=media" in url.query:
            raise InvalidRequest(f"A batch can't hold {request_line.strip()!r}.")
        inner = Parser().parsestr(rest)
        headers = {b"host": call.request.headers.get("host", "").encode("latin-1")}
        headers |= {name.lower().encode("latin-1"): value.encode("latin-1") for name, value in inner.items()}
        scope = {
            **call.request.scope,
            "method": method,
            "path": url.path,
            "raw_path": url.path.encode("latin-1"),
            "query_string": url.query.encode("latin-1"),
            "headers": list(headers.items()),
        }
        body = str(inner.get_payload()).strip().encode()
        sent: list[AsgiMessage] = []

        async def receive() -> AsgiMessage:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: AsgiMessage) -> None:
            sent.append(message)

        await self._app(scope, receive, send)
        answered = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in sent[0]["headers"]]
        return sent[0]["status"], answered, b"".join(message.get("body", b"") for message in sent[1:])
