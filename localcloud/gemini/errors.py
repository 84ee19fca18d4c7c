"""What can go wrong in Vertex AI: an error that a call answers with, and one that a model backend raises.

    RequestError       a call that Vertex AI refuses, by its canonical code
    BackendError       a request that a model refuses or cannot answer, by its HTTP status

Codes and their HTTP status: https://cloud.google.com/apis/design/errors
"""

from __future__ import annotations

from http import HTTPStatus

from localcloud.base.api_errors import CODES, NAME_BY_HTTP_STATUS, ApiError


class RequestError(ApiError):
    """A call that is refused.

    Attributes:
        status: The canonical name of the error, as ``NOT_FOUND``.
        message: What is wrong, for the caller.
    """

    def __init__(self, status: str, message: str) -> None:
        """Create the error with the name that google.rpc.Code has for it, such as ``NOT_FOUND``."""
        super().__init__(message)
        self.status = status
        self.code = CODES[status][1]


class BackendError(ApiError):
    """A request that a model refuses or cannot answer.

    Attributes:
        code: The HTTP status, as 400 for a request that makes no sense or 429 for too many of them.
        message: What is wrong, for the caller.
    """

    def __init__(self, code: int, message: str) -> None:
        """Create the error with its HTTP status."""
        super().__init__(message)
        self.code = code
        self.status = NAME_BY_HTTP_STATUS.get(code, "UNKNOWN")

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
