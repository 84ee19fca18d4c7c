"""The estimate of a batch: tokens by a rule, jobs by the limit, money by the prices that are set."""

from __future__ import annotations

from shared.batches.estimates import Estimate, estimate
from shared.batches.inputs.rules import InputCheck, Requests

CHECK = InputCheck(requests=300_000, characters=4_000_001, files=7, findings=(), answer_tokens=2_000_000)
MODEL = "publishers/google/models/gemini-3.8-flash"


def test_an_estimate_has_tokens_jobs_and_money() -> None:
    found = estimate(CHECK, MODEL, [("gemini-3.8-flash", 0.5, 3.0)])
    assert found == Estimate(
        requests=300_000,
        jobs=2,
        characters=4_000_001,
        files=7,
        input_tokens=1_000_001,
        most_answer_tokens=2_000_000,
        input_cost=0.5,
        most_answer_cost=6.0,
    )
    assert found.as_json()["jobs"] == 2


def test_without_prices_an_estimate_has_no_money() -> None:
    found = estimate(CHECK, MODEL, [("gemini-3.5-flash", 1, 1)])
    assert (found.input_cost, found.most_answer_cost) == (None, None)


def test_answers_without_a_limit_have_no_price() -> None:
    unlimited = InputCheck(requests=1, characters=4, files=0, findings=())
    found = estimate(unlimited, MODEL, [("gemini-3.8-flash", 1, 1)])
    assert (found.input_cost, found.most_answer_tokens, found.most_answer_cost) == (0.000001, None, None)


def test_each_kind_of_requests_has_its_limit() -> None:
    assert estimate(CHECK, MODEL, [], Requests.EMBED).jobs == 1
