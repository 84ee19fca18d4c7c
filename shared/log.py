"""One line of JSON a record, as Cloud Logging reads it. Logs carry keys, never rows, payloads or credentials.

https://docs.cloud.google.com/logging/docs/structured-logging
"""

from __future__ import annotations

import json
import sys


def log(severity: str, message: str, **keys: str | int | float | None) -> None:
    """Write one record: ``severity`` as Cloud Logging names it, a sentence, and the keys to find it by."""
    record = {
        "severity": severity,
        "message": message,
        **{name: value for name, value in keys.items() if value is not None},
    }
    print(json.dumps(record), file=sys.stderr, flush=True)  # noqa: T201
