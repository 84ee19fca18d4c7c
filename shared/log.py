"""Structured logs: each record is one line of JSON. Logs hold keys and names, never rows, payloads or credentials.

https://docs.cloud.google.com/logging/docs/structured-logging
"""

from __future__ import annotations

import json
import sys


def log(severity: str, message: str, **keys: str | int | float | None) -> None:
    """Write one record to standard error.

    Args:
        severity: One of Cloud Logging's severities, such as ``INFO``.
        message: What happened, in words.
        keys: What it happened to and why: the item's key, the model, the reason. None values are left out.
    """
    record = {
        "severity": severity,
        "message": message,
        **{name: value for name, value in keys.items() if value is not None},
    }
    print(json.dumps(record), file=sys.stderr, flush=True)  # noqa: T201
