"""`deploy check` says what is in the way of `apply`, and changes nothing."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator

import pytest

from deploy.applying.cloud import Cloud
from deploy.applying.passing import Patience
from deploy.checking import command, permissions
from deploy.checking.checks import Checks
from deploy.checking.findings import Finding, Status
from deploy.planning.foundation import SERVICES, services
from tests.control_plane.errors import ApiError
from tests.control_plane.project import FakeProject
from tests.control_plane.server import serving
from tests.unit.deploy.conftest import Deployer

REST_APIS = ("CLOUDRESOURCEMANAGER", "SERVICEUSAGE", "CLOUDKMS", "BIGQUERY")
KEY = "projects/keys/locations/us-central1/keyRings/films/cryptoKeys/models"
ENCRYPTION = "serviceAccount:bq-4242@bigquery-encryption.iam.gserviceaccount.com"
ENCRYPTER = "roles/cloudkms.cryptoKeyEncrypterDecrypter"


@pytest.fixture(autouse=True)
def served(project: FakeProject, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Lead the calls that do not pass gcloud to the project."""
    with serving(project) as url:
        for api in REST_APIS:
            monkeypatch.setenv(f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{api}", f"{url}/{api.lower()}/")
        yield


def cloud_of(deployer: Deployer) -> Cloud:
    return Cloud(deployer.plan().lookups, runner=deployer.gcloud, patience=Patience(limit_seconds=0))


def check(deployer: Deployer) -> list[Finding]:
    """Run the checks, and see that they change nothing."""
    deployer.project.calls.clear()
    findings = list(Checks(deployer.declaration, "films", deployer.plan(), cloud_of(deployer)).run())
    assert deployer.project.changes() == []
    return findings


def wrong(deployer: Deployer) -> list[Finding]:
    return [finding for finding in check(deployer) if finding.status is Status.WRONG]


def test_nothing_is_wrong_with_a_new_project(deployer: Deployer) -> None:
    findings = check(deployer)

    assert {finding.status for finding in findings} == {Status.OK, Status.BY_APPLY, Status.UNKNOWN}
    (apis,) = [finding for finding in findings if finding.check == "APIs"]
    assert apis.status is Status.BY_APPLY
    assert all(service in apis.message for service in SERVICES if service != "serviceusage.googleapis.com")
    assert "gcloud services enable aiplatform.googleapis.com" in apis.fix
    unread = [finding for finding in findings if finding.message == "not known before its API is enabled"]
    assert {finding.status for finding in unread} == {Status.UNKNOWN}
    assert "rights" in {finding.check for finding in unread}


def test_a_project_with_apis_gets_everything_else_from_apply(deployer: Deployer) -> None:
    deployer.project.enabled.update(SERVICES)

    found = {finding.check: finding.status for finding in check(deployer)}

    assert found["names of functions"] is found["names of accounts"] is Status.BY_APPLY
    assert found["bucket gs://films-modeldrop-models"] is Status.BY_APPLY
    assert found["agent of eventarc.googleapis.com"] is Status.BY_APPLY
    assert found["rights"] is found["billing"] is found["quota of CPUs"] is Status.OK


def test_everything_is_ok_after_apply(applied: Deployer) -> None:
    assert {finding.status for finding in check(applied) if finding.check != "quota of builds"} == {Status.OK}


def take_function(project: FakeProject) -> None:
    location = "projects/films/locations/us-central1"
    function = {"name": f"{location}/functions/modeldrop-predict", "labels": {"team": "others"}}
    project.resources[f"cloudfunctions/{location}/functions/modeldrop-predict"] = function


def take_account(project: FakeProject) -> None:
    email = "modeldrop-runtime@films.iam.gserviceaccount.com"
    name = f"projects/films/serviceAccounts/{email}"
    project.resources[f"iam/{name}"] = {"name": name, "email": email, "description": "of others"}


def take_topic(project: FakeProject) -> None:
    name = "projects/films/topics/modeldrop-events"
    project.resources[f"pubsub/{name}"] = {"name": name}


PERIMETER = ApiError(
    403,
    "PERMISSION_DENIED",
    "Request is prohibited by organization's policy. vpcServiceControlsUniqueIdentifier: VQQnKf",
)
NO_SUCH_REGION = ApiError(
    403, "PERMISSION_DENIED", "Permission denied on 'locations/us-central1' (or it may not exist)."
)
MOODS: dict[str, tuple[Callable[[FakeProject], object], str, str]] = {
    "not logged in": (lambda project: setattr(project, "account", None), "login", "gcloud auth login"),
    "another project": (lambda project: setattr(project, "id", "others"), "project", "gcloud projects list"),
    "deleted project": (
        lambda project: setattr(project, "state", "DELETE_REQUESTED"),
        "project",
        "gcloud projects undelete films",
    ),
    "no billing": (lambda project: setattr(project, "billing", False), "billing", "gcloud billing projects link films"),
    "few rights": (
        lambda project: project.denied.add("pubsub.topics.setIamPolicy"),
        "rights",
        "gcloud projects add-iam-policy-binding films --member=user:ada@example.com --role=roles/pubsub.admin",
    ),
    "small quota": (lambda project: project.cpu_limits.update({"us-central1": 19_000}), "quota of CPUs", "predict"),
    "taken function": (take_function, "names of functions", "modeldrop-predict"),
    "taken account": (take_account, "names of accounts", "modeldrop-runtime"),
    "taken topic": (take_topic, "names of topics", "modeldrop-events"),
    "taken bucket": (
        lambda project: project.foreign_buckets.update({"films-modeldrop-state": "99"}),
        "bucket gs://films-modeldrop-state",
        "Declare another name",
    ),
    "a perimeter": (
        lambda project: project.errors.update({"resourcemanager.projects.get": PERIMETER}),
        "project",
        "an ingress rule for your account",
    ),
    "unknown region": (
        lambda project: project.errors.update({"cloudfunctions.runtimes.list": NO_SUCH_REGION}),
        "region and runtime",
        "gcloud functions regions list --project=films",
    ),
    "old runtime": (
        lambda project: project.runtimes.update({"python312": "DECOMMISSIONED"}),
        "region and runtime",
        "us-central1 does not have python312; there are: python311, python313, python314",
    ),
    "hidden bucket": (
        lambda project: project.failing.update({"storage.buckets.get": 403}),
        "bucket gs://films-modeldrop-output",
        "Declare another name",
    ),
}


@pytest.mark.parametrize("mood", MOODS)
def test_what_is_in_the_way_is_named_with_what_to_do(deployer: Deployer, mood: str) -> None:
    deployer.project.enabled.update(SERVICES)
    change, name, fix = MOODS[mood]
    change(deployer.project)

    findings = [finding for finding in wrong(deployer) if finding.check == name]

    assert len(findings) == 1
    assert fix in f"{findings[0].message} {findings[0].fix}"


def declare_key(deployer: Deployer, key: str = KEY, **fields: object) -> None:
    """Declare a key, and create it with ``fields`` in place of what BigQuery needs."""
    features = deployer.declaration.features
    customer_keys = features["customer_keys"].model_copy(update={"enabled": True, "keys": (key,)})
    deployer.change(features={**features, "customer_keys": customer_keys})
    deployer.project.enabled.update(services(deployer.declaration))
    version = {"name": f"{key}/cryptoKeyVersions/3", "state": "ENABLED"}
    usable = {"name": key, "purpose": "ENCRYPT_DECRYPT", "primary": version}
    deployer.project.resources[f"cloudkms/{key}"] = {**usable, **fields}


def about_key(deployer: Deployer, key: str = KEY) -> list[Finding]:
    return [finding for finding in check(deployer) if finding.check == f"key {key}"]


def test_a_declared_key_needs_its_api(deployer: Deployer) -> None:
    declare_key(deployer)
    deployer.project.enabled.remove("cloudkms.googleapis.com")

    found = {finding.check: finding for finding in check(deployer)}

    assert found["APIs"].message == "1 of 16 are disabled: cloudkms.googleapis.com"
    assert found[f"key {KEY}"].status is Status.UNKNOWN


def test_apply_lets_bigquery_use_a_declared_key(deployer: Deployer) -> None:
    declare_key(deployer)
    assert [finding.status for finding in about_key(deployer)] == [Status.BY_APPLY]

    deployer.apply()

    assert [finding.status for finding in about_key(deployer)] == [Status.OK]


def test_a_key_of_others_needs_the_role_from_them(deployer: Deployer) -> None:
    declare_key(deployer)
    deployer.project.denied.add("cloudkms.cryptoKeys.setIamPolicy")

    (finding,) = about_key(deployer)

    assert finding.status is Status.WRONG
    assert f"gcloud kms keys add-iam-policy-binding {KEY} --member={ENCRYPTION} --role={ENCRYPTER}" in finding.fix

    deployer.project.grant(f"cloudkms/{KEY}", ENCRYPTER, ENCRYPTION)

    assert [each.status for each in about_key(deployer)] == [Status.OK]


def test_a_key_that_does_not_exist_is_wrong(deployer: Deployer) -> None:
    declare_key(deployer)
    del deployer.project.resources[f"cloudkms/{KEY}"]

    (finding,) = about_key(deployer)

    assert (finding.status, finding.message) == (Status.WRONG, "does not exist")
    assert (
        "gcloud kms keys create models --keyring=films --location=us-central1 --project=keys --purpose=encryption"
        in finding.fix
    )


@pytest.mark.parametrize(
    ("location", "fields", "status", "message", "fix"),
    [
        (
            "us-central1",
            {"purpose": "ASYMMETRIC_SIGN"},
            Status.WRONG,
            "has the purpose ASYMMETRIC_SIGN, and BigQuery needs ENCRYPT_DECRYPT",
            "gcloud kms keys create models-2 --keyring=films --location=us-central1",
        ),
        (
            "us-central1",
            {"primary": {"name": f"{KEY}/cryptoKeyVersions/3", "state": "DISABLED"}},
            Status.WRONG,
            "its primary version is DISABLED, and BigQuery needs ENABLED",
            "gcloud kms keys versions enable 3 --key=models --keyring=films --location=us-central1 --project=keys",
        ),
        (
            "global",
            {},
            Status.WRONG,
            "is in the location global, and BigQuery needs a key in the location of the dataset",
            "gcloud kms keyrings create films --location=us-central1 --project=keys; "
            "gcloud kms keys create models --keyring=films --location=us-central1",
        ),
        (
            "europe-west1",
            {},
            Status.UNKNOWN,
            "only datasets in europe-west1 can use it, and the model bucket is in us-central1",
            "gcloud kms keys create models --keyring=films --location=us-central1",
        ),
    ],
)
def test_a_key_that_bigquery_cannot_use_is_named(
    deployer: Deployer, location: str, fields: dict[str, object], status: Status, message: str, fix: str
) -> None:
    key = KEY.replace("us-central1", location)
    declare_key(deployer, key, **fields)

    unusable, grant = about_key(deployer, key)

    assert unusable.status is status
    assert unusable.message.startswith(message)
    assert fix in unusable.fix
    assert grant.status is Status.BY_APPLY


def test_a_key_of_the_multi_region_fits(deployer: Deployer) -> None:
    key = KEY.replace("us-central1", "us")
    declare_key(deployer, key)

    assert [finding.status for finding in about_key(deployer, key)] == [Status.BY_APPLY]


def test_named_datasets_exist_or_are_named(deployer: Deployer) -> None:
    deployer.project.enabled.update(SERVICES)
    datasets = deployer.declaration.datasets
    assert datasets is not None
    readable = datasets.readable.model_copy(update={"names": ("news", "others.films", "old")})
    writable = datasets.writable.model_copy(update={"names": ("news",)})
    deployer.change(datasets=datasets.model_copy(update={"readable": readable, "writable": writable}))
    for name in ("films/datasets/news", "others/datasets/films"):
        deployer.project.resources[f"bigquery/projects/{name}"] = {"location": "us-central1"}

    found = [finding for finding in check(deployer) if finding.check == "datasets"]

    assert found == [
        Finding("datasets", Status.WRONG, "old does not exist", "bq mk --dataset --location=us-central1 films:old"),
        Finding("datasets", Status.OK, "exist: news, others.films"),
    ]

    deployer.project.denied.add("bigquery.datasets.get")

    unread = [finding for finding in check(deployer) if finding.check == "datasets"]
    assert {finding.status for finding in unread} == {Status.UNKNOWN}
    assert unread[0].message.startswith("news: PERMISSION_DENIED")


@pytest.mark.parametrize("components", [["beta"], ["alpha", "beta"]])
def test_gcloud_without_its_components_is_wrong(deployer: Deployer, components: list[str]) -> None:
    for name in components:
        del deployer.gcloud.components[name]

    assert [finding.fix for finding in wrong(deployer)] == [f"gcloud components install {' '.join(components)}"]


def test_a_missing_gcloud_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    assert command.run(Deployer(FakeProject()).declaration, argparse.Namespace(project="films", json=False)) == 1

    assert "gcloud is not installed, or is not in the PATH" in capsys.readouterr().out


def test_what_cannot_be_read_is_unknown_and_does_not_end_the_checks(deployer: Deployer) -> None:
    deployer.project.enabled.update(SERVICES)
    deployer.project.failing = {"serviceusage.quotas.get": 500, "pubsub.topics.list": 500}

    found = {finding.check: finding for finding in check(deployer)}

    assert found["quota of CPUs"].status is found["names of topics"].status is Status.UNKNOWN
    assert "Internal error" in found["names of topics"].message
    assert found["names of functions"].status is Status.BY_APPLY


def test_a_perimeter_around_storage_is_not_taken_for_a_bucket_of_others(deployer: Deployer) -> None:
    deployer.project.enabled.update(SERVICES)
    deployer.project.errors["storage.buckets.get"] = PERIMETER

    found = {finding.check: finding for finding in check(deployer)}

    bucket = found["bucket gs://films-modeldrop-models"]
    assert bucket.status is Status.UNKNOWN
    assert "an ingress rule for your account" in bucket.fix


def test_every_permission_that_apply_needs_is_checked(deployer: Deployer) -> None:
    deployer.apply()
    needed = {call.permission for call in deployer.project.calls}
    deployer.apply()
    needed |= {call.permission for call in deployer.project.calls}

    # `services enable` gives the right to create the identities of services.
    assert needed - {"serviceusage.services.generateServiceIdentity", ""} <= set(permissions.PERMISSIONS)


def test_the_command_prints_json_and_returns_1_if_something_is_wrong(
    deployer: Deployer, capsys: pytest.CaptureFixture[str]
) -> None:
    deployer.project.enabled.update(SERVICES)
    options = argparse.Namespace(project="films", json=True)

    assert command.run(deployer.declaration, options, cloud_of(deployer)) == 0
    assert {each["status"] for each in json.loads(capsys.readouterr().out)} == {"ok", "by_apply", "unknown"}

    assert command.run(deployer.declaration, argparse.Namespace(project="films", json=False), cloud_of(deployer)) == 0
    assert capsys.readouterr().out.endswith(
        "\nNothing is in the way of `apply`; 1 of 27 checks could not find out. Nothing was changed.\n"
    )

    deployer.project.billing = False

    assert command.run(deployer.declaration, options, cloud_of(deployer)) == 1
    (billing,) = [each for each in json.loads(capsys.readouterr().out) if each["check"] == "billing"]
    assert billing["status"] == "wrong"
    assert "gcloud billing projects link" in billing["fix"]
