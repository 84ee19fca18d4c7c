"""Applies fault rules to HTTP calls: an error status, a broken connection, a wait, or the death of the caller."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from localcloud.base.api_errors import error_body
from localcloud.base.asgi import ASGIApp, Message, Receive, Scope, Send
from localcloud.base.clock import Clock
from localcloud.base.http import hang_up, read_to_the_end
from localcloud.faults.rules import (
    Delay,
    Kill,
    LoseAnswer,
    Reset,
    Rule,
    Slow,
    Status,
)

MOST_WAITING_CALLS = 1000
SLICES_PER_SECOND = 10


class Waiting:
    """Waits by the cloud's clock; every wait ends when the cloud stops."""

    def __init__(self, clock: Clock) -> None:
        """Wait by ``clock``."""
        self._clock = clock
        self._stopping = threading.Event()
        self._threads = ThreadPoolExecutor(MOST_WAITING_CALLS, thread_name_prefix="waiting")

    def wait(self, seconds: float) -> None:
        """Block this thread for ``seconds``."""
        self._clock.wait(self._stopping, seconds)

    async def wait_aside(self, seconds: float) -> None:
        """Suspend this task for ``seconds`` without blocking the event loop."""
        await asyncio.get_running_loop().run_in_executor(self._threads, self.wait, seconds)

    def stop(self) -> None:
        """End all waits."""
        self._stopping.set()
        self._threads.shutdown()


class HttpEffects:
    """Applies rules to calls of ASGI applications."""

    def __init__(self, waiting: Waiting, kill: Callable[[str], None]) -> None:
        """Wait by ``waiting``; ``kill`` kills the processes of a function, by its name."""
        self._waiting = waiting
        self._kill = kill

    async def apply(
        self, rule: Rule, caller: Callable[[], str | None], app: ASGIApp, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Serve a call by ``app``, with the effect of ``rule``."""
        response: list[Message] = []

        async def keep(message: Message) -> None:
            response.append(message)

        if rule.when == "after" and not isinstance(rule.effect, Slow):
            # The call takes effect, but its response is held back.
            await app(scope, receive, keep)
        match rule.effect:
            case Slow(bytes_per_second=rate):
                await app(scope, receive, self._trickle(send, rate))
            case Delay(seconds=seconds):
                await self._waiting.wait_aside(seconds)
                if rule.when == "before":
                    await app(scope, receive, send)
                for message in response:
                    await send(message)
            case Status() as effect:
                if rule.when == "before":
                    await read_to_the_end(receive)
                await _send_error(effect, send)
            case Kill():
                if (function := caller()) is not None:
                    self._kill(function)
                await hang_up(scope, receive, reset=False)
            case Reset():
                await hang_up(scope, receive, reset=True)
            case LoseAnswer():
                await hang_up(scope, receive, reset=False)

    def _trickle(self, send: Send, bytes_per_second: float) -> Send:
        step = max(1, int(bytes_per_second / SLICES_PER_SECOND))

        async def trickle(message: Message) -> None:
            body = message.get("body", b"")
            if message["type"] != "http.response.body" or not body:
                await send(message)
                return
            for start in range(0, len(body), step):
                await self._waiting.wait_aside(min(step, len(body) - start) / bytes_per_second)
                more = message.get("more_body", False) or start + step < len(body)
                await send({"type": message["type"], "body": body[start : start + step], "more_body": more})

        return trickle


async def _send_error(effect: Status, send: Send) -> None:
    body = json.dumps(error_body(effect.status, effect.message, reason=effect.reason)).encode()
    headers = [(b"content-type", b"application/json; charset=UTF-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": effect.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
