"""The poller: continues everything that waits in the ledger, and handles every state of every job.

One tick lists the index, asks each service for all of its jobs at once, and opens only the items about which there is
something to do. So the calls of a tick grow with pages and with jobs that have ended, not with jobs that run. Ticks may
overlap: the one that claims an item first continues it.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

from shared.batches.batching import Batches
from shared.cloud.batch_jobs import BatchReport
from shared.cloud.states import Progress
from shared.drops import watches
from shared.drops.drop import DropPath
from shared.drops.files import drop_files
from shared.drops.importing import Imports
from shared.drops.intake import examine_drop
from shared.engine.handler import Handler
from shared.engine.index import Pending
from shared.engine.ledger import Record
from shared.engine.services import Services
from shared.engine.steps import advance, settle_batch, settle_query
from shared.engine.stuck import deadline_of, report_late, report_stuck
from shared.errors import (
    LostRace,
    ModeldropError,
    Problem,
    TryLater,
    short_reason,
)
from shared.log import log
from shared.predictions.predicting import Predictions
from shared.work import (
    Item,
    Job,
    Kind,
    Step,
    StepState,
    System,
)

Result = TypeVar("Result")

HANDLERS: Mapping[Kind, Handler] = {
    Kind.IMPORT: Imports(),
    Kind.PREDICT: Predictions(),
    Kind.BATCH: Batches(),
}

# The record of when lost drops were last looked for.
RECONCILED = "ledger/reconciled.json"

# A job may be listed a moment before the ledger names it.
_SLACK = timedelta(minutes=10)


@dataclass(frozen=True)
class Tick:
    """The result of one tick."""

    pending: int
    """The number of open items."""
    handled: int
    """The number of items that were opened."""
    left: int
    """The number of items that were left for the next tick because the time was over."""


@dataclass(frozen=True)
class JobList:
    """All jobs that the services list."""

    queries: frozenset[str] | None
    """The ids of BigQuery's jobs that wait or run; None if BigQuery did not answer."""
    batches: Mapping[str, BatchReport] | None
    """Vertex AI's jobs by name; None if Vertex AI did not answer."""


def tick(services: Services) -> Tick:
    """Continue open work, what waits longest first, until it is done or the time is over."""
    started = services.now()
    until = started + timedelta(seconds=services.settings.poll_budget_seconds)
    pending = sorted(services.ledger.pending(), key=waits_since)
    jobs = _list_jobs(pending, services)
    due = [each for each in pending if is_due(each, jobs, started)]
    work = [_Piece(partial(_handle, each, jobs, services), _log_fields(each)) for each in due]
    handled = _in_threads(work, services, until=until)
    return Tick(pending=len(pending), handled=handled, left=len(due) - handled)


def reconcile(services: Services) -> int:
    """Once every ``RECONCILE_SECONDS``, examine drops that have changed unnoticed, and clean the ledger up.

    A drop is unnoticed if its events were lost, or if it was uploaded before deployment. A later call does what a crash or
    the end of the time leaves.

    Returns:
        The number of drops that were examined.
    """
    ledger, settings, now = services.ledger, services.settings, services.now()
    stored = ledger.read_record(RECONCILED)
    done, begun = (_moment(stored, name) for name in ("done", "begun"))
    budget = timedelta(seconds=settings.poll_budget_seconds / 2)
    interval = timedelta(seconds=settings.reconcile_seconds)
    if done is not None and now - done < interval:
        return 0
    if begun is not None and now - begun < min(2 * budget, interval):
        return 0
    # Only the call that writes this first continues; an overlapping tick loses the race.
    last_done = done.isoformat() if done else None
    mark = ledger.write_record(
        RECONCILED,
        {"done": last_done, "begun": now.isoformat()},
        generation=stored.generation if stored else 0,
    )
    known = ledger.last_changes(Kind.DROP)
    unnoticed = [
        path for path, newest in drop_files(services).versions() if path.key not in known or known[path.key] < newest
    ]
    work = [
        _Piece(
            partial(_examine_unnoticed, path, services),
            {"key": path.key, "kind": Kind.DROP.value, "path": path.uri(settings.model_bucket)},
        )
        for path in unnoticed
    ]
    examined = _in_threads(work, services, until=now + budget)
    if indexed := ledger.restore_missing_indexes():
        log("ERROR", "open work had no index object", count=indexed)
    ledger.delete_finished(now - timedelta(days=settings.ledger_retention_days))
    complete = examined == len(unnoticed)
    ledger.write_record(
        RECONCILED,
        {"done": now.isoformat() if complete else last_done, "begun": None},
        generation=mark.generation,
    )
    return examined


