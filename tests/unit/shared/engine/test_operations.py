"""Operations on endpoints: what follows when one has ended, and before one is sent. No service is called."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.cloud.endpoint_calls import EndpointCall, OperationReport
from shared.cloud.states import MAXIMUM_ATTEMPTS
from shared.engine.handler import Handler
from shared.engine.running.operations import begin_operation, settle_operation
from shared.engine.services import Services
from shared.errors import Problem
from shared.work import Item, Job, Kind, Outcome, Step, StepState, System, WaitReason
from shared.work_facts import ManageFacts, ManageMessage
from tests.example_requests import NOW, SETTINGS, services_at

NAME = "projects/p/locations/us-central1/endpoints/7/operations/1"
STEP = Step(
    "deploy",
    System.OPERATION,
    StepState.SUBMITTED,
    job=Job(System.OPERATION, NAME, "us-central1"),
    sent=NOW,
)
ITEM = Item(
    Kind.MANAGE, "a" * 32, "b" * 32, ManageMessage({}, NOW, "deploy", "p.d.m"), ManageFacts(), NOW, steps=(STEP,)
)
SERVICES = services_at(access_wait_seconds=0)


class Done(Handler):
    """A handler whose endpoint is as the step wants it."""

    refused = Outcome.REJECTED

    def prepare(self, item: Item, services: Services) -> Item:
        return item

    def job(self, item: Item, step: Step, services: Services) -> EndpointCall | None:
        return None

    def failure_of(self, item: Item) -> Outcome:
        return Outcome.REJECTED

    def deadline_seconds(self, item: Item, services: Services) -> float:
        return 60

    def conclude(self, item: Item, services: Services) -> Item:
        return replace(item, outcome=Outcome.DEPLOYED)


def _settle(report: OperationReport | None, step: Step = STEP) -> Item:
    return settle_operation(ITEM.with_step(step), step, report, Done(), SERVICES)


def _failure(status: int) -> OperationReport:
    return OperationReport(True, Problem(f"vertex_{status}", "it failed"), status)


def test_an_operation_that_has_succeeded_ends_its_step() -> None:
    assert _settle(OperationReport(True)).steps[0].state is StepState.SUCCEEDED


@pytest.mark.parametrize("report", [None, _failure(6)], ids=["not found", "already exists"])
def test_an_operation_of_which_nothing_is_known_lets_the_endpoint_be_read_again(report: OperationReport | None) -> None:
    [step] = _settle(report).steps
    assert (step.state, step.job, step.tries) == (StepState.PENDING, None, 1)


@pytest.mark.parametrize("status", [10, 13, 14])
def test_an_operation_that_failed_through_no_fault_of_its_own_is_tried_three_times(status: int) -> None:
    step, tries = STEP, 1
    while not (item := _settle(_failure(status), step)).ended:
        tries += 1
        step = replace(item.steps[0], state=StepState.SUBMITTED)
    assert tries == MAXIMUM_ATTEMPTS
    assert (item.outcome, item.problem) == (Outcome.REJECTED, Problem(f"vertex_{status}", "it failed"))


@pytest.mark.parametrize("status", [3, 5, 8, 9])
def test_another_failure_is_final(status: int) -> None:
    assert _settle(_failure(status)).outcome is Outcome.REJECTED


def test_nothing_is_sent_to_an_endpoint_that_is_as_the_step_wants_it() -> None:
    step = replace(STEP, state=StepState.PENDING, job=None, sent=None)
    assert begin_operation(ITEM.with_step(step), step, Done(), SERVICES).steps[0].state is StepState.SUCCEEDED


def test_a_call_without_an_answer_is_looked_up_only_when_its_effect_is_visible() -> None:
    step = replace(STEP, state=StepState.SENDING, job=None)
    item = begin_operation(ITEM.with_step(step), step, Done(), SERVICES)
    visible = NOW + timedelta(seconds=SETTINGS.lease_seconds + SETTINGS.vertex_settle)
    assert (item.waits_for, item.not_before, item.steps) == (WaitReason.ANSWER, visible, (step,))
    later = services_at(visible, access_wait_seconds=0)
    assert begin_operation(item, step, Done(), later).steps[0].state is StepState.SUCCEEDED
