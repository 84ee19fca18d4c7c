"""Resources of others under our names are neither changed nor deleted, unless they are adopted."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from deploy.applying.cloud import CommandFailedError
from tests.control_plane.project import FakeProject
from tests.unit.deploy.conftest import Deployer

LOCATION = "projects/films/locations/us-central1"
RUNTIME = "modeldrop-runtime@films.iam.gserviceaccount.com"
# A resource of each kind that has our name, by kind and name: its full name, and the fields that have our mark.
MARKED = {
    "topics/modeldrop-predict": ("pubsub/projects/films/topics/modeldrop-predict", "labels"),
    "subscriptions/modeldrop-events-log": ("pubsub/projects/films/subscriptions/modeldrop-events-log", "labels"),
    "buckets/films-modeldrop-models": ("storage/buckets/films-modeldrop-models", "labels"),
    "functions/modeldrop-predict": (f"cloudfunctions/{LOCATION}/functions/modeldrop-predict", "labels"),
    f"service-accounts/{RUNTIME}": (f"iam/projects/films/serviceAccounts/{RUNTIME}", "description"),
    "jobs/modeldrop-poll": (f"cloudscheduler/{LOCATION}/jobs/modeldrop-poll", "description"),
    "metrics/modeldrop_stuck": ("logging/projects/films/metrics/modeldrop_stuck", "description"),
    "dashboards/modeldrop": ("monitoring/dashboards/modeldrop", "labels"),
}


def give_away(project: FakeProject, name: str) -> dict[str, Any]:
    """Take our mark from a resource, and return a copy of it."""
    full_name, field = MARKED[name]
    project.resources[full_name].pop(field)
    return copy.deepcopy(project.resources[full_name])


@pytest.mark.parametrize("name", MARKED)
def test_apply_does_not_change_what_has_no_mark_and_says_how_to_adopt_it(applied: Deployer, name: str) -> None:
    before = give_away(applied.project, name)
    assert f"! {name} exists and is not of this declaration: needs --adopt {name}" in applied.differences()

    with pytest.raises(CommandFailedError, match=rf"not of this declaration:\n  {name}\n.*\n.*--adopt {name}$"):
        applied.apply()

    assert applied.project.resources[MARKED[name][0]] == before
    assert {call.permission for call in applied.project.changes()} == {"serviceusage.services.enable"}


@pytest.mark.parametrize("name", MARKED)
def test_what_is_adopted_gets_the_mark(applied: Deployer, name: str) -> None:
    give_away(applied.project, name)

    applied.apply(adopted=(name,))

    assert applied.differences() == []
    applied.apply()


@pytest.mark.parametrize("name", MARKED)
def test_destroy_leaves_what_has_no_mark_and_says_so(applied: Deployer, name: str) -> None:
    before = give_away(applied.project, name)

    (failure,) = applied.destroy(with_data=True)

    assert f"left, because it is not of this declaration; if it is, `apply --adopt {name}` marks it" in failure
    full_name = MARKED[name][0]
    assert applied.project.resources[full_name] == before
    left = set(applied.project.resources) - {full_name}
    assert [each for each in left if not each.startswith(("run/", "eventarc/")) and "/eventarc-" not in each] == []


def test_destroy_leaves_the_roles_of_an_account_of_others_and_on_a_topic_of_others(applied: Deployer) -> None:
    give_away(applied.project, f"service-accounts/{RUNTIME}")
    give_away(applied.project, "topics/modeldrop-predict")
    before = applied.project.grants()

    applied.destroy(with_data=True)

    topic = "pubsub/projects/films/topics/modeldrop-predict"
    project = "cloudresourcemanager/projects/films"
    kept = {grant for grant in before if grant[0] == topic}
    kept |= {grant for grant in before if grant[0] == project and grant[2] == f"serviceAccount:{RUNTIME}"}
    assert kept
    assert kept <= applied.project.grants()


def test_a_name_that_is_not_declared_is_not_adopted(applied: Deployer) -> None:
    with pytest.raises(
        CommandFailedError, match=r"--adopt topics/modeldrop-predit .* did you mean topics/modeldrop-predict\?"
    ):
        applied.apply(adopted=("topics/modeldrop-predit",))


def test_a_bucket_has_the_mark_as_soon_as_it_exists(deployer: Deployer) -> None:
    deployer.project.failing = {"pubsub.topics.create": 403}
    with pytest.raises(CommandFailedError):
        deployer.apply()
    deployer.project.failing = {}

    deployer.apply()

    assert deployer.differences() == []
