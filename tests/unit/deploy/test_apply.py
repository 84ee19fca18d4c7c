"""`apply` creates everything once, can be repeated, and `destroy` deletes it again.

The commands run as processes. In place of gcloud the PATH has a program that remembers the resources, and fails as gcloud
does when a command describes or deletes a resource that does not exist.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.declared import read
from tests.waiting import LAST_LIMIT

GCLOUD = """\
#!{python} -ISE
import json, os.path, sys

state_file = os.path.join(os.path.dirname(__file__), "state.json")
with open(state_file) as file:
    state = json.load(file)

def save():
    with open(state_file, "w") as file:
        json.dump(state, file)

words = [word for word in sys.argv[1:] if not word.startswith("--")]
flags = dict(word[2:].partition("=")[::2] for word in sys.argv[1:] if word.startswith("--"))

VERBS = ("create", "describe", "update", "delete", "deploy", "enable", "rm", "service-agent",
         "add-iam-policy-binding", "remove-iam-policy-binding", "add-invoker-policy-binding")
place = next(index for index, word in enumerate(words) if word in VERBS)
verb, names = words[place], [word for word in words[place + 1:] if word != "http"]
group = " ".join(words[:place])
name = names[0].split("@")[0] if names else ""
resource = ("storage buckets" if verb == "rm" else group) + " " + name
binding = f"binding {{group}} {{names[0]}} {{flags.get('member')}} {{flags.get('role')}}" if names else ""

def fail(reason):
    sys.exit(f"ERROR: {{reason}}")

state["commands"].append(sys.argv[1:])
save()
if " ".join(sys.argv[1:]).startswith(tuple(state["failing"])):
    fail("PERMISSION_DENIED")
if verb in ("describe", "update", "delete", "rm") and resource not in state["there"] and not resource.startswith(
    ("projects", "eventarc", "pubsub subscriptions projects/")
):
    fail("NOT_FOUND: " + resource)
if verb == "create" and resource in state["there"]:
    fail("ALREADY_EXISTS: " + resource)
if verb in ("create", "deploy") and resource not in state["there"]:
    state["there"].append(resource)
if verb in ("delete", "rm"):
    state["there"].remove(resource)
if verb.startswith("add-") and binding not in state["there"]:
    state["there"].append(binding)
if verb == "remove-iam-policy-binding":
    if binding not in state["there"]:
        fail("Policy binding with the specified principal and role not found!")
    state["there"].remove(binding)
save()
answers = {{
    "value(projectNumber)": "4242",
    "value(serviceConfig.uri)": f"https://{{name}}.example",
    "value(eventTrigger.trigger)": f"projects/films/locations/us-central1/triggers/{{name}}",
    "value(transport.pubsub.subscription)": "projects/films/subscriptions/eventarc-" + name.rpartition("/")[2],
}}
print("storage-agent@example" if verb == "service-agent" else answers.get(flags.get("format"), ""))
"""


@dataclass(frozen=True)
class Project:
    """A project that only the program in place of gcloud knows."""

    folder: Path

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"PATH": f"{self.folder}:{os.environ['PATH']}", "GOOGLE_CLOUD_PROJECT": "films"}
        command = [sys.executable, "-m", "deploy", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=LAST_LIMIT)

    def resources(self) -> set[str]:
        return set(self._state()["there"])

    def commands(self) -> list[list[str]]:
        return self._state()["commands"]

    def fail(self, *beginnings: str) -> None:
        self._save(self._state() | {"failing": beginnings})

    def forget_commands(self) -> None:
        self._save(self._state() | {"commands": []})

    def _state(self) -> dict[str, list]:
        return json.loads((self.folder / "state.json").read_text(encoding="utf-8"))

    def _save(self, state: dict[str, object]) -> None:
        (self.folder / "state.json").write_text(json.dumps(state), encoding="utf-8")


def empty_project(folder: Path) -> Project:
    gcloud = folder / "gcloud"
    gcloud.write_text(GCLOUD.format(python=sys.executable), encoding="utf-8")
    gcloud.chmod(0o755)
    (folder / "state.json").write_text('{"there": [], "commands": [], "failing": []}', encoding="utf-8")
    return Project(folder)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return empty_project(tmp_path)


@pytest.fixture(scope="module")
def applied_once(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project after one `apply`, which no test changes."""
    project = empty_project(tmp_path_factory.mktemp("applied"))
    applied = project.run("apply")
    assert applied.returncode == 0, applied.stderr
    return project


@pytest.fixture
def applied(project: Project, applied_once: Project) -> Project:
    """A project with everything that `apply` creates."""
    shutil.copy(applied_once.folder / "state.json", project.folder)
    project.forget_commands()
    return project


