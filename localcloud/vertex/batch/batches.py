"""Runs one batch: reads the requests, calls the model and writes the responses."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from localcloud.base.background import in_words
from localcloud.bigquery.tables.facade import Tables
from localcloud.storage.objects.store import ObjectStore
from localcloud.vertex.batch.answering import Answering
from localcloud.vertex.batch.destinations import Answer, destination_of
from localcloud.vertex.batch.job_requests import JobRequest
from localcloud.vertex.batch.sources import source_of

MAX_PARTIAL_FAILURES = 20
# How many answers, or characters of requests, are in memory before they are written.
REORDERED_ANSWERS = 1000
REORDERED_CHARACTERS = 16 << 20


class BatchError(Exception):
    """A batch fails as a whole, with a google.rpc.Status.

    Attributes:
        code: The number in google.rpc.Code.
        message: The error message for the caller.
    """

    def __init__(self, code: int, message: str) -> None:
        """Create the error of a batch."""
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass
class Outcome:
    """The outcome of a batch's requests.

    Attributes:
        total: The number of requests.
        succeeded: The number of requests with a response.
        failed: The number of requests with an error.
        output: The job's ``outputInfo``.
        partial_failures: The first failures, as google.rpc.Status.
    """

    total: int
    succeeded: int = 0
    failed: int = 0
    output: dict[str, str] = field(default_factory=dict)
    partial_failures: list[dict[str, Any]] = field(default_factory=list)

    @property
    def incomplete(self) -> int:
        """The number of requests that were not processed."""
        return self.total - self.succeeded - self.failed

    def statistics(self) -> dict[str, str]:
        """Return the job's ``completionStats``."""
        counts = {"successfulCount": self.succeeded, "failedCount": self.failed, "incompleteCount": self.incomplete}
        return {name: str(count) for name, count in counts.items()}


class BatchRunner:
    """Runs batches over the local BigQuery and Cloud Storage."""

    def __init__(self, answering: Answering, *, tables: Tables, store: ObjectStore) -> None:
        """Create a runner whose rows ``answering`` answers."""
        self._answering = answering
        self._tables = tables
        self._store = store

    def run(
        self, request: JobRequest, created: datetime, should_stop: Callable[[], bool], *, again: bool = False
    ) -> Outcome:
        """Run a batch until it is done or ``should_stop`` returns true; all responses by then are written.

        Args:
            request: The request of the job.
            created: The creation time of the job.
            should_stop: Returns whether the run ends early.
            again: Whether the job may have run before, and have written its output.

        Raises:
            BatchError: The batch fails as a whole: the input is invalid (3), or the output cannot be written (13).
        """
        rows = self._answering.format_of(request)
        source = source_of(request, rows, self._tables, self._store)
        destination = destination_of(request, rows, created, self._tables, self._store, again=again)
        with _phase(3, "Failed to import data."):
            outcome = Outcome(source.open())
        with _phase(13, "Failed to export data."):
            destination.check()
            answers = self._answering.answers(request, source.rows(), should_stop)
            destination.write(source, _reordered(_counted(answers, outcome)))
        outcome.output = destination.info()
        return outcome


@contextmanager
def _phase(code: int, what: str) -> Iterator[None]:
    """Turn any error in a part of the run into a ``BatchError``, which ends the batch."""
    try:
        yield
    except Exception as error:
        reason = in_words(error) if isinstance(error, OSError | sqlite3.Error) else str(error)
        raise BatchError(code, f"{what} {reason}") from error


def _reordered(answers: Iterator[Answer]) -> Iterator[Answer]:
    """Yield the answers in another order, the same for each run, as Vertex AI does not keep the order of requests."""
    for window in _windows(answers):
        order = list(range(len(window)))
        random.Random(len(window)).shuffle(order)
        if order == sorted(order):
            order.reverse()
        yield from (window[index] for index in order)


def _windows(answers: Iterator[Answer]) -> Iterator[list[Answer]]:
    """Yield the answers in lists, which are short if the requests are long."""
    window: list[Answer] = []
    length = 0
    for answer in answers:
        window.append(answer)
        length += sum(len(value) for value in answer.row.values() if isinstance(value, str))
        if len(window) == REORDERED_ANSWERS or length >= REORDERED_CHARACTERS:
            yield window
            window, length = [], 0
    if window:
        yield window


def _counted(answers: Iterator[Answer], outcome: Outcome) -> Iterator[Answer]:
    for answer in answers:
        if answer.failure is None:
            outcome.succeeded += 1
        else:
            outcome.failed += 1
            if len(outcome.partial_failures) < MAX_PARTIAL_FAILURES:
                outcome.partial_failures.append({"code": answer.failure.rpc_code, "message": answer.failure.message})
        yield answer
