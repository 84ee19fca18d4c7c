"""The poller: goes on with everything that waits in the ledger, and owns every state of every job.

One tick lists the index, asks each service for all of its jobs at once, and opens only the items about which there is
something to do. So the calls of a tick grow with pages and with what has ended, not with what runs. Ticks may overlap:
whoever claims an item first goes on with it.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from shared import watches
from shared.batches import Batches
from shared.drop_watch import look
from shared.drops import DropPath
from shared.errors import LostRace, ModeldropError, Problem
from shared.imports import Imports, path_of
from shared.ledger import Pending, is_submitted
from shared.log import log
from shared.predictions import Predictions
from shared.progress import Handler, advance, report_stuck, settle_batch, settle_query
from shared.services import Services
from shared.states import Progress
from shared.vertex_batch import BatchReport
from shared.work import Item, Kind, StepState, System

HANDLERS: Mapping[Kind, Handler] = {
    Kind.IMPORT: Imports(),
    Kind.PREDICT: Predictions(),
    Kind.BATCH: Batches(),
}

# When drops were last looked for.
RECONCILED = "ledger/reconciled.json"

# A job may be listed a moment before the ledger tells of it.
_SLACK = timedelta(minutes=10)


@dataclass(frozen=True)
class Tick:
    """What one tick found and did."""

    pending: int
    """How much work was open."""
    handled: int
    """How much of it was looked at one by one."""
    left: int
    """How much was left for the next tick because the time was over."""


@dataclass(frozen=True)
class _Listed:
    """What the services told about all jobs at once."""

    queries: frozenset[str] | None
    """The ids of BigQuery's jobs that wait or run; None if BigQuery did not tell."""
    batches: Mapping[str, BatchReport] | None
    """Vertex AI's jobs by name; None if Vertex AI did not tell."""


def tick(services: Services) -> Tick:
    """Go on with open work, the oldest first, until it is done or the time is over."""
    started = services.now()
    until = started + timedelta(seconds=services.settings.poll_budget_seconds)
    pending = sorted(services.ledger.pending(), key=lambda each: each.created)
    listed = _list_jobs(pending, services)
    due = [each for each in pending if _is_due(each, listed, started)]
    done: list[bool] = []

    def handle(each: Pending) -> None:
        if services.now() < until:
            done.append(True)
            _guarded(partial(_handle, each, listed, services), each.key)

    # What waits for its turn comes in the order in which it came, so that turns are taken in that order too.
    with ThreadPoolExecutor(max_workers=services.settings.poll_threads) as threads:
        list(threads.map(handle, due))
    return Tick(pending=len(pending), handled=len(done), left=len(due) - len(done))


def reconcile(services: Services) -> int:
    """Once in a while, look at drops that the ledger has not seen as they are, and remove what it need not know any more.

    Their events were lost, or they were dropped before deployment. Returns how many drops were looked at.
    """
    ledger, now = services.ledger, services.now()
    stored = ledger.read_record(RECONCILED)
    last = datetime.fromisoformat(stored.value["at"]) if stored else None
    if last is not None and now - last < timedelta(seconds=services.settings.reconcile_seconds):
        return 0
    # Whoever writes this first does it; an overlapping tick loses.
    ledger.write_record(RECONCILED, {"at": now.isoformat()}, generation=stored.generation if stored else 0)
    known = ledger.last_changes(Kind.DROP)
    unseen = [
        path
        for path, newest in services.drop_files.versions().items()
        if path.key not in known or known[path.key] < newest
    ]
    for path in unseen:
        _guarded(partial(_look_again, path, services), path.key)
    ledger.expire(now - timedelta(days=services.settings.ledger_retention_days))
    return len(unseen)


def _list_jobs(pending: Iterable[Pending], services: Services) -> _Listed:
    def oldest(system: System) -> datetime | None:
        created = [each.created for each in pending if is_submitted(each) and each.system == system.value]
        return min(created) - _SLACK if created else None

    queries: frozenset[str] | None = frozenset()
    batches: Mapping[str, BatchReport] | None = {}
    try:
        if since := oldest(System.BIGQUERY):
            queries = frozenset(services.bigquery.active(since))
    except ModeldropError as error:
        queries = None
        log("WARNING", "BigQuery's jobs could not be listed", reason=str(error)[:200])
    try:
        if since := oldest(System.VERTEX):
            batches = services.vertex.ours(since)
    except ModeldropError as error:
        batches = None
        log("WARNING", "Vertex AI's jobs could not be listed", reason=str(error)[:200])
    return _Listed(queries, batches)


