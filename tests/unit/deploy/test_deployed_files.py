"""The files that every function is deployed with."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from deploy.planning.deployment import IGNORE_FILE
from deploy.source import deployed_files, source_hash
from tests.paths import ROOT


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The files of a copy of the repository that deploy/gcloudignore leaves, as Git reads such a file.

    The syntax is Git's: https://cloud.google.com/sdk/gcloud/reference/topic/gcloudignore
    """
    source = tmp_path_factory.mktemp("deployed") / "source"
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(".*"))
    subprocess.run(["git", "init", "--quiet", str(source)], check=True)
    listed = subprocess.run(
        ["git", "-C", str(source), "ls-files", "-z", "--others", f"--exclude-from={source / IGNORE_FILE}"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return {name for name in listed.split("\0") if name}


def modules(folder: str) -> set[str]:
    return {str(path.relative_to(ROOT)) for path in (ROOT / folder).rglob("*.py")}


def test_a_function_is_deployed_with_its_modules_and_requirements_only(deployed: set[str]) -> None:
    assert deployed - {"functions/py.typed", "shared/py.typed"} == {
        "main.py",
        "requirements.txt",
        *modules("functions"),
        *modules("shared"),
        # The fields of Gemini's requests, which batches are checked against.
        "shared/batches/inputs/gemini_messages.json",
    }


def test_the_hash_of_the_source_covers_exactly_the_deployed_files(deployed: set[str]) -> None:
    assert {path.relative_to(ROOT).as_posix() for path in deployed_files()} == deployed


def test_the_hash_of_the_source_changes_with_a_file_and_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "main.py").write_text("1")
    hashes = [source_hash(tmp_path)]
    (tmp_path / "main.py").write_text("2")
    hashes.append(source_hash(tmp_path))
    (tmp_path / "shared" / "clock.py").write_text("2")
    hashes.append(source_hash(tmp_path))
    (tmp_path / "README.md").write_text("not deployed")

    assert len(set(hashes)) == 3
    assert source_hash(tmp_path) == hashes[-1]
