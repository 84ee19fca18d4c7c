"""Creates a batch job on Vertex AI exactly once, although Vertex AI has no request ids.

The ledger says ``sending`` before the call is made. So after a crash or a lost answer it is known that there may be a job:
the poller looks for it by its label once it must be visible, and creates a job only if there is none.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from shared.batch_work import BatchFacts
from shared.cloud.batch_jobs import ATTEMPT_LABEL, Batch
from shared.engine.handler import Handler
from shared.engine.running import passing
from shared.engine.running.labels import job_labels
from shared.engine.services import Services
from shared.errors import OutcomeUnknown, Rejected, TryLater, short_reason
from shared.log import log
from shared.work import REFUSED, Item, Job, Step, StepState, System, WaitReason


def send_batch(item: Item, step: Step, handler: Handler, services: Services, waited_for: WaitReason | None) -> Item:
    """Return ``item`` with the batch job of ``step``, or waiting for it.

    Args:
        item: An item whose claim this call holds.
        step: Its current step, pending or sending.
        handler: The handler of the item's kind.
        services: The services of this process.
        waited_for: The reason why the item waited until now.

    Raises:
        WaitFor: Too many batches run.
        TryLater: The ledger or Vertex AI did not answer, and nothing was sent.
        LostRace: Another call has changed the item.
    """
    settings = services.settings
    # Past this time, the create call has ended and its job is visible in lists.
    visible_after = timedelta(seconds=settings.lease_seconds + settings.vertex_settle)
    if step.state is StepState.SENDING and step.sent is not None:
        # A job that was refused exists only if the refusal was wrong, so there is no need to wait.
        if services.now() < step.sent + visible_after and waited_for not in REFUSED:
            return item.wait(WaitReason.ANSWER, step.sent + visible_after)
        if (found := _adopt(item, step, services)) is not None:
            return found
    sending = replace(step, state=StepState.SENDING, sent=services.now())
    # Announce the job before the handler counts how many run: of two calls at once, each sees the other.
    announced = services.ledger.index(item.with_step(sending))
    item = replace(item, index_generation=announced.index_generation)
    batch = handler.job(item, step, services)
    assert isinstance(batch, Batch)
    batch = replace(batch, labels={**batch.labels, **job_labels(item), ATTEMPT_LABEL: _attempt(step)})
    # From here on the item has a new generation, so the call returns it instead of raising.
    item = services.ledger.renew(item.with_step(sending))
    try:
        name = services.vertex.create(batch, timeout=settings.lease_seconds / 2)
    except Rejected as error:
        assert isinstance(item.facts, BatchFacts)
        if (waiting := passing.waiting(item, error.problem, services)) is not None:
            return waiting
        if item.facts.rounds:
            # The answers of the rounds before are paid and stay.
            log("WARNING", "rows that failed were not sent again", **item.log_fields(), code=error.problem.code)
            return item.with_step(replace(sending, state=StepState.SUCCEEDED))
        return item.end(handler.refusal_of(item), services.now(), error.problem)
    except OutcomeUnknown as error:
        log("WARNING", "no answer to the creation of a batch job", **item.log_fields(), reason=short_reason(error))
        return item.wait(WaitReason.ANSWER, services.now() + visible_after)
    except TryLater:
        return item.wait(WaitReason.QUOTA, services.now() + timedelta(seconds=settings.wait_seconds))
    return item.with_step(replace(sending, state=StepState.SUBMITTED, job=_job(name, item)))


def _adopt(item: Item, step: Step, services: Services) -> Item | None:
    """Return ``item`` with the oldest job that was created for this attempt, and cancel the others; None if there is none."""
    jobs = services.vertex.list_attempt(item.key, _attempt(step), _location(item))
    if not jobs:
        return None
    oldest, *duplicates = (job.name for job in jobs)
    for name in duplicates:
        services.vertex.cancel(name)
    assert isinstance(item.facts, BatchFacts)
    if item.facts.cancelling:
        services.vertex.cancel(oldest)
    if duplicates:
        item = replace(item, facts=replace(item.facts, cancelled_duplicates=tuple(duplicates)))
    return item.with_step(replace(step, state=StepState.SUBMITTED, job=_job(oldest, item)))


def _attempt(step: Step) -> str:
    """Return the value of the label that tells the jobs of an item apart."""
    return f"{step.attempt}{step.name.removeprefix('submit')}{f'_{step.tries}' if step.tries > 1 else ''}"


def _job(name: str, item: Item) -> Job:
    return Job(System.VERTEX, name, _location(item))


def _location(item: Item) -> str:
    assert isinstance(item.facts, BatchFacts)
    # An item of an older version has one location for all of its jobs.
    return str(item.facts.location or item.location)