def _is_due(pending: Pending, listed: _Listed, now: datetime) -> bool:
    """Return whether there may be something to do about this work now."""
    if pending.deadline is not None and pending.deadline <= now:
        return True
    if is_submitted(pending):
        if pending.system == System.BIGQUERY.value:
            return listed.queries is not None and pending.job_id not in listed.queries
        report = listed.batches.get(pending.job_id) if listed.batches is not None else None
        if report is None:
            return listed.batches is not None
        return report.progress not in {Progress.WAITING, Progress.RUNNING}
    return pending.due is None or pending.due <= now


def _handle(pending: Pending, listed: _Listed, services: Services) -> None:
    item = services.ledger.read(pending.kind, pending.key)
    now = services.now()
    if item is None:
        # Written before an item that never came; a young one's item may be on its way.
        if now - pending.written > timedelta(seconds=services.settings.lease_seconds):
            services.ledger.unindex(pending)
        return
    if item.final:
        services.ledger.unindex(pending)
        return
    if item.claimed_by_another("", now):
        return
    if item.kind is Kind.DROP:
        _look_at_drop(item, services)
        return
    handler = HANDLERS[item.kind]
    step = item.current
    if step is not None and step.state is StepState.SUBMITTED and step.job is not None:
        if step.system is System.BIGQUERY:
            item = _after_query(item, handler, services)
        else:
            item = _after_batch(item, listed, handler, services)
    else:
        item = advance(services.ledger.take_over(item), handler, services)
    if not item.final and pending.deadline is not None and pending.deadline <= now:
        about = item.waits_for or (item.current.name if item.current else "end")
        waited = now - item.created
        problem = Problem("deadline", f"{item.kind.value} has been at {about} for {waited.total_seconds():.0f} s")
        report_stuck(item, problem, about, services)


def _after_query(item: Item, handler: Handler, services: Services) -> Item:
    step = item.current
    assert step is not None and step.job is not None
    report = services.bigquery.look(step.job)
    if report is not None and report.progress is Progress.UNKNOWN:
        problem = Problem(
            report.progress.value, f"BigQuery tells a state of the job {step.job.id} that is not known here"
        )
        return report_stuck(item, problem, f"{step.name}-unknown", services)
    if report is not None and not report.progress.ended:
        return item
    item = services.ledger.take_over(item)
    return advance(settle_query(item, step, report, handler, services), handler, services)


def _after_batch(item: Item, listed: _Listed, handler: Handler, services: Services) -> Item:
    step = item.current
    assert step is not None and step.job is not None
    report = (listed.batches or {}).get(step.job.id) or services.vertex.look(step.job.id)
    if report is not None and report.progress in {Progress.UNKNOWN, Progress.PAUSED}:
        problem = Problem(report.progress.value, f"Vertex AI tells {report.state} of the job {step.job.id}")
        return report_stuck(item, problem, f"{step.name}-{report.state}", services)
    if report is not None and not report.progress.ended:
        return item
    item = services.ledger.take_over(item)
    return advance(settle_batch(item, step, report, services), handler, services)


def _look_at_drop(watch: Item, services: Services) -> None:
    look(path_of(watch), watch, services)
    after = services.ledger.read(Kind.DROP, watch.key)
    if after is not None and not after.final and (stuck := watches.stuck_problem(after, services)):
        report_stuck(after, *stuck, services)


def _look_again(path: DropPath, services: Services) -> None:
    look(path, services.ledger.read(Kind.DROP, path.key), services)


def _guarded(work: Callable[[], None], key: str) -> None:
    """Do ``work``; whatever goes wrong with one piece must not hold up the others."""
    try:
        work()
    except LostRace:
        return
    except ModeldropError as error:
        log("WARNING", "left for the next tick", key=key, reason=str(error)[:200])
    except Exception as error:
        # Where it happened, but not what it says: a text could hold somebody's data.
        frame = traceback.extract_tb(error.__traceback__)[-1]
        log("ERROR", f"a bug: {type(error).__name__} in {frame.name}, line {frame.lineno}", key=key)
