"""The trace of a whole chain, from the upload or the message to the completion event, as a collector receives it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from tests.collector import CollectedSpan, Collector, collecting
from tests.e2e.world import World, fresh
from tests.waiting import wait_until

pytestmark = pytest.mark.long

TRACE_ID, SPAN_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as running:
        yield running


@pytest.fixture(scope="module")
def traced(start_world: Callable[..., AbstractContextManager[World]], collector: Collector) -> Iterator[World]:
    """A world whose functions export their spans."""
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "SETTLE_SECONDS": "0.5"}
    with start_world("traces", settings=settings) as world:
        world.import_shifter("seven", 7)
        yield world


def path_of(span: CollectedSpan, spans: list[CollectedSpan]) -> list[str]:
    """Return the names of the spans from the first one of the trace to ``span``."""
    above = next((each for each in spans if each.span_id == span.parent_id), None)
    return [*(path_of(above, spans) if above else []), span.name]


def spans_of_event(event_type: str, traceparent: str, collector: Collector) -> tuple[list[CollectedSpan], list[str]]:
    """Return the trace of an event, and the path from its first span to the one that published the event."""
    _, trace_id, span_id, _ = traceparent.split("-")
    # A function exports its spans when it has answered.
    wait_until(lambda: any(span.span_id == span_id for span in collector.of_trace(trace_id)))
    spans = collector.of_trace(trace_id)
    [publishing] = [span for span in spans if span.span_id == span_id]
    assert publishing.name == f"publish {event_type}"
    return spans, path_of(publishing, spans)


def test_a_message_its_job_and_its_event_are_one_trace(traced: World, collector: Collector) -> None:
    name = fresh("traced")
    prediction = traced.prediction("seven", name, name)
    traced.publish("PREDICT_TOPIC", prediction, traceparent=f"00-{TRACE_ID}-{SPAN_ID}-01")
    event = traced.event("prediction.succeeded", request_id=name)
    traceparent = event.attributes["traceparent"]
    assert traceparent.split("-")[1] == TRACE_ID
    spans, path = spans_of_event("modeldrop.prediction.succeeded.v1", traceparent, collector)
    assert path == ["predict", "continue predict", "publish modeldrop.prediction.succeeded.v1"]
    [received] = [span for span in spans if span.name == "predict"]
    assert (received.parent_id, received.service) == (SPAN_ID, "modeldrop-predict")
    [job] = [span for span in spans if span.name == "job predict"]
    assert job.attributes["modeldrop.job"] == event.data["job"]["id"]
    assert (job.service, job.attributes["modeldrop.key"]) == ("modeldrop-poll-jobs", event.data["key"])


def test_an_upload_its_import_and_its_event_are_one_trace(traced: World, collector: Collector) -> None:
    model = fresh("dropped")
    traced.drop(traced.shifter(3), model)
    event = traced.event("model.imported", model=f"{traced.project}.{traced.dataset}.{model}")
    spans, path = spans_of_event("modeldrop.model.imported.v1", event.attributes["traceparent"], collector)
    assert path[0] == "import_model"
    assert path[-1] == "publish modeldrop.model.imported.v1"
    assert [span.attributes["modeldrop.job"] for span in spans if span.name == "job create"] == [
        event.data["job"]["id"]
    ]


def test_logs_of_a_function_name_the_trace_of_the_work(traced: World) -> None:
    name = fresh("logged")
    trace_id = "5" + TRACE_ID[1:]
    wrong = {**traced.prediction("seven", name, name), "model": 7}
    traced.publish("PREDICT_TOPIC", wrong, traceparent=f"00-{trace_id}-{SPAN_ID}-01")
    event = traced.event("request.rejected", request_id=name)
    log = (traced.cloud.data_dir / "logs" / "predict.log").read_text(encoding="utf-8")
    records = [json.loads(line) for line in log.splitlines() if event.data["key"] in line]
    assert {each["logging.googleapis.com/trace"] for each in records} == {
        f"projects/{traced.project}/traces/{trace_id}"
    }
