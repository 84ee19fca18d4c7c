"""The layer in front of every service: it names each call, identifies the caller, applies faults and records.

Without fault rules, counting and recording, it passes each call straight to the service.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import grpc
from google.protobuf.json_format import MessageToDict

from localcloud.apis.discovery import CALL, Discovery, unknown_method
from localcloud.apis.recorder import Exchange, Recorder, Tape
from localcloud.base.asgi import ASGIApp, Receive, Scope, Send
from localcloud.base.clock import Clock
from localcloud.base.http import Connection
from localcloud.faults.active import Faults
from localcloud.faults.rules import Rule
from localcloud.front.call_log import Calls
from localcloud.front.callers import Callers
from localcloud.front.grpc import FrontInterceptor
from localcloud.front.http_effects import HttpEffects, Waiting

Caller = Callable[[], str | None]


class Front:
    """Observes every call and applies faults to it."""

    def __init__(
        self,
        *,
        faults: Faults,
        calls: Calls,
        callers: Callers,
        kill: Callable[[str], None],
        clock: Clock,
        recorder: Recorder | None = None,
    ) -> None:
        """Create the front of all services.

        Args:
            faults: The active fault rules.
            calls: The log of the functions' calls.
            callers: Identifies the calling function.
            kill: Kills the processes of a function, by its name.
            clock: The clock of delays.
            recorder: Records every exchange; None records nothing.
        """
        self._faults = faults
        self._calls = calls
        self._callers = callers
        self._kill = kill
        self._recorder = recorder
        self._discovery = Discovery()
        self._waiting = Waiting(clock)
        self._effects = HttpEffects(self._waiting, kill)

    def stop(self) -> None:
        """End the waits of delayed calls."""
        self._waiting.stop()

    def wrap(self, app: ASGIApp, service: str) -> ASGIApp:
        """Return ``app``, the API of ``service``, behind this front."""

        async def fronted(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http" and self._watching():
                await self._watch(app, service, scope, receive, send)
            else:
                await app(scope, receive, send)

        return fronted

    def interceptor(self, port: Callable[[], int]) -> grpc.ServerInterceptor:
        """Return the front as an interceptor of Pub/Sub's gRPC server; ``port`` returns that server's port."""

        def caller_at(calling_port: int) -> str | None:
            return self._callers.of_connection(calling_port, port())

        return FrontInterceptor(
            watching=self._watching,
            caller_at=caller_at,
            decide=self._decide_rpc,
            record=self._record_rpc,
            waiting=self._waiting,
            kill=self._kill,
        )

    def _watching(self) -> bool:
        return self._recorder is not None or self._calls.counting or bool(self._faults)

    async def _watch(self, app: ASGIApp, service: str, scope: Scope, receive: Receive, send: Send) -> None:
        call = self._discovery.find(service, scope["method"], scope["raw_path"].decode("latin-1"))
        method = call.method.id if call is not None else None
        caller = partial(self._caller_of, scope)
        rule = self._decide(service, method or unknown_method(service), caller)
        tape = None
        if self._recorder is not None:
            kind = call.kind if call is not None else CALL
            tape = Tape(self._recorder, scope, service=service, method=method, kind=kind, caller=caller)
            receive, send = tape.listen(receive, send)
        try:
            if rule is None:
                await app(scope, receive, send)
            else:
                await self._effects.apply(rule, caller, app, scope, receive, send)
        finally:
            if tape is not None:
                tape.keep()  # Keeps a call without a response too.

    def _decide(self, service: str, method: str, caller: Caller) -> Rule | None:
        if self._calls.counting and (function := caller()) is not None:
            self._calls.count(service, method, function)
        return self._faults.of_call(service, method, caller) if self._faults else None

    def _caller_of(self, scope: Scope) -> str | None:
        connection: Connection = scope["state"]["connection"]
        if not connection.caller_is_known:
            connection.caller = self._callers.of_connection(scope["client"][1], scope["server"][1])
            connection.caller_is_known = True
        return connection.caller

    def _decide_rpc(self, method: str, caller: Caller) -> Rule | None:
        return self._decide("pubsub", method, caller)

    def _record_rpc(self, method: str, caller: Caller, request: Any, answer: Any) -> None:
        if self._recorder is not None:
            self._recorder.write(
                Exchange(
                    service="pubsub",
                    method=method,
                    kind="rpc",
                    caller=caller(),
                    verb="POST",
                    path=method,
                    query=[],
                    request=MessageToDict(request),
                    status=200,
                    answer_type="application/grpc",
                    answer=MessageToDict(answer),
                )
            )
