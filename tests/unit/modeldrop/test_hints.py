"""What the command tells people to type is right for their project, environment and local cloud."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.declared import read
from localcloud.running import StateFile
from modeldrop.commands.why import _nothing
from modeldrop.history.finding import Found
from modeldrop.history.stories import story_of, story_of_ignored
from modeldrop.project import DECLARATION, Project, find_project
from shared.drops.contents.layout import misplaced
from shared.work import Item, Outcome
from shared.work_facts import Rollback
from tests.conftest import variables
from tests.example_requests import NOW, batch_item, import_item, prediction_item
from tests.paths import ROOT

KEY = "a" * 32
PATH = "gs://local-project-modeldrop-models/films/genres/2/"
RETRY = f'--message=\'{{"action": "retry_failed_rows", "key": "{KEY}"}}\''
AGAIN = f'--message=\'{{"action": "import", "path": "{PATH}"}}\''
UNPIN = '--message=\'{"action": "unpin", "model": "local-project.films.genres"}\''


@pytest.fixture
def staging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """An environment of a project of Google Cloud."""
    path = tmp_path / "functions.yaml"
    text = DECLARATION.read_text(encoding="utf-8").replace("environments: {}", "environments: {staging: {}}")
    path.write_text(text, encoding="utf-8")
    monkeypatch.setattr("modeldrop.project.DECLARATION", path)
    with variables({}):
        return find_project("films", environment="staging")


def items() -> Iterator[Item]:
    """Yield work whose next step is a command: open, a failed import, a rollback, and a batch that lacks answers."""
    yield prediction_item()
    yield import_item().end(Outcome.FAILED, NOW)
    request = import_item().request
    yield replace(import_item(), request=replace(request, rollback=Rollback("1"))).end(Outcome.ROLLED_BACK, NOW)  # type: ignore[call-arg]
    yield batch_item().end(Outcome.PARTIALLY_SUCCEEDED, NOW)


def typed(project: Project) -> list[str]:
    """Return the commands that stories of ``project`` suggest."""
    advice = [story_of(item, project).next for item in items()]
    return [re.search(r"(modeldrop (exec|wait)|gcloud).*", text)[0] for text in advice]  # type: ignore[index]


def test_hints_about_an_environment_name_its_project_topics_and_buckets(staging: Project) -> None:
    publish = "gcloud pubsub topics publish modeldrop-staging-{} --project=films {}"

    assert typed(staging) == [
        f"modeldrop wait {KEY} --project films --env staging",
        publish.format("models", AGAIN),
        publish.format("models", UNPIN),
        publish.format("batch", RETRY),
    ]
    found = misplaced("genres.onnx")
    assert found is not None
    move = story_of_ignored("gs://films-modeldrop-staging-models/genres.onnx", found, staging).next
    assert " gs://films-modeldrop-staging-models/" in move.partition(".onnx")[2]
    assert "modeldrop deploy --env staging dead-letters list --project films" in _nothing(Found("x"), staging)


def test_hints_in_a_shell_of_a_local_cloud_need_no_options(running: StateFile) -> None:
    publish = "gcloud pubsub topics publish modeldrop-{} {}"

    assert typed(find_project(None)) == [
        f"modeldrop wait {KEY}",
        publish.format("models", AGAIN),
        publish.format("models", UNPIN),
        publish.format("batch", RETRY),
    ]


@pytest.mark.parametrize("names_port", [False, True])
def test_hints_about_a_local_cloud_of_another_shell_set_its_variables(running: StateFile, names_port: bool) -> None:
    del os.environ["LOCALCLOUD_ID"]
    port = int(running.environment["LOCALCLOUD_URL"].rpartition(":")[2]) if names_port else None
    option = f" --port {port}" if names_port else ""
    prefix = f"modeldrop exec{option} -- "

    project = find_project(None, port)

    assert typed(project) == [
        f"modeldrop wait {KEY}{option}",
        f"{prefix}gcloud pubsub topics publish modeldrop-models {AGAIN}",
        f"{prefix}gcloud pubsub topics publish modeldrop-models {UNPIN}",
        f"{prefix}gcloud pubsub topics publish modeldrop-batch {RETRY}",
    ]
    assert _nothing(Found("x"), project).endswith(f"{prefix}modeldrop deploy dead-letters list")


def declared_names() -> set[str]:
    """Return the names of resources in the declaration, as they are without an environment."""
    declaration = read()
    topics = declaration.topics.values()
    return {
        *(topic.name for topic in topics),
        *(topic.hold for topic in topics if topic.hold),
        *(function.service for function in declaration.functions.values()),
        *(schedule.job for schedule in declaration.schedules.values()),
        *(account.id for account in declaration.accounts.values()),
        *(bucket.name.replace("{project}-", "") for bucket in declaration.buckets.values()),
    }


def texts(file: Path) -> Iterator[tuple[int, str]]:
    """Yield the texts in the code of a file that are not its documentation, with their lines."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            yield node.lineno, node.value


def test_no_text_of_the_code_has_a_name_of_the_declaration() -> None:
    """Names differ between environments, so texts take them from settings or from the declaration."""
    names = declared_names()
    files = [
        file
        for folder in ("shared", "functions", "modeldrop", "demo", "deploy", "localcloud")
        for file in (ROOT / folder).rglob("*.py")
        if any(name in file.read_text(encoding="utf-8") for name in names)
    ]

    found = [
        f"{file.relative_to(ROOT)}:{line}: {name}"
        for file in files
        for line, text in texts(file)
        for name in names
        if name in text
    ]
    assert found == []