def guarded(work: Callable[[], Result], **log_fields: str | None) -> Result | None:
    """Return the result of ``work``; log any error, with ``log_fields``, so that it does not hold up other work."""
    try:
        return work()
    except LostRace:
        return None
    except ModeldropError as error:
        log("WARNING", "left for the next tick", **log_fields, reason=short_reason(error))
    except Exception as error:
        # The place of the error without its text, which could hold data of users.
        frame = traceback.extract_tb(error.__traceback__)[-1]
        log("ERROR", f"a bug: {type(error).__name__} in {frame.name}, line {frame.lineno}", **log_fields)
    return None


def _moment(record: Record | None, name: str) -> datetime | None:
    text = record.value.get(name) if record else None
    return datetime.fromisoformat(text) if text else None


@dataclass(frozen=True)
class _Piece:
    """A piece of work that is done in a thread."""

    do: Callable[[], None]
    log_fields: Mapping[str, str | None]


def _log_fields(pending: Pending) -> dict[str, str | None]:
    return {"key": pending.key, "kind": pending.kind.value, "model": pending.model or None}


def _in_threads(work: Sequence[_Piece], services: Services, *, until: datetime) -> int:
    """Do each piece of work that begins before ``until``; return how many did."""
    begun: list[_Piece] = []

    def do(piece: _Piece) -> None:
        if services.now() < until:
            begun.append(piece)
            guarded(piece.do, **piece.log_fields)

    # The order is kept, so that imports that wait for their turn get it in the order in which they came.
    with ThreadPoolExecutor(max_workers=services.settings.poll_threads) as threads:
        list(threads.map(do, work))
    return len(begun)


def _list_jobs(pending: Iterable[Pending], services: Services) -> JobList:
    def oldest(system: System) -> datetime | None:
        created = [each.created for each in pending if each.submitted and each.system == system.value]
        return min(created) - _SLACK if created else None

    queries: frozenset[str] | None = frozenset()
    batches: Mapping[str, BatchReport] | None = {}
    try:
        if since := oldest(System.BIGQUERY):
            queries = frozenset(services.bigquery.list_active(since))
    except ModeldropError as error:
        queries = None
        log("WARNING", "BigQuery's jobs could not be listed", reason=short_reason(error))
    try:
        if since := oldest(System.VERTEX):
            batches = services.vertex.list_created(since)
    except ModeldropError as error:
        batches = None
        log("WARNING", "Vertex AI's jobs could not be listed", reason=short_reason(error))
    return JobList(queries, batches)


def waits_since(pending: Pending) -> datetime:
    """Return since when open work has waited for the poller.

    Work that was tried in vain, and has no reason to wait, goes behind work that came before that attempt: a service that
    fails slowly must not take up the time of every tick.
    """
    was_tried = not pending.submitted and not pending.waits_for
    return max(pending.created, pending.written) if was_tried else pending.created


