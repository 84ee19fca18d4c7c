"""Errors as Google words them.

https://cloud.google.com/apis/design/errors
"""

from __future__ import annotations

from typing import Any


class ApiError(Exception):
    """The error that an API answers a call with."""

    def __init__(self, code: int, status: str, message: str, details: list[dict[str, Any]] | None = None) -> None:
        """Hold the HTTP status ``code``, Google's ``status`` and the message."""
        super().__init__(message)
        self.code = code
        self.status = status
        self.details = details or []

    def body(self) -> dict[str, Any]:
        """Return the body of the response."""
        error: dict[str, Any] = {"code": self.code, "message": str(self), "status": self.status}
        if self.details:
            error["details"] = self.details
        return {"error": error}


def not_found(name: str) -> ApiError:
    """Return the error for a resource that does not exist."""
    return ApiError(404, "NOT_FOUND", f"Resource not found (resource={name}).")


def already_exists(name: str) -> ApiError:
    """Return the error for a resource that exists already."""
    return ApiError(409, "ALREADY_EXISTS", f"Resource already exists in the project (resource={name}).")


def denied(permission: str, resource: str) -> ApiError:
    """Return the error for a caller that lacks ``permission``.

    https://cloud.google.com/iam/docs/troubleshoot-policies
    """
    message = f"Permission '{permission}' denied on resource '{resource}' (or it may not exist)."
    return ApiError(403, "PERMISSION_DENIED", message)


def service_disabled(service: str, title: str, number: str) -> ApiError:
    """Return the error for a call of an API that is not enabled.

    https://cloud.google.com/apis/docs/troubleshooting
    """
    link = f"https://console.developers.google.com/apis/api/{service}/overview?project={number}"
    message = (
        f"{title} has not been used in project {number} before or it is disabled. Enable it by visiting {link} then "
        "retry. If you enabled this API recently, wait a few minutes for the action to propagate to our systems and "
        "retry."
    )
    detail = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "SERVICE_DISABLED",
        "domain": "googleapis.com",
        "metadata": {"service": service, "consumer": f"projects/{number}"},
    }
    return ApiError(403, "PERMISSION_DENIED", message, [detail])


def account_missing(email: str) -> ApiError:
    """Return the error for a policy that names a service account that does not exist."""
    return ApiError(400, "INVALID_ARGUMENT", f"Service account {email} does not exist.")


def agent_not_ready(trigger: str) -> ApiError:
    """Return the error for a trigger whose service agent does not have its role yet.

    https://cloud.google.com/eventarc/docs/troubleshooting
    """
    return ApiError(
        400,
        "FAILED_PRECONDITION",
        f'Validation failed for trigger {trigger}: Invalid resource state for "": Permission denied while using the '
        "Eventarc Service Agent. If you recently started to use Eventarc, it may take a few minutes before all "
        "necessary permissions are propagated to the Service Agent. Otherwise, verify that it has Eventarc Service "
        "Agent role.",
    )
