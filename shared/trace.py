"""The trace that the current call belongs to, as its request, its message or its item of the ledger names it.

A trace has an id, and each piece of it, a span, has one too. Both go from call to call as a W3C ``traceparent``:
https://www.w3.org/TR/trace-context/#traceparent-header. Logs show it, the ledger stores it, and published messages carry it.
This module needs no library: without an exporter (``spans.py``) a trace only passes through.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

TRACEPARENT = "traceparent"
# The client libraries of Pub/Sub write this attribute: https://docs.cloud.google.com/pubsub/docs/open-telemetry-tracing
PUBSUB_TRACEPARENT = "googclient_traceparent"
# https://docs.cloud.google.com/trace/docs/trace-context#http-requests
CLOUD_TRACE = "X-Cloud-Trace-Context"

_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")
_CLOUD_TRACE = re.compile(r"(?!0{32})([0-9a-f]{32})/([0-9]{1,20})(?:;o=([0-9]))?", re.IGNORECASE)
_SAMPLED = 1


@dataclass(frozen=True)
class TraceContext:
    """A span of a trace. What happens next is part of the same trace."""

    trace_id: str
    """32 hexadecimal digits."""
    span_id: str
    """16 hexadecimal digits."""
    sampled: bool = False
    """Whether the spans of the trace are recorded."""

    @property
    def traceparent(self) -> str:
        """The value of a ``traceparent`` header."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"


_current: ContextVar[TraceContext | None] = ContextVar("trace", default=None)


def current() -> TraceContext | None:
    """Return the span that this call belongs to; None if it belongs to no trace."""
    return _current.get()


def current_traceparent() -> str | None:
    """Return the ``traceparent`` of the span that this call belongs to; None if it belongs to no trace."""
    context = current()
    return context.traceparent if context else None


@contextmanager
def within(context: TraceContext | None) -> Iterator[None]:
    """Let what happens in this block belong to ``context``; None leaves the trace as it is."""
    token = _current.set(context or current())
    try:
        yield
    finally:
        _current.reset(token)


def parse(traceparent: object) -> TraceContext | None:
    """Return the span that a ``traceparent`` names; None if it is not one."""
    found = _TRACEPARENT.fullmatch(traceparent) if isinstance(traceparent, str) else None
    return TraceContext(found[1], found[2], bool(int(found[3], 16) & _SAMPLED)) if found else None


def of_attributes(attributes: Mapping[str, object]) -> TraceContext | None:
    """Return the span in which a message was published, as its attributes name it; None if they name none."""
    return parse(attributes.get(PUBSUB_TRACEPARENT)) or parse(attributes.get(TRACEPARENT))


def of_headers(header: Callable[[str], str | None]) -> TraceContext | None:
    """Return the span that an HTTP request names; None if it names none. ``header`` returns a header by its name."""
    return parse(header(TRACEPARENT)) or _parse_cloud_trace(header(CLOUD_TRACE) or "")


def _parse_cloud_trace(header: str) -> TraceContext | None:
    """Return the span of a header such as ``TRACE_ID/SPAN_ID;o=1``, whose span id is a decimal number."""
    found = _CLOUD_TRACE.fullmatch(header)
    span = int(found[2]) if found else 0
    if found is None or not 0 < span < 1 << 64:
        return None
    return TraceContext(found[1].lower(), f"{span:016x}", found[3] == "1")
