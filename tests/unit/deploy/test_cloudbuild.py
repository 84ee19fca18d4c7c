"""cloudbuild.yaml is generated from functions.yaml and deploys every function as declared."""

from __future__ import annotations

import itertools
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from declaration.model import (
    Declaration,
    Function,
    HttpTrigger,
    StorageTrigger,
    TopicTrigger,
)
from deploy.cloudbuild import check_build_yaml, cloudbuild_yaml
from deploy.declared import DECLARATION, read
from deploy.source import source_hash
from tests.discovery import problems
from tests.paths import ROOT

FILE = ROOT / "cloudbuild.yaml"
TEST_FILE = ROOT / "cloudbuild-test.yaml"
PROJECT = "films"
NAMES = sorted(read().functions)


@pytest.fixture(scope="module")
def declaration() -> Declaration:
    return read()


@pytest.fixture(scope="module")
def build() -> dict[str, Any]:
    return yaml.safe_load(FILE.read_text(encoding="utf-8"))


def script(build: dict[str, Any]) -> str:
    """Return the scripts of the build after Cloud Build's substitutions: $$ is a dollar sign, $PROJECT_ID the project."""
    text = "\n".join(step["args"][1] for step in build["steps"])
    text = text.replace("$$", "\0").replace("$PROJECT_ID", PROJECT)
    assert "$" not in text
    return text.replace("\0", "$")


def commands(build: dict[str, Any]) -> list[list[str]]:
    """Return the commands of the script of the build."""
    lines = re.sub(r"\\\n", "", script(build)).splitlines()
    return [shlex.split(line) for line in lines if line.strip().startswith("gcloud ")]


def deploy_arguments(build: dict[str, Any], function: Function) -> list[str]:
    """Return the arguments of the first command that deploys ``function``."""
    return next(words[1:] for words in commands(build) if words[1:4] == ["functions", "deploy", function.service])


def trigger_arguments(function: Function, declaration: Declaration) -> list[str]:
    match function.trigger:
        case HttpTrigger():
            return ["--trigger-http"]
        case StorageTrigger(storage=event_type, bucket=bucket):
            name = declaration.buckets[bucket].name_in(PROJECT)
            return [
                f"--trigger-event-filters=type={event_type}",
                f"--trigger-event-filters=bucket={name}",
                f"--trigger-location={declaration.region}",
                "--trigger-service-account=modeldrop-invoker@films.iam.gserviceaccount.com",
            ]
        case TopicTrigger(topic=topic):
            return [
                f"--trigger-topic={declaration.topics[topic].name}",
                "--trigger-service-account=modeldrop-invoker@films.iam.gserviceaccount.com",
            ]


def test_the_committed_files_are_generated_from_the_declaration(declaration: Declaration) -> None:
    assert FILE.read_text(encoding="utf-8") == cloudbuild_yaml(declaration)
    assert TEST_FILE.read_text(encoding="utf-8") == check_build_yaml(declaration)


def test_the_files_of_an_environment_say_how_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "functions.yaml"
    text = DECLARATION.read_text(encoding="utf-8").replace("environments: {}", "environments: {staging: {}}")
    path.write_text(text, encoding="utf-8")

    written = cloudbuild_yaml(read(path, "staging"))

    assert "`python -m deploy --env staging cloudbuild > cloudbuild.yaml`" in written
    assert "`python -m deploy --env staging apply`" in written


def test_lint_and_tests_run_in_a_build_of_an_account_that_may_only_write_its_log(declaration: Declaration) -> None:
    build = yaml.safe_load(TEST_FILE.read_text(encoding="utf-8"))
    account = declaration.accounts["test"]

    (step,) = build["steps"]
    assert (step["entrypoint"], step["args"]) == ("make", ["lint", "test"])
    assert build["serviceAccount"] == f"projects/$PROJECT_ID/serviceAccounts/{account.email('$PROJECT_ID')}"
    assert account.roles == ("roles/logging.logWriter",)
    assert not (account.bucket_roles or account.topic_roles or account.account_roles)


def test_exactly_the_declared_functions_are_deployed(build: dict[str, Any], declaration: Declaration) -> None:
    deployed = {words[3] for words in commands(build) if words[1:3] == ["functions", "deploy"]}

    assert deployed == {function.service for function in declaration.functions.values()}


def test_what_completes_a_function_follows_its_deployment(build: dict[str, Any]) -> None:
    text = script(build)

    for first, then in itertools.pairwise(
        ["# function predict", "# retry and dead letters of predict", "# function submit_batch"]
    ):
        assert text.index(f"{first}\n") < text.index(f"{then}\n")


# A gcloud that notes its commands, and whose deployments fail after the function exists.
FAILING_GCLOUD = """#!/bin/bash
echo "$*" >> "${0}.commands"
case "$*" in
  "functions deploy "*) echo "ERROR: the container does not start" >&2; exit 7 ;;
  *" describe "*) echo "found" ;;
esac
"""


def test_a_deployment_that_fails_gets_its_dead_letters_and_fails(tmp_path: Path, build: dict[str, Any]) -> None:
    gcloud = tmp_path / "gcloud"
    gcloud.write_text(FAILING_GCLOUD, encoding="utf-8")
    gcloud.chmod(0o755)
    step = next(step for step in build["steps"] if step["id"] == "function-predict")
    environment = {"PATH": f"{tmp_path}:{Path(sys.executable).parent}:/usr/bin:/bin"}

    ended = subprocess.run(["bash", "-c", script({"steps": [step]})], cwd=ROOT, env=environment, check=False)

    assert ended.returncode == 7
    done = (tmp_path / "gcloud.commands").read_text(encoding="utf-8").splitlines()
    (completing,) = [line for line in done if line.startswith("pubsub subscriptions update found ")]
    assert "--dead-letter-topic=projects/films/topics/modeldrop-dead-letters" in completing
    assert any(line.startswith("run services add-iam-policy-binding modeldrop-predict ") for line in done)


