"""The tree of errors: what each is a kind of, and what it tells."""

from __future__ import annotations

import pytest

from shared.engine.steps import WaitFor
from shared.errors import (
    LostRace,
    ModeldropError,
    Problem,
    Rejected,
    TryLater,
    Unknown,
)


@pytest.mark.parametrize("error", [Rejected, TryLater, Unknown, LostRace, WaitFor])
def test_every_error_raised_on_purpose_has_one_base(error: type[Exception]) -> None:
    assert issubclass(error, ModeldropError)


def test_an_unknown_outcome_is_a_reason_to_try_later_and_no_refusal() -> None:
    assert issubclass(Unknown, TryLater)
    assert not issubclass(TryLater, Rejected)
    assert not issubclass(LostRace, TryLater)


def test_a_refusal_carries_what_its_event_tells() -> None:
    error = Rejected("model is missing", field="model", code="missing_field")
    assert error.problem == Problem("missing_field", "model is missing", "model")
    assert str(error) == "model is missing"
    assert error.problem.as_json() == {"code": "missing_field", "message": "model is missing", "field": "model"}


def test_a_refusal_that_is_about_no_field_says_so() -> None:
    assert Rejected("no").problem.as_json() == {"code": "invalid_request", "message": "no", "field": None}
