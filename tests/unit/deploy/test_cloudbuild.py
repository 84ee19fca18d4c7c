"""cloudbuild.yaml is generated from functions.yaml and deploys every function as declared."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import googleapiclient.discovery_cache
import pytest
import yaml

from declaration.model import (
    Declaration,
    Function,
    HttpTrigger,
    StorageTrigger,
    TopicTrigger,
)
from deploy.cloudbuild import cloudbuild_yaml
from deploy.declared import read
from tests.paths import ROOT

FILE = ROOT / "cloudbuild.yaml"
DISCOVERY = Path(googleapiclient.discovery_cache.__file__).parent / "documents" / "cloudbuild.v1.json"
NAMES = sorted(read().functions)


@pytest.fixture(scope="module")
def declaration() -> Declaration:
    return read()


@pytest.fixture(scope="module")
def build() -> dict[str, Any]:
    return yaml.safe_load(FILE.read_text(encoding="utf-8"))


def deploy_arguments(build: dict[str, Any], function: Function) -> list[str]:
    """Return the arguments of the one step that deploys ``function``."""
    (arguments,) = [
        step["args"] for step in build["steps"] if step["args"][:3] == ["functions", "deploy", function.service]
    ]
    return arguments


def trigger_arguments(function: Function, declaration: Declaration) -> list[str]:
    match function.trigger:
        case HttpTrigger():
            return ["--trigger-http"]
        case StorageTrigger(storage=event_type, bucket=bucket):
            name = declaration.buckets[bucket].name_in("$PROJECT_ID")
            return [
                f"--trigger-event-filters=type={event_type}",
                f"--trigger-event-filters=bucket={name}",
                f"--trigger-location={declaration.region}",
                "--trigger-service-account=modeldrop-invoker@$PROJECT_ID.iam.gserviceaccount.com",
            ]
        case TopicTrigger(topic=topic):
            return [
                f"--trigger-topic={declaration.topics[topic].name}",
                "--trigger-service-account=modeldrop-invoker@$PROJECT_ID.iam.gserviceaccount.com",
            ]


def test_the_committed_file_is_generated_from_the_declaration(declaration: Declaration) -> None:
    assert FILE.read_text(encoding="utf-8") == cloudbuild_yaml(declaration)


def test_lint_and_tests_run_before_anything_is_deployed(build: dict[str, Any]) -> None:
    first, *others = build["steps"]

    assert (first["entrypoint"], first["args"]) == ("make", ["lint", "test"])
    assert all(step["waitFor"] for step in others)
    ids = [step["id"] for step in build["steps"]]
    assert len(set(ids)) == len(ids)
    assert all(set(step["waitFor"]) <= set(ids[:place]) for place, step in enumerate(others, start=1))


def test_exactly_the_declared_functions_are_deployed(build: dict[str, Any], declaration: Declaration) -> None:
    deployed = [step["args"][2] for step in build["steps"] if step["args"][:2] == ["functions", "deploy"]]

    assert sorted(deployed) == sorted(function.service for function in declaration.functions.values())


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
        "--service-account=modeldrop-runtime@$PROJECT_ID.iam.gserviceaccount.com",
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
        assert variables[bucket.env] == bucket.name_in("$PROJECT_ID")
    for topic in declaration.topics.values():
        assert variables[topic.env] == f"projects/$PROJECT_ID/topics/{topic.name}"


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


def test_the_script_of_the_last_step_is_valid_bash_after_substitution(build: dict[str, Any]) -> None:
    last = build["steps"][-1]
    # Cloud Build replaces $$ with a dollar sign and $PROJECT_ID with the project, and refuses other names.
    script = last["args"][1].replace("$$", "\0").replace("$PROJECT_ID", "films")
    assert "$" not in script
    script = script.replace("\0", "$")

    assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0
    assert '"${PREDICT_SUBSCRIPTION}"' in script
    assert "--dead-letter-topic=projects/films/topics/modeldrop-dead-letters" in script.replace("'", "")
    assert "--oidc-service-account-email=modeldrop-invoker@films.iam.gserviceaccount.com" in script.replace("'", "")


def test_every_field_is_one_of_cloud_build(build: dict[str, Any]) -> None:
    schemas = json.loads(DISCOVERY.read_text(encoding="utf-8"))["schemas"]

    assert set(build) <= set(schemas["Build"]["properties"])
    assert set(build["options"]) <= set(schemas["BuildOptions"]["properties"])
    assert all(set(step) <= set(schemas["BuildStep"]["properties"]) for step in build["steps"])
    for option in ("logging", "machineType"):
        assert build["options"][option] in schemas["BuildOptions"]["properties"][option]["enum"]
