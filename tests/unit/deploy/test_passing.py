"""What passes by itself is tried again, with the reason and a limit; everything else is an error at once."""

from __future__ import annotations

import pytest

from deploy.applying.cloud import CommandFailedError
from deploy.applying.passing import passing
from tests.unit.deploy.conftest import Deployer


def test_a_new_agent_that_policies_do_not_know_yet_is_waited_for(deployer: Deployer) -> None:
    deployer.project.agents_delay = 3

    deployer.apply()

    waits = [line for line in deployer.lines if "waits until the account is known to all services" in line]
    assert waits[0] == "  waits until the account is known to all services; tries again in 5 s, for 600 s at most"
    assert len(waits) == 3 * len(deployer.project.agents)
    assert ("cloudresourcemanager/projects/films", "roles/eventarc.serviceAgent") in {
        grant[:2] for grant in deployer.project.grants()
    }


def test_a_role_of_eventarcs_agent_that_has_not_taken_effect_is_waited_for(deployer: Deployer) -> None:
    deployer.project.trigger_failures = 8

    deployer.apply()

    assert len(deployer.project.names("functions")) == len(deployer.declaration.functions)
    assert 60 < deployer.now < 300


def test_waiting_ends_after_ten_minutes_with_the_error(deployer: Deployer) -> None:
    deployer.project.trigger_failures = 1000

    with pytest.raises(CommandFailedError, match="Permission denied while using the Eventarc Service Agent"):
        deployer.apply()

    assert 500 < deployer.now <= 600


def test_a_permission_that_is_denied_is_not_waited_for(deployer: Deployer) -> None:
    deployer.project.denied = {"pubsub.topics.create"}

    with pytest.raises(CommandFailedError, match=r"Permission 'pubsub\.topics\.create' denied"):
        deployer.apply()

    assert deployer.now == 0


@pytest.mark.parametrize(
    "error",
    [
        "PERMISSION_DENIED: Permission 'iam.serviceAccounts.get' denied on resource (or it may not exist).",
        "NOT_FOUND: Resource not found (resource=modeldrop-predict).",
        "INVALID_ARGUMENT: Role roles/nothing is not supported for this resource.",
    ],
)
def test_other_errors_do_not_pass(error: str) -> None:
    assert passing(error) is None
