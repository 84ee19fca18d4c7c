"""Counts the rows that functions over generative models process: ``statistics.query.genAiStats`` of a job.

https://cloud.google.com/bigquery/docs/reference/rest/v2/Job#GenAiStats
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from typing import Any

_ERRORS, _ERROR_LENGTH, _PROMPT_LENGTH = 5, 100, 20


class CallStatistics:
    """The rows of one call of a function in a statement. Several threads count at once."""

    def __init__(self, function: str, prompt: str | None) -> None:
        """Begin with no rows.

        Args:
            function: The name of the function, such as ``AI.IF``.
            prompt: The prompt in the statement, or None if a column has it.
        """
        self.rows = 0
        self._function = function
        self._prompt = prompt
        self._failed = 0
        self._errors: list[str] = []
        self._lock = threading.Lock()

    def count(self, statuses: Sequence[str | None]) -> None:
        """Count rows by their statuses, which are empty if the row succeeded."""
        failures = [status[:_ERROR_LENGTH] for status in statuses if status]
        with self._lock:
            self.rows += len(statuses)
            self._failed += len(failures)
            self._errors = _unique([*self._errors, *failures])

    @property
    def errors(self) -> list[str]:
        """The first errors, each once."""
        return self._errors

    def resource(self) -> dict[str, Any]:
        """Return the GenAiFunctionStats."""
        with self._lock:
            return {
                "functionName": self._function,
                **({} if self._prompt is None else {"prompt": self._prompt[:_PROMPT_LENGTH]}),
                "numProcessedRows": str(self.rows),
                "errorStats": {
                    "numFailedRows": str(self._failed),
                    **({"errors": self._errors} if self._errors else {}),
                },
            }


def statistics_of(calls: Sequence[CallStatistics]) -> dict[str, Any]:
    """Return the part of ``statistics.query`` about the calls of a job, empty if they processed no rows."""
    used = [call for call in calls if call.rows]
    if not used:
        return {}
    errors = _unique(error for call in used for error in call.errors)
    return {
        "genAiStats": {
            "functionStats": [call.resource() for call in used],
            **({"errorStats": {"errors": errors}} if errors else {}),
        }
    }


def _unique(errors: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(errors))[:_ERRORS]
