"""How a piece of work goes on: the same whether a function has just claimed it or the poller comes by.

A function takes a new item as far as it goes without waiting; the poller looks at its job and takes it further. Both do
it here, so that what a crash leaves behind is finished just as it would have been.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol

from shared.cloud.batch_jobs import (
    ATTEMPT_LABEL,
    KEY_LABEL,
    Batch,
    BatchReport,
)
from shared.cloud.bigquery import (
    PAYLOAD_LABEL,
    OldJob,
    Query,
    Report,
    problem_of,
)
from shared.cloud.states import (
    MAXIMUM_ATTEMPTS,
    Consequence,
    Progress,
    consequence_of_job,
)
from shared.engine.services import Services
from shared.errors import (
    ModeldropError,
    OutcomeUnknown,
    Problem,
    Rejected,
    TryLater,
)
from shared.events.outgoing import completion_event, stuck_event
from shared.log import log
from shared.work import (
    Item,
    Job,
    Step,
    StepState,
    System,
)


class WaitFor(ModeldropError):
    """The work cannot go on yet, for a reason that is none of its own: it waits in the ledger."""

    def __init__(self, what: str, seconds: float = 0.0) -> None:
        """Wait for ``what``, and do not look again before ``seconds`` have passed."""
        super().__init__(what)
        self.what = what
        self.seconds = seconds


class Handler(Protocol):
    """What one kind of work does of its own; one module each."""

    refused: str
    """The outcome of work that a service refuses: `rejected` or `failed`."""

    def prepare(self, item: Item, services: Services) -> Item:
        """Find out what must be known before the first step, and set the item's location.

        Raises ``Rejected``, ``TryLater`` or ``WaitFor``. Called again until it returns.
        """
        ...

    def query(self, item: Item, step: Step, services: Services) -> Query:
        """Return the query job of a BigQuery step."""
        ...

    def batch(self, item: Item, step: Step, services: Services) -> Batch:
        """Return the job of a Vertex AI step; raise ``WaitFor`` if there are too many."""
        ...

    def deadline_seconds(self, item: Item, services: Services) -> float:
        """Return how long the current step may take before it is reported as stuck."""
        ...

    def conclude(self, item: Item, services: Services) -> Item:
        """Set the outcome of an item whose steps have all succeeded, and the facts that its event tells."""
        ...

    def close(self, item: Item, services: Services) -> Item:
        """Do what has to be done once the outcome is known, before it is told. It may come to be done twice."""
        ...


def advance(item: Item, handler: Handler, services: Services) -> Item:
    """Take an item whose claim this call holds as far as it goes without waiting for a job, and write what came of it."""
    return record(submit(item, handler, services), handler, services)


def submit(item: Item, handler: Handler, services: Services) -> Item:
    """Submit the current step's job of an item whose claim this call holds; return the item as it now is.

    One that has ended is returned as it is. What a service refuses for good ends the item; what it does not take now is
    left as it is, for the poller.
    """
    if item.ended:
        return item
    try:
        if item.location is None:
            item = handler.prepare(item, services)
        waited_for = item.waits_for
        item = replace(item, waits_for=None, not_before=None)
        step = item.current
        if step is None:
            return replace(handler.conclude(item, services), finished=services.now())
        if step.state is StepState.SUBMITTED:
            return item
        if step.system is System.BIGQUERY:
            return _submit_query(item, step, handler, services)
        return _submit_batch(item, step, handler, services, waited_for)
    except Rejected as error:
        return _end(item, handler.refused, error.problem, services)
    except WaitFor as wait:
        return _wait(item, wait.what, wait.seconds, services)
    except TryLater as error:
        log("WARNING", "a service did not take a call; the poller goes on", key=item.key, reason=str(error)[:200])
        return replace(item, not_before=None)


def record(item: Item, handler: Handler, services: Services) -> Item:
    """Write what became of an item; if it has ended, tell it before it is marked as done.

    How it ended is written before it is told: whoever tells it after a crash does not decide anew.
    Raises ``TryLater`` if the ledger or Pub/Sub does not take it, and ``LostRace`` if somebody else has gone on with it:
    then the poller, or they, complete it.
    """
    if not item.ended:
        item = services.ledger.write(replace(item, claim=None))
        return services.ledger.index(item, deadline=deadline_of(item, handler, services))
    item = services.ledger.renew(replace(item, waits_for=None, not_before=None))
    item = handler.close(item, services)
    services.events.publish(completion_event(item))
    log("INFO", f"{item.kind.value} {item.outcome}", key=item.key, code=item.problem.code if item.problem else None)
    return services.ledger.finish(replace(item, claim=None, event_published=True))


def report_stuck(
    item: Item, problem: Problem, about: str, services: Services, *, deadline: datetime | None = None
) -> Item:
    """Tell once that an item takes too long, for the reason ``about``; it is watched all the same, until ``deadline``.

    No claim is needed: whoever tells it at the same time tells it under the same id.
    """
    if about in item.reported:
        return item
    services.events.publish(stuck_event(item, services.now(), problem, about))
    log("WARNING", "stuck", key=item.key, kind=item.kind.value, about=about)
    item = services.ledger.write(replace(item, reported=(*item.reported, about)))
    return services.ledger.index(item, deadline=deadline)


def report_late(item: Item, handler: Handler, services: Services) -> Item:
    """Tell once that an open item's step, or what it waits for, is past its deadline."""
    deadline = deadline_of(item, handler, services)
    if item.final or deadline is None or deadline > services.now():
        return item
    about = _about(item)
    waited = (services.now() - item.created).total_seconds()
    problem = Problem("deadline", f"{item.kind.value} has been at {about} for {waited:.0f} s")
    return report_stuck(item, problem, about, services)


