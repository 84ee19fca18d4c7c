"""Carries out a step whose job is a long-running operation on an endpoint of Vertex AI, exactly once.

The endpoint itself shows what has happened: before anything is sent, the handler reads it, and returns no call if the effect is
there. The ledger says ``sending`` before a call is sent. So after a crash or a lost answer the endpoint is read again, once the
effect must be visible.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from shared.cloud.endpoint_calls import CreateEndpoint, DeployModel, OperationReport, UndeployModel
from shared.cloud.locations import GLOBAL, location_in
from shared.cloud.states import MAXIMUM_ATTEMPTS, OPERATION_EXISTS, OPERATION_RETRIES
from shared.engine.handler import Handler
from shared.engine.running import passing
from shared.engine.services import Services
from shared.errors import OutcomeUnknown, Rejected, TryLater, short_reason
from shared.log import log
from shared.work import Item, Job, Step, StepState, System, WaitReason


def begin_operation(item: Item, step: Step, handler: Handler, services: Services) -> Item:
    """Return ``item`` with the operation of ``step``, with the step done if there is nothing to do, or waiting.

    Args:
        item: An item whose claim this call holds.
        step: Its current step, pending or sending.
        handler: The handler of the item's kind.
        services: The services of this process.

    Raises:
        Rejected: The handler finds that the operation is not possible.
        WaitFor: Another operation changes the endpoint.
        TryLater: The ledger or Vertex AI did not answer, and nothing was sent.
        LostRace: Another call has changed the item.
    """
    settings = services.settings
    # Past this time the call has ended, and the endpoint or its list of operations shows what it did.
    visible_after = timedelta(seconds=settings.lease_seconds + settings.vertex_settle)
    if step.state is StepState.SENDING and step.sent is not None and services.now() < step.sent + visible_after:
        return item.wait(WaitReason.ANSWER, step.sent + visible_after)
    call = handler.job(item, step, services)
    if call is None:
        return item.with_step(replace(step, state=StepState.SUCCEEDED))
    assert isinstance(call, CreateEndpoint | DeployModel | UndeployModel)
    sending = replace(step, state=StepState.SENDING, sent=services.now())
    # From here on the item has a new generation, so the call returns it instead of raising.
    item = services.ledger.renew(item.with_step(sending))
    try:
        name = services.endpoints.send(call, timeout=settings.lease_seconds / 2)
    except Rejected as error:
        waiting = passing.waiting(item.with_step(replace(sending, state=StepState.PENDING)), error.problem, services)
        return waiting or item.end(handler.refusal_of(item), services.now(), error.problem)
    except OutcomeUnknown as error:
        log("WARNING", "no answer to a change of an endpoint", **item.log_fields(), reason=short_reason(error))
        return item.wait(WaitReason.ANSWER, services.now() + visible_after)
    except TryLater:
        unsent = item.with_step(replace(sending, state=StepState.PENDING))
        return unsent.wait(WaitReason.QUOTA, services.now() + timedelta(seconds=settings.wait_seconds))
    job = Job(System.OPERATION, name, location_in(name) or location_in(call.endpoint) or GLOBAL)
    return item.with_step(replace(sending, state=StepState.SUBMITTED, job=job))


def settle_operation(
    item: Item, step: Step, report: OperationReport | None, handler: Handler, services: Services
) -> Item:
    """Return ``item`` after its operation has ended.

    Args:
        item: An item whose claim this call holds.
        step: The step of the operation.
        report: The state of the operation; None if there is no such operation.
        handler: The handler of the item's kind.
        services: The services of this process.
    """
    again = replace(step, state=StepState.PENDING, job=None)
    if report is None or report.status == OPERATION_EXISTS:
        # The endpoint is read again. It shows whether there is something left to do.
        return item.with_step(again)
    if report.problem is None:
        return item.with_step(replace(step, state=StepState.SUCCEEDED))
    if report.status in OPERATION_RETRIES and step.tries < MAXIMUM_ATTEMPTS:
        return item.with_step(replace(again, attempt=step.attempt + 1, tries=step.tries + 1))
    waiting = passing.waiting(item.with_step(again), report.problem, services)
    return waiting or item.end(handler.failure_of(item), services.now(), report.problem)
