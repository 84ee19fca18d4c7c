"""Pub/Sub's gRPC calls as the front sees them: their names, who calls, and the faults that they meet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import grpc

from localcloud.apis.rpc_names import METHODS
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

# What gRPC calls an HTTP status. https://cloud.google.com/apis/design/errors#handling_errors
STATUS_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    409: grpc.StatusCode.ALREADY_EXISTS,
    412: grpc.StatusCode.FAILED_PRECONDITION,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    499: grpc.StatusCode.CANCELLED,
    500: grpc.StatusCode.INTERNAL,
    501: grpc.StatusCode.UNIMPLEMENTED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}

Caller = Callable[[], str | None]
Decide = Callable[[str, Caller], Rule | None]
Behaviour = Callable[[Any, grpc.ServicerContext], Any]
Listen = Callable[[str, Caller, Any, Any], None]


class FrontInterceptor(grpc.ServerInterceptor):
    """Puts the front before every RPC."""

    def __init__(
        self,
        *,
        watching: Callable[[], bool],
        caller_at: Callable[[int], str | None],
        decide: Decide,
        listen: Listen,
        waiting: Waiting,
        kill: Callable[[str], None],
    ) -> None:
        """``caller_at`` tells which function calls from a port, ``decide`` the rule that a call of a method meets;
        ``listen`` is told what was said.
        """
        self._watching = watching
        self._caller_at = caller_at
        self._decide = decide
        self._listen = listen
        self._waiting = waiting
        self._kill = kill

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], grpc.RpcMethodHandler | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler | None:
        handler: Any = continuation(handler_call_details)
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
                answer = behaviour(request, context)
            elif rule.when == "before":
                self._meet(rule, caller, context)
                answer = behaviour(request, context)
            else:
                answer = behaviour(request, context)
                self._meet(rule, caller, context, size=answer.ByteSize())
            self._listen(method, caller, request, answer)
            return answer

        return watched

    def _stream(self, method: str, behaviour: Behaviour) -> Behaviour:
        """Watch a stream: what comes before takes effect when it opens, what comes after at its first answer."""

        def watched(requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
            caller = self._caller_of(context)
            rule = self._decide(method, caller)
            if rule is not None and rule.when == "before":
                self._meet(rule, caller, context)
            answers = behaviour(requests, context)
            if rule is not None and rule.when == "after":
                for answer in answers:
                    self._meet(rule, caller, context, size=answer.ByteSize())
                    yield answer
                    break
            yield from answers

        return watched

    def _caller_of(self, context: grpc.ServicerContext) -> Caller:
        # The caller's address reads ``ipv4:127.0.0.1:43210``.
        return partial(self._caller_at, int(context.peer().rpartition(":")[2]))

    def _meet(self, rule: Rule, caller: Caller, context: grpc.ServicerContext, *, size: int = 0) -> None:
        """Let the call meet ``rule``; a call that gets no answer of its own ends here with an exception."""
        match rule.effect:
            case Status(status=status, reason=reason):
                context.abort(STATUS_CODES.get(status, grpc.StatusCode.UNKNOWN), f"{reason}: ordered by a fault rule")
            case Delay(seconds=seconds):
                self._waiting.wait(seconds)
            case Slow(bytes_per_second=rate):
                self._waiting.wait(size / rate)
            case Kill():
                if (function := caller()) is not None:
                    self._kill(function)
                context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed")
            case Reset() | LoseAnswer():
                # A server cannot break one call's connection; this is what the client's end makes of a broken one.
                context.abort(grpc.StatusCode.UNAVAILABLE, "recvmsg:Connection reset by peer")
