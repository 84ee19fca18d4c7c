"""Structured logs: each record is one line of JSON. Logs hold keys and names, never rows, payloads or credentials.

https://docs.cloud.google.com/logging/docs/structured-logging
"""

from __future__ import annotations

import json
import os
import sys
import traceback

from shared import trace

# Cloud Logging takes these fields out of the record and into the entry.
TRACE, SPAN, SAMPLED, LABELS = (
    f"logging.googleapis.com/{name}" for name in ("trace", "spanId", "trace_sampled", "labels")
)
# The fields that are labels of the entry too, so that one search finds all records about a piece of work.
_LABELLED = ("key", "kind")

# https://docs.cloud.google.com/error-reporting/docs/formatting-error-messages#reported-error-example
_REPORTED_ERROR = "type.googleapis.com/google.devtools.clouderrorreporting.v1beta1.ReportedErrorEvent"
_NO_TEXT = "the text of the error is left out, because it can hold data"


def log(severity: str, message: str, **keys: str | int | float | None) -> None:
    """Write one record to standard error, with the trace that the call belongs to.

    Args:
        severity: One of Cloud Logging's severities, such as ``INFO``.
        message: What happened, in words.
        keys: What it happened to and why: the item's key, the model, the reason. None values are left out.
    """
    _write(severity, message, {name: value for name, value in keys.items() if value is not None})


def log_bug(error: Exception, **keys: str | int | float | None) -> None:
    """Write a record about an error of the program, with its stack trace, where Error Reporting finds it.

    The record has the type of the error and not its text, which could hold data of users.

    Args:
        error: The error, after it was raised.
        keys: What it happened to: the item's key, the model. None values are left out.
    """
    fields: dict[str, object] = {name: value for name, value in keys.items() if value is not None}
    # https://docs.cloud.google.com/functions/docs/configuring/env-var#runtime_environment_variables_set_automatically
    service = os.environ.get("K_SERVICE") or os.environ.get("FUNCTION_TARGET") or "modeldrop"
    context = {"service": service, "version": os.environ.get("K_REVISION", "")}
    reported = {"@type": _REPORTED_ERROR, "serviceContext": context, "stack_trace": stack_trace(error)}
    _write("ERROR", place_of_bug(error), {**fields, **reported})


def place_of_bug(error: Exception) -> str:
    """Return where an error occurred, without its text, which could hold data of users."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"a bug: {type(error).__name__} in {frame.name}, line {frame.lineno}"


def stack_trace(error: Exception) -> str:
    """Return the stack trace of an error as Python prints it, without the text of the error."""
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    frames = "".join(traceback.format_tb(error.__traceback__))
    return f"Traceback (most recent call last):\n{frames}{name}: {_NO_TEXT}"


def _write(severity: str, message: str, fields: dict[str, object]) -> None:
    record = {"severity": severity, "message": message, **fields}
    if labels := {f"modeldrop_{name}": str(fields[name]) for name in _LABELLED if name in fields}:
        record[LABELS] = labels
    context = trace.current()
    # The variable is read here, because a record must be written even if a setting is wrong.
    project = os.environ.get("GOOGLE_CLOUD_PROJECT")
    if context is not None and project:
        # https://docs.cloud.google.com/trace/docs/trace-log-integration
        record[TRACE] = f"projects/{project}/traces/{context.trace_id}"
        record[SPAN] = context.span_id
        record[SAMPLED] = context.sampled
    print(json.dumps(record), file=sys.stderr, flush=True)  # noqa: T201
