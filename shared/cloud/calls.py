"""Calls to Google's services: the time limit of each call, and the errors of ours that Google's errors become.

    call                 the request is wrong   no quota left   the service fails      the client
                                                                or does not answer     repeats it
    BigQuery             Rejected               TryLater        TryLater               yes
    Vertex AI, create    Rejected               TryLater        OutcomeUnknown         no
    Vertex AI, others    TryLater               TryLater        TryLater               yes
    Cloud Storage        TryLater               TryLater        TryLater               yes
    Pub/Sub              TryLater               TryLater        TryLater               yes

Each line is a ``Service``, defined in the module that makes the calls, so that no function imports a client in vain.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypedDict

from google.api_core import exceptions
from google.auth import exceptions as auth_exceptions
from google.protobuf import json_format

from shared.cloud.states import ACCESS_DENIED, Consequence, consequence_of_call
from shared.errors import (
    ModeldropError,
    Rejected,
    TryLater,
    short_reason,
)

# How long one call may take with all its retries. This is much less than a lease and than a push's deadline.
CALL_SECONDS = 20.0

# Everything that a client raises because of the service or the network. A ParseError means that the response is not JSON,
# so it comes from something between the client and the service.
CALL_ERRORS: tuple[type[Exception], ...] = (
    exceptions.GoogleAPIError,
    auth_exceptions.GoogleAuthError,
    json_format.ParseError,
    OSError,
)

# The variables in which requests looks for certificates, beside those for proxies:
# https://requests.readthedocs.io/en/latest/user/advanced/#ssl-cert-verification
_CERTIFICATES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")

# What errors of clients that use REST begin with.
_ADDRESS = re.compile(r"(?:DELETE|GET|PATCH|POST|PUT) https?://\S+: ")

# The code of a rejection for which the service gives no reason.
_CODES = {403: ACCESS_DENIED, 404: "notFound"}


def without_address(message: str) -> str:
    """Return an error of a client without the address of the call, which does not belong into an event."""
    return _ADDRESS.sub("", message)


def certificates() -> str | None:
    """Return the file of certificates that the environment names for requests; None if it names none."""
    return next((path for name in _CERTIFICATES if (path := os.environ.get(name))), None)


class CallOptions(TypedDict):
    """The arguments that every method of Google's clients takes."""

    retry: Any
    """A policy, None or a client's own default: each client declares another type."""
    timeout: float
    """In seconds."""


@dataclass(frozen=True)
class Service:
    """How calls to one service are made, and what its errors become."""

    name: str
    retry: Any
    """The client's retry policy; None to send each call once."""
    rejects: bool = False
    """Whether a call that the service refuses for good is the request's fault."""
    failure: type[TryLater] = TryLater
    """The error of a call that fails or is not answered."""
    gives_reasons: bool = False
    """Whether its errors hold a reason, as BigQuery's do: https://docs.cloud.google.com/bigquery/docs/error-messages."""
    transient: tuple[type[Exception], ...] = ()
    """Refusals that a later call may not meet, although their HTTP status says that they are final."""

    @contextmanager
    def call(
        self,
        action: str = "take the call",
        *,
        field: str | None = None,
        passes: tuple[type[Exception], ...] = (),
        timeout: float = CALL_SECONDS,
    ) -> Iterator[CallOptions]:
        """Yield the options of a call, and raise errors of ours for those that the client raises.

        Args:
            action: What the service is asked to do, for the text of ``TryLater``: "list gs://bucket/".
            field: The field of the request that a rejection is about.
            passes: Google's errors that mean something to the caller, such as ``NotFound``. They are raised unchanged.
            timeout: The time limit of the call with all its retries, in seconds.
        """
        # None and a client's own default have no time limit to change.
        limited = hasattr(self.retry, "with_timeout") and timeout < CALL_SECONDS
        try:
            yield {"retry": self.retry.with_timeout(timeout) if limited else self.retry, "timeout": timeout}
        except passes:
            raise
        except exceptions.GoogleAPICallError as error:
            raise self._error_for(error, action, field) from error
        except CALL_ERRORS as error:
            raise self.failure(f"{self.name} did not {action}: {short_reason(error)}") from error

    def _error_for(self, error: exceptions.GoogleAPICallError, action: str, field: str | None) -> ModeldropError:
        details: Mapping[str, Any] = {}
        if self.gives_reasons:
            details = next((each for each in error.errors if isinstance(each, Mapping)), {})
        reason = details.get("reason")
        message = without_address(details.get("message") or error.message or str(error))
        code = error.code or 500
        consequence = consequence_of_call(code, reason)
        if consequence is Consequence.REJECT and self.rejects and not isinstance(error, self.transient):
            return Rejected(f"{self.name}: {message}", field=field, code=reason or _CODES.get(code, "invalid"))
        text = f"{self.name} did not {action}: {short_reason(f'{reason or code}: {message}')}"
        return TryLater(text) if consequence is Consequence.WAIT_FOR_QUOTA else self.failure(text)
