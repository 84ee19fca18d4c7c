"""The tree of errors: what each one is a kind of, and what it carries."""

from __future__ import annotations

import pytest

from shared.engine.handler import WaitFor
from shared.errors import (
    LONGEST_REASON,
    LostRace,
    ModeldropError,
    OutcomeUnknown,
    Problem,
    Rejected,
    TryLater,
    short_reason,
)


@pytest.mark.parametrize("error", [Rejected, TryLater, OutcomeUnknown, LostRace, WaitFor])
def test_every_error_raised_on_purpose_has_one_base(error: type[Exception]) -> None:
    assert issubclass(error, ModeldropError)


def test_an_unknown_outcome_is_tried_later_and_is_not_a_rejection() -> None:
    assert issubclass(OutcomeUnknown, TryLater)
    assert not issubclass(TryLater, Rejected)
    assert not issubclass(LostRace, TryLater)


def test_a_rejection_carries_the_problem_of_its_event() -> None:
    error = Rejected("model is missing", field="model", code="missing_field")
    assert error.problem == Problem("missing_field", "model is missing", "model")
    assert str(error) == "model is missing"
    assert error.problem.as_json() == {"code": "missing_field", "message": "model is missing", "field": "model"}


def test_a_rejection_may_have_no_field() -> None:
    assert Rejected("no").problem.as_json() == {"code": "invalid_request", "message": "no", "field": None}


def test_a_short_reason_is_one_line_of_limited_length() -> None:
    assert short_reason(ValueError("a page\n  of text")) == "a page of text"
    assert len(short_reason(ValueError("x" * 1000))) == LONGEST_REASON
