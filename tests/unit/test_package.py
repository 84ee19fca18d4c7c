"""The package that `pip wheel .` builds."""

from __future__ import annotations

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
    files = (ROOT / "requirements.txt", ROOT / "requirements-cli.txt")

    lines = {line.lower() for file in files for line in file.read_text().splitlines() if line[:1] not in {"", "#"}}

    assert {each.lower() for each in required if "extra ==" not in each} == lines


def test_the_wheel_has_the_license(wheel: zipfile.ZipFile) -> None:
    (license_file,) = (name for name in wheel.namelist() if Path(name).name == "LICENSE")

    assert b"Apache License" in wheel.read(license_file)
