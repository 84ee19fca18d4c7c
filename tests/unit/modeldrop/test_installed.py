"""The command `modeldrop` from a wheel, in an environment that has nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from localcloud.running import StateFile
from tests.paths import ROOT

Command = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.matrix


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the programs in an environment with the wheel and what it requires."""
    folder = tmp_path_factory.mktemp("installed")
    build = [sys.executable, "-m", "pip", "wheel", str(ROOT), "--no-deps", "--no-build-isolation", "-w", str(folder)]
    subprocess.run(build, check=True, capture_output=True)
    subprocess.run([sys.executable, "-m", "venv", str(folder / "environment")], check=True)
    scripts = folder / "environment" / "bin"
    [wheel] = folder.glob("modeldrop-*.whl")
    install = [
        str(scripts / "python"),
        "-m",
        "pip",
        "install",
        "--quiet",
        str(wheel),
        "-c",
        str(ROOT / "constraints.txt"),
    ]
    subprocess.run(install, check=True, capture_output=True)
    return scripts


@pytest.fixture
def command(scripts: Path, tmp_path: Path) -> Command:
    """Runs the installed `modeldrop` outside the source."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
        return subprocess.run(
            [str(scripts / "modeldrop"), *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True
        )

    return run


def test_the_environment_has_no_package_of_the_local_cloud(scripts: Path) -> None:
    listed = subprocess.run([str(scripts / "python"), "-m", "pip", "list"], capture_output=True, text=True, check=True)

    names = {line.split()[0].lower() for line in listed.stdout.splitlines()}
    assert not names & {"tensorflow", "tensorflow-cpu", "onnxruntime", "duckdb", "bqemulator", "xgboost", "pyarrow"}


@pytest.mark.parametrize("name", ["status", "why", "wait", "events", "logs", "check", "export", "try", "exec"])
def test_each_command_shows_its_help(command: Command, name: str) -> None:
    done = command(name, "--help")

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"Usage: modeldrop {name}")


def test_status_reads_the_ledger(running: StateFile, command: Command) -> None:
    done = command("status")

    assert done.returncode == 0, done.stderr
    assert "Project local-project (local cloud)" in done.stdout


def test_deploy_reads_the_installed_declaration(command: Command) -> None:
    done = command("deploy", "plan", "--project", "my-project")

    assert done.returncode == 0, done.stderr
    assert "gcloud" in done.stdout


@pytest.mark.parametrize("name", ["start", "demo"])
def test_a_command_that_needs_more_says_what_to_install(command: Command, name: str) -> None:
    done = command(name)

    assert done.returncode == 1
    assert "pip install 'modeldrop[local]'" in done.stderr or "in the source of Modeldrop" in done.stderr
