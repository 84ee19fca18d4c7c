"""A project whose ledger and buckets are in a local Cloud Storage, found as a local cloud is found."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from localcloud.running import StateFile
from modeldrop.__main__ import main
from modeldrop.project import Project, find_project
from tests.conftest import variables
from tests.example_requests import PROJECT
from tests.unit.shared.conftest import LocalServices, World, local_services, world

__all__ = ["local_services", "world"]

Run = Callable[..., Result]


@pytest.fixture
def running(
    local_services: LocalServices, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[StateFile]:
    """The state file of a local cloud with the buckets of ``world``, in the folder of this test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LOCALCLOUD_STATE", raising=False)
    settings = world.services.settings
    environment = {
        **local_services.environment,
        "MODEL_BUCKET": settings.model_bucket,
        "STATE_BUCKET": settings.state_bucket,
        "EVENTS_TOPIC": settings.events_topic,
        "MODELS_TOPIC": f"projects/{PROJECT}/topics/modeldrop-models",
        "BATCH_TOPIC": f"projects/{PROJECT}/topics/modeldrop-batch",
        "LOCALCLOUD_ID": "this",
        "LOCALCLOUD_URL": local_services.environment["STORAGE_EMULATOR_HOST"],
    }
    with variables(environment):
        file = StateFile(environment)
        yield file
        file.delete()


@pytest.fixture
def project(running: StateFile) -> Project:
    """The project of the local cloud."""
    return find_project(None)


@pytest.fixture
def run(running: StateFile) -> Run:
    """Runs `modeldrop` with arguments."""

    def invoke(*arguments: str) -> Result:
        done = CliRunner().invoke(main, arguments)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done

    return invoke


def printed_json(done: Result) -> Any:
    """Return the JSON that a command printed."""
    return json.loads(done.stdout)
