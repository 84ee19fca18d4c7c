"""The errors of Cloud Storage, one class per reason.

    StorageError
    ├── InvalidRequest        400 invalid
    │   ├── CustomerKeyProblem    400 with a reason of its own
    │   ├── ContentTooSmall
    │   └── ContentTooLarge
    ├── Required              400 required
    ├── Forbidden             403 forbidden, retentionPolicyNotMet
    ├── NotFound              404 notFound
    ├── MethodNotAllowed      405 httpMethodNotAllowed
    ├── Conflict              409 conflict
    ├── PreconditionFailed    412 conditionNotMet
    ├── RangeNotSatisfiable   416 requestedRangeNotSatisfiable
    ├── RateLimited           429 rateLimitExceeded
    ├── NotImplementedHere    501 notImplemented
    └── Unavailable           503 backendError

``NotModified`` (304) is not a mistake of the caller and has no body, but it ends a request in the same way. The names are
those of Google's client library.

Statuses and reasons: https://cloud.google.com/storage/docs/json_api/v1/status-codes
"""

from __future__ import annotations

from typing import Any

from localcloud.base.api_errors import ApiError, error_body


class StorageError(ApiError):
    """A rejected request."""

    code = 500
    reason = "internalError"
    status = "INTERNAL"

    def body(self) -> dict[str, Any]:
        """Return the JSON body of the answer."""
        return error_body(self.code, self.message, status=self.status, reason=self.reason)


class InvalidRequest(StorageError):
    """A parameter, a header or the body is invalid."""

    code, reason, status = 400, "invalid", "INVALID_ARGUMENT"


class CustomerKeyProblem(InvalidRequest):
    """A customer-supplied encryption key is missing, malformed or wrong."""

    def __init__(self, reason: str, message: str) -> None:
        """Create the error with its reason: https://cloud.google.com/storage/docs/json_api/v1/status-codes."""
        super().__init__(message)
        self.reason = reason


class ContentTooSmall(InvalidRequest):
    """An upload has fewer bytes than its caller allows."""


class ContentTooLarge(InvalidRequest):
    """An upload has more bytes than its caller allows."""


class Required(StorageError):
    """A required field or parameter is missing."""

    code, reason, status = 400, "required", "INVALID_ARGUMENT"


class Forbidden(StorageError):
    """A hold, a retention policy or a lock does not allow the change."""

    code, reason, status = 403, "forbidden", "PERMISSION_DENIED"


class RetentionNotMet(Forbidden):
    """The object must be kept for longer."""

    reason = "retentionPolicyNotMet"


class NotFound(StorageError):
    """The bucket, the object or its generation does not exist."""

    code, reason, status = 404, "notFound", "NOT_FOUND"


class MethodNotAllowed(StorageError):
    """The path exists, but not for this HTTP method."""

    code, reason, status = 405, "httpMethodNotAllowed", "UNIMPLEMENTED"


class Conflict(StorageError):
    """The request conflicts with the current state of a bucket or an upload."""

    code, reason, status = 409, "conflict", "ALREADY_EXISTS"


class PreconditionFailed(StorageError):
    """A precondition of the request does not hold."""

    code, reason, status = 412, "conditionNotMet", "FAILED_PRECONDITION"

    def __init__(self, message: str = "At least one of the pre-conditions you specified did not hold.") -> None:
        """Create the error, by default with the message of Cloud Storage."""
        super().__init__(message)


class RangeNotSatisfiable(StorageError):
    """The requested range contains none of the object's bytes."""

    code, reason, status = 416, "requestedRangeNotSatisfiable", "OUT_OF_RANGE"

    def __init__(self, size: int) -> None:
        """Create the error for an object of ``size`` bytes."""
        super().__init__("Request range not satisfiable")
        self.headers = {"content-range": f"bytes */{size}"}


class RateLimited(StorageError):
    """The object is written too often."""

    code, reason, status = 429, "rateLimitExceeded", "RESOURCE_EXHAUSTED"


class NotImplementedHere(StorageError):
    """Cloud Storage can do this; the local cloud cannot, and says so."""

    code, reason, status = 501, "notImplemented", "UNIMPLEMENTED"


class Unavailable(StorageError):
    """The request may succeed later."""

    code, reason, status = 503, "backendError", "UNAVAILABLE"


class NotModified(StorageError):
    """The caller already has the current version."""

    code, reason, status = 304, "notModified", "FAILED_PRECONDITION"

    def __init__(self) -> None:
        """Create the error."""
        super().__init__("Not Modified")