def created(resources: set[str]) -> set[str]:
    return {resource for resource in resources if not resource.startswith("binding")}


def test_apply_creates_everything(applied_once: Project) -> None:
    declaration = read()
    assert created(applied_once.resources()) == {
        *(f"iam service-accounts {account.id}" for account in declaration.accounts.values()),
        *(f"storage buckets gs://{bucket.name_in('films')}" for bucket in declaration.buckets.values()),
        *(f"pubsub topics {topic.name}" for topic in declaration.topics.values()),
        "pubsub subscriptions modeldrop-events-log",
        "pubsub subscriptions modeldrop-dead-letters-hold",
        *(f"functions {function.service}" for function in declaration.functions.values()),
        "scheduler jobs modeldrop-poll",
    }
    tuned = {words[3] for words in applied_once.commands() if words[:3] == ["pubsub", "subscriptions", "update"]}
    assert tuned == {
        "projects/films/subscriptions/eventarc-modeldrop-import-model",
        "projects/films/subscriptions/eventarc-modeldrop-notice-deletion",
        "projects/films/subscriptions/eventarc-modeldrop-predict",
        "projects/films/subscriptions/eventarc-modeldrop-submit-batch-message",
        "projects/films/subscriptions/eventarc-modeldrop-manage-model",
    }
    (job,) = [words for words in applied_once.commands() if words[:4] == ["scheduler", "jobs", "create", "http"]]
    assert "--uri=https://modeldrop-poll-jobs.example" in job


@pytest.mark.matrix
def test_a_second_apply_updates_and_creates_nothing(applied: Project, applied_once: Project) -> None:
    again = applied.run("apply")

    assert again.returncode == 0, again.stderr
    assert applied.resources() == applied_once.resources()
    assert not [words for words in applied.commands() if "create" in words]
    assert "schedule poll: updated" in again.stdout.splitlines()
    assert "topic modeldrop-predict: exists already" in again.stdout.splitlines()


@pytest.mark.long
def test_destroy_keeps_data_unless_told_otherwise(applied: Project) -> None:
    destroyed = applied.run("destroy", "--yes")

    assert destroyed.returncode == 0, destroyed.stderr
    assert created(applied.resources()) == {
        *(f"storage buckets gs://{bucket.name_in('films')}" for bucket in read().buckets.values()),
        *(f"pubsub topics {name}" for name in ("modeldrop-events", "modeldrop-dead-letters")),
        *(f"pubsub subscriptions {name}" for name in ("modeldrop-events-log", "modeldrop-dead-letters-hold")),
    }
    assert not [resource for resource in applied.resources() if "modeldrop-runtime" in resource]

    destroyed = applied.run("destroy", "--yes", "--with-data")

    assert destroyed.returncode == 0, destroyed.stderr
    assert created(applied.resources()) == set()


def test_destroy_without_yes_deletes_nothing(project: Project) -> None:
    shown = project.run("destroy")

    assert shown.returncode == 1
    assert "function predict" in shown.stdout
    assert "bucket" not in shown.stdout
    assert project.commands() == []


def test_apply_stops_at_the_first_failure_and_prints_the_command(project: Project) -> None:
    project.fail("pubsub topics create")

    applied = project.run("apply")

    assert applied.returncode == 1
    assert "gcloud pubsub topics create modeldrop-predict" in applied.stderr
    assert "PERMISSION_DENIED" in applied.stderr
    assert not [resource for resource in project.resources() if resource.startswith("functions")]


@pytest.mark.matrix
def test_apply_can_be_repeated_after_a_failure(project: Project) -> None:
    project.fail("functions deploy modeldrop-predict")
    assert project.run("apply").returncode == 1
    project.fail("nothing")

    assert project.run("apply").returncode == 0
    assert "functions modeldrop-predict" in project.resources()


@pytest.mark.matrix
def test_destroy_continues_after_a_failure_and_reports_it_at_the_end(applied: Project) -> None:
    applied.fail("functions delete modeldrop-predict")

    destroyed = applied.run("destroy", "--yes")

    assert destroyed.returncode == 1
    assert "gcloud functions delete modeldrop-predict" in destroyed.stderr
    assert {name for name in applied.resources() if name.startswith("functions")} == {"functions modeldrop-predict"}


def test_plan_runs_nothing(project: Project) -> None:
    assert project.run("plan").returncode == 0
    assert project.commands() == []


def test_a_wrong_declaration_is_refused_before_any_command_runs(project: Project, tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text("region: the moon\n", encoding="utf-8")

    refused = project.run("--declaration", str(tmp_path / "wrong.yaml"), "apply")

    assert refused.returncode == 1
    assert "wrong.yaml, line 1: region is 'the moon'; expected a region" in refused.stderr
    assert project.commands() == []
