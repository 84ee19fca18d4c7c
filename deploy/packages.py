"""Writes requirements.txt: every package that a deployed function gets, with its version and its hash.

requirements-functions.txt names what the functions need, and constraints.txt the versions of everything else. Cloud Functions
runs `pip install --requirement requirements.txt` and nothing else if functions-framework is in this file; pip then takes only
files with these hashes, because every line has one:
https://github.com/GoogleCloudPlatform/buildpacks/blob/main/pkg/python/python.go
https://pip.pypa.io/en/stable/topics/secure-installs/#hash-checking-mode

`make lock` runs this module. It uses pip, with pip's own settings, and installs nothing.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
NEEDED = "requirements-functions.txt"
LOCK = "requirements.txt"
# The machines and the Python of the declared runtime, python312.
PYTHON = "3.12"
PLATFORMS = (
    *(f"manylinux_2_{minor}_x86_64" for minor in range(35, 16, -1)),
    "manylinux2014_x86_64",
    "linux_x86_64",
    "any",
)
ENVIRONMENT = {
    "implementation_name": "cpython",
    "os_name": "posix",
    "platform_machine": "x86_64",
    "platform_python_implementation": "CPython",
    "platform_system": "Linux",
    "python_full_version": f"{PYTHON}.0",
    "python_version": PYTHON,
    "sys_platform": "linux",
}
HEAD = f"""\
# Written by `make lock` from {NEEDED} and constraints.txt; a test compares them.
# Cloud Functions installs these packages, and refuses a file with another hash.
"""


@dataclass(frozen=True)
class Package:
    """A package of the lock."""

    name: NormalizedName
    version: str
    hashes: tuple[str, ...]
    """The SHA-256 of each file that may be installed."""

    def lines(self) -> str:
        """Return the package as pip reads it."""
        return " \\\n".join([f"{self.name}=={self.version}", *(f"    --hash=sha256:{each}" for each in self.hashes)])


class IncompleteError(RuntimeError):
    """A package is missing that another one needs in the runtime."""


def needed(root: Path = ROOT) -> list[Requirement]:
    """Return what the functions need, without what that needs."""
    lines = (line.partition("#")[0].strip() for line in (root / NEEDED).read_text(encoding="utf-8").splitlines())
    return [Requirement(line) for line in lines if line]


def resolve(root: Path = ROOT) -> list[dict[str, Any]]:
    """Return the packages that pip would install in the runtime, as its report has them.

    https://pip.pypa.io/en/stable/reference/installation-report/
    """
    command = [
        *(sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--report", "-"),
        *("--only-binary=:all:", f"--python-version={PYTHON}", "--target=unused"),
        *(f"--platform={each}" for each in PLATFORMS),
        *("-r", str(root / NEEDED), "-c", str(root / "constraints.txt")),
    ]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: list[dict[str, Any]] = json.loads(done.stdout)["install"]
    return found


def locked(found: list[dict[str, Any]], requirements: list[Requirement]) -> list[Package]:
    """Return the packages of the lock, sorted.

    pip reads the conditions of dependencies for the Python that runs it, so they are read again here for the runtime.

    Args:
        found: The packages of pip's report.
        requirements: What the functions need.

    Raises:
        IncompleteError: pip's report lacks a package that the runtime needs.
    """
    by_name = {canonicalize_name(each["metadata"]["name"]): each for each in found}
    names: set[tuple[NormalizedName, frozenset[str]]] = set()
    todo = list(requirements)
    while todo:
        requirement = todo.pop()
        key = canonicalize_name(requirement.name), frozenset(requirement.extras)
        if key in names:
            continue
        if key[0] not in by_name:
            raise IncompleteError(f"Python {PYTHON} also needs {requirement}: run this module with that Python")
        names.add(key)
        todo += _dependencies(by_name[key[0]]["metadata"], key[1])
    return [_package(name, by_name[name]) for name in sorted({name for name, _ in names})]


def _dependencies(metadata: Mapping[str, Any], extras: frozenset[str]) -> Iterator[Requirement]:
    for text in metadata.get("requires_dist", []):
        requirement = Requirement(text)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({**ENVIRONMENT, "extra": extra}) for extra in ("", *extras)):
            yield requirement


def _package(name: NormalizedName, found: Mapping[str, Any]) -> Package:
    return Package(name, found["metadata"]["version"], (found["download_info"]["archive_info"]["hashes"]["sha256"],))


def lock_text(packages: list[Package]) -> str:
    """Return the text of requirements.txt."""
    return HEAD + "".join(f"{package.lines()}\n" for package in packages)


def main() -> None:
    """Write requirements.txt."""
    (ROOT / LOCK).write_text(lock_text(locked(resolve(), needed())), encoding="utf-8")


if __name__ == "__main__":
    main()
