"""Spans: exported to a collector, with names and keys and no texts; without a collector they cost nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from shared import spans, trace
from tests.collector import Collector, collecting
from tests.conftest import variables
from tests.paths import ROOT

TRACE_ID, SPAN_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = trace.TraceContext(TRACE_ID, SPAN_ID, sampled=True)
START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A collector that this process exports to."""
    with collecting() as running, variables({spans.ENDPOINTS[0]: running.url, "K_SERVICE": "modeldrop-predict"}):
        spans._exporter.cache_clear()
        yield running
        exporter = spans._exporter()
        assert exporter is not None
        exporter.close()
    spans._exporter.cache_clear()


def test_spans_are_exported_as_children_of_the_callers_span(collector: Collector) -> None:
    with spans.span("predict", spans.CONSUMER, parent=PARENT):
        with spans.span("publish", spans.PRODUCER, modeldrop_key="k1", modeldrop_model=None):
            published = trace.current_traceparent()
        spans.record("job predict", spans.CLIENT, START, START + timedelta(seconds=7), modeldrop_job="k1-predict-1")
    spans.flush()
    by_name = {span.name: span for span in collector.spans}
    predict, publish, job = by_name["predict"], by_name["publish"], by_name["job predict"]
    assert {span.trace_id for span in collector.spans} == {TRACE_ID}
    assert (predict.parent_id, publish.parent_id, job.parent_id) == (SPAN_ID, predict.span_id, predict.span_id)
    assert published == publish.traceparent
    assert (publish.attributes, job.attributes) == ({"modeldrop.key": "k1"}, {"modeldrop.job": "k1-predict-1"})
    assert publish.service == "modeldrop-predict"


def test_an_error_is_exported_with_its_type_and_without_its_text(collector: Collector) -> None:
    with pytest.raises(ValueError, match="Rumpel"), spans.span("predict", parent=PARENT):
        raise ValueError("Rumpelstiltskin")
    spans.flush()
    [span] = collector.spans
    assert span.failed
    assert span.attributes == {"error.type": "ValueError"}


def test_a_trace_that_is_not_sampled_is_not_exported_and_passes_on(collector: Collector) -> None:
    with spans.span("predict", parent=trace.TraceContext(TRACE_ID, SPAN_ID)):
        context = trace.current()
    spans.flush()
    assert context is not None
    assert (context.trace_id, context.sampled) == (TRACE_ID, False)
    assert collector.spans == []


# Clients of Google import the API of OpenTelemetry themselves, but no SDK and no exporter.
def test_without_a_collector_no_exporter_is_imported_and_the_trace_passes_through() -> None:
    program = f"""
import sys
from shared import spans, trace
from shared.events.edge import cloud_event
with spans.span("predict", parent=trace.parse("{PARENT.traceparent}")):
    assert trace.current_traceparent() == "{PARENT.traceparent}"
    spans.record("job", spans.CLIENT, None, None)
spans.flush()
print([name for name in sys.modules if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter", "shared.otlp"))])
"""
    with variables(dict.fromkeys(spans.ENDPOINTS, "")):
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True, timeout=120
        )
    assert done.stdout == "[]\n"
