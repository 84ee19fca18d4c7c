"""`deploy check` says whether a local cloud has what is declared, and which checks it does not allow."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from deploy.__main__ import main
from deploy.checking.local import NOT_MADE
from deploy.declared import DECLARATION
from localcloud.cloud import LocalCloud
from localcloud.config import CloudConfig
from tests.conftest import variables
from tests.e2e.world import World


def check(world: World, capsys: pytest.CaptureFixture[str], *options: str, **changed: str) -> tuple[int, list[Any]]:
    """Run the command with ``changed`` variables; return its exit code and the findings."""
    with variables({**world.environment, **changed}):
        code = main([*options, "check", "--json"])
    return code, json.loads(capsys.readouterr().out)


def wrong(findings: list[Mapping[str, str]]) -> list[str]:
    return [f"{each['check']}: {each['message']}" for each in findings if each["status"] == "wrong"]


def test_a_local_cloud_has_what_is_declared_and_checks_of_google_cloud_are_not_made(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    code, findings = check(world, capsys)

    found = {each["check"]: each for each in findings}
    assert code == 0
    assert {name for name in NOT_MADE if found[name]["status"] == "not_made"} == NOT_MADE.keys()
    assert found["functions"]["message"] == "all 8 run as declared"
    assert found["schedules"]["message"] == "as declared: modeldrop-poll"
    others = found.keys() - NOT_MADE.keys() - {"runtime"}
    assert {found[name]["status"] for name in others} == {"ok"}


@pytest.mark.parametrize(
    ("right", "other", "message"),
    [
        ('"{project}-{name}-output"', '"{project}-results"', "buckets: gs://local-project-results does not exist"),
        ('predict: {name: "{name}-predict"', 'predict: {name: "asked"', "topics: asked does not exist"),
        ('hold: "{name}-events-log"', 'hold: "kept"', "subscriptions: kept does not exist"),
        (
            'cron: "* * * * *"',
            'cron: "*/5 * * * *"',
            "schedules: modeldrop-poll differs: schedule is * * * * *, declared */5 * * * *",
        ),
        ("functions:\n  import_model:", "functions:\n  import_it:", "functions: import_it does not exist"),
        (
            "trigger: {topic: work}",
            "trigger: {topic: batch}",
            "functions: poll_part differs: trigger.topic is work, declared batch",
        ),
        ("concurrency: 32", "concurrency: 33", "functions: predict differs: concurrency is 32, declared 33"),
        ("WRITABLE_DATASETS, names: []", "WRITABLE_DATASETS, names: [news]", "datasets: news does not exist"),
    ],
)
def test_what_the_local_cloud_does_not_have_is_named(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str], right: str, other: str, message: str
) -> None:
    text = DECLARATION.read_text(encoding="utf-8")
    assert right in text
    declaration = tmp_path / "functions.yaml"
    declaration.write_text(text.replace(right, other))

    code, findings = check(world, capsys, "--declaration", str(declaration))

    assert (code, wrong(findings)) == (1, [message])


def test_another_region_is_wrong_for_what_has_a_location(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    declaration = tmp_path / "functions.yaml"
    declaration.write_text(DECLARATION.read_text(encoding="utf-8").replace("us-central1\n", "europe-west1\n"))

    _, findings = check(world, capsys, "--declaration", str(declaration))

    assert wrong(findings)[0] == "region: the local cloud is in us-central1, and europe-west1 is declared"
    assert "differs: location is US-CENTRAL1, declared EUROPE-WEST1" in wrong(findings)[1]


def test_keys_are_not_checked_because_the_local_cloud_has_none(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = "projects/films/locations/us-central1/keyRings/ring/cryptoKeys/key"
    declaration = tmp_path / "functions.yaml"
    text = DECLARATION.read_text(encoding="utf-8")
    declaration.write_text(text.replace("enabled: false\n    keys: []", f"enabled: true\n    keys: [{key}]"))

    _, findings = check(world, capsys, "--declaration", str(declaration))

    assert {"keys": "not_made"}.items() <= {each["check"]: each["status"] for each in findings}.items()


def test_a_local_cloud_that_does_not_answer_is_wrong(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    code, findings = check(world, capsys, LOCALCLOUD_URL="http://127.0.0.1:1")

    assert code == 1
    assert len(findings) == 1
    assert findings[0]["message"].startswith("does not answer: ")
    assert "python -m localcloud start" in findings[0]["fix"]


@pytest.mark.long
def test_a_local_cloud_without_functions_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    with variables({}):
        cloud = LocalCloud(CloudConfig(with_functions=False, with_samples=False))
        cloud.start()
    try:
        with variables(cloud.environment()):
            code = main(["check", "--json"])
    finally:
        cloud.stop()

    assert code == 1
    assert wrong(json.loads(capsys.readouterr().out)) == ["functions: the local cloud was started without functions"]


def test_an_environment_of_the_declaration_does_not_run_on_a_local_cloud(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    declaration = tmp_path / "functions.yaml"
    text = DECLARATION.read_text(encoding="utf-8")
    declaration.write_text(text.replace("environments: {}", "environments: {staging: {}}"))

    code, findings = check(world, capsys, "--declaration", str(declaration), "--env", "staging")

    assert code == 1
    assert [each["fix"] for each in findings] == ["Leave --env staging out."]
