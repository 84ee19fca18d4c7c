"""The errors that Google's APIs answer with, and the two shapes of their JSON bodies.

    ApiError                 any error that a service answers a request with
    ├── InvalidArgument      400: the request can never succeed
    ├── FailedPrecondition   400: the resource is not in a state for this request
    ├── NotFound             404: the resource does not exist
    ├── AlreadyExists        409: the name is taken
    ├── Unimplemented        501: Google's service can do this, the local one cannot
    └── Unavailable          503: the request may succeed later

Codes: https://cloud.google.com/apis/design/errors#handling_errors
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

# By name in google.rpc.Code: its number there, and the HTTP status that it is sent with.
CODES: dict[str, tuple[int, int]] = {
    "CANCELLED": (1, 499),
    "UNKNOWN": (2, 500),
    "INVALID_ARGUMENT": (3, 400),
    "DEADLINE_EXCEEDED": (4, 504),
    "NOT_FOUND": (5, 404),
    "ALREADY_EXISTS": (6, 409),
    "PERMISSION_DENIED": (7, 403),
    "RESOURCE_EXHAUSTED": (8, 429),
    "FAILED_PRECONDITION": (9, 400),
    "ABORTED": (10, 409),
    "OUT_OF_RANGE": (11, 400),
    "UNIMPLEMENTED": (12, 501),
    "INTERNAL": (13, 500),
    "UNAVAILABLE": (14, 503),
    "UNAUTHENTICATED": (16, 401),
}

# The usual name of an HTTP status; several names share one.
NAME_BY_HTTP_STATUS: dict[int, str] = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    412: "FAILED_PRECONDITION",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


def error_body(
    code: int, message: str, *, status: str | None = None, reason: str | None = None, location: str | None = None
) -> dict[str, Any]:
    """Return the JSON body of an error.

    Newer APIs (Pub/Sub, Scheduler, Vertex AI) send the code, the message and the status. Older ones (Cloud Storage,
    BigQuery) also send a list of details, in which clients look for the reason.
    https://cloud.google.com/apis/design/errors#http_mapping and https://cloud.google.com/bigquery/docs/error-messages

    Args:
        code: The HTTP status.
        message: What is wrong, for the caller.
        status: The name in google.rpc.Code; by default the usual one of ``code``, left out if it has none.
        reason: The reason of the older shape, such as ``notFound``; None returns the newer shape.
        location: What the error is about, in the older shape.
    """
    error: dict[str, Any] = {"code": code, "message": message}
    if reason is not None:
        detail = {"message": message, "domain": "global", "reason": reason}
        if location is not None:
            detail |= {"location": location, "locationType": "parameter"}
        error["errors"] = [detail]
    if status := status or NAME_BY_HTTP_STATUS.get(code):
        error["status"] = status
    return {"error": error}


class ApiError(Exception):
    """An error that a service answers a request with.

    Attributes:
        code: The HTTP status.
        status: The name in google.rpc.Code.
        headers: Headers of the answer that carry more than the body says.
        message: What is wrong, for the caller.
    """

    code: int = 500
    status: str = "UNKNOWN"
    headers: Mapping[str, str] = MappingProxyType({})

    def __init__(self, message: str) -> None:
        """Create the error with a message for the caller."""
        super().__init__(message)
        self.message = message

    def body(self) -> dict[str, Any]:
        """Return the JSON body of the answer."""
        return error_body(self.code, self.message, status=self.status)


class InvalidArgument(ApiError):
    """The request can never succeed."""

    code, status = 400, "INVALID_ARGUMENT"


class FailedPrecondition(ApiError):
    """The resource is not in a state for this request."""

    code, status = 400, "FAILED_PRECONDITION"


class NotFound(ApiError):
    """The resource does not exist."""

    code, status = 404, "NOT_FOUND"


class AlreadyExists(ApiError):
    """The name is taken."""

    code, status = 409, "ALREADY_EXISTS"


class Unimplemented(ApiError):
    """Google's service can do this, the local one cannot."""

    code, status = 501, "UNIMPLEMENTED"


class Unavailable(ApiError):
    """The request may succeed later."""

    code, status = 503, "UNAVAILABLE"


class MalformedBody(Exception):
    """A body cannot be read: it is not JSON, or not multipart. Each API has its own words for that."""
