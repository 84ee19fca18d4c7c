"""The error that Vertex AI answers a call with.

Codes and their HTTP status: https://cloud.google.com/apis/design/errors
"""

from __future__ import annotations

from localcloud.base.api_errors import CODES, ApiError


class RequestError(ApiError):
    """Vertex AI rejects a call.

    Attributes:
        status: The name of the error in google.rpc.Code, such as ``NOT_FOUND``.
        message: What is wrong, for the caller.
    """

    def __init__(self, status: str, message: str) -> None:
        """Create the error with the name that google.rpc.Code has for it, such as ``NOT_FOUND``."""
        super().__init__(message)
        self.status = status
        self.code = CODES[status][1]


def missing_field(name: str) -> RequestError:
    """Return the error for a required field that a request does not have, in the words of Vertex AI."""
    return RequestError(
        "INVALID_ARGUMENT", f"List of found errors:\t1.Field: {name}; Message: Required field is not set.\t"
    )
