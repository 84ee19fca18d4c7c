"""What the commands say when they cannot read a project."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from google.api_core import exceptions
from google.auth import exceptions as auth_exceptions

from modeldrop.__main__ import main
from modeldrop.commands.failures import explain
from modeldrop.project import Project
from shared.cloud.storage import STORAGE
from shared.errors import TryLater
from tests.conftest import variables
from tests.unit.modeldrop.conftest import Run, printed_json
from tests.unit.shared.conftest import World

TOPICS = tuple(f"projects/my-project/topics/{name}" for name in ("events", "models", "batch"))
PROJECT = Project("my-project", "my-models", "my-state", *TOPICS, is_local=False)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            exceptions.NotFound("The specified bucket does not exist."),
            "not deployed in the project my-project, or there is",
        ),
        (
            exceptions.Forbidden("ada@example.com does not have storage.objects.list access"),
            "on the buckets my-models and",
        ),
        (exceptions.PermissionDenied("no pubsub.subscriptions.create"), "`events -f` also roles/pubsub.editor"),
        (
            exceptions.Unauthorized("Invalid Credentials"),
            "Invalid Credentials): run `gcloud auth application-default login`",
        ),
        (
            auth_exceptions.RefreshError("Reauthentication is needed.\n{...}"),
            "(Reauthentication is needed): run `gcloud",
        ),
        (auth_exceptions.TransportError("no route"), "Google Cloud does not answer: no route."),
        (exceptions.ServiceUnavailable("later"), "did not answer as expected: later."),
        (TryLater("the ledger did not answer"), "did not answer as expected: the ledger did not answer."),
    ],
)
def test_an_error_says_what_is_missing_and_what_to_do(error: Exception, text: str) -> None:
    assert text in explain(error, PROJECT)


def test_a_missing_deployment_of_an_environment_is_explained_with_its_option() -> None:
    said = explain(exceptions.NotFound("no such bucket"), replace(PROJECT, environment="staging"))
    assert "`modeldrop deploy --env staging plan --project my-project` shows what would be created." in said


def test_an_error_of_ours_is_explained_by_the_error_that_it_was_raised_from() -> None:
    with pytest.raises(TryLater) as raised, STORAGE.call("list ledger/"):
        raise exceptions.Forbidden("ada@example.com does not have storage.objects.list access")
    assert explain(raised.value, PROJECT).startswith(
        "You may not read the project my-project: ada@example.com does not"
    )


@pytest.mark.parametrize("command", [["status"], ["why", "news.publisher"], ["events"], ["events", "-f"], ["logs"]])
def test_a_command_without_credentials_says_how_to_log_in(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with variables({"NO_GCE_CHECK": "true", "CLOUDSDK_CONFIG": str(tmp_path)}):
        done = CliRunner().invoke(main, [*command, "--project", "my-project"])
    assert done.exit_code == 2
    expected = "Error: There are no credentials for Google Cloud: run `gcloud auth application-default login`.\n"
    assert done.output == expected


def test_a_project_without_its_buckets_says_so(world: World, run: Run) -> None:
    world.state.delete()
    done = run("status", "--project", "local-project")
    assert done.exit_code == 2
    assert "The local cloud does not have what Modeldrop needs: " in done.output
    assert len(done.output.splitlines()) == 1


def test_the_name_of_the_local_project_means_the_local_cloud(run: Run) -> None:
    shown = printed_json(run("status", "--json", "--project", "local-project"))
    assert (shown["project"], shown["local"]) == ("local-project", True)


def test_a_local_cloud_that_lacks_something_is_not_said_to_be_undeployed() -> None:
    said = explain(exceptions.NotFound("no such bucket"), replace(PROJECT, is_local=True))
    assert said == "The local cloud does not have what Modeldrop needs: no such bucket."
