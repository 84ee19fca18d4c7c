"""States and reasons: each documented one is in a table, with the consequence that the documents give."""

from __future__ import annotations

import pytest
from google.cloud.aiplatform_v1 import JobState

from shared.cloud.states import (
    BIGQUERY_CALL_REASONS,
    BIGQUERY_JOB_REASONS,
    BIGQUERY_STATES,
    HTTP_STATUSES,
    VERTEX_STATES,
    Consequence,
    Progress,
    consequence_of_call,
    consequence_of_job,
)

ENDED = {"SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED", "PARTIALLY_SUCCEEDED"}

# https://docs.cloud.google.com/bigquery/docs/error-messages
DOCUMENTED_REASONS = (
    "accessDenied",
    "backendError",
    "badRequest",
    "billingNotEnabled",
    "billingTierLimitExceeded",
    "blocked",
    "duplicate",
    "internalError",
    "invalid",
    "invalidQuery",
    "invalidUser",
    "jobBackendError",
    "jobInternalError",
    "jobRateLimitExceeded",
    "notFound",
    "notImplemented",
    "quotaExceeded",
    "rateLimitExceeded",
    "resourceInUse",
    "resourcesExceeded",
    "responseTooLarge",
    "stopped",
    "tableUnavailable",
    "timeout",
)


@pytest.mark.parametrize("state", JobState)
def test_every_state_of_vertex_ai_is_known(state: JobState) -> None:
    progress = VERTEX_STATES[state.name]
    assert progress.ended == (state.name.removeprefix("JOB_STATE_") in ENDED)


def test_the_table_holds_only_states_of_vertex_ai() -> None:
    assert set(VERTEX_STATES) == {state.name for state in JobState}


@pytest.mark.parametrize(
    ("state", "progress"),
    [
        ("JOB_STATE_UNSPECIFIED", Progress.UNKNOWN),
        ("JOB_STATE_PAUSED", Progress.PAUSED),
        ("JOB_STATE_CANCELLING", Progress.RUNNING),
        ("JOB_STATE_EXPIRED", Progress.EXPIRED),
        ("JOB_STATE_PARTIALLY_SUCCEEDED", Progress.PARTIALLY_SUCCEEDED),
    ],
)
def test_rare_states_of_vertex_ai_have_their_progress(state: str, progress: Progress) -> None:
    assert VERTEX_STATES[state] is progress


def test_bigquery_has_three_states_and_one_is_an_end() -> None:
    assert {state: progress.ended for state, progress in BIGQUERY_STATES.items()} == {
        "PENDING": False,
        "RUNNING": False,
        "DONE": True,
    }


@pytest.mark.parametrize("progress", Progress)
def test_a_paused_or_unknown_job_has_not_ended(progress: Progress) -> None:
    assert progress.ended == (progress.name in ENDED)


@pytest.mark.parametrize("reason", DOCUMENTED_REASONS)
def test_every_documented_reason_of_a_failed_job_is_known(reason: str) -> None:
    assert reason in BIGQUERY_JOB_REASONS


def test_only_three_reasons_are_worth_a_new_attempt() -> None:
    again = {reason for reason, consequence in BIGQUERY_JOB_REASONS.items() if consequence is Consequence.NEXT_ATTEMPT}
    assert again == {"jobBackendError", "jobInternalError", "jobRateLimitExceeded"}
    assert {*BIGQUERY_JOB_REASONS.values()} == {Consequence.NEXT_ATTEMPT, Consequence.FINAL}


def test_an_unknown_reason_of_a_failed_job_is_final() -> None:
    assert consequence_of_job("somethingNew") is Consequence.FINAL
    assert consequence_of_job("") is Consequence.FINAL


@pytest.mark.parametrize(
    ("status", "reason", "consequence"),
    [
        # A 403 has three meanings, which only the reason distinguishes.
        (403, "accessDenied", Consequence.REJECT),
        (403, "quotaExceeded", Consequence.WAIT_FOR_QUOTA),
        (403, "rateLimitExceeded", Consequence.WAIT_FOR_QUOTA),
        (403, "billingNotEnabled", Consequence.REJECT),
        (403, None, Consequence.REJECT),
        (400, "invalidQuery", Consequence.REJECT),
        (400, "resourcesExceeded", Consequence.WAIT_FOR_QUOTA),
        (400, "resourceInUse", Consequence.TRY_LATER),
        (400, "tableUnavailable", Consequence.TRY_LATER),
        (404, "notFound", Consequence.REJECT),
        (404, None, Consequence.REJECT),
        (429, None, Consequence.WAIT_FOR_QUOTA),
        (401, None, Consequence.TRY_LATER),
        (500, "internalError", Consequence.TRY_LATER),
        (500, None, Consequence.TRY_LATER),
        (502, "badGateway", Consequence.TRY_LATER),
        (503, "backendError", Consequence.TRY_LATER),
        (503, "anUnknownReason", Consequence.TRY_LATER),
        (400, "anUnknownReason", Consequence.REJECT),
        (418, None, Consequence.TRY_LATER),
    ],
)
def test_a_refused_call_has_its_consequence(status: int, reason: str | None, consequence: Consequence) -> None:
    assert consequence_of_call(status, reason) is consequence


def test_a_refused_call_is_never_final_nor_a_new_attempt() -> None:
    consequences = {*BIGQUERY_CALL_REASONS.values(), *HTTP_STATUSES.values()}
    assert consequences == {Consequence.REJECT, Consequence.TRY_LATER, Consequence.WAIT_FOR_QUOTA}
