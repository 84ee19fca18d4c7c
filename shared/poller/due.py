"""Which open work is due: decided from the index and from the lists of jobs, without opening an item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared.cloud.batch_jobs import BatchReport
from shared.cloud.endpoint_calls import OperationReport
from shared.cloud.states import Progress
from shared.engine.ledger.index import Pending
from shared.engine.waking import set_aside
from shared.work import REFUSED, StepState, System, WaitReason

# The key of work, and the generation of its index object. Work that has come further has another generation.
Look = tuple[str, int]

# No work waits longer than this before the poller looks at it again.
LONGEST_WAIT = timedelta(days=1)


@dataclass(frozen=True)
class JobList:
    """All jobs that the services list."""

    queries: frozenset[str] | None
    """The ids of BigQuery's jobs that wait or run; None if BigQuery did not answer."""
    batches: Mapping[str, BatchReport]
    """Vertex AI's jobs by name, of all locations in which a batch is open."""
    unlisted: frozenset[str] = frozenset()
    """The locations in which Vertex AI did not answer."""
    operations: Mapping[str, OperationReport | None] = field(default_factory=dict)
    """Vertex AI's operations by name; None for one that does not exist. One for which Vertex AI did not answer is missing."""


def look_at(pending: Pending) -> Look:
    """Return what one look at open work is about: its key, and the generation of its index object."""
    return pending.key, pending.generation


def waits_since(pending: Pending) -> datetime:
    """Return since when open work has waited for the poller.

    Work that was tried in vain, and has no reason to wait, goes behind work that came before that attempt: a service that
    fails slowly must not take up the time of every tick.
    """
    was_tried = not pending.submitted and not pending.waits_for
    return max(pending.created, pending.written) if was_tried else pending.created


def is_due(pending: Pending, jobs: JobList, now: datetime) -> bool:
    """Return whether there may be something to do about this work now."""
    if set_aside(pending, now):
        return False
    if pending.deadline is not None and pending.deadline <= now:
        return True
    if pending.submitted:
        if pending.system == System.BIGQUERY.value:
            return jobs.queries is not None and pending.job_id not in jobs.queries
        if pending.system == System.OPERATION.value:
            operation = jobs.operations.get(pending.job_id)
            return pending.job_id in jobs.operations and (operation is None or operation.is_done)
        report = jobs.batches.get(pending.job_id)
        if report is None:
            return pending.location not in jobs.unlisted
        return report.progress not in {Progress.WAITING, Progress.RUNNING}
    # A time further away was not written by Modeldrop.
    return pending.due is None or pending.due <= now or pending.due > now + LONGEST_WAIT


def with_a_place(due: Sequence[Pending], pending: Sequence[Pending], most: int, now: datetime) -> list[Pending]:
    """Return the work that is due, without the batches that wait for places that are not free.

    To open such a batch would take it nowhere, and costs several calls. One whose deadline is over is opened, to be reported.

    Args:
        due: The work that is due, what waits longest first.
        pending: All open work.
        most: How many batches may run at once.
        now: The current time.
    """
    places = most - sum(_takes_a_place(each) for each in pending)
    kept: list[Pending] = []
    for each in due:
        is_late = each.deadline is not None and each.deadline <= now
        if each.system == System.VERTEX.value and each.waits_for == WaitReason.QUOTA and not is_late:
            places -= 1
            if places < 0:
                continue
        kept.append(each)
    return kept


def _takes_a_place(pending: Pending) -> bool:
    """Return whether the job of a batch runs, or may run."""
    return (
        pending.system == System.VERTEX.value
        and pending.state in {StepState.SUBMITTED, StepState.SENDING}
        and pending.waits_for not in REFUSED
        # A batch whose item cannot be read must not take up a place for ever.
        and not pending.looks_reported
    )
