"""The error of a model backend.

Codes and their HTTP status: https://cloud.google.com/apis/design/errors
"""

from __future__ import annotations

from http import HTTPStatus

from localcloud.base.api_errors import CODES, NAME_BY_HTTP_STATUS, ApiError


class BackendError(ApiError):
    """A model rejects or cannot answer a request.

    Attributes:
        code: The HTTP status, such as 400 for an invalid request or 429 for too many requests.
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
        """The reason phrase of the HTTP status, such as ``Bad Request``."""
        try:
            return HTTPStatus(self.code).phrase
        except ValueError:
            return f"HTTP {self.code}"
