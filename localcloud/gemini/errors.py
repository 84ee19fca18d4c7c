"""What can go wrong in Vertex AI: an error that a call answers with, and one that a model backend raises.

    RequestError       a call that Vertex AI refuses, by its canonical code
    BackendError       a request that a model refuses or cannot answer, by its HTTP status

Codes and their HTTP status: https://cloud.google.com/apis/design/errors
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

# Canonical name: (number in google.rpc.Code, HTTP status).
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
    "UNIMPLEMENTED": (12, 501),
    "INTERNAL": (13, 500),
    "UNAVAILABLE": (14, 503),
    "UNAUTHENTICATED": (16, 401),
}

# Several canonical names share a status; these are the ones that a bare status stands for.
NAME_BY_HTTP: dict[int, str] = {http: name for name, (_, http) in reversed(CODES.items())}


def error_body(http: int, status: str, message: str) -> dict[str, Any]:
    """Return the JSON body in which Google's APIs tell an error."""
    return {"error": {"code": http, "message": message, "status": status}}


class RequestError(Exception):
    """A call that is refused.

    Attributes:
        status: The canonical name of the error, as ``NOT_FOUND``.
        message: What is wrong, for the caller.
    """

    def __init__(self, status: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message

    @property
    def http(self) -> int:
        """The HTTP status of the answer."""
        return CODES[self.status][1]

    def body(self) -> dict[str, Any]:
        """Return the JSON body of the answer."""
        return error_body(self.http, self.status, self.message)


class BackendError(Exception):
    """A request that a model refuses or cannot answer.

    Attributes:
        code: The HTTP status, as 400 for a request that makes no sense or 429 for too many of them.
        message: What is wrong, for the caller.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    @property
    def status(self) -> str:
        """The canonical name of the error."""
        return NAME_BY_HTTP.get(self.code, "UNKNOWN")

    @property
    def rpc_code(self) -> int:
        """The number of the error in google.rpc.Code."""
        return CODES[self.status][0]

    @property
    def phrase(self) -> str:
        """The HTTP status in words, as ``Bad Request``."""
        try:
            return HTTPStatus(self.code).phrase
        except ValueError:
            return f"HTTP {self.code}"

    def body(self) -> dict[str, Any]:
        """Return the JSON body of an answer that tells this error."""
        return error_body(self.code, self.status, self.message)
