"""The check of every HTTP request to the local cloud: no web page of another site gets in, and no body that is too large.

A web browser on this machine reaches the local ports, too, so that any page that it shows could send requests to them.
Google's clients, ``curl`` and ``gcloud`` send none of the headers with which a browser marks its requests, and none of the
content types that a page can send to another site without asking first.
https://fetch.spec.whatwg.org/#http-cors-protocol and https://www.w3.org/TR/fetch-metadata/
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import urlsplit

from localcloud.base.api_errors import error_body
from localcloud.base.asgi import ASGIApp, Message, Receive, Scope, Send

MEBIBYTE = 1 << 20
LARGEST_BODY_BYTES = 32 * MEBIBYTE
"""The largest body that is not an upload. The limits of the real services are below this."""
LARGEST_UPLOAD_BYTES = 128 * MEBIBYTE
"""The largest body of an upload that a service reads into memory. The largest part that ``bq`` sends has 100 MiB."""
BODIES_TOGETHER_BYTES = 1024 * MEBIBYTE
"""The largest size of all the bodies that a server reads into memory at the same time."""

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
# The types that a page may send to any site: https://fetch.spec.whatwg.org/#cors-safelisted-request-header
PAGE_TYPES = frozenset({"text/plain", "application/x-www-form-urlencoded", "multipart/form-data"})
# With a change every browser sends the first or the last of these; the other headers of the kind come from Node.js, too.
_OF_BROWSERS = frozenset({"origin", "referer", "sec-fetch-site"})
# Where Google's clients send them: uploads have the type of their content, and token requests are forms.
_UPLOAD = re.compile(r"(/resumable)?/upload/")
_ANY_TYPE = re.compile(rf"{_UPLOAD.pattern}|/token$")
_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\[\]:/@\s]+)(:[0-9]{1,5})?")
_RESPONSE_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    # An object that is a page is shown without its scripts, and in no frame.
    (b"content-security-policy", b"default-src 'none'; sandbox; frame-ancestors 'none'"),
)


@dataclass(frozen=True)
class Refusal:
    """The answer to a request that is not let in.

    Attributes:
        status: The HTTP status.
        message: The reason, and what would be right.
    """

    status: int
    message: str

    async def send(self, send: Send) -> None:
        """Send the answer and close the connection, since the body was not read."""
        body = json.dumps(error_body(self.status, self.message, reason="forbidden")).encode()
        headers = [
            (b"content-type", b"application/json; charset=UTF-8"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


class Gate:
    """An ASGI application that checks each request before it passes it to another application."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        host_names: Collection[str] = (),
        is_google_api: bool = True,
        streamed: re.Pattern[str] | None = None,
        largest_body: int = LARGEST_BODY_BYTES,
        together: int = BODIES_TOGETHER_BYTES,
    ) -> None:
        """Put the check in front of ``app``.

        Args:
            app: The application.
            host_names: The host names that are allowed in addition to those of this machine's loopback interface.
            is_google_api: Whether the paths are those of Google's APIs, where uploads and token requests have any type.
            streamed: The paths whose bodies the application writes to disk while they arrive, so that they have no limit.
            largest_body: The largest body in bytes; uploads to Google's APIs may be larger.
            together: The largest size in bytes of all bodies that are in memory at the same time.
        """
        self._app = app
        self._host_names = frozenset(name.lower() for name in host_names)
        self._is_google_api = is_google_api
        self._streamed = streamed
        self._largest_body = largest_body
        self._together = together
        self._in_memory = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, or refuse it."""
        if scope["type"] != "http":
            return
        send = _with_default_headers(send)
        refusal = self._check(scope)
        if refusal is not None:
            await refusal.send(send)
        elif self._is_streamed(scope["path"]):
            await self._app(scope, receive, send)
        else:
            await self._pass_limited(scope, receive, send)

    async def _pass_limited(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on a request whose body the application reads into memory."""
        received, largest = 0, self._largest(scope["path"])
        refusal: Refusal | None = None
        answered = False

        async def limited_receive() -> Message:
            nonlocal received, refusal
            message = await receive()
            size = len(message.get("body", b""))
            received += size
            self._in_memory += size
            if received > largest:
                refusal = _too_large(largest)
            elif self._in_memory > self._together:
                refusal = Refusal(503, "The bodies of all requests together are too large now; try again later.")
            # An application drops a request whose connection is lost.
            return message if refusal is None else {"type": "http.disconnect"}

        async def send_unless_refused(message: Message) -> None:
            nonlocal answered
            if refusal is None or answered:
                answered = True
                await send(message)

        try:
            await self._app(scope, limited_receive, send_unless_refused)
        finally:
            self._in_memory -= received
        if refusal is not None and not answered:
            await refusal.send(send)

    def _check(self, scope: Scope) -> Refusal | None:
        """Return why a request is refused, None if it is let in."""
        headers: dict[str, list[str]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
        return (
            self._check_hosts(headers)
            or self._check_page(scope["method"], scope["path"], headers)
            or self._check_length(scope["path"], headers)
        )

    def _check_hosts(self, headers: dict[str, list[str]]) -> Refusal | None:
        hosts = headers.get("host", [])
        if len(hosts) != 1:
            return Refusal(400, f"The request has {len(hosts)} Host headers; it must have one.")
        if not self._is_allowed(hosts[0]):
            return self._foreign(f"for the host {hosts[0]!r}", hosts[0])
        for name in ("origin", "referer"):
            for value in headers.get(name, ()):
                if not self._is_allowed(_host_of(value)):
                    return self._foreign(f"from a page of {value[:200]!r}", _host_of(value))
        # An allowed page of another port is of the same site: https://www.w3.org/TR/fetch-metadata/#sec-fetch-site-header
        if any(value.strip().lower() == "cross-site" for value in headers.get("sec-fetch-site", ())):
            return Refusal(403, "The local cloud refuses requests from pages of other sites.")
        return None

    def _is_allowed(self, host: str) -> bool:
        """Return whether ``host``, with or without a port, is a name of this machine or one of the given names."""
        found = _HOST.fullmatch(host)
        if found is None:
            return False
        name = found.group(1).lower().removesuffix(".")
        if name == "localhost" or name.endswith(".localhost") or name in self._host_names:
            return True
        try:
            return ipaddress.ip_address(name.strip("[]")).is_loopback
        except ValueError:
            return False

    @staticmethod
    def _foreign(requests: str, host: str) -> Refusal:
        found = _HOST.fullmatch(host)
        name = found.group(1)[:253] if found is not None else "NAME"
        return Refusal(
            403,
            f"The local cloud refuses requests {requests}: this is not a name of this machine, such as localhost "
            f"or 127.0.0.1. To allow it, start with `python -m localcloud start --host-name {name}`.",
        )

    def _check_page(self, method: str, path: str, headers: dict[str, list[str]]) -> Refusal | None:
        """Refuse what a page can send without the consent of the local cloud: a change whose type is not JSON."""
        if method in SAFE_METHODS:
            return None
        types = {value.partition(";")[0].strip().lower() for value in headers.get("content-type", ())}
        by_browser = not _OF_BROWSERS.isdisjoint(headers)
        if by_browser and types != {"application/json"}:
            return Refusal(415, "A web page must send changes as `Content-Type: application/json`.")
        has_body = "transfer-encoding" in headers or any(
            value.strip("0 ") for value in headers.get("content-length", ())
        )
        if has_body and types & PAGE_TYPES and not self._takes_any_type(path):
            return Refusal(
                415,
                f"The content type {', '.join(sorted(types))} is not allowed here; use `Content-Type: application/json`.",
            )
        return None

    def _check_length(self, path: str, headers: dict[str, list[str]]) -> Refusal | None:
        if self._is_streamed(path):
            return None
        # The server has checked that these are digits.
        lengths = [int(value) for value in headers.get("content-length", ()) if value.isdecimal()]
        largest = self._largest(path)
        return _too_large(largest) if max(lengths, default=0) > largest else None

    def _largest(self, path: str) -> int:
        is_upload = self._is_google_api and _UPLOAD.match(path)
        return LARGEST_UPLOAD_BYTES if is_upload else self._largest_body

    def _takes_any_type(self, path: str) -> bool:
        return self._is_streamed(path) or (self._is_google_api and _ANY_TYPE.match(path) is not None)

    def _is_streamed(self, path: str) -> bool:
        return self._streamed is not None and self._streamed.match(path) is not None


def _too_large(largest: int) -> Refusal:
    return Refusal(413, f"The body is too large: at most {largest:,} bytes are allowed.")


def _host_of(url: str) -> str:
    """Return the host and port of the URL in an ``Origin`` or ``Referer`` header; ``null`` has none."""
    try:
        return urlsplit(url.strip()).netloc
    except ValueError:
        return ""


def _with_default_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", ()))
            present = {name.lower() for name, _ in headers}
            headers += [(name, value) for name, value in _RESPONSE_HEADERS if name not in present]
            message = {**message, "headers": headers}
        await send(message)

    return send_with_headers
