"""Runs the tests of Google's Python client of Cloud Storage against a local cloud.

``python -m benchmarks.storage_suites FOLDER system`` runs its system tests, and ``retry`` its retry conformance tests.
FOLDER is a copy of https://github.com/googleapis/python-storage. docs/storage.md lists what fails.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.local import local_cloud

_SUITES = {"system": Path("tests", "system"), "retry": Path("tests", "conformance", "test_conformance.py")}
# What the system tests import, by the name of the package that has it.
_NEEDED = {
    "google-cloud-testutils": "test_utils",
    "google-cloud-kms": "google.cloud.kms",
    "google-cloud-iam": "google.cloud.iam_credentials_v1",
    "mock": "mock",
    "pyopenssl": "OpenSSL",
}
_LONGEST_TEST_SECONDS = 60


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a suite, and return pytest's exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.storage_suites",
        description="Run tests of Google's Python client of Cloud Storage against a new local cloud.",
        epilog="Further arguments go to pytest. docs/storage.md lists what fails.",
    )
    parser.add_argument("folder", type=Path, help="a copy of https://github.com/googleapis/python-storage")
    parser.add_argument("suite", choices=_SUITES, help="its system tests, or its retry conformance tests")
    chosen, further = parser.parse_known_args(arguments)
    folder = chosen.folder.resolve()
    if not (folder / _SUITES[chosen.suite]).exists():
        parser.error(f"{chosen.folder} has no {_SUITES[chosen.suite]}: a copy of python-storage is expected")
    missing = [package for package, module in _NEEDED.items() if not _is_there(module)]
    if chosen.suite == "system" and missing:
        parser.error(f"the system tests need more packages: pip install --no-deps {' '.join(missing)}")
    with tempfile.TemporaryDirectory() as programs, local_cloud("--no-functions", "--retry-tests") as cloud:
        environment = {**os.environ, **_environment(chosen.suite, cloud.environment, Path(programs))}
        if chosen.suite == "system":
            # With this variable the client has no credentials, without which the tests of signed URLs are skipped.
            del environment["STORAGE_EMULATOR_HOST"]
        command = [sys.executable, "-m", "pytest", "-c", os.devnull, "--rootdir", str(folder), "-q", "--tb=line"]
        # Some tests call other services of Google, and would wait for them.
        command += [f"--timeout={_LONGEST_TEST_SECONDS}"]
        command += ["-p", "no:bqemulator", "-p", "no:cacheprovider", *further, str(_SUITES[chosen.suite])]
        return subprocess.run(command, cwd=folder, env=environment, check=False).returncode


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _environment(suite: str, cloud: Mapping[str, str], programs: Path) -> dict[str, str]:
    """Return the variables with which a suite uses a local cloud; ``programs`` is a folder for stand-ins."""
    if suite == "system":
        return {
            "API_ENDPOINT_OVERRIDE": cloud["STORAGE_EMULATOR_HOST"],
            # Without it the tests of requester pays are skipped.
            "GOOGLE_CLOUD_TESTS_USER_PROJECT": cloud["GOOGLE_CLOUD_PROJECT"],
        }
    # The retry tests start Google's testbench with docker, unless this does nothing.
    docker = programs / "docker"
    docker.write_text("#!/bin/sh\n")
    docker.chmod(0o700)
    return {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}


if __name__ == "__main__":
    sys.exit(main())
