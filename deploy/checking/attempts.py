"""A call of a check, which may fail."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from deploy.applying.cloud import CommandFailedError, reason
from deploy.applying.passing import DISABLED_API
from deploy.checking.findings import Finding, Status

TRY_AGAIN = "Check your rights, and run this again."
NOT_YET = "not known before its API is enabled"


def attempt(check: str, read: Callable[[], Any]) -> Any:
    """Return what ``read`` returns, or a finding of ``check`` if it fails."""
    try:
        return read()
    except CommandFailedError as error:
        if re.search(DISABLED_API, str(error)):
            return Finding(check, Status.UNKNOWN, NOT_YET)
        fix = error.advice.fix if error.advice else TRY_AGAIN
        return Finding(check, Status.UNKNOWN, reason(error), fix)
