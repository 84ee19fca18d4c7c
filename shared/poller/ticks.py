"""One tick of the poller: continues everything that waits in the ledger, and handles every state of every job.

A tick lists the index, asks each service for all of its jobs at once, and opens only the items about which there is
something to do. So the calls of a tick grow with pages and with jobs that have ended, not with jobs that run. Ticks may
overlap: the one that claims an item first continues it. Nothing that a look meets holds up other work (``looks.py``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from shared import spans, trace
from shared.batches.batching import Batches
from shared.batches.output.places import is_cancelled
from shared.cloud.states import Progress
from shared.drops import watches
from shared.drops.drop import DropPath
from shared.drops.imports.importing import Imports
from shared.drops.intake import examine_drop
from shared.engine.handler import Handler
from shared.engine.ledger.index import DamagedIndex, Pending
from shared.engine.running.operations import settle_operation
from shared.engine.running.steps import advance, retry_batch, retry_query, settle_batch, settle_query
from shared.engine.services import Services
from shared.engine.stuck import ADVICE, UNREADABLE, deadline_of, report_late, report_stuck
from shared.engine.waking import due_soon
from shared.errors import (
    LostRace,
    ModeldropError,
    Problem,
    TryLater,
    Unreadable,
    short_reason,
)
from shared.log import place_of_bug
from shared.models.managing import Manages
from shared.poller import looks
from shared.poller.damage import mend_index, report_missing_item
from shared.poller.due import JobList, Look, is_due, look_at, waits_since, with_a_place
from shared.poller.job_lists import list_jobs
from shared.poller.parts import PART_SECONDS, hand_out
from shared.poller.pieces import Piece, do_in_threads
from shared.predictions.predicting import Predictions
from shared.work import (
    Item,
    Job,
    Kind,
    Step,
    StepState,
    System,
)

HANDLERS: Mapping[Kind, Handler] = {
    Kind.IMPORT: Imports(),
    Kind.PREDICT: Predictions(),
    Kind.BATCH: Batches(),
    Kind.MANAGE: Manages(),
}


@dataclass(frozen=True)
class Tick:
    """The result of one tick."""

    pending: int
    """The number of open items."""
    handled: int
    """The number of items that were opened."""
    left: int
    """The number of items that were left for the next tick because the time was over."""
    due: datetime | None
    """When to look again, if there may be something to do soon; None if the next minute is soon enough."""
    oldest: datetime | None = None
    """When the oldest open work began; None if nothing is open."""
    handed_out: int = 0
    """The number of items that were handed out to other instances."""


def tick(services: Services, *, until: datetime | None = None, opened: set[Look] | None = None) -> Tick:
    """Continue open work, what waits longest first, until it is done or the time is over.

    Args:
        services: The services of this process.
        until: When the time is over; None: after ``POLL_BUDGET_SECONDS``.
        opened: The looks of earlier ticks of this call, which are not repeated. Those of this tick are added.
    """
    started = services.now()
    until = until or started + timedelta(seconds=services.settings.poll_budget_seconds)
    opened = set() if opened is None else opened
    threads = services.settings.poll_threads
    objects = services.ledger.open_work()
    pending = sorted((each for each in objects if isinstance(each, Pending)), key=waits_since)
    damaged = [each for each in objects if isinstance(each, DamagedIndex)]
    jobs = list_jobs(pending, services)
    due = [each for each in pending if is_due(each, jobs, started) and look_at(each) not in opened]
    due = with_a_place(due, pending, services.settings.max_concurrent_batches, started)
    mine = hand_out(due, services)
    pieces = [(each, _piece(each, jobs, services)) for each in mine]
    handled = do_in_threads([piece for each, piece in pieces if not each.looks], services, until=until, threads=threads)
    # Each of these may end the process. Alone, it does so without other work, and what is harmless is continued.
    suspects = [piece for each, piece in sorted(pieces, key=lambda pair: pair[0].looks) if each.looks]
    handled += do_in_threads(suspects, services, until=until, threads=1)
    mending = [Piece(partial(mend_index, each, services), {"key": each.listed.name}) for each in damaged]
    do_in_threads(mending, services, until=until, threads=threads)
    ended, looks_now = services.now(), {look_at(each) for each in due}
    # A function that sees a submitted job does not wake the poller, so the poller stays awake also after a look in vain.
    soon = [
        when
        for each in pending
        if ((look := look_at(each)) not in opened or each.submitted)
        and (when := due_soon(each, ended, again=look in looks_now)) is not None
    ]
    opened |= looks_now
    return Tick(
        pending=len(pending),
        handled=handled,
        left=len(mine) - handled,
        due=min(soon, default=None),
        oldest=min((each.created for each in pending), default=None),
        handed_out=len(due) - len(mine),
    )


def continue_part(part: Sequence[Pending], services: Services) -> int:
    """Continue predictions that the poller has handed out; return the number of those that were opened."""
    until = services.now() + PART_SECONDS
    pieces = [_piece(each, JobList(None, {}), services) for each in part]
    return do_in_threads(pieces, services, until=until, threads=services.settings.poll_threads)


def _piece(pending: Pending, jobs: JobList, services: Services) -> Piece:
    return Piece(partial(_handle, pending, jobs, services), _log_fields(pending))


def _log_fields(pending: Pending) -> dict[str, str | None]:
    return {"key": pending.key, "kind": pending.kind.value, "model": pending.model or None}


def _handle(pending: Pending, jobs: JobList, services: Services) -> None:
    """Look at one piece of open work, and count a look that fails."""
    try:
        item = _open_item(pending, services)
        if item is None or item.claimed_by_another("", services.now()):
            return
        if pending.looks or looks.is_overdue(pending, services) or looks.has_expired_claim(item, services.now()):
            counted = looks.begin(pending, services)
            if counted is None:
                return
            pending = counted
        with spans.span(
            f"continue {item.kind}",
            parent=trace.parse(item.traceparent),
            modeldrop_key=item.key,
            modeldrop_step=pending.step or None,
        ):
            _look(replace(item, index_generation=pending.generation), pending, jobs, services)
    except LostRace:
        raise
    except TryLater:
        # The work is not the cause of an outage.
        looks.end(pending, services)
        raise
    except Unreadable as error:
        looks.fail(pending, Problem(UNREADABLE, f"{error}. {ADVICE}"), services, error=error)
        raise
    except Exception as error:
        reason = short_reason(error) if isinstance(error, ModeldropError) else place_of_bug(error)
        looks.fail(pending, Problem("look_failed", f"this work cannot be continued: {reason}"), services)
        raise
    looks.end(pending, services)


def _open_item(pending: Pending, services: Services) -> Item | None:
    """Return the open item of an index object; None, after cleaning up, if there is none.

    Raises:
        Unreadable: The item cannot be read, and is not a watch of a drop that still exists.
    """
    try:
        item = services.ledger.read(pending.kind, pending.key)
    except Unreadable as error:
        if pending.kind is Kind.DROP and watches.replace_unreadable(pending.key, error, services):
            return None
        raise
    if item is not None and not item.final:
        return item
    # The item was never written, or it has ended. If the index object is young, the item may still be written.
    if services.now() - pending.written > timedelta(seconds=services.settings.lease_seconds):
        if item is None:
            report_missing_item(pending, services)
        services.ledger.remove_index(pending)
    return None


def _look(item: Item, pending: Pending, jobs: JobList, services: Services) -> None:
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
    if item.ended or (deadline := deadline_of(item, handler, services)) is None:
        return
    now = services.now()
    if pending.deadline is None or pending.deadline <= now < deadline:
        # The call that wrote the item was killed before it could write the index object, or cancels the item.
        services.ledger.index(item, deadline=deadline)


def _continue(item: Item, jobs: JobList, handler: Handler, services: Services) -> Item:
    step = item.current
    if item.ended or step is None or step.state is not StepState.SUBMITTED or step.job is None:
        # The write of an outcome is a claim.
        return advance(item if item.ended else services.ledger.take_over(item), handler, services)
    match step.system:
        case System.BIGQUERY:
            return _after_query(item, step, step.job, handler, services)
        case System.VERTEX:
            return _after_batch(item, step, step.job, jobs, handler, services)
        case System.OPERATION:
            return _after_operation(item, step, step.job, jobs, handler, services)


def _after_query(item: Item, step: Step, job: Job, handler: Handler, services: Services) -> Item:
    report = services.bigquery.get_report(job)
    if report is not None and report.progress is Progress.UNKNOWN:
        problem = Problem(report.progress.value, f"BigQuery reports an unknown state of the job {job.id}")
        deadline = deadline_of(item, handler, services)
        return report_stuck(item, problem, f"{step.name}-unknown", services, deadline=deadline)
    if report is not None and not report.progress.ended:
        return item
    if not handler.is_repeatable:
        item = services.ledger.take_over(item)
    _record_job(item, step, job, services)
    settled = settle_query(item, step, report, services.now(), failure=handler.failure_of(item))
    if settled.problem is not None:
        settled = (
            retry_query(item, step, settled.problem, services)
            or handler.continue_without(item, step, services)
            or settled
        )
    return advance(settled, handler, services)


def _after_batch(item: Item, step: Step, job: Job, jobs: JobList, handler: Handler, services: Services) -> Item:
    report = jobs.batches.get(job.id) or services.vertex.get_report(job.id)
    if report is not None and report.progress in {Progress.UNKNOWN, Progress.PAUSED}:
        problem = Problem(report.progress.value, f"Vertex AI reports {report.state} of the job {job.id}")
        deadline = deadline_of(item, handler, services)
        return report_stuck(item, problem, f"{step.name}-{report.state}", services, deadline=deadline)
    if report is not None and not report.progress.ended:
        if is_cancelled(item):
            # The call that cancelled the batch may have ended before it cancelled the job.
            services.vertex.cancel(job.id)
        return item
    item = services.ledger.take_over(item)
    _record_job(item, step, job, services)
    settled = settle_batch(item, step, report, services.now())
    if settled.problem is not None:
        settled = retry_batch(item, step, settled.problem, services) or settled
    return advance(settled, handler, services)


def _after_operation(item: Item, step: Step, job: Job, jobs: JobList, handler: Handler, services: Services) -> Item:
    report = jobs.operations[job.id] if job.id in jobs.operations else services.endpoints.operation(job.id)
    if report is not None and not report.is_done:
        return item
    item = services.ledger.take_over(item)
    _record_job(item, step, job, services)
    return advance(settle_operation(item, step, report, handler, services), handler, services)


def _record_job(item: Item, step: Step, job: Job, services: Services) -> None:
    """Record the job of a step that has ended as a span of the work's trace."""
    start = step.sent or item.created
    spans.record(f"job {step.name}", spans.CLIENT, start, services.now(), modeldrop_key=item.key, modeldrop_job=job.id)


def _handle_watch(watch: Item, services: Services) -> None:
    try:
        examine_drop(DropPath.of_request(watches.request_of(watch)), watch, services)
    except TryLater:
        watches.report_incomplete(watch, services)
        raise
    stored = services.ledger.read(Kind.DROP, watch.key)
    if stored is not None and not stored.final:
        watches.report_incomplete(stored, services)