def settle_query(item: Item, step: Step, report: Report | None, handler: Handler, services: Services) -> Item:
    """Return what became of an item whose query job has ended; None for a report says that there is no such job."""
    if report is None:
        # The insert was never taken, or the job is not to be found: the same id is submitted again.
        return item.with_step(replace(step, state=StepState.PENDING, job=None))
    if report.progress is Progress.SUCCEEDED:
        return item.with_step(replace(step, state=StepState.SUCCEEDED, result=_query_result(report)))
    again = consequence_of_job(report.reason or "") is Consequence.NEXT_ATTEMPT and step.tries < MAXIMUM_ATTEMPTS
    if again:
        return item.with_step(
            replace(step, state=StepState.PENDING, job=None, attempt=step.attempt + 1, tries=step.tries + 1)
        )
    return _end(item, "failed", problem_of(report), services)


def settle_batch(item: Item, step: Step, report: BatchReport | None, services: Services) -> Item:
    """Return what became of an item whose batch job has ended; None for a report says that there is no such job."""
    if report is None:
        problem = Problem("job_not_found", "the batch prediction job is gone: somebody deleted it", None)
        return _end(item, "failed", problem, services)
    counts = {"succeeded": report.succeeded, "failed": report.failed, "incomplete": report.incomplete}
    item = item.with_facts(state=report.state, counts=counts, output=report.output or item.facts.get("output"))
    if report.progress in {Progress.SUCCEEDED, Progress.PARTIALLY_SUCCEEDED}:
        return item.with_step(replace(step, state=StepState.SUCCEEDED, result={"state": report.state, **counts}))
    problem = report.problem or Problem(report.progress.value, f"Vertex AI ended the job as {report.state}")
    return _end(item, report.progress.value, problem, services)


def _submit_query(item: Item, step: Step, handler: Handler, services: Services) -> Item:
    query = handler.query(item, step, services)
    query = replace(query, labels={**query.labels, **_own_labels(item)})
    while True:
        try:
            job = services.bigquery.submit(query, item.job_id(step), str(item.location), since=item.created)
            return item.with_step(replace(step, state=StepState.SUBMITTED, job=job, sent=services.now()))
        except OldJob:
            # The ledger has forgotten that the request was done before; BigQuery has not.
            step = replace(step, attempt=step.attempt + 1)


