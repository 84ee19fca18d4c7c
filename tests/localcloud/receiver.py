"""An HTTP endpoint that keeps what it gets: where pushes, events and scheduled requests end in tests."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from localcloud.base.http import HttpServer
from tests.waiting import LAST_LIMIT


@dataclass(frozen=True)
class Received:
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Receiver:
    """Answers each request with the status that ``answer`` returns for it (200 until told otherwise)."""

    def __init__(self) -> None:
        self.requests: list[Received] = []
        self.answer: Callable[[Received], int] = lambda request: 200
        self._arrived = threading.Condition()
        route = Route("/{path:path}", self._receive, methods=["GET", "POST", "PUT"])
        self._server = HttpServer(Starlette(routes=[route]))
        self.url = self._server.url

    def __enter__(self) -> Receiver:
        self._server.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the port back, whether it was served or not."""
        self._server.stop()

    def wait_for(self, count: int, timeout: float = LAST_LIMIT) -> list[Received]:
        """Return the requests once there are ``count``. Raises ``TimeoutError``."""
        with self._arrived:
            if not self._arrived.wait_for(lambda: len(self.requests) >= count, timeout):
                raise TimeoutError(f"{len(self.requests)} of {count} requests came within {timeout} s")
            return list(self.requests)

    async def _receive(self, request: Request) -> Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        received = Received(request.method, request.url.path, headers, await request.body())
        with self._arrived:
            self.requests.append(received)
            self._arrived.notify_all()
        return Response(status_code=await run_in_threadpool(self.answer, received))
