"""BigQuery's errors: one exception, with the reason that clients branch on.

    QueryError          any reason of the table below
    └── NotFound        a dataset, table, model, job or routine that does not exist

The reasons and their HTTP status: https://cloud.google.com/bigquery/docs/error-messages
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from localcloud.base.api_errors import error_body

STATUS_BY_REASON: dict[str, int] = {
    "accessDenied": 403,
    "backendError": 500,
    "billingTierLimitExceeded": 400,
    "bytesBilledLimitExceeded": 400,
    "duplicate": 409,
    "internalError": 500,
    "invalid": 400,
    "invalidParameter": 400,
    "invalidQuery": 400,
    "jobBackendError": 400,
    "jobInternalError": 400,
    "jobRateLimitExceeded": 400,
    "notFound": 404,
    "notImplemented": 501,
    "outOfRange": 400,
    "quotaExceeded": 403,
    "rateLimitExceeded": 403,
    "resourceInUse": 400,
    "resourcesExceeded": 400,
    "responseTooLarge": 403,
    "stopped": 200,
    "timeout": 400,
}


class QueryError(Exception):
    """An error that is returned to a client, in a job's ``errorResult`` or as an HTTP response.

    Attributes:
        message: The error message, in BigQuery's words where they are known.
        reason: A key of ``STATUS_BY_REASON``.
        location: Where the error is (``query``, a table, an object's name), or None.
        status: The HTTP status of a response that reports this error.
        causes: Further entries of a job's ``errors``, such as those of bad rows.
    """

    def __init__(
        self,
        message: str,
        *,
        reason: str = "invalidQuery",
        location: str | None = None,
        status: int | None = None,
        causes: Sequence[dict[str, Any]] = (),
    ) -> None:
        """Create the error; the default ``status`` is the one of the ``reason``."""
        super().__init__(message)
        self.message = message
        self.reason = reason
        self.location = location
        self.causes = list(causes)
        self.status: int = status if status is not None else STATUS_BY_REASON.get(reason, 400)

    def error_proto(self) -> dict[str, Any]:
        """Return the ``ErrorProto`` of a job's status.

        https://cloud.google.com/bigquery/docs/reference/rest/v2/ErrorProto
        """
        proto = {"reason": self.reason, "message": self.message}
        if self.location is not None:
            proto["location"] = self.location
        return proto

    def body(self) -> dict[str, Any]:
        """Return the body of an HTTP response that reports this error."""
        return error_body(self.status, self.message, reason=self.reason, location=self.location)


class NotFound(QueryError):
    """A named resource does not exist."""

    def __init__(self, message: str) -> None:
        """Create the error."""
        super().__init__(message, reason="notFound")
