"""The front of Pub/Sub's gRPC server: it names each RPC, identifies the caller, applies faults and records."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import grpc

from localcloud.apis.rpc_names import METHODS
from localcloud.base.api_errors import NAME_BY_HTTP_STATUS
from localcloud.faults.rules import (
    Delay,
    Kill,
    LoseAnswer,
    Reset,
    Rule,
    Slow,
    Status,
)
from localcloud.front.http_effects import Waiting

Caller = Callable[[], str | None]
Decide = Callable[[str, Caller], Rule | None]
"""Returns the rule that applies to a call, by its method and its caller."""
Behaviour = Callable[[Any, grpc.ServicerContext], Any]
Record = Callable[[str, Caller, Any, Any], None]
"""Records a call: its method, its caller, the request and the response."""


class FrontInterceptor(grpc.ServerInterceptor):
    """Puts the front before every RPC."""

    def __init__(
        self,
        *,
        watching: Callable[[], bool],
        caller_at: Callable[[int], str | None],
        decide: Decide,
        record: Record,
        waiting: Waiting,
        kill: Callable[[str], None],
    ) -> None:
        """Create the interceptor.

        Args:
            watching: Returns whether calls need attention; otherwise they pass untouched.
            caller_at: Returns the function that calls from a port, or None.
            decide: Returns the rule that applies to a call.
            record: Records a call that has a response.
            waiting: Waits for delayed calls.
            kill: Kills the processes of a function, by its name.
        """
        self._watching = watching
        self._caller_at = caller_at
        self._decide = decide
        self._record = record
        self._waiting = waiting
        self._kill = kill

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], grpc.RpcMethodHandler[Any, Any] | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Return the handler of an RPC, watched if calls need attention."""
        handler = continuation(handler_call_details)
        if handler is None or not self._watching():
            return handler
        method = METHODS.get(handler_call_details.method, handler_call_details.method)
        codecs = {
            "request_deserializer": handler.request_deserializer,
            "response_serializer": handler.response_serializer,
        }
        if handler.unary_unary is not None:
            return grpc.unary_unary_rpc_method_handler(self._unary(method, handler.unary_unary), **codecs)
        if handler.stream_stream is not None:
            return grpc.stream_stream_rpc_method_handler(self._stream(method, handler.stream_stream), **codecs)
        return handler

    def _unary(self, method: str, behaviour: Behaviour) -> Behaviour:
        def watched(request: Any, context: grpc.ServicerContext) -> Any:
            caller = self._caller_of(context)
            rule = self._decide(method, caller)
            if rule is None:
                response = behaviour(request, context)
            elif rule.when == "before":
                self._apply(rule, caller, context)
                response = behaviour(request, context)
            else:
                response = behaviour(request, context)
                self._apply(rule, caller, context, size=response.ByteSize())
            self._record(method, caller, request, response)
            return response

        return watched

    def _stream(self, method: str, behaviour: Behaviour) -> Behaviour:
        """Watch a stream: a ``before`` rule applies when it opens, an ``after`` rule at its first response."""

        def watched(requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
            caller = self._caller_of(context)
            rule = self._decide(method, caller)
            if rule is not None and rule.when == "before":
                self._apply(rule, caller, context)
            responses = behaviour(requests, context)
            if rule is not None and rule.when == "after":
                for response in responses:
                    self._apply(rule, caller, context, size=response.ByteSize())
                    yield response
                    break
            yield from responses

        return watched

    def _caller_of(self, context: grpc.ServicerContext) -> Caller:
        # The caller's address is of the form ``ipv4:127.0.0.1:43210``.
        return partial(self._caller_at, int(context.peer().rpartition(":")[2]))

    def _apply(self, rule: Rule, caller: Caller, context: grpc.ServicerContext, *, size: int = 0) -> None:
        """Apply ``rule`` to a call; a call that must not get its own response ends here with an exception."""
        match rule.effect:
            case Status(status=status, reason=reason, message=message):
                code = grpc.StatusCode[NAME_BY_HTTP_STATUS.get(status, "UNKNOWN")]
                context.abort(code, f"{reason}: {message}")
            case Delay(seconds=seconds):
                self._waiting.wait(seconds)
            case Slow(bytes_per_second=rate):
                self._waiting.wait(size / rate)
            case Kill():
                if (function := caller()) is not None:
                    self._kill(function)
                context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed")
            case Reset() | LoseAnswer():
                # A server cannot break the connection of one call, so send the error that a client sees then.
                context.abort(grpc.StatusCode.UNAVAILABLE, "recvmsg:Connection reset by peer")
