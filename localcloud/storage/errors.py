"""What Cloud Storage answers when it refuses a request, one class per reason.

    StorageError
    ├── InvalidRequest        400 invalid
    ├── Required              400 required
    ├── NotFound              404 notFound
    ├── MethodNotAllowed      405 httpMethodNotAllowed
    ├── Conflict              409 conflict
    ├── PreconditionFailed    412 conditionNotMet
    ├── RangeNotSatisfiable   416 requestedRangeNotSatisfiable
    └── RateLimited           429 rateLimitExceeded

``NotModified`` (304) is no error of the caller's and has no body, but it ends a request in the same way. The names are
those of Google's client library.

Statuses and reasons: https://cloud.google.com/storage/docs/json_api/v1/status-codes
"""

from __future__ import annotations

from typing import Any

from localcloud.base.api_errors import ApiError, error_body


class StorageError(ApiError):
    """A request that Cloud Storage refuses."""

    code = 500
    reason = "internalError"
    status = "INTERNAL"

    def body(self) -> dict[str, Any]:
        """Return the JSON body of the answer."""
        return error_body(self.code, self.message, status=self.status, reason=self.reason)


class InvalidRequest(StorageError):
    code, reason, status = 400, "invalid", "INVALID_ARGUMENT"


class Required(StorageError):
    code, reason, status = 400, "required", "INVALID_ARGUMENT"


class NotFound(StorageError):
    code, reason, status = 404, "notFound", "NOT_FOUND"


class MethodNotAllowed(StorageError):
    code, reason, status = 405, "httpMethodNotAllowed", "UNIMPLEMENTED"


class Conflict(StorageError):
    code, reason, status = 409, "conflict", "ALREADY_EXISTS"


class PreconditionFailed(StorageError):
    code, reason, status = 412, "conditionNotMet", "FAILED_PRECONDITION"

    def __init__(self, message: str = "At least one of the pre-conditions you specified did not hold.") -> None:
        super().__init__(message)


class RangeNotSatisfiable(StorageError):
    code, reason, status = 416, "requestedRangeNotSatisfiable", "OUT_OF_RANGE"

    def __init__(self, size: int) -> None:
        """Refuse a range of a content that has ``size`` bytes."""
        super().__init__("Request range not satisfiable")
        self.headers = {"content-range": f"bytes */{size}"}


class RateLimited(StorageError):
    code, reason, status = 429, "rateLimitExceeded", "RESOURCE_EXHAUSTED"


class NotModified(StorageError):
    code, reason, status = 304, "notModified", "FAILED_PRECONDITION"

    def __init__(self) -> None:
        super().__init__("Not Modified")
