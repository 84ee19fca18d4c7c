"""The project that `--project` and `--env` mean."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from modeldrop.__main__ import main
from modeldrop.project import DECLARATION, find_project
from tests.conftest import variables
from tests.unit.modeldrop.conftest import Run


@pytest.fixture
def staging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The declaration of this test has the environment `staging`."""
    text = DECLARATION.read_text(encoding="utf-8").replace("environments: {}", "environments: {staging: {}}")
    path = tmp_path / "functions.yaml"
    path.write_text(text, encoding="utf-8")
    monkeypatch.setattr("modeldrop.project.DECLARATION", path)


def test_an_environment_has_its_own_buckets_and_topic(staging: None) -> None:
    with variables({}):
        found = find_project("films", environment="staging")

    assert (found.model_bucket, found.state_bucket) == (
        "films-modeldrop-staging-models",
        "films-modeldrop-staging-state",
    )
    assert found.events_topic == "projects/films/topics/modeldrop-staging-events"
    assert not found.is_local


def test_the_project_of_an_environment_may_be_that_of_the_shell(staging: None) -> None:
    with variables({"GOOGLE_CLOUD_PROJECT": "films"}):
        os.environ.pop("LOCALCLOUD_ID", None)
        assert find_project(None, environment="staging").state_bucket == "films-modeldrop-staging-state"


@pytest.mark.parametrize("command", [["status"], ["why", "news.publisher"], ["logs"]])
def test_an_environment_that_is_not_declared_is_refused_with_the_declared_ones(
    staging: None, command: list[str]
) -> None:
    done = CliRunner().invoke(main, [*command, "--project", "films", "--env", "stagin"])

    assert done.exit_code == 2
    assert "environments has no stagin; did you mean staging? There are: staging" in done.output


def test_a_local_cloud_has_no_environments(staging: None, run: Run) -> None:
    done = run("status", "--env", "staging")

    assert done.exit_code == 2
    assert "A local cloud has no environments" in done.output
