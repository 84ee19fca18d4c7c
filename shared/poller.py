"""The poller: goes on with everything that waits in the ledger, and owns every state of every job.

One tick lists the index, asks each service for all of its jobs at once, and opens only the items about which there is
something to do. So the calls of a tick grow with pages and with what has ended, not with what runs. Ticks may overlap:
whoever claims an item first goes on with it.
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
from shared.drops.importing import Imports
from shared.drops.intake import look
from shared.engine.ledger import Pending, Record, is_submitted
from shared.engine.services import Services
from shared.engine.steps import (
    Handler,
    advance,
    deadline_of,
    report_late,
    report_stuck,
    settle_batch,
    settle_query,
)
from shared.errors import (
    LostRace,
    ModeldropError,
    Problem,
    TryLater,
)
from shared.log import log
from shared.predictions.predicting import Predictions
from shared.work import (
    Item,
    Kind,
    StepState,
    System,
)

Done = TypeVar("Done")

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
    """Go on with open work, what waits longest first, until it is done or the time is over."""
    started = services.now()
    until = started + timedelta(seconds=services.settings.poll_budget_seconds)
    pending = sorted(services.ledger.pending(), key=_waits_since)
    listed = _list_jobs(pending, services)
    due = [each for each in pending if _is_due(each, listed, started)]
    handled = _side_by_side(
        [(each.key, partial(_handle, each, listed, services)) for each in due], services, until=until
    )
    return Tick(pending=len(pending), handled=handled, left=len(due) - handled)


def reconcile(services: Services) -> int:
    """Once in a while, look at drops that the ledger has not seen as they are, and remove what it need not know any more.

    Their events were lost, or they were dropped before deployment. Returns how many drops were looked at. What a crash or
    the end of the time leaves is done by a later call.
    """
    ledger, settings, now = services.ledger, services.settings, services.now()
    stored = ledger.read_record(RECONCILED)
    done, begun = (_moment(stored, name) for name in ("done", "begun"))
    budget = timedelta(seconds=settings.poll_budget_seconds / 2)
    if done is not None and now - done < timedelta(seconds=settings.reconcile_seconds):
        return 0
    if begun is not None and now - begun < min(2 * budget, timedelta(seconds=settings.reconcile_seconds)):
        return 0
    # Whoever writes this first does it; an overlapping tick loses.
    told = {"done": done.isoformat() if done else None}
    generation = stored.generation if stored else 0
    mark = ledger.write_record(RECONCILED, {**told, "begun": now.isoformat()}, generation=generation)
    known = ledger.last_changes(Kind.DROP)
    unseen = [
        path
        for path, newest in services.drop_files.versions().items()
        if path.key not in known or known[path.key] < newest
    ]
    looked = _side_by_side(
        [(path.key, partial(_look_again, path, services)) for path in unseen], services, until=now + budget
    )
    if indexed := ledger.index_again():
        log("ERROR", "open work had no index object", count=indexed)
    ledger.expire(now - timedelta(days=settings.ledger_retention_days))
    whole = looked == len(unseen)
    told = {"done": now.isoformat()} if whole else told
    ledger.write_record(RECONCILED, {**told, "begun": None}, generation=mark.generation)
    return looked


def _moment(record: Record | None, name: str) -> datetime | None:
    told = record.value.get(name) if record else None
    return datetime.fromisoformat(told) if told else None


def _side_by_side(work: Sequence[tuple[str, Callable[[], None]]], services: Services, *, until: datetime) -> int:
    """Do each piece of work, given with its key, begun before ``until``; return how many were."""
    begun: list[str] = []

    def do(key: str, piece: Callable[[], None]) -> None:
        if services.now() < until:
            begun.append(key)
            guarded(piece, key)

    # What waits for its turn comes in the order in which it came, so that turns are taken in that order too.
    with ThreadPoolExecutor(max_workers=services.settings.poll_threads) as threads:
        list(threads.map(lambda each: do(*each), work))
    return len(begun)


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


def _waits_since(pending: Pending) -> datetime:
    """Return since when open work waits for the poller.

    What was tried in vain, and is not known to wait for something, goes behind what came before that: a service that fails
    slowly must not take up the time of every tick.
    """
    was_tried = not is_submitted(pending) and not pending.waits_for
    return max(pending.created, pending.written) if was_tried else pending.created


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
    if item is None or item.final:
        # Written before an item that never came, or left behind by one that ended. A young one's item may be on its way.
        if now - pending.written > timedelta(seconds=services.settings.lease_seconds):
            services.ledger.unindex(pending)
        return
    if item.claimed_by_another("", now):
        return
    item = replace(item, index_generation=pending.generation)
    if item.kind is Kind.DROP:
        _look_at_drop(item, services)
        return
    handler = HANDLERS[item.kind]
    try:
        item = _go_on(item, listed, handler, services)
    except LostRace:
        raise
    except Exception:
        # What cannot be looked at, or not be worked on for a mistake of ours, may be late all the same.
        stands = services.ledger.read(pending.kind, pending.key)
        if stands is not None:
            report_late(stands, handler, services)
        raise
    item = report_late(item, handler, services)
    if not item.ended and pending.deadline is None and (deadline := deadline_of(item, handler, services)):
        # Whoever wrote the item did not come to write its index object.
        services.ledger.index(item, deadline=deadline)


def _go_on(item: Item, listed: _Listed, handler: Handler, services: Services) -> Item:
    step = item.current
    if item.ended or step is None or step.state is not StepState.SUBMITTED or step.job is None:
        return advance(services.ledger.take_over(item), handler, services)
    if step.system is System.BIGQUERY:
        return _after_query(item, handler, services)
    return _after_batch(item, listed, handler, services)


def _after_query(item: Item, handler: Handler, services: Services) -> Item:
    step = item.current
    assert step is not None and step.job is not None
    report = services.bigquery.look(step.job)
    if report is not None and report.progress is Progress.UNKNOWN:
        problem = Problem(
            report.progress.value, f"BigQuery tells a state of the job {step.job.id} that is not known here"
        )
        deadline = deadline_of(item, handler, services)
        return report_stuck(item, problem, f"{step.name}-unknown", services, deadline=deadline)
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
        deadline = deadline_of(item, handler, services)
        return report_stuck(item, problem, f"{step.name}-{report.state}", services, deadline=deadline)
    if report is not None and not report.progress.ended:
        return item
    item = services.ledger.take_over(item)
    return advance(settle_batch(item, step, report, services), handler, services)


def _look_at_drop(watch: Item, services: Services) -> None:
    try:
        look(watches.path_of(watch), watch, services)
    except TryLater:
        _report_incomplete(watch, services)
        raise
    after = services.ledger.read(Kind.DROP, watch.key)
    if after is not None and not after.final:
        _report_incomplete(after, services)


def _report_incomplete(watch: Item, services: Services) -> None:
    if stuck := watches.stuck_problem(watch, services):
        report_stuck(watch, *stuck, services)


def _look_again(path: DropPath, services: Services) -> None:
    look(path, services.ledger.read(Kind.DROP, path.key), services)


def guarded(work: Callable[[], Done], key: str) -> Done | None:
    """Do ``work`` and return what it returns; whatever goes wrong with one piece must not hold up the others."""
    try:
        return work()
    except LostRace:
        return None
    except ModeldropError as error:
        log("WARNING", "left for the next tick", key=key, reason=str(error)[:200])
    except Exception as error:
        # Where it happened, but not what it says: a text could hold somebody's data.
        frame = traceback.extract_tb(error.__traceback__)[-1]
        log("ERROR", f"a bug: {type(error).__name__} in {frame.name}, line {frame.lineno}", key=key)
    return None
