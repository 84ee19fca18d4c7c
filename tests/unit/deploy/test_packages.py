"""requirements.txt, which `make lock` writes: every package that a deployed function gets, with its hash."""

from __future__ import annotations

import re
from importlib.metadata import distribution
from typing import Any

import pytest
from packaging.requirements import Requirement

from deploy.declared import read
from deploy.packages import HEAD, LOCK, PYTHON, IncompleteError, lock_text, locked, needed
from tests.paths import ROOT

TEXT = (ROOT / LOCK).read_text(encoding="utf-8")
LINE = re.compile(r"([a-z0-9-]+)==(\S+)((?: \\\n    --hash=sha256:[0-9a-f]{64})+)\n")
PACKAGES = {name: version for name, version, _ in LINE.findall(TEXT)}


def installed(name: str) -> dict[str, Any]:
    """Return an installed package as pip's report has it."""
    metadata = distribution(name).metadata
    described = {
        "name": name,
        "version": metadata["Version"],
        "requires_dist": metadata.get_all("Requires-Dist") or [],
    }
    return {"metadata": described, "download_info": {"archive_info": {"hashes": {"sha256": "0" * 64}}}}


def package(name: str, *requires: str) -> dict[str, Any]:
    described = {"name": name, "version": "1", "requires_dist": list(requires)}
    return {"metadata": described, "download_info": {"archive_info": {"hashes": {"sha256": "ab"}}}}


def test_every_line_has_a_version_and_a_hash() -> None:
    assert LINE.sub("", TEXT) == HEAD
    assert len(PACKAGES) > len(needed())


def test_the_lock_has_what_the_functions_need_and_everything_that_this_needs() -> None:
    assert {each.name: each.version for each in locked(list(map(installed, PACKAGES)), needed())} == PACKAGES


def test_versions_are_those_of_the_constraints() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    constraints = dict(line.lower().replace("_", "-").split("==") for line in lines if "==" in line and line[0] != "#")

    assert {name: version for name, version in PACKAGES.items() if constraints.get(name) != version} == {}


def test_the_lock_is_for_the_declared_runtime() -> None:
    assert read().runtime == f"python{PYTHON.replace('.', '')}"


def test_cloud_functions_sees_that_the_framework_is_there_and_adds_nothing() -> None:
    """https://github.com/GoogleCloudPlatform/buildpacks/blob/main/cmd/python/functions_framework/main.go."""
    assert re.search(r"(?m)^functions-framework\b([^-]|$)", TEXT)


def test_a_dependency_of_another_python_or_system_is_left_out() -> None:
    found = [
        package("A", 'b; python_version < "3.12"', 'c; python_version >= "3.12"', 'd; sys_platform == "win32"', "e[x]"),
        *map(package, "bcd"),
        package("e", 'f; extra == "x"', 'g; extra == "y"'),
        package("f"),
        package("g"),
    ]

    assert [each.name for each in locked(found, [Requirement("a==1")])] == ["a", "c", "e", "f"]


def test_a_package_that_only_the_runtime_needs_must_be_there() -> None:
    with pytest.raises(IncompleteError, match=r"Python 3\.12 also needs b>=2"):
        locked([package("a", 'b>=2; python_version >= "3.12"')], [Requirement("a")])


def test_a_package_is_written_as_pip_reads_it() -> None:
    assert lock_text(locked([package("A")], [Requirement("a")])) == HEAD + "a==1 \\\n    --hash=sha256:ab\n"