@pytest.mark.parametrize("name", NAMES)
def test_a_function_is_deployed_as_declared(build: dict[str, Any], declaration: Declaration, name: str) -> None:
    function = declaration.functions[name]
    arguments = deploy_arguments(build, function)

    expected = [
        f"--entry-point={name}",
        f"--region={declaration.region}",
        f"--runtime={declaration.runtime}",
        f"--memory={function.memory}",
        f"--timeout={function.timeout_seconds}s",
        f"--concurrency={function.concurrency}",
        "--service-account=modeldrop-runtime@films.iam.gserviceaccount.com",
    ]
    assert not set(expected) - set(arguments)
    assert [word for word in arguments if word.startswith("--trigger-")] == trigger_arguments(function, declaration)
    assert ("--retry" in arguments) is not isinstance(function.trigger, HttpTrigger)


@pytest.mark.parametrize("name", NAMES)
def test_a_function_gets_the_declared_names(build: dict[str, Any], declaration: Declaration, name: str) -> None:
    (flag,) = [
        word for word in deploy_arguments(build, declaration.functions[name]) if word.startswith("--set-env-vars=")
    ]
    variables = dict(pair.split("=") for pair in flag.removeprefix("--set-env-vars=").split(","))

    for bucket in declaration.buckets.values():
        assert variables[bucket.env] == bucket.name_in(PROJECT)
    for topic in declaration.topics.values():
        assert variables[topic.env] == topic.path(PROJECT)


@pytest.mark.parametrize("name", NAMES)
def test_every_function_requires_authentication(build: dict[str, Any], declaration: Declaration, name: str) -> None:
    assert "--no-allow-unauthenticated" in deploy_arguments(build, declaration.functions[name])


def test_no_function_is_public() -> None:
    text = FILE.read_text(encoding="utf-8")

    assert "--allow-unauthenticated" not in text.replace("--no-allow-unauthenticated", "")
    assert "allUsers" not in text
    assert "allAuthenticatedUsers" not in text


def test_the_build_runs_as_its_own_account_and_sets_its_logging(
    build: dict[str, Any], declaration: Declaration
) -> None:
    account = declaration.accounts["build"].email("$PROJECT_ID")

    assert build["serviceAccount"] == f"projects/$PROJECT_ID/serviceAccounts/{account}"
    assert build["options"]["logging"] == "CLOUD_LOGGING_ONLY"


def test_the_script_is_valid_bash_after_substitution(build: dict[str, Any]) -> None:
    text = script(build)

    assert subprocess.run(["bash", "-n"], input=text, text=True, check=False).returncode == 0
    assert '"${PREDICT_SUBSCRIPTION}"' in text
    assert "--dead-letter-topic=projects/films/topics/modeldrop-dead-letters" in text.replace("'", "")
    assert "--oidc-service-account-email=modeldrop-invoker@films.iam.gserviceaccount.com" in text.replace("'", "")


def test_every_image_is_pinned_by_its_digest(build: dict[str, Any]) -> None:
    steps = [*build["steps"], *yaml.safe_load(TEST_FILE.read_text(encoding="utf-8"))["steps"]]

    assert {
        step["name"] for step in steps if not re.fullmatch(r"[\w./-]+:[\w.-]+@sha256:[0-9a-f]{64}", step["name"])
    } == set()


@pytest.mark.parametrize("name", NAMES)
def test_a_build_labels_a_function_with_the_hash_of_its_source(
    build: dict[str, Any], declaration: Declaration, name: str
) -> None:
    (labels,) = [
        word for word in deploy_arguments(build, declaration.functions[name]) if word.startswith("--update-labels=")
    ]
    assert labels == "--update-labels=modeldrop-declaration=modeldrop,modeldrop-source=${SOURCE_HASH}"
    assert "SOURCE_HASH=$(python3 -m deploy.source)\n" in script(build)


def test_the_hash_that_a_build_finds_out_is_that_of_apply() -> None:
    # Google's image has Python without packages.
    command = [sys.executable, "-S", "-m", "deploy.source"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert printed.strip() == source_hash()


def test_no_argument_is_longer_than_cloud_build_allows(build: dict[str, Any]) -> None:
    """https://cloud.google.com/build/docs/build-config-file-schema"""
    assert max(len(argument) for step in build["steps"] for argument in step["args"]) < 10_000


def test_the_documentation_counts_the_builds(declaration: Declaration) -> None:
    text = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    words = ("six", "seven", "eight", "nine", "ten")
    [counted] = re.findall(r"So there are (\w+)\s+builds", text)

    assert words.index(counted) + 6 == len(declaration.functions)


def test_steps_run_one_after_another(build: dict[str, Any]) -> None:
    """A new project's quota allows few builds at once, and each function is a build of its own."""
    assert not [step for step in build["steps"] if "waitFor" in step]
    assert len({step["id"] for step in build["steps"]}) == len(build["steps"])


@pytest.mark.parametrize("file", [FILE, TEST_FILE], ids=lambda file: file.name)
def test_a_build_is_valid_by_the_published_description(file: Path) -> None:
    build = yaml.safe_load(file.read_text(encoding="utf-8"))

    assert problems(build, "cloudbuild.v1", "Build") == []
    assert problems({**build, "step": []}, "cloudbuild.v1", "Build") == ["Build has no field step"]
