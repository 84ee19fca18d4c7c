"""Takes an item from step to step, in the same way for a function that has just claimed it and for the poller.

A function takes a new item as far as it goes without waiting for a job. The poller takes it further when the job has
ended. Both call ``advance``, so that work is completed in the same way after a crash.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta

from shared.batch_work import BatchFacts, BatchResult, Failures
from shared.cloud.batch_jobs import BatchReport
from shared.cloud.query_jobs import OldJob, Query, Report, problem_of
from shared.cloud.states import (
    MAXIMUM_ATTEMPTS,
    Consequence,
    Progress,
    consequence_of_job,
)
from shared.engine.claims import hold
from shared.engine.handler import Cancelled, Handler, WaitFor
from shared.engine.running import passing
from shared.engine.running.labels import job_labels
from shared.engine.running.sending import send_batch
from shared.engine.services import Services
from shared.engine.stuck import deadline_of
from shared.errors import Problem, Rejected, TryLater, short_reason
from shared.events.outgoing import completion_event
from shared.log import log
from shared.work import Item, Kind, Outcome, Step, StepState, System
from shared.work_facts import QueryResult


def advance(item: Item, handler: Handler, services: Services) -> Item:
    """Take an item whose claim this call holds as far as it goes without waiting for a job, and store the result.

    Raises:
        TryLater: The ledger or Pub/Sub did not answer; the poller completes the work.
        LostRace: Another call has changed the item, and completes it.
    """
    return record(submit(item, handler, services), handler, services)


def submit(item: Item, handler: Handler, services: Services) -> Item:
    """Submit the current step's job of an item whose claim this call holds; return the item as it is now.

    A refusal for good ends the item; after one that may pass it waits. After an outage the item is returned unchanged, for the
    poller.
    """
    if item.ended or passing.is_waiting(item, services):
        return item
    try:
        if item.location is None:
            item = handler.prepare(item, services)
        waited_for = item.waits_for
        item = hold(replace(item, waits_for=None, not_before=None), services)
        if item.current is None:
            item = handler.conclude(item, services)
        if item.ended:
            return replace(item, finished=services.now())
        step = item.current
        assert step is not None, "an item without an outcome has a next step"
        if step.state is StepState.SUBMITTED:
            return item
        match step.system:
            case System.BIGQUERY:
                return _submit_query(item, step, handler, services)
            case System.VERTEX:
                return send_batch(item, step, handler, services, waited_for)
            case System.OPERATION:
                # Most functions never change an endpoint.
                from shared.engine.running.operations import begin_operation

                begun = begin_operation(item, step, handler, services)
                nothing_to_wait_for = begun.current is None or begun.current.name != step.name
                return submit(begun, handler, services) if nothing_to_wait_for else begun
    except Rejected as error:
        waiting = passing.waiting(item, error.problem, services)
        return waiting or item.end(handler.refusal_of(item), services.now(), error.problem)
    except Cancelled as error:
        return item.end(Outcome.CANCELLED, services.now(), Problem("cancelled", str(error)))
    except WaitFor as wait:
        return item.wait(wait.reason, services.now() + timedelta(seconds=wait.seconds))
    except TryLater as error:
        log("WARNING", "a service did not answer; left to the poller", **item.log_fields(), reason=short_reason(error))
        return replace(item, not_before=None)


def record(item: Item, handler: Handler, services: Services) -> Item:
    """Store an item that was submitted; if it has ended, publish its event and make it final.

    The outcome is stored before publishing, so a retry cannot change it. That is the only write of the item: removing its
    index object makes it final.

    Raises:
        TryLater: The ledger or Pub/Sub did not answer; the poller completes the work.
        LostRace: Another call has changed the item, and completes it.
    """
    if not item.ended:
        item = services.ledger.write(replace(item, claim=None))
        return services.ledger.index(item, deadline=deadline_of(item, handler, services))
    item = services.ledger.end(replace(item, waits_for=None, not_before=None))
    handler.close(item, services)
    services.events.publish(completion_event(item))
    log(
        "INFO",
        f"{item.kind.value} {item.outcome}",
        **item.log_fields(),
        code=item.problem.code if item.problem else None,
        reason=_logged_reason(item),
    )
    return services.ledger.close(item)


def settle_query(
    item: Item, step: Step, report: Report | None, now: datetime, *, failure: Outcome = Outcome.FAILED
) -> Item:
    """Return ``item`` after its query job has ended.

    Args:
        item: An item whose claim this call holds.
        step: The step of the job.
        report: The state of the job; None if there is no such job.
        now: The current time.
        failure: The outcome of the item if the job has failed for good.
    """
    if report is None:
        # The insert was not accepted, or the job cannot be found: the same id is submitted again.
        return item.with_step(replace(step, state=StepState.PENDING, job=None))
    if report.progress is Progress.SUCCEEDED:
        return item.with_step(replace(step, state=StepState.SUCCEEDED, result=_query_result(report)))
    if consequence_of_job(report.reason or "") is Consequence.NEXT_ATTEMPT and step.tries < MAXIMUM_ATTEMPTS:
        return item.with_step(
            replace(step, state=StepState.PENDING, job=None, attempt=step.attempt + 1, tries=step.tries + 1)
        )
    return item.end(failure, now, problem_of(report))


def retry_query(item: Item, step: Step, problem: Problem, services: Services) -> Item | None:
    """Return ``item`` waiting for the next attempt of a query job that failed with ``problem``; None if that is final."""
    waiting = passing.waiting(item, problem, services)
    if waiting is None:
        return None
    return waiting.with_step(replace(step, state=StepState.PENDING, job=None, attempt=step.attempt + 1))


def retry_batch(item: Item, step: Step, problem: Problem, services: Services) -> Item | None:
    """Return ``item`` waiting for the next try of a batch job that failed with ``problem``; None if that is final.

    The attempt stays, because it is also that of a batch that is sent again by an action.
    """
    waiting = passing.waiting(item, problem, services)
    if waiting is None:
        return None
    return waiting.with_step(replace(step, state=StepState.PENDING, job=None, tries=step.tries + 1))


def settle_batch(item: Item, step: Step, report: BatchReport | None, now: datetime) -> Item:
    """Return ``item`` after its batch job has ended; ``report`` is None if there is no such job."""
    facts = item.facts
    assert isinstance(facts, BatchFacts)
    if facts.rounds:
        # The answers of the rounds before are paid and stay, whatever becomes of the rows that were sent again.
        if facts.folder is not None:
            item = replace(item, facts=replace(facts, job_folder=report.output if report else None))
        return item.with_step(replace(step, state=StepState.SUCCEEDED))
    if report is None:
        problem = Problem("job_not_found", "the batch prediction job no longer exists: somebody deleted it")
        return item.end(Outcome.FAILED, now, problem)
    result = BatchResult(report.state, report.succeeded, report.failed, report.incomplete, _failures(report))
    facts = replace(facts, result=result)
    if report.output and facts.folder:
        facts = replace(facts, job_folder=report.output, output=report.output)
    elif report.output and facts.answers:
        facts = replace(facts, answers=report.output)
    elif report.output:
        facts = replace(facts, output=report.output)
    item = replace(item, facts=facts)
    if report.progress in {Progress.SUCCEEDED, Progress.PARTIALLY_SUCCEEDED}:
        return item.with_step(replace(step, state=StepState.SUCCEEDED))
    problem = report.problem or Problem(report.progress.value, f"Vertex AI ended the job as {report.state}")
    return item.end(Outcome(report.progress.value), now, problem)


def _failures(report: BatchReport) -> tuple[Failures, ...]:
    """Return the failures of single requests that Vertex AI names, by code."""
    codes = Counter(problem.code for problem in report.partial_failures)
    examples = {problem.code: short_reason(problem.message) for problem in reversed(report.partial_failures)}
    return tuple(Failures(code, count, examples[code]) for code, count in codes.most_common())


def _submit_query(item: Item, step: Step, handler: Handler, services: Services) -> Item:
    query = handler.job(item, step, services)
    assert isinstance(query, Query)
    query = replace(query, labels={**query.labels, **job_labels(item)})
    while True:
        try:
            location = query.location or str(item.location)
            job = services.bigquery.submit(query, item.job_id(step), location, since=item.created)
            return item.with_step(replace(step, state=StepState.SUBMITTED, job=job, sent=services.now()))
        except OldJob:
            # The request was done before; the ledger has forgotten it, and BigQuery has not.
            step = replace(step, attempt=step.attempt + 1)


def _logged_reason(item: Item) -> str | None:
    """Return the problem's message if logs may hold it.

    The message of a query can quote rows, and a message about a field can quote the request or `modeldrop.yaml`.
    """
    if item.kind is not Kind.IMPORT or item.problem is None or item.problem.field is not None:
        return None
    return short_reason(item.problem.message)


def _query_result(report: Report) -> QueryResult:
    """Return what is kept of a query that succeeded.

    https://docs.cloud.google.com/bigquery/docs/reference/rest/v2/Job
    """
    statistics = report.resource.get("statistics", {})
    query = statistics.get("query", {})
    stages = query.get("queryPlan") or []
    rows = query.get("numDmlAffectedRows")
    if rows is None and stages:
        rows = stages[-1].get("recordsWritten")
    functions = (query.get("genAiStats") or {}).get("functionStats") or []
    return QueryResult(
        started_ms=int(statistics.get("startTime") or 0),
        rows_written=None if rows is None else int(rows),
        bytes_processed=int(query.get("totalBytesProcessed") or statistics.get("totalBytesProcessed") or 0),
        slot_ms=int(statistics.get("totalSlotMs") or query.get("totalSlotMs") or 0),
        failed_rows=sum(int((each.get("errorStats") or {}).get("numFailedRows") or 0) for each in functions),
    )
