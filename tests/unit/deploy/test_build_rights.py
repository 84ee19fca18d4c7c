"""The build that deploys has the rights for its steps, and no others that change the project."""

from __future__ import annotations

import pytest

from deploy.applying.apply import apply
from deploy.applying.cloud import CommandFailedError
from deploy.plan import monitoring_plan
from deploy.planning.commands import Commands
from deploy.planning.deployment import deployment, lookups
from deploy.planning.steps import Plan
from tests.unit.deploy.conftest import Deployer

BUILD = "serviceAccount:modeldrop-build@films.iam.gserviceaccount.com"


def build(deployer: Deployer, source: str = "0123456789abcdef") -> None:
    """Run the steps of cloudbuild.yaml, with the rights of its account."""
    commands = Commands(deployer.declaration, "films")
    steps = Plan(tuple(deployment(commands, source)), lookups(commands))
    deployer.project.calls.clear()
    deployer.project.caller = BUILD
    apply(steps, deployer.cloud(steps), deployer.lines.append)


def test_a_build_deploys_a_new_version(applied: Deployer) -> None:
    build(applied)

    updated = applied.project.called("cloudfunctions.functions.update")
    assert len(updated) == len(applied.declaration.functions)


def test_a_build_deploys_functions_and_schedules_that_do_not_exist(applied: Deployer) -> None:
    for name in list(applied.project.resources):
        if name.startswith(("cloudfunctions/", "run/", "eventarc/", "cloudscheduler/")) or "/eventarc-" in name:
            del applied.project.resources[name]
            applied.project.policies.pop(name, None)

    build(applied)
    applied.project.caller = None

    assert [line for line in applied.differences() if "modeldrop-source" not in line] == []


@pytest.mark.parametrize("account", ["runtime", "invoker"])
def test_a_build_may_only_deploy_as_our_accounts(applied: Deployer, account: str) -> None:
    email = applied.declaration.accounts[account].email("films")
    applied.project.policies[f"iam/projects/films/serviceAccounts/{email}"]["bindings"].clear()

    with pytest.raises(CommandFailedError, match=r"Permission 'iam\.serviceAccounts\.actAs' denied"):
        build(applied)


def test_a_build_has_no_right_to_change_alerts(applied: Deployer) -> None:
    """So cloudbuild.yaml leaves them out, and says that `apply` creates them."""
    applied.change(alerts=applied.declaration.alerts.model_copy(update={"enabled": False}))
    applied.project.caller = BUILD
    steps = monitoring_plan(applied.declaration, "films")

    with pytest.raises(CommandFailedError, match="You lack a permission"):
        apply(steps, applied.cloud(steps), lambda line: None)

    assert applied.project.names("alertPolicies")


@pytest.mark.parametrize("role", ["cloudfunctions.developer", "pubsub.editor", "cloudscheduler.admin", "run.admin"])
def test_a_build_needs_each_of_its_roles(applied: Deployer, role: str) -> None:
    for binding in applied.project.policies["cloudresourcemanager/projects/films"]["bindings"]:
        if binding["role"] == f"roles/{role}":
            binding["members"].remove(BUILD)
    applied.project.resources[
        "pubsub/projects/films/subscriptions/eventarc-us-central1-modeldrop-predict-000001-sub-1"
    ]["deadLetterPolicy"] = {}
    job = applied.project.resources["cloudscheduler/projects/films/locations/us-central1/jobs/modeldrop-poll"]
    job["schedule"] = "0 * * * *"
    applied.project.policies["run/projects/films/locations/us-central1/services/modeldrop-predict"]["bindings"].clear()

    with pytest.raises(CommandFailedError, match="You lack a permission"):
        build(applied)
