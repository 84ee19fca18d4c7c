"""Exports spans with OpenTelemetry over OTLP. Only ``spans.py`` imports this module, if a collector is set.

The provider is not the global one, so the clients of Google's services record no spans: theirs hold more than names.
https://opentelemetry.io/docs/languages/sdk-configuration/otlp-exporter/ has the variables that are read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from urllib.parse import urlsplit

from opentelemetry import trace as otel
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from shared.trace import TraceContext

# Google's own collector: https://docs.cloud.google.com/stackdriver/docs/reference/telemetry/v1.traces.post
GOOGLE_ENDPOINT = "telemetry.googleapis.com"
GOOGLE_SCOPE = "https://www.googleapis.com/auth/trace.append"
# A collector that does not answer may delay a response by this much.
TIMEOUT_SECONDS = 3.0


class Exporter:
    """Sends the spans of this process to a collector."""

    def __init__(self) -> None:
        """Use the collector that the variables of OpenTelemetry name."""
        project = os.environ.get("GOOGLE_CLOUD_PROJECT", "")
        service = os.environ.get("K_SERVICE") or os.environ.get("FUNCTION_TARGET") or "modeldrop"
        names = {"gcp.project_id": project, "service.name": service}
        if os.environ.get("OTEL_SERVICE_NAME"):
            del names["service.name"]
        resource = Resource.create(names)
        self._provider = TracerProvider(resource=resource)
        self._provider.add_span_processor(BatchSpanProcessor(_span_exporter(project)))
        self._tracer = self._provider.get_tracer("modeldrop")

    @contextmanager
    def span(
        self, name: str, kind: str, parent: TraceContext | None, attributes: Mapping[str, str]
    ) -> Iterator[TraceContext]:
        """Record the block as a span, and yield its context. An error is recorded with its type alone."""
        span = self._tracer.start_span(
            name, context=_context(parent), kind=otel.SpanKind[kind], attributes=dict(attributes)
        )
        try:
            yield _trace_context(span)
        except Exception as error:
            span.set_attribute("error.type", type(error).__qualname__)
            span.set_status(otel.StatusCode.ERROR)
            raise
        finally:
            span.end()

    def record(
        self,
        name: str,
        kind: str,
        parent: TraceContext | None,
        start: datetime,
        end: datetime,
        attributes: Mapping[str, str],
    ) -> None:
        """Record a span that has ended."""
        span = self._tracer.start_span(
            name,
            context=_context(parent),
            kind=otel.SpanKind[kind],
            attributes=dict(attributes),
            start_time=_nanoseconds(start),
        )
        span.end(_nanoseconds(end))

    def flush(self) -> None:
        """Send all spans that have ended."""
        self._provider.force_flush(int(TIMEOUT_SECONDS * 1000))

    def close(self) -> None:
        """Send all spans that have ended, and stop the thread that sends them."""
        self._provider.shutdown()


def _span_exporter(project: str) -> OTLPSpanExporter:
    endpoint = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "")
    is_set = os.environ.get("OTEL_EXPORTER_OTLP_TIMEOUT") or os.environ.get("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT")
    timeout = None if is_set else TIMEOUT_SECONDS
    if urlsplit(endpoint).hostname != GOOGLE_ENDPOINT:
        return OTLPSpanExporter(timeout=timeout)
    import google.auth
    from google.auth.transport.requests import AuthorizedSession

    credentials, _ = google.auth.default(scopes=[GOOGLE_SCOPE], quota_project_id=project or None)
    return OTLPSpanExporter(timeout=timeout, session=AuthorizedSession(credentials))


def _context(parent: TraceContext | None) -> Context:
    if parent is None:
        return Context()
    flags = otel.TraceFlags(otel.TraceFlags.SAMPLED if parent.sampled else otel.TraceFlags.DEFAULT)
    span = otel.SpanContext(int(parent.trace_id, 16), int(parent.span_id, 16), is_remote=True, trace_flags=flags)
    return otel.set_span_in_context(otel.NonRecordingSpan(span), Context())


def _trace_context(span: otel.Span) -> TraceContext:
    context = span.get_span_context()
    return TraceContext(f"{context.trace_id:032x}", f"{context.span_id:016x}", context.trace_flags.sampled)


def _nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000) * 1000
