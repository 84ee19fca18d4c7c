"""The estimate of a batch: tokens by a rule, jobs by the limit, money by the prices that are set."""

from __future__ import annotations

from dataclasses import replace

from shared.batch_work import RequestCheck
from shared.batches.inputs.estimates import estimate
from shared.batches.inputs.rules import InputCheck, Requests
from shared.settings import Settings
from tests.example_requests import SETTINGS

CHECK = InputCheck(requests=300_000, characters=4_000_001, files=7, findings=(), answer_tokens=2_000_000)
MODEL = "publishers/google/models/gemini-3.8-flash"


def _priced(model: str, input_: float, answer: float) -> Settings:
    return replace(SETTINGS, gemini_prices=((model, input_, answer),))


def test_an_estimate_has_tokens_jobs_and_money() -> None:
    found = estimate(CHECK, MODEL, _priced("gemini-3.8-flash", 0.5, 3.0))
    assert found == RequestCheck(
        requests=300_000,
        jobs=2,
        characters=4_000_001,
        files=7,
        input_tokens=1_000_001,
        answer_tokens=2_000_000,
        input_cost=0.5,
        answer_cost=6.0,
    )


def test_without_prices_an_estimate_has_no_money() -> None:
    found = estimate(CHECK, MODEL, _priced("gemini-3.5-flash", 1, 1))
    assert (found.input_cost, found.answer_cost) == (None, None)


def test_answers_without_a_limit_have_no_price() -> None:
    unlimited = InputCheck(requests=1, characters=4, files=0, findings=())
    found = estimate(unlimited, MODEL, _priced("gemini-3.8-flash", 1, 1))
    assert (found.input_cost, found.answer_tokens, found.answer_cost) == (0.000001, None, None)


def test_the_most_requests_of_a_job_are_a_setting() -> None:
    assert estimate(CHECK, MODEL, replace(SETTINGS, max_batch_requests=1000)).jobs == 316
    assert estimate(CHECK, MODEL, SETTINGS, Requests.TEXT_EMBEDDING).jobs == 11
