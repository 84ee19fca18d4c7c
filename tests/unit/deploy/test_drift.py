"""`apply` brings a project back to the declaration, and `plan --diff` shows what it would do."""

from __future__ import annotations

from typing import Any

import pytest

from deploy.applying.cloud import CommandFailedError
from deploy.planning.drift import differences
from tests.unit.deploy.conftest import Deployer

LOCATION = "projects/films/locations/us-central1"
RUNTIME = "serviceAccount:modeldrop-runtime@films.iam.gserviceaccount.com"
DRIFTS = {
    "soft deletion": (
        "storage/buckets/films-modeldrop-state",
        {"softDeletePolicy": {"retentionDurationSeconds": "604800"}},
        "bucket gs://films-modeldrop-state: softDeletePolicy.retentionDurationSeconds is 604800, declared 0",
    ),
    "retention of objects": (
        "storage/buckets/films-modeldrop-state",
        {"retentionPolicy": {"retentionPeriod": "86400", "isLocked": False}},
        "bucket gs://films-modeldrop-state: retentionPolicy.retentionPeriod is 86400, declared not set",
    ),
    "hold of objects": (
        "storage/buckets/films-modeldrop-state",
        {"defaultEventBasedHold": True},
        "bucket gs://films-modeldrop-state: defaultEventBasedHold is True, declared False",
    ),
    "public access": (
        "storage/buckets/films-modeldrop-models",
        {"iamConfiguration": {"publicAccessPrevention": "inherited", "uniformBucketLevelAccess": {"enabled": True}}},
        "bucket gs://films-modeldrop-models: iamConfiguration.publicAccessPrevention is inherited, declared enforced",
    ),
    "retention of held messages": (
        "pubsub/projects/films/subscriptions/modeldrop-dead-letters-hold",
        {"messageRetentionDuration": "600s"},
        "subscription modeldrop-dead-letters-hold, which holds the messages of modeldrop-dead-letters: "
        "messageRetentionDuration is 600s, declared 604800s",
    ),
    "memory": (
        f"cloudfunctions/{LOCATION}/functions/modeldrop-predict",
        {"serviceConfig": {"availableMemory": "128Mi"}},
        "function predict: serviceConfig.availableMemory is 128Mi, declared 512Mi",
    ),
    "dead letters": (
        "pubsub/projects/films/subscriptions/eventarc-us-central1-modeldrop-predict-000001-sub-1",
        {"deadLetterPolicy": {}},
        "retry and dead letters of predict: deadLetterPolicy.deadLetterTopic is not set, "
        "declared projects/films/topics/modeldrop-dead-letters",
    ),
    "schedule": (
        f"cloudscheduler/{LOCATION}/jobs/modeldrop-poll",
        {"schedule": "0 0 1 1 *"},
        "schedule poll: schedule is 0 0 1 1 *, declared * * * * *",
    ),
    "alert": (
        "monitoring/projects/films/alertPolicies/1",
        {"enabled": False},
        "alert dead-letters: enabled is False, declared True",
    ),
    "condition of an alert": (
        "monitoring/projects/films/alertPolicies/2",
        {"conditions": []},
        "alert stuck: conditions.count is 0, declared 1",
    ),
    "metric": (
        "logging/projects/films/metrics/modeldrop_bugs",
        {"filter": "severity>=ERROR"},
        "metric modeldrop_bugs: filter is severity>=ERROR, declared",
    ),
    "dashboard": (
        "monitoring/dashboards/modeldrop",
        {"displayName": "Mine"},
        "dashboard modeldrop: displayName is Mine, declared Modeldrop",
    ),
}


def change(resource: dict[str, Any], fields: dict[str, Any]) -> None:
    for name, value in fields.items():
        merges = name == "serviceConfig"
        resource[name] = {**resource[name], **value} if merges else value


@pytest.mark.parametrize("drift", DRIFTS)
def test_drift_is_shown_and_mended(applied: Deployer, drift: str) -> None:
    name, fields, shown = DRIFTS[drift]
    change(applied.project.resources[name], fields)

    assert [line for line in applied.differences() if line.startswith(f"~ {shown}")]
    assert applied.project.changes() == []
    applied.apply()

    assert applied.differences() == []


def test_an_unchanged_project_has_no_differences(applied: Deployer) -> None:
    assert applied.differences() == []


def test_everything_of_a_new_project_is_shown_as_new(deployer: Deployer) -> None:
    deployer.project.enabled |= {
        f"{api}.googleapis.com" for api in ("cloudresourcemanager", "iam", "storage", "pubsub")
    }
    deployer.project.enabled |= {f"{api}.googleapis.com" for api in ("cloudfunctions", "run", "cloudscheduler")}
    deployer.project.enabled |= {"logging.googleapis.com", "monitoring.googleapis.com"}

    shown = deployer.differences()

    assert {line[0] for line in shown} == {"+"}
    assert {"+ bucket gs://films-modeldrop-models", "+ function predict", "+ retry and dead letters of predict"} <= set(
        shown
    )


