"""A refusal that may pass makes work wait; the age of the state bucket says whether the deployment is new."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.engine.running import passing
from shared.engine.services import Services
from shared.errors import Problem
from shared.work import Item, WaitReason
from tests.example_requests import prediction_item
from tests.unit.shared.conftest import World

DENIED = Problem("accessDenied", "Access Denied: Dataset films")
JOB_DENIED = Problem("vertex_7", "The service agent may not read the table")
NO_AGENTS = Problem("serviceAgentsMissing", "Service agents are being provisioned")
MINUTE = 60.0


def refused(world: World, problem: Problem) -> Item | None:
    """Return new work after a refusal, as another process sees it; None if the refusal is final."""
    services = Services(world.services.settings, clock=world.services.clock)
    return passing.waiting(prediction_item(created=services.now()), problem, services)


@pytest.mark.parametrize("problem", [DENIED, JOB_DENIED], ids=["call", "batch job"])
def test_work_that_is_denied_in_a_new_deployment_waits(world: World, problem: Problem) -> None:
    world.pass_time(9 * MINUTE)
    item = refused(world, problem)
    assert item is not None
    assert (item.waits_for, item.outcome) == (WaitReason.ACCESS, None)
    assert item.not_before == world.services.now() + timedelta(seconds=world.services.settings.wait_seconds)
    assert passing.is_waiting(item, world.services)
    world.pass_time(world.services.settings.wait_seconds)
    assert not passing.is_waiting(item, world.services)


def test_work_that_is_denied_later_fails(world: World) -> None:
    world.pass_time(11 * MINUTE)
    assert refused(world, DENIED) is None


def test_work_that_is_denied_fails_at_once_if_the_setting_is_off(world: World) -> None:
    world.configure(access_wait_seconds=0.0)
    assert refused(world, DENIED) is None


def test_work_that_is_denied_fails_if_the_age_of_the_deployment_is_unknown(world: World) -> None:
    world.configure(state_bucket="no-such-bucket")
    assert refused(world, DENIED) is None


def test_accounts_of_google_may_be_missing_long_after_the_deployment(world: World) -> None:
    world.pass_time(24 * 60 * MINUTE)
    assert refused(world, NO_AGENTS) is not None


def test_work_does_not_wait_for_accounts_of_google_for_ever(world: World) -> None:
    item = prediction_item(created=world.services.now())
    world.pass_time(passing.AGENT_WAIT.total_seconds())
    assert passing.waiting(item, NO_AGENTS, world.services) is None


@pytest.mark.parametrize("code", ["invalidQuery", "notFound", "billingNotEnabled"])
def test_other_refusals_are_final(world: World, code: str) -> None:
    assert refused(world, Problem(code, "")) is None
