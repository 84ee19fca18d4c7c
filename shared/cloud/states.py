"""The meaning of every job state and error reason of BigQuery and Vertex AI.

Modeldrop never waits silently for a state or reason that is not in these tables: work in an unknown state is reported as
stuck, and an unknown reason ends the work as failed.
"""

from __future__ import annotations

from enum import Enum


class Progress(Enum):
    """How far a job has come."""

    WAITING = "waiting"
    """The job has not started."""
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    PARTIALLY_SUCCEEDED = "partially_succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    PAUSED = "paused"
    """A person stopped the job and can resume it. It is reported as stuck, and Modeldrop keeps watching it."""
    UNKNOWN = "unknown_state"
    """The state is in no table. The job is reported as stuck, and Modeldrop keeps watching it."""

    @property
    def ended(self) -> bool:
        """Whether the job is in a final state."""
        return self in _ENDED


_ENDED = frozenset(
    {Progress.SUCCEEDED, Progress.PARTIALLY_SUCCEEDED, Progress.FAILED, Progress.CANCELLED, Progress.EXPIRED}
)

# https://docs.cloud.google.com/bigquery/docs/reference/rest/v2/Job#JobStatus
# DONE means only that the job has ended: it failed if `status.errorResult` is set.
BIGQUERY_STATES: dict[str, Progress] = {
    "PENDING": Progress.WAITING,
    "RUNNING": Progress.RUNNING,
    "DONE": Progress.SUCCEEDED,
}

# https://docs.cloud.google.com/vertex-ai/docs/reference/rest/v1/JobState
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
    """What follows from a refused call or a failed job."""

    REJECT = "reject"
    """The request is wrong. Its sender gets a rejection event."""
    TRY_LATER = "try_later"
    """The same call is made again later, with the same job id."""
    NEXT_ATTEMPT = "next_attempt"
    """The service failed, not the job. It is submitted with a new id, in at most three attempts altogether."""
    WAIT_FOR_QUOTA = "wait_for_quota"
    """No quota is left. The work waits in the ledger."""
    FINAL = "final"
    """The work has failed, and is not tried again."""


# https://docs.cloud.google.com/bigquery/docs/error-messages
# The reasons of a refused call (jobs.insert, jobs.get, datasets.get).
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

# The reasons in the errorResult of a job that is DONE. A new attempt can help only after the first three.
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

# A refused call without a known reason is judged by its HTTP status.
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

# The `google.rpc.Code` of an operation that failed. After the first, what it should create exists; after the others another
# attempt can help: ABORTED, INTERNAL, UNAVAILABLE.
# https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto
OPERATION_EXISTS = 6
OPERATION_RETRIES = frozenset({10, 13, 14})

# The code of a call that Vertex AI refuses because Google's accounts that read and write for the project do not exist yet, and
# what Vertex AI says then. It creates them when the project first needs them.
# https://cloud.google.com/vertex-ai/docs/general/access-control#service-agents
NO_SERVICE_AGENTS = "serviceAgentsMissing"
NO_SERVICE_AGENTS_MESSAGE = "service agents are being provisioned"

# The code of a call or a job for which a right is missing. It is given again soon after a deployment: a new right takes
# minutes to be effective. https://cloud.google.com/iam/docs/access-change-propagation
ACCESS_DENIED = "accessDenied"
# The code of a failed job of Vertex AI for which a right is missing: the code of a job's error is that of
# https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto
VERTEX_ACCESS_DENIED = "vertex_7"


def consequence_of_call(status: int, reason: str | None) -> Consequence:
    """Return what follows from a refused call with this HTTP ``status`` and BigQuery ``reason``, if it has one."""
    if reason in BIGQUERY_CALL_REASONS:
        return BIGQUERY_CALL_REASONS[reason]
    return HTTP_STATUSES.get(status, Consequence.TRY_LATER)


def consequence_of_job(reason: str) -> Consequence:
    """Return what follows from a BigQuery job that is DONE with this ``errorResult.reason``."""
    return BIGQUERY_JOB_REASONS.get(reason, Consequence.FINAL)