def test_the_location_of_a_bucket_cannot_be_mended(applied: Deployer) -> None:
    applied.project.resources["storage/buckets/films-modeldrop-models"]["location"] = "EU"

    with pytest.raises(CommandFailedError, match=r"location is EU, declared us-central1, and this cannot be changed"):
        applied.apply()


def test_a_changed_source_builds_every_function_again_and_an_unchanged_one_builds_none(
    applied: Deployer, monkeypatch: pytest.MonkeyPatch
) -> None:
    applied.apply()
    assert not applied.project.called("cloudfunctions.functions.update")

    monkeypatch.setattr("deploy.plan.source_hash", lambda: "0123456789abcdef")
    applied.apply()

    assert len(applied.project.called("cloudfunctions.functions.update")) == len(applied.declaration.functions)


def test_a_changed_setting_deploys_the_functions_again(applied: Deployer) -> None:
    applied.change(settings={"SETTLE_SECONDS": "5"})

    assert (
        "~ function predict: serviceConfig.environmentVariables.SETTLE_SECONDS is not set, declared 5"
        in applied.differences()
    )
    applied.apply()

    function = applied.project.resources[f"cloudfunctions/{LOCATION}/functions/modeldrop-predict"]
    assert function["serviceConfig"]["environmentVariables"]["SETTLE_SECONDS"] == "5"


def test_a_role_that_has_left_the_declaration_is_revoked(applied: Deployer) -> None:
    runtime = applied.declaration.accounts["runtime"]
    narrowed = runtime.model_copy(update={"roles": ("roles/bigquery.jobUser",)})
    applied.change(accounts={**applied.declaration.accounts, "runtime": narrowed}, datasets=None, features={})

    assert f"- roles/bigquery.dataEditor on films for {RUNTIME}" in applied.differences()
    applied.apply()

    assert {
        role for name, role, member in applied.project.grants() if member == RUNTIME and name.endswith("films")
    } == {"roles/bigquery.jobUser"}


def test_roles_of_other_members_are_left_alone(applied: Deployer) -> None:
    grant = ("cloudresourcemanager/projects/films", "roles/bigquery.dataEditor", "user:ada@example.com")
    applied.project.grant(*grant)
    applied.apply()

    assert grant in applied.project.grants()


def test_a_grant_with_somebody_elses_condition_is_left_alone(applied: Deployer) -> None:
    policy = applied.project.policies["cloudresourcemanager/projects/films"]
    condition = {"title": "until spring", "expression": "request.time < timestamp('2027-03-01T00:00:00Z')"}
    policy["bindings"].append({"role": "roles/viewer", "members": [RUNTIME], "condition": condition})
    applied.apply()

    assert ("cloudresourcemanager/projects/films", "roles/viewer", RUNTIME) in applied.project.grants()


@pytest.mark.parametrize(
    ("resource", "role"),
    [
        ("pubsub/projects/films/topics/modeldrop-batch", "roles/pubsub.publisher"),
        ("storage/buckets/films-modeldrop-models", "roles/storage.objectAdmin"),
        (f"run/{LOCATION}/services/modeldrop-submit-batch", "roles/run.invoker"),
    ],
)
def test_a_member_who_is_not_declared_cannot_publish_upload_or_call(
    applied: Deployer, resource: str, role: str
) -> None:
    applied.project.grant(resource, role, "user:eve@example.com")
    applied.apply()

    assert not [grant for grant in applied.project.grants() if grant[2] == "user:eve@example.com"]


def test_named_datasets_replace_the_role_on_the_project(applied: Deployer) -> None:
    datasets = applied.declaration.datasets
    assert datasets is not None
    writable = datasets.writable.model_copy(update={"names": ("predictions",)})
    applied.change(datasets=datasets.model_copy(update={"writable": writable}))
    applied.apply()

    bindings = applied.project.policies["cloudresourcemanager/projects/films"]["bindings"]
    (editors,) = [each for each in bindings if each["role"] == "roles/bigquery.dataEditor"]
    assert editors["condition"]["title"] == "modeldrop"
    assert applied.differences() == []


def test_a_resource_of_somebody_else_is_not_removed(applied: Deployer) -> None:
    applied.project.resources["pubsub/projects/films/topics/orders"] = {"name": "projects/films/topics/orders"}
    applied.apply()

    assert "orders" in applied.project.names("topics")


@pytest.mark.parametrize(
    ("declared", "found"),
    [
        (0.083, "83m"),
        (2, "2000m"),
        (0, None),
        (604800, "604800"),
        ("us-central1", "US-CENTRAL1"),
        (True, True),
        (240000.0, 240000),
        (2, "2.0"),
        ("https://poll.a.run.app", "https://poll.a.run.app/"),
        ({"A": "1"}, {"A": "1", "LOG_EXECUTION_ID": "true"}),
    ],
)
def test_values_that_mean_the_same_do_not_differ(declared: object, found: object) -> None:
    assert list(differences({"field": declared}, {"field": found})) == []


@pytest.mark.parametrize(
    ("declared", "found"), [(0, "604800"), ("512Mi", None), ({"A": "1"}, {"A": "1", "B": "2"}), (True, False)]
)
def test_values_that_mean_something_else_differ(declared: object, found: object) -> None:
    assert len(list(differences({"field": declared}, {"field": found}))) == 1
