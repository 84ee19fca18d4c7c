"""The trace of a call, as headers and messages name it."""

from __future__ import annotations

import pytest

from shared import trace
from shared.trace import TraceContext

TRACE_ID, SPAN_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE_ID}-{SPAN_ID}-01"
CONTEXT = TraceContext(TRACE_ID, SPAN_ID, sampled=True)


@pytest.mark.parametrize(
    ("text", "context"),
    [
        (TRACEPARENT, CONTEXT),
        (f"00-{TRACE_ID}-{SPAN_ID}-00", TraceContext(TRACE_ID, SPAN_ID)),
        # A later version may add fields: https://www.w3.org/TR/trace-context/#versioning-of-traceparent
        (f"01-{TRACE_ID}-{SPAN_ID}-03-more", CONTEXT),
        (f"ff-{TRACE_ID}-{SPAN_ID}-01", None),
        (f"00-{'0' * 32}-{SPAN_ID}-01", None),
        (f"00-{TRACE_ID}-{'0' * 16}-01", None),
        (f"00-{TRACE_ID.upper()}-{SPAN_ID}-01", None),
        (TRACEPARENT + "\n", None),
        ("", None),
        (None, None),
        (7, None),
    ],
)
def test_a_traceparent_is_read_as_w3c_defines_it(text: object, context: TraceContext | None) -> None:
    assert trace.parse(text) == context


@pytest.mark.parametrize(
    ("headers", "context"),
    [
        ({"traceparent": TRACEPARENT}, CONTEXT),
        ({"X-Cloud-Trace-Context": f"{TRACE_ID}/67667974448284343;o=1"}, CONTEXT),
        ({"X-Cloud-Trace-Context": f"{TRACE_ID}/67667974448284343"}, TraceContext(TRACE_ID, SPAN_ID)),
        ({"X-Cloud-Trace-Context": f"{TRACE_ID}/0;o=1"}, None),
        ({"X-Cloud-Trace-Context": f"{TRACE_ID}/99999999999999999999;o=1"}, None),
        ({"X-Cloud-Trace-Context": "trace"}, None),
        ({}, None),
    ],
)
def test_a_request_names_its_trace_in_either_header(headers: dict[str, str], context: TraceContext | None) -> None:
    assert trace.of_headers(headers.get) == context


def test_the_span_in_which_a_client_library_published_comes_before_the_one_of_its_program() -> None:
    published = f"00-{TRACE_ID}-{'1' * 16}-01"
    assert trace.of_attributes({"traceparent": TRACEPARENT}) == CONTEXT
    assert trace.of_attributes({"traceparent": TRACEPARENT, "googclient_traceparent": published}) == TraceContext(
        TRACE_ID, "1" * 16, sampled=True
    )
    assert trace.of_attributes({"traceparent": ["no", "text"]}) is None


def test_a_block_belongs_to_a_trace_until_it_ends() -> None:
    with trace.within(CONTEXT):
        assert trace.current_traceparent() == TRACEPARENT
        with trace.within(None):
            assert trace.current() == CONTEXT
    assert trace.current_traceparent() is None
