"""Lets the calls of a retry test fail as its instructions say."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers

from localcloud.apis.discovery import DOWNLOAD, UPLOAD, UPLOAD_PART, Discovery
from localcloud.base.api_errors import error_body
from localcloud.base.asgi import ASGIApp, Message, Receive, Scope, Send
from localcloud.base.clock import Clock
from localcloud.base.http import hang_up, read_to_the_end
from localcloud.base.json_api import error_response, json_response
from localcloud.storage.rest.upload_sessions import ContentRange
from localcloud.storage.rules.errors import StorageError
from localcloud.storage.testbench.instructions import (
    BreakDownload,
    BreakUpload,
    Instruction,
    ResetConnection,
    ReturnStatus,
    Stall,
)
from localcloud.storage.testbench.retry_tests import RetryTests

HEADER = "x-retry-test-id"
_FEW_BYTES = 256


@dataclass(frozen=True)
class _Exchange:
    """One call, whose test has an instruction for it; ``take`` marks the instruction as met."""

    app: ASGIApp
    scope: Scope
    receive: Receive
    send: Send
    take: Callable[[], None]
    kind: str

    @property
    def headers(self) -> Headers:
        return Headers(scope=self.scope)

    def content_range(self) -> ContentRange:
        """Return the positions in the upload of the bytes that the request has. Raises ``InvalidRequest``."""
        header = self.headers.get("content-range")
        if header is not None:
            given = ContentRange.parse(header)
            if given.first is None or given.last is not None:
                return given
        first = 0 if header is None else given.first or 0
        length = int(self.headers.get("content-length") or 0)
        return ContentRange(first, first + length - 1 if length else None, None)

    def is_download(self) -> bool:
        return self.kind == DOWNLOAD or b"alt=media" in self.scope["query_string"]

    async def run(self) -> None:
        await self.app(self.scope, self.receive, self.send)


class RetryTestApp:
    """An ASGI application in front of the JSON API; only calls with the id of a test can fail."""

    def __init__(self, app: ASGIApp, tests: RetryTests, clock: Clock) -> None:
        """Pass calls to ``app``, and let them fail as ``tests`` say; pauses are measured by ``clock``."""
        self._app = app
        self._tests = tests
        self._clock = clock
        self._discovery = Discovery()
        self._stopping = threading.Event()

    def close(self) -> None:
        """End all pauses."""
        self._stopping.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one call."""
        test_id = Headers(scope=scope).get(HEADER)
        if test_id is None:
            await self._app(scope, receive, send)
            return
        try:
            test = self._tests.get(test_id)
            called = self._discovery.find("storage", scope["method"], scope["raw_path"].decode("latin-1"))
            method = called.method.id if called is not None else ""
            kind = called.kind if called is not None else ""
            exchange = _Exchange(self._app, scope, receive, send, lambda: test.take(method), kind)
            await self._apply(test.next(method), exchange)
        except StorageError as error:
            await read_to_the_end(receive)
            await error_response(error)(scope, receive, send)

    async def _apply(self, instruction: Instruction | None, call: _Exchange) -> None:
        match instruction:
            case ReturnStatus(status=status, after_bytes=None):
                call.take()
                await read_to_the_end(call.receive)
                await _return(call, status)
            case ReturnStatus(status=status, after_bytes=int(size)):
                await _return_after(call, status, size)
            case ResetConnection():
                call.take()
                await hang_up(call.scope, call.receive, reset=True)
            case BreakDownload(after_bytes=size) if call.is_download():
                await _break_download(call, size)
            case BreakUpload(after_bytes=size):
                await _break_upload(call, size)
            case Stall() as stall:
                await self._stall(call, stall)
            case _:
                await call.run()

    async def _stall(self, call: _Exchange, stall: Stall) -> None:
        seen = 0
        stalled = False

        async def count(message: Message) -> None:
            nonlocal seen, stalled
            seen += len(message.get("body", b""))
            if not stalled and seen and seen >= stall.after_bytes:
                stalled = True
                call.take()
                await run_in_threadpool(self._clock.wait, self._stopping, stall.seconds)

        async def receive() -> Message:
            message = await call.receive()
            await count(message)
            return message

        async def send(message: Message) -> None:
            await count(message)
            await call.send(message)

        if call.kind in (UPLOAD, UPLOAD_PART):
            await call.app(call.scope, receive, call.send)
        else:
            await call.app(call.scope, call.receive, send)


async def _return(call: _Exchange, status: int) -> None:
    body = error_body(status, f"Retry test: caused a {status}.", reason="retryTest")
    await json_response(body, status)(call.scope, call.receive, call.send)


async def _return_after(call: _Exchange, status: int, size: int) -> None:
    """Keep the bytes of an upload before the position ``size``, then return ``status``."""
    sent = call.content_range()
    if sent.first is None or sent.last is None or not sent.first <= size <= sent.last + 1:
        await call.run()
        return
    call.take()
    if not await _pass_part(call, size - sent.first):
        await read_to_the_end(call.receive)
    await _return(call, status)


async def _break_upload(call: _Exchange, size: int) -> None:
    sent = call.content_range()
    is_last = sent.first is not None and sent.last is not None and sent.total == sent.last + 1
    if not is_last or (sent.last or 0) - (sent.first or 0) < size:
        await call.run()
        return
    call.take()
    await _pass_part(call, size)
    await hang_up(call.scope, call.receive, reset=False)


async def _pass_part(call: _Exchange, size: int) -> bool:
    """Let the application receive ``size`` bytes of the body, and then a broken connection; drop what it sends.

    Returns whether the body was read to its end.
    """
    left, at_end = size, False

    async def receive() -> Message:
        nonlocal left, at_end
        if not left:
            return {"type": "http.disconnect"}
        message = await call.receive()
        at_end = not message.get("more_body", False)
        body = message.get("body", b"")[:left]
        left -= len(body)
        return {**message, "body": body, "more_body": True} if message["type"] == "http.request" else message

    async def drop(message: Message) -> None:
        pass

    await call.app(call.scope, receive, drop)
    return at_end


async def _break_download(call: _Exchange, size: int | None) -> None:
    """Send the first ``size`` bytes of the answer and close the connection; a shorter answer is sent whole."""
    left: int | None = None
    broken = False

    async def send(message: Message) -> None:
        nonlocal left, broken
        if broken:
            return
        if message["type"] == "http.response.start":
            length = int(Headers(raw=message["headers"]).get("content-length") or 0)
            if message["status"] in (200, 206) and (size is None or size < length):
                left = min(_FEW_BYTES, length // 2) if size is None else size
        elif left is not None:
            body = message.get("body", b"")
            if len(body) >= left:
                broken = True
                call.take()
                message = {**message, "body": body[:left], "more_body": True}
            left -= len(body)
        await call.send(message)

    await call.app(call.scope, call.receive, send)
    if broken:
        await hang_up(call.scope, call.receive, reset=False, after_sending=True)
