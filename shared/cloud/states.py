"""What every state and reason of BigQuery and Vertex AI means here: the one place where they are known.

A state or reason that is not in these tables is never waited on silently: it is reported as stuck (a state) or ends the
work as failed (a reason).
"""

from __future__ import annotations

from enum import Enum


class Progress(Enum):
    """How far a job is."""

    WAITING = "waiting"
    """Not started yet."""
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    PARTIALLY_SUCCEEDED = "partially_succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    PAUSED = "paused"
    """Stopped, can be resumed by a person: reported as stuck, and still watched."""
    UNKNOWN = "unknown_state"
    """A state that this code does not know: reported as stuck, and still watched."""

    @property
    def ended(self) -> bool:
        """Whether the job will never change again."""
        return self in _ENDED


_ENDED = frozenset(
    {Progress.SUCCEEDED, Progress.PARTIALLY_SUCCEEDED, Progress.FAILED, Progress.CANCELLED, Progress.EXPIRED}
)

# https://docs.cloud.google.com/bigquery/docs/reference/rest/v2/Job#JobStatus
# DONE is an end, not a success: `status.errorResult` tells.
BIGQUERY_STATES: dict[str, Progress] = {
    "PENDING": Progress.WAITING,
    "RUNNING": Progress.RUNNING,
    "DONE": Progress.SUCCEEDED,
}

# google.cloud.aiplatform.v1.JobState, by number, because the REST transport may give either.
VERTEX_STATES: dict[str, Progress] = {
    "JOB_STATE_UNSPECIFIED": Progress.UNKNOWN,
    "JOB_STATE_QUEUED": Progress.WAITING,
    "JOB_STATE_PENDING": Progress.WAITING,
    "JOB_STATE_RUNNING": Progress.RUNNING,
    "JOB_STATE_SUCCEEDED": Progress.SUCCEEDED,
    "JOB_STATE_FAILED": Progress.FAILED,
    "JOB_STATE_CANCELLING": Progress.RUNNING,
    "JOB_STATE_CANCELLED": Progress.CANCELLED,
    "JOB_STATE_PAUSED": Progress.PAUSED,
    "JOB_STATE_EXPIRED": Progress.EXPIRED,
    "JOB_STATE_UPDATING": Progress.RUNNING,
    "JOB_STATE_PARTIALLY_SUCCEEDED": Progress.PARTIALLY_SUCCEEDED,
}


class Consequence(Enum):
    """What a refusal or failure leads to."""

    REJECT = "reject"
    """The request is wrong; the sender is told."""
    TRY_LATER = "try_later"
    """The same call is made again later, under the same job id."""
    NEXT_ATTEMPT = "next_attempt"
    """The job ended for no fault of its own: it is submitted again under the next id, three times at most."""
    WAIT_FOR_QUOTA = "wait_for_quota"
    """Refused for quota: the work waits in the ledger."""
    FINAL = "final"
    """The work has failed."""


# https://docs.cloud.google.com/bigquery/docs/error-messages
# The reason of a refused call (jobs.insert, jobs.get, datasets.get).
BIGQUERY_CALL_REASONS: dict[str, Consequence] = {
    "accessDenied": Consequence.REJECT,
    "billingNotEnabled": Consequence.REJECT,
    "blocked": Consequence.REJECT,
    "bytesBilledLimitExceeded": Consequence.REJECT,
    "duplicate": Consequence.REJECT,
    "invalid": Consequence.REJECT,
    "invalidQuery": Consequence.REJECT,
    "invalidUser": Consequence.REJECT,
    "notFound": Consequence.REJECT,
    "notImplemented": Consequence.REJECT,
    "required": Consequence.REJECT,
    "badRequest": Consequence.REJECT,
    "parseError": Consequence.REJECT,
    "responseTooLarge": Consequence.REJECT,
    "resourceInUse": Consequence.TRY_LATER,
    "backendError": Consequence.TRY_LATER,
    "badGateway": Consequence.TRY_LATER,
    "internalError": Consequence.TRY_LATER,
    "tableUnavailable": Consequence.TRY_LATER,
    "timeout": Consequence.TRY_LATER,
    "rateLimitExceeded": Consequence.WAIT_FOR_QUOTA,
    "quotaExceeded": Consequence.WAIT_FOR_QUOTA,
    "resourcesExceeded": Consequence.WAIT_FOR_QUOTA,
}

# The reason in the errorResult of a job that is DONE. The first three are the only ones that a new attempt can help.
BIGQUERY_JOB_REASONS: dict[str, Consequence] = {
    "jobBackendError": Consequence.NEXT_ATTEMPT,
    "jobInternalError": Consequence.NEXT_ATTEMPT,
    "jobRateLimitExceeded": Consequence.NEXT_ATTEMPT,
    **dict.fromkeys(
        (
            "accessDenied",
            "backendError",
            "badRequest",
            "billingNotEnabled",
            "billingTierLimitExceeded",
            "blocked",
            "bytesBilledLimitExceeded",
            "duplicate",
            "internalError",
            "invalid",
            "invalidQuery",
            "invalidUser",
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
        ),
        Consequence.FINAL,
    ),
}

# Where there is no reason, or an unknown one, the HTTP status of a refused call decides.
HTTP_STATUSES: dict[int, Consequence] = {
    400: Consequence.REJECT,
    401: Consequence.TRY_LATER,
    403: Consequence.REJECT,
    404: Consequence.REJECT,
    405: Consequence.REJECT,
    408: Consequence.TRY_LATER,
    409: Consequence.REJECT,
    412: Consequence.REJECT,
    413: Consequence.REJECT,
    429: Consequence.WAIT_FOR_QUOTA,
}

MAXIMUM_ATTEMPTS = 3


def consequence_of_call(status: int, reason: str | None) -> Consequence:
    """Return what a refused call with this HTTP ``status`` and BigQuery ``reason`` leads to."""
    if reason in BIGQUERY_CALL_REASONS:
        return BIGQUERY_CALL_REASONS[reason]
    return HTTP_STATUSES.get(status, Consequence.TRY_LATER)


def consequence_of_job(reason: str) -> Consequence:
    """Return what a DONE BigQuery job with this ``errorResult.reason`` leads to."""
    return BIGQUERY_JOB_REASONS.get(reason, Consequence.FINAL)
