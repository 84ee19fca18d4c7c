"""States and reasons: every one that the services document is in a table, and leads to what the documents say."""

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


def test_no_state_is_known_that_vertex_ai_does_not_have() -> None:
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
def test_states_that_others_overlook(state: str, progress: Progress) -> None:
    assert VERTEX_STATES[state] is progress


def test_bigquery_has_three_states_and_one_is_an_end() -> None:
    assert {state: progress.ended for state, progress in BIGQUERY_STATES.items()} == {
        "PENDING": False,
        "RUNNING": False,
        "DONE": True,
    }


@pytest.mark.parametrize("progress", Progress)
def test_what_is_stopped_or_unknown_is_watched_on(progress: Progress) -> None:
    assert progress.ended == (progress.name in ENDED)


@pytest.mark.parametrize("reason", DOCUMENTED_REASONS)
def test_every_documented_reason_of_a_failed_job_is_known(reason: str) -> None:
    assert reason in BIGQUERY_JOB_REASONS


def test_only_three_reasons_are_worth_a_new_attempt() -> None:
    again = {reason for reason, led_to in BIGQUERY_JOB_REASONS.items() if led_to is Consequence.NEXT_ATTEMPT}
    assert again == {"jobBackendError", "jobInternalError", "jobRateLimitExceeded"}
    assert {*BIGQUERY_JOB_REASONS.values()} == {Consequence.NEXT_ATTEMPT, Consequence.FINAL}


def test_a_reason_nobody_knows_ends_the_work() -> None:
    assert consequence_of_job("somethingNew") is Consequence.FINAL
    assert consequence_of_job("") is Consequence.FINAL


@pytest.mark.parametrize(
    ("status", "reason", "consequence"),
    [
        # 403 says three things: only the reason tells them apart.
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
        (503, "aReasonNobodyKnows", Consequence.TRY_LATER),
        (400, "aReasonNobodyKnows", Consequence.REJECT),
        (418, None, Consequence.TRY_LATER),
    ],
)
def test_what_a_refused_call_leads_to(status: int, reason: str | None, consequence: Consequence) -> None:
    assert consequence_of_call(status, reason) is consequence


def test_no_call_leads_to_what_only_a_job_can_lead_to() -> None:
    led_to = {*BIGQUERY_CALL_REASONS.values(), *HTTP_STATUSES.values()}
    assert led_to == {Consequence.REJECT, Consequence.TRY_LATER, Consequence.WAIT_FOR_QUOTA}
