"""The orders of the stand-in model: what it fails, refuses, delays, and answers."""

from __future__ import annotations

from typing import Any

import pytest

from localcloud.gemini.backends import answers_at_once, backend_from
from localcloud.gemini.echo import EchoBackend
from localcloud.gemini.errors import BackendError
from localcloud.gemini.orders import parse_orders
from tests.localcloud.gemini.prompts import MODEL, text_request


def outcome(backend: Any, text: str) -> str:
    """Return the text of the answer, its finish reason if it has no text, or the name of its error."""
    try:
        response = backend.generate(MODEL, text_request(text))
    except BackendError as error:
        return error.status
    assert response["modelVersion"].startswith("localcloud-echo (stand-in")
    candidate = response["candidates"][0]
    return str(candidate["content"]["parts"][0]["text"] if "content" in candidate else candidate["finishReason"])


def ordered(**order: Any) -> EchoBackend:
    return EchoBackend(parse_orders(order))


def test_requests_with_a_text_fail_with_the_ordered_status() -> None:
    backend = ordered(text="broken", status=429)
    assert [outcome(backend, text) for text in ("a broken one", "a whole one")] == [
        "RESOURCE_EXHAUSTED",
        "Echo: a whole one",
    ]


def test_a_share_of_the_requests_fails_and_the_same_ones_each_time() -> None:
    backend = ordered(percent=20, status=500)
    first, second = ([outcome(backend, f"prompt {number}") for number in range(200)] for _ in range(2))
    assert first == second
    assert 20 <= first.count("INTERNAL") <= 60


def test_an_order_ends_after_its_number_of_requests() -> None:
    backend = ordered(times=2, status=503)
    assert [outcome(backend, "x") for _ in range(3)] == ["UNAVAILABLE", "UNAVAILABLE", "Echo: x"]


def test_a_refused_request_has_no_content() -> None:
    assert outcome(ordered(refuse=True), "x") == "SAFETY"


def test_an_ordered_answer_replaces_the_echo() -> None:
    assert outcome(ordered(answer='Here it is: ```json\n{"a": 1}\n```'), "x") == 'Here it is: ```json\n{"a": 1}\n```'


def test_a_backend_with_orders_may_wait() -> None:
    assert answers_at_once(backend_from("echo"))
    assert not answers_at_once(backend_from("echo", '[{"seconds": 0.001}]'))


@pytest.mark.parametrize(
    ("orders", "reason"),
    [
        ("[1]", "Order 1 .* must be an object"),
        (
            '{"fail": 1}',
            "unknown field 'fail'; the fields are text, percent, times, seconds, status, message, refuse, answer",
        ),
        ('[{}, {"percent": 101}]', "Order 2: percent must be a number from 0 to 100"),
        ('{"status": 200}', "status must be an HTTP status from 400 to 599"),
        ('{"seconds": -1}', "seconds must be a number from 0 to 600"),
        ('{"times": 0}', "times must be a whole number of at least 1"),
        ("{", "are not JSON"),
    ],
)
def test_a_wrong_order_is_refused_with_the_reason(orders: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        backend_from("echo", orders)
