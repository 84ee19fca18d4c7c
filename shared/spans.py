"""Spans: what happened in a trace, and how long it took. They are exported if ``OTEL_EXPORTER_OTLP_ENDPOINT`` is set.

Without that variable nothing of OpenTelemetry is imported, and a span only keeps the trace of the call as it is.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING

from shared import trace

if TYPE_CHECKING:
    from shared.otlp import Exporter

# https://opentelemetry.io/docs/specs/otel/protocol/exporter/#configuration-options
ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")

# The kinds of spans: https://opentelemetry.io/docs/specs/otel/trace/api/#spankind
INTERNAL, SERVER, CONSUMER, PRODUCER, CLIENT = "INTERNAL", "SERVER", "CONSUMER", "PRODUCER", "CLIENT"


@contextmanager
def span(
    name: str, kind: str = INTERNAL, *, parent: trace.TraceContext | None = None, **attributes: str | None
) -> Iterator[None]:
    """Record what happens in this block as a span.

    Args:
        name: What happens, such as ``publish modeldrop.model.imported.v1``.
        kind: The kind of the span.
        parent: The span that it belongs to; None: the span of this call.
        attributes: Names and keys, never data of users. None values are left out. An underscore becomes a dot.
    """
    with trace.within(parent):
        exporter = _exporter()
        if exporter is None:
            yield
            return
        with exporter.span(name, kind, trace.current(), _named(attributes)) as context, trace.within(context):
            yield


def record(name: str, kind: str, start: datetime, end: datetime, **attributes: str | None) -> None:
    """Record something that has ended, such as the job of a step, as a span of the trace of this call."""
    exporter = _exporter()
    if exporter is not None and trace.current() is not None:
        exporter.record(name, kind, trace.current(), start, end, _named(attributes))


def flush() -> None:
    """Export all spans that have ended. On Google Cloud a function has no CPU after its response."""
    exporter = _exporter()
    if exporter is not None:
        exporter.flush()


def _named(attributes: dict[str, str | None]) -> dict[str, str]:
    return {name.replace("_", "."): value for name, value in attributes.items() if value is not None}


@cache
def _exporter() -> Exporter | None:
    if not any(os.environ.get(name) for name in ENDPOINTS):
        return None
    from shared.otlp import Exporter

    return Exporter()
