"""The examples in docs/models.md run as printed.

Most of them run in `make test-all`; those of libraries that are not in the environment of the tests, in others.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from modeldrop.__main__ import main
from modeldrop.check import check
from modeldrop.exporters.exports import EXPORTERS
from shared.drops.manifest import read_manifest
from shared.models.request import ACTIONS, ManageRequest
from tests.example_requests import NOW, SETTINGS
from tests.foreign_models.environments import environment
from tests.paths import ROOT

PAGE = (ROOT / "docs" / "models.md").read_text()
HERE = ["XGBoost", *(pytest.param(name, marks=pytest.mark.matrix) for name in ("scikit-learn", "Keras", "ONNX"))]
APART = {"PyTorch": "pytorch", "LightGBM": "lightgbm"}


def section(heading: str) -> tuple[str, list[list[str]]]:
    """Return the Python code under a heading, and the commands after it."""
    text = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert text is not None
    [code] = re.findall(r"^```python\n(.*?)^```$", text[1], re.MULTILINE | re.DOTALL)
    commands = re.findall(r"^\$ modeldrop (.*)$", text[1], re.MULTILINE)
    assert commands
    return code, [shlex.split(command) for command in commands]


def test_the_example_of_a_manifest_is_valid() -> None:
    [example] = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    manifest = read_manifest(example.encode(), "p-project")
    assert manifest.check and manifest.prediction and manifest.registry_id == "prices"
    assert manifest.deployment and manifest.deployment.endpoint == "prices"


def test_every_message_about_a_model_has_an_example_that_is_valid() -> None:
    messages = [json.loads(text) for text in re.findall(r"^\| `(\{\"action\".*?\})` \|", PAGE, re.MULTILINE)]
    settings = replace(SETTINGS, model_bucket="BUCKET")
    assert {ManageRequest.parse(each, settings, NOW).action for each in messages} == set(ACTIONS)


def written_folder(commands: list[list[str]]) -> Path:
    return Path(commands[0][2])


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("heading", HERE)
@pytest.mark.long
def test_an_example_writes_a_model_that_predicts(heading: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code, commands = section(heading)

    exec(compile(code, "the example", "exec"), {})
    assert check(written_folder(commands)).ok

    for command in commands:
        done = CliRunner().invoke(main, command)
        assert done.exit_code == 0, done.output
    assert [command[0] for command in commands] == ["export", "try"]


@pytest.mark.matrix
@pytest.mark.parametrize("heading", APART)
def test_an_example_of_another_environment_writes_a_model(heading: str, tmp_path: Path) -> None:
    code, commands = section(heading)
    python = environment(APART[heading])
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}
    runs = [["-c", code], *(["-m", "modeldrop", *command] for command in commands)]

    for arguments in runs:
        done = subprocess.run(
            [str(python), "-W", "ignore", *arguments], cwd=tmp_path, env=variables, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr

    assert check(tmp_path / written_folder(commands)).ok


def test_every_library_has_an_example() -> None:
    names = {"keras": "Keras", "lightgbm": "LightGBM", "onnx": "ONNX", "sklearn": "scikit-learn", "torch": "PyTorch"}
    headings = set(re.findall(r"^## (.*)$", PAGE.split("\n# Models of each library\n")[1], re.MULTILINE))

    assert {names.get(package, "XGBoost") for package in EXPORTERS} == headings
