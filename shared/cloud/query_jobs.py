"""BigQuery's jobs as plain data, for modules that should not import BigQuery's heavy client.

The calls are in ``shared/cloud/bigquery.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.checks.identifiers import RoutineName, TableName
from shared.cloud.states import Progress
from shared.errors import ModeldropError, Problem
from shared.work import Job

PAYLOAD_LABEL = "modeldrop_payload"
# What to do about a job that failed for a reason: https://docs.cloud.google.com/bigquery/docs/error-messages
_ADVICE = {"duplicate": "the table is not empty: choose another one, or let output.write be append, truncate or merge"}


@dataclass(frozen=True)
class Query:
    """A query job to submit."""

    sql: str
    labels: Mapping[str, str]
    destination: TableName | None = None
    write: str = "empty"
    """``empty``, ``truncate`` or ``append``: what may be in the destination, and what happens to it."""
    parameters: tuple[tuple[str, Any], ...] = ()
    """Pairs of name and value; a list is an array parameter."""
    priority: str = "interactive"
    maximum_bytes_billed: int | None = None
    location: str | None = None
    """Where the job runs, if not where the other jobs of its work run."""


@dataclass(frozen=True)
class Analysis:
    """The result of a dry run."""

    statement: str
    """The statement's type: ``SELECT``."""
    columns: tuple[Mapping[str, Any], ...]
    """The columns of the result, each as a TableFieldSchema."""
    tables: tuple[TableName, ...]
    """The tables that the query reads, also through views and routines."""
    routines: tuple[RoutineName, ...]
    """The routines that the query calls."""
    bytes: int
    """How much the query would read."""


@dataclass(frozen=True)
class Report:
    """The state of a job."""

    progress: Progress
    reason: str | None
    """Why the job failed, as one of BigQuery's reasons."""
    message: str | None
    """Why the job failed, in BigQuery's words."""
    resource: Mapping[str, Any]
    """The job as BigQuery returns it."""


@dataclass(frozen=True)
class LabelledJob:
    """A job with its labels."""

    job: Job
    labels: Mapping[str, str]
    created: datetime


class OldJob(ModeldropError):
    """The job id belongs to the same request, which was sent so long ago that the ledger has forgotten it."""


def problem_of(report: Report) -> Problem:
    """Return the problem of a failed job, in BigQuery's own words and with what to do, as events publish it."""
    message = report.message or "the job failed and BigQuery did not say why"
    advice = _ADVICE.get(report.reason or "")
    return Problem(report.reason or "failed", f"{message}; {advice}" if advice else message)