def _submit_batch(item: Item, step: Step, handler: Handler, services: Services, waited_for: str | None) -> Item:
    """Create a batch job, unless there may be one already.

    The ledger says ``sending`` before the call is made. So whoever comes later knows that there may be a job, looks for it
    by its label once it must be visible, and creates one only if there is none.
    """
    settings, vertex = services.settings, services.vertex
    unanswered = settings.lease_seconds + settings.vertex_settle
    if step.state is StepState.SENDING and step.sent is not None:
        left = (step.sent + timedelta(seconds=unanswered) - services.now()).total_seconds()
        # One that was refused for quota is there only if the refusal was wrong.
        if left > 0 and waited_for != "quota":
            raise WaitFor("answer", left)
        if jobs := vertex.of_attempt(item.key, step.attempt):
            for extra in jobs[1:]:
                vertex.cancel(extra.name)
            if jobs[1:]:
                item = item.with_facts(cancelled_duplicates=[extra.name for extra in jobs[1:]])
            job = Job(System.VERTEX, jobs[0].name, settings.vertex_location)
            return item.with_step(replace(step, state=StepState.SUBMITTED, job=job))
    sending = replace(step, state=StepState.SENDING, sent=services.now())
    # Announced before it is counted how many run: of two that come at once, each sees the other.
    announced = services.ledger.index(item.with_step(sending))
    item = replace(item, index_generation=announced.index_generation)
    batch = handler.batch(item, step, services)
    batch = replace(batch, labels={**batch.labels, **_own_labels(item), ATTEMPT_LABEL: str(step.attempt)})
    # From here on the item has a new generation, so every way out returns it instead of raising.
    item = services.ledger.renew(item.with_step(sending))
    try:
        name = vertex.create(batch, timeout=settings.lease_seconds / 2)
    except Rejected as error:
        return _end(item, handler.refused, error.problem, services)
    except OutcomeUnknown as error:
        log("WARNING", "a submission was not answered", key=item.key, reason=str(error)[:200])
        return _wait(item, "answer", unanswered, services)
    except TryLater:
        return _wait(item, "quota", settings.wait_seconds, services)
    job = Job(System.VERTEX, name, settings.vertex_location)
    return item.with_step(replace(sending, state=StepState.SUBMITTED, job=job))


def _own_labels(item: Item) -> dict[str, str]:
    return {KEY_LABEL: item.key, "modeldrop_kind": item.kind.value, PAYLOAD_LABEL: item.payload}


def _end(item: Item, outcome: str, problem: Problem, services: Services) -> Item:
    return replace(item, outcome=outcome, problem=problem, finished=services.now())


def _wait(item: Item, what: str, seconds: float, services: Services) -> Item:
    return replace(item, waits_for=what, not_before=services.now() + timedelta(seconds=seconds))


def deadline_of(item: Item, handler: Handler, services: Services) -> datetime | None:
    """Return when an open item is to be reported as stuck; None if it was, where it now is."""
    if _about(item) in item.reported:
        return None
    step = item.current
    since = step.sent if step and step.sent else item.created
    return since + timedelta(seconds=handler.deadline_seconds(item, services))


def _about(item: Item) -> str:
    step = item.current
    return item.waits_for or (step.name if step else "end")


def _query_result(report: Report) -> dict[str, int | str | None]:
    """Return what is worth keeping of a finished query: https://docs.cloud.google.com/bigquery/docs/reference/rest/v2/Job"""
    statistics = report.resource.get("statistics", {})
    query = statistics.get("query", {})
    stages = query.get("queryPlan") or []
    rows = query.get("numDmlAffectedRows")
    if rows is None and stages:
        rows = stages[-1].get("recordsWritten")
    functions = (query.get("genAiStats") or {}).get("functionStats") or []
    return {
        "started_ms": int(statistics.get("startTime") or 0),
        "rows_written": None if rows is None else int(rows),
        "bytes_processed": int(query.get("totalBytesProcessed") or statistics.get("totalBytesProcessed") or 0),
        "slot_ms": int(statistics.get("totalSlotMs") or query.get("totalSlotMs") or 0),
        "failed_rows": sum(int((each.get("errorStats") or {}).get("numFailedRows") or 0) for each in functions),
    }
