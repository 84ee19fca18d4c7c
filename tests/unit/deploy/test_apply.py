"""`apply` creates everything once and can be repeated; `destroy` deletes it again. Both stop if they cannot read."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.__main__ import main
from deploy.applying.cloud import CommandFailedError
from deploy.planning.foundation import SERVICES
from tests.control_plane.errors import not_found
from tests.control_plane.project import FakeProject
from tests.unit.deploy.conftest import Deployer

EVENT_FUNCTIONS = ("import_model", "notice_deletion", "predict", "submit_batch_message", "poll_part", "manage_model")
SUBSCRIPTION = "pubsub/projects/films/subscriptions/eventarc-us-central1-{}-000001-sub-1"


def subscription(deployer: Deployer, name: str) -> dict[str, object]:
    """Return the subscription that Eventarc created for the function ``name``."""
    return deployer.project.resources[SUBSCRIPTION.format(deployer.declaration.functions[name].service)]


def kept_or_created(project: FakeProject) -> set[str]:
    """Return the kinds of the resources that exist."""
    return {name.split("/")[-2] for name in project.resources}


def test_apply_creates_everything_that_is_declared(applied: Deployer) -> None:
    declaration, project = applied.declaration, applied.project

    assert project.names("serviceAccounts") == {each.email("films") for each in declaration.accounts.values()}
    assert project.names("buckets") == {each.name_in("films") for each in declaration.buckets.values()}
    assert project.names("topics") == {each.name for each in declaration.topics.values()}
    assert project.names("subscriptions") >= {"modeldrop-events-log", "modeldrop-dead-letters-hold"}
    assert project.names("functions") == {each.service for each in declaration.functions.values()}
    assert project.names("jobs") == {"modeldrop-poll"}
    job = project.resources["cloudscheduler/projects/films/locations/us-central1/jobs/modeldrop-poll"]
    assert job["httpTarget"]["uri"] == "https://modeldrop-poll-jobs-abc-uc.a.run.app"


def test_every_event_function_gets_dead_letters(applied: Deployer) -> None:
    for name in EVENT_FUNCTIONS:
        found = subscription(applied, name)
        assert found["deadLetterPolicy"] == {
            "deadLetterTopic": "projects/films/topics/modeldrop-dead-letters",
            "maxDeliveryAttempts": 20,
        }
        assert found["ackDeadlineSeconds"] == 600


def test_every_api_that_a_command_calls_is_enabled(applied: Deployer) -> None:
    called = {call.service for call in applied.project.calls}
    applied.destroy(with_data=True)
    called |= {call.service for call in applied.project.calls}

    assert called <= set(SERVICES)


def test_a_second_apply_changes_nothing(applied: Deployer) -> None:
    before = {name: dict(each) for name, each in applied.project.resources.items()}
    applied.apply()

    assert applied.project.resources == before
    assert {call.permission for call in applied.project.changes()} == {
        "serviceusage.services.enable",
        "serviceusage.services.generateServiceIdentity",
    }
    assert "function predict: unchanged" in applied.lines


def test_googles_agents_exist_before_a_role_is_granted_to_them(deployer: Deployer) -> None:
    deployer.apply()

    permissions = [call.permission for call in deployer.project.calls]
    last_agent = len(permissions) - permissions[::-1].index("serviceusage.services.generateServiceIdentity")
    assert last_agent < permissions.index("cloudfunctions.functions.create")
    assert ("cloudresourcemanager/projects/films", "roles/eventarc.serviceAgent") in {
        grant[:2] for grant in deployer.project.grants()
    }


KEY = "projects/keys/locations/us-central1/keyRings/films/cryptoKeys/models"
ENCRYPTION = "serviceAccount:bq-4242@bigquery-encryption.iam.gserviceaccount.com"


def test_bigquery_may_use_the_declared_keys_once_the_feature_is_on(deployer: Deployer) -> None:
    deployer.project.resources[f"cloudkms/{KEY}"] = {"name": KEY}
    features = deployer.declaration.features
    named = features["customer_keys"].model_copy(update={"keys": (KEY,)})
    deployer.change(features={**features, "customer_keys": named})
    deployer.apply()
    assert "cloudkms.googleapis.com" not in deployer.project.enabled
    assert ENCRYPTION not in {member for _, _, member in deployer.project.grants()}

    deployer.change(features={**features, "customer_keys": named.model_copy(update={"enabled": True})})
    deployer.apply()

    assert (f"cloudkms/{KEY}", "roles/cloudkms.cryptoKeyEncrypterDecrypter", ENCRYPTION) in deployer.project.grants()
    assert deployer.differences() == []


def test_destroy_keeps_data_unless_it_is_asked_for(applied: Deployer) -> None:
    assert applied.destroy() == []

    assert kept_or_created(applied.project) == {"buckets", "topics", "subscriptions"}
    assert applied.project.names("topics") == {"modeldrop-events", "modeldrop-dead-letters"}

    assert applied.destroy(with_data=True) == []

    assert applied.project.resources == {}


def test_destroy_revokes_every_grant_of_our_accounts(applied: Deployer) -> None:
    applied.destroy()

    assert not [member for _, _, member in applied.project.grants() if "modeldrop-" in member]


@pytest.mark.parametrize("moods", [{"denied": {"*.get", "*.getIamPolicy"}}, {"failing": {"pubsub.topics.get": 500}}])
def test_destroy_stops_if_it_cannot_read_what_exists(applied: Deployer, moods: dict[str, object]) -> None:
    before = set(applied.project.resources)
    for mood, value in moods.items():
        setattr(applied.project, mood, value)

    with pytest.raises(CommandFailedError, match=r"Permission '.*\.get' denied|Internal error"):
        applied.destroy(with_data=True)

    assert not [line for line in applied.lines if line.endswith("does not exist")]
    assert "denied" not in moods or set(applied.project.resources) == before


def test_destroy_stops_if_the_project_does_not_exist(applied: Deployer) -> None:
    applied.project.id = "another"

    with pytest.raises(CommandFailedError, match="films"):
        applied.destroy()


@pytest.mark.parametrize(
    ("permission", "status"),
    [("pubsub.topics.get", 403), ("storage.buckets.get", 500), ("iam.serviceAccounts.get", 403)],
)
def test_apply_creates_nothing_where_it_cannot_read(deployer: Deployer, permission: str, status: int) -> None:
    deployer.project.failing = {permission: status}

    with pytest.raises(CommandFailedError):
        deployer.apply()

    assert not deployer.project.called(permission.replace(".get", ".create"))


def test_destroy_continues_after_a_deletion_that_fails(applied: Deployer) -> None:
    applied.project.failing = {"cloudfunctions.functions.delete": 500}

    failures = applied.destroy()

    assert len(failures) == len(applied.declaration.functions)
    assert "gcloud functions delete modeldrop-manage-model" in failures[0]
    assert applied.project.names("jobs") == set()


def test_what_is_gone_before_destroy_deletes_it_is_no_failure(applied: Deployer) -> None:
    applied.project.errors["monitoring.alertPolicies.delete"] = not_found("projects/films/alertPolicies/1")

    assert applied.destroy() == []

    assert "alert stuck: does not exist any more" in applied.lines


def test_apply_stops_at_the_first_failure_and_prints_the_command(deployer: Deployer) -> None:
    deployer.project.failing = {"pubsub.topics.create": 403}

    with pytest.raises(CommandFailedError, match=r"gcloud pubsub topics create modeldrop-predict"):
        deployer.apply()

    assert deployer.project.names("functions") == set()


def test_apply_can_be_repeated_after_a_failure(deployer: Deployer) -> None:
    deployer.project.failing = {"pubsub.topics.create": 403}
    with pytest.raises(CommandFailedError):
        deployer.apply()
    deployer.project.failing = {}

    deployer.apply()

    assert "modeldrop-predict" in deployer.project.names("functions")


@pytest.mark.parametrize("failure", ["the last function's build", "the right to call a function"])
def test_a_deployment_that_fails_half_way_leaves_no_function_without_dead_letters(
    deployer: Deployer, failure: str
) -> None:
    if failure == "the last function's build":
        deployer.project.build_failures = {"modeldrop-manage-model"}
    else:
        deployer.project.failing = {"run.services.setIamPolicy": 403}

    with pytest.raises(CommandFailedError, match="modeldrop-"):
        deployer.apply()

    services = deployer.project.names("functions")
    deployed = [name for name in EVENT_FUNCTIONS if deployer.declaration.functions[name].service in services]
    assert deployed
    for name in deployed:
        assert "deadLetterPolicy" in subscription(deployer, name), name


def test_a_bucket_of_another_project_is_refused(deployer: Deployer) -> None:
    deployer.project.foreign_buckets["films-modeldrop-models"] = "666"

    with pytest.raises(CommandFailedError, match=r"projectNumber is 666, declared 4242.* belongs to another project"):
        deployer.apply()

    assert not deployer.project.called("storage.buckets.update")


def test_a_bucket_of_another_project_is_not_deleted(applied: Deployer) -> None:
    del applied.project.resources["storage/buckets/films-modeldrop-models"]
    applied.project.foreign_buckets["films-modeldrop-models"] = "666"

    with pytest.raises(CommandFailedError, match="belongs to another project"):
        applied.destroy(with_data=True)

    assert not [call for call in applied.project.called("storage.buckets.delete") if "models" in call.path]


def test_what_destroy_would_delete_is_read_without_a_change(applied: Deployer) -> None:
    deleted = {removal.about for removal in applied.removals() if removal.command}

    assert "function predict" in deleted
    assert "bucket gs://films-modeldrop-models" not in deleted
    assert applied.project.changes() == []


def test_a_wrong_declaration_is_refused_before_any_command_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "wrong.yaml").write_text("region: the moon\n", encoding="utf-8")

    assert main(["--declaration", str(tmp_path / "wrong.yaml"), "apply", "--project", "films"]) == 1

    assert "wrong.yaml, line 1: region is 'the moon'; expected a region" in capsys.readouterr().err


def test_the_command_runs_gcloud_as_a_process(tmp_path: Path) -> None:
    gcloud = tmp_path / "gcloud"
    gcloud.write_text('#!/bin/sh\necho "$@" >> "$0.log"; echo "ERROR: PERMISSION_DENIED: no" >&2; exit 1\n')
    gcloud.chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "GOOGLE_CLOUD_PROJECT": "films"}

    done = subprocess.run(
        [sys.executable, "-m", "deploy", "apply"], env=environment, capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert "PERMISSION_DENIED: no" in done.stderr
    assert (tmp_path / "gcloud.log").read_text().startswith("services enable aiplatform.googleapis.com ")
