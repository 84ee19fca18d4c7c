"""The package that `pip wheel .` builds."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from tests.paths import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel of this source, built with the tools of the group `dev`, so that nothing is downloaded."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", str(ROOT), "--no-deps", "--no-build-isolation", "-w", str(folder)]
    build = subprocess.run(command, capture_output=True, text=True, check=False)
    assert build.returncode == 0, build.stderr
    (path,) = folder.glob("modeldrop-*.whl")
    return zipfile.ZipFile(path)


def test_the_wheel_has_every_package_with_its_types(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())

    assert "main.py" in names
    for package in ("deploy", "functions", "localcloud", "modeldrop", "shared"):
        sources = {str(path.relative_to(ROOT)) for path in (ROOT / package).rglob("*.py")}
        assert sources <= names
        assert f"{package}/py.typed" in names


def test_the_wheel_requires_what_the_functions_and_the_command_require(wheel: zipfile.ZipFile) -> None:
    (metadata,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    required = Parser().parsestr(wheel.read(metadata).decode()).get_all("Requires-Dist", [])
    files = (ROOT / "requirements-functions.txt", ROOT / "requirements-cli.txt")

    lines = {line.lower() for file in files for line in file.read_text().splitlines() if line[:1] not in {"", "#"}}

    assert {each.lower() for each in required if "extra ==" not in each} == lines


def test_the_wheel_has_the_license(wheel: zipfile.ZipFile) -> None:
    (license_file,) = (name for name in wheel.namelist() if Path(name).name == "LICENSE")

    assert b"Apache License" in wheel.read(license_file)


# Packages of the extra `local` that nothing else needs.
LOCAL_MODULES = ("bqemulator", "croniter", "duckdb", "onnxruntime", "psutil", "sqlglot", "starlette", "uvicorn")


@pytest.fixture(scope="module")
def installed(wheel: zipfile.ZipFile, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the content of the wheel."""
    folder = tmp_path_factory.mktemp("installed")
    wheel.extractall(folder)
    return folder


def without_local_packages(installed: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command of the wheel, which finds no package of the extra `local`."""
    code = (
        f"import sys\nsys.modules.update(dict.fromkeys({LOCAL_MODULES!r}))\n"
        "from modeldrop.__main__ import main\nmain(sys.argv[1:], prog_name='modeldrop')"
    )
    command = [sys.executable, "-P", "-c", code, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    return subprocess.run(command, cwd=installed, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("command", ["start", "demo"])
def test_a_command_without_the_packages_that_it_needs_says_what_to_install(installed: Path, command: str) -> None:
    done = without_local_packages(installed, command)
    assert (done.returncode, done.stdout) == (1, "")
    said = {"start": "pip install 'modeldrop[local]'", "demo": "run it in the source of Modeldrop"}
    assert said[command] in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["status", "check"])
def test_another_command_works_without_the_extra_local(installed: Path, command: str) -> None:
    done = without_local_packages(installed, command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Usage: modeldrop {command}")


def test_each_requirement_of_the_extra_local_is_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    (metadata,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    required = Parser().parsestr(wheel.read(metadata).decode()).get_all("Requires-Dist", [])
    names = {each.split("==")[0].lower() for each in required if "extra == 'local'" in each}
    lines = (ROOT / "requirements-local.txt").read_text().splitlines()
    assert names == {line.split("==")[0].lower() for line in lines if line[:1] not in {"", "#"}}
