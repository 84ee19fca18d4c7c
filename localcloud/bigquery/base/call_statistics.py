"""Counts the rows that functions over generative models process: ``statistics.query.genAiStats`` of a job.

https://cloud.google.com/bigquery/docs/reference/rest/v2/Job#GenAiStats
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from localcloud.bigquery.base.errors import QueryError

_ERRORS, _ERROR_LENGTH, _PROMPT_LENGTH = 5, 100, 20
# Errors that contain values of rows can all be different.
_COUNTED_ERRORS = 1000


class CallStatistics:
    """The rows of one call of a function in a statement. Several threads count at once."""

    def __init__(self, function: str, prompt: str | None, max_error_ratio: float | None = None) -> None:
        """Begin with no rows.

        Args:
            function: The name of the function, such as ``AI.IF``.
            prompt: The prompt in the statement, or None if a column has it.
            max_error_ratio: The share of rows that may fail, from 0 to 1; None if all may. If all rows fail, the query
                fails with each share.
        """
        self.rows = 0
        self._function = function
        self._prompt = prompt
        self._failed = 0
        self._errors: Counter[str] = Counter()
        self._max_error_ratio = max_error_ratio
        self._lock = threading.Lock()

    def count(self, statuses: Sequence[str | None]) -> None:
        """Count rows by their statuses, which are empty if the row succeeded."""
        failures = [status[:_ERROR_LENGTH] for status in statuses if status]
        with self._lock:
            self.rows += len(statuses)
            self._failed += len(failures)
            for failure in failures:
                if failure in self._errors or len(self._errors) < _COUNTED_ERRORS:
                    self._errors[failure] += 1

    @property
    def errors(self) -> list[str]:
        """The first errors, each once."""
        return list(self._errors)[:_ERRORS]

    @property
    def is_limited(self) -> bool:
        """Whether the query fails if too many rows of the call fail."""
        return self._max_error_ratio is not None

    def check(self) -> None:
        """Check the share of rows that have failed, when all rows are processed.

        https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-ai-classify

        Raises:
            QueryError: More rows have failed than may, or all.
        """
        with self._lock:
            ratio, failed, rows = self._max_error_ratio, self._failed, self.rows
            if ratio is None or not failed or (failed < rows and failed <= ratio * rows):
                return
            causes = "; ".join(f"{error} ({count} rows)" for error, count in self._errors.most_common(_ERRORS))
        limit = f"more than max_error_ratio {ratio:g} allows" if failed < rows else "which is every row"
        raise QueryError(f"{self._function} failed for {failed} of {rows} rows, {limit}: {causes}", location="query")

    def resource(self) -> dict[str, Any]:
        """Return the GenAiFunctionStats."""
        with self._lock:
            return {
                "functionName": self._function,
                **({} if self._prompt is None else {"prompt": self._prompt[:_PROMPT_LENGTH]}),
                "numProcessedRows": str(self.rows),
                "errorStats": {
                    "numFailedRows": str(self._failed),
                    **({"errors": self.errors} if self._errors else {}),
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