def is_due(pending: Pending, jobs: JobList, now: datetime) -> bool:
    """Return whether there may be something to do about this work now."""
    if pending.deadline is not None and pending.deadline <= now:
        return True
    if pending.submitted:
        if pending.system == System.BIGQUERY.value:
            return jobs.queries is not None and pending.job_id not in jobs.queries
        report = jobs.batches.get(pending.job_id) if jobs.batches is not None else None
        if report is None:
            return jobs.batches is not None
        return report.progress not in {Progress.WAITING, Progress.RUNNING}
    return pending.due is None or pending.due <= now


def _handle(pending: Pending, jobs: JobList, services: Services) -> None:
    item = services.ledger.read(pending.kind, pending.key)
    now = services.now()
    if item is None or item.final:
        # The item was never written, or it has ended. If the index object is young, the item may still be written.
        if now - pending.written > timedelta(seconds=services.settings.lease_seconds):
            services.ledger.remove_index(pending)
        return
    if item.claimed_by_another("", now):
        return
    item = replace(item, index_generation=pending.generation)
    if item.kind is Kind.DROP:
        _handle_watch(item, services)
        return
    handler = HANDLERS[item.kind]
    try:
        item = _continue(item, jobs, handler, services)
    except LostRace:
        raise
    except Exception:
        # Work that fails, because of an outage or a bug, can be late all the same.
        stored = services.ledger.read(pending.kind, pending.key)
        if stored is not None:
            report_late(stored, handler, services)
        raise
    item = report_late(item, handler, services)
    if not item.ended and pending.deadline is None and (deadline := deadline_of(item, handler, services)):
        # The call that wrote the item was killed before it could write the index object.
        services.ledger.index(item, deadline=deadline)


def _continue(item: Item, jobs: JobList, handler: Handler, services: Services) -> Item:
    step = item.current
    if item.ended or step is None or step.state is not StepState.SUBMITTED or step.job is None:
        return advance(services.ledger.take_over(item), handler, services)
    match step.system:
        case System.BIGQUERY:
            return _after_query(item, step, step.job, handler, services)
        case System.VERTEX:
            return _after_batch(item, step, step.job, jobs, handler, services)


def _after_query(item: Item, step: Step, job: Job, handler: Handler, services: Services) -> Item:
    report = services.bigquery.get_report(job)
    if report is not None and report.progress is Progress.UNKNOWN:
        problem = Problem(report.progress.value, f"BigQuery reports an unknown state of the job {job.id}")
        deadline = deadline_of(item, handler, services)
        return report_stuck(item, problem, f"{step.name}-unknown", services, deadline=deadline)
    if report is not None and not report.progress.ended:
        return item
    item = services.ledger.take_over(item)
    return advance(settle_query(item, step, report, services.now()), handler, services)


def _after_batch(item: Item, step: Step, job: Job, jobs: JobList, handler: Handler, services: Services) -> Item:
    report = (jobs.batches or {}).get(job.id) or services.vertex.get_report(job.id)
    if report is not None and report.progress in {Progress.UNKNOWN, Progress.PAUSED}:
        problem = Problem(report.progress.value, f"Vertex AI reports {report.state} of the job {job.id}")
        deadline = deadline_of(item, handler, services)
        return report_stuck(item, problem, f"{step.name}-{report.state}", services, deadline=deadline)
    if report is not None and not report.progress.ended:
        return item
    item = services.ledger.take_over(item)
    return advance(settle_batch(item, step, report, services.now()), handler, services)


def _handle_watch(watch: Item, services: Services) -> None:
    try:
        examine_drop(DropPath.of_request(watches.request_of(watch)), watch, services)
    except TryLater:
        _report_incomplete(watch, services)
        raise
    stored = services.ledger.read(Kind.DROP, watch.key)
    if stored is not None and not stored.final:
        _report_incomplete(stored, services)


def _report_incomplete(watch: Item, services: Services) -> None:
    if stuck := watches.stuck_problem(watch, services):
        report_stuck(watch, *stuck, services)


def _examine_unnoticed(path: DropPath, services: Services) -> None:
    examine_drop(path, services.ledger.read(Kind.DROP, path.key), services)
