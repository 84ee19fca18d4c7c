"""`deploy smoke` refuses to begin where it cannot work. The trial itself is in tests/e2e."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.__main__ import main
from deploy.declared import DECLARATION
from deploy.smoke.removal import Removal


def test_it_does_not_try_another_project_than_that_of_the_local_cloud(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "local-project")
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", "127.0.0.1:1")

    assert main(["smoke", "--project", "films"]) == 1

    assert "The variables of a local cloud are set (PUBSUB_EMULATOR_HOST)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("names", "options", "reason"),
    [
        ("news", [], "may only write to the datasets news: name one of them with --dataset: news"),
        ("news", ["--dataset", "films"], "may only write to the datasets news: name one of them with --dataset: news"),
        ("others.news", [], "may only write to the datasets others.news: declare one of films, too"),
        ("", ["--dataset", "others.news"], "--dataset is others.news; expected a dataset of films"),
    ],
)
def test_it_needs_a_dataset_that_the_functions_may_write_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], names: str, options: list[str], reason: str
) -> None:
    declaration = tmp_path / "functions.yaml"
    text = DECLARATION.read_text(encoding="utf-8")
    declaration.write_text(text.replace("WRITABLE_DATASETS, names: []", f"WRITABLE_DATASETS, names: [{names}]"))

    assert main(["--declaration", str(declaration), "smoke", "--project", "films", *options]) == 1

    assert reason in capsys.readouterr().err


def test_what_cannot_be_removed_is_named_and_everything_else_is_removed() -> None:
    removal, removed = Removal(), []

    def fail() -> None:
        raise OSError("no answer")

    removal.add("subscription s", lambda: removed.append("s"))
    removal.add("dataset d", fail)
    removal.add("object o", lambda: removed.append("o"))

    assert list(removal.run()) == ["dataset d: no answer"]
    assert removed == ["o", "s"]
