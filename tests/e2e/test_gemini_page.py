"""The examples of docs/gemini.md, run as printed."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from tests.foreign_models.environments import environment as environment_of
from tests.paths import ROOT
from tests.waiting import LAST_LIMIT

pytestmark = pytest.mark.long

PAGE = (ROOT / "docs" / "gemini.md").read_text()
CLIENTS = PAGE.partition("## Clients")[2].partition("\n## ")[0]
PYTHON = re.findall(r"```python\n(.*?)```", CLIENTS, re.DOTALL)
COMMANDS = re.findall(r"^\$ (.+)$", CLIENTS, re.MULTILINE)
PRINTED = ["JOB_STATE_SUCCEEDED\nEcho: Hello", "JOB_STATE_SUCCEEDED gen_ai_batch_prediction.predictions_", " 6\n"]
ANSWERED = ['"Echo: Hello"', '"batchPredictionJobs"', ""]


@pytest.mark.usefixtures("cloud")
def test_the_python_examples_run_and_print_the_answers(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(PYTHON) == len(PRINTED)
    for code, printed in zip(PYTHON, PRINTED, strict=True):
        exec(compile(code, "docs/gemini.md", "exec"), {"__name__": "example"})
        assert printed in capsys.readouterr().out


@pytest.mark.matrix
def test_the_example_of_google_genai_runs_with_version_3(environment: dict[str, str]) -> None:
    done = subprocess.run(
        [str(environment_of("google-genai")), "-c", PYTHON[0]],
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        timeout=LAST_LIMIT,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == PRINTED[0]


@pytest.mark.parametrize(("command", "answer"), list(zip(COMMANDS, ANSWERED, strict=True)))
def test_a_command_of_the_page_gets_an_answer(environment: dict[str, str], command: str, answer: str) -> None:
    program = command.split()[0]
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed here; installing it runs this test")
    done = subprocess.run(
        ["bash", "-c", command],
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        timeout=LAST_LIMIT,
    )
    assert done.returncode == 0, done.stderr
    assert answer in done.stdout
