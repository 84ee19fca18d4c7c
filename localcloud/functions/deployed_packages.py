"""Limits what a function can import to the packages that it is deployed with.

The local cloud needs many more packages. A function that imports one of those would work here and fail on Google Cloud.
Google's clients also import some of them if they are installed, which takes longer than the rest of a function's start.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.metadata import Distribution, PackageNotFoundError, distribution, packages_distributions
from itertools import chain
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

REQUIREMENTS = "requirements.txt"

# What the fork server imports once for all functions that are deployed with a package: functions-framework with its
# server, and the clients that take longest.
IMPORTED_BEFORE = {
    "functions-framework": (
        "functions_framework._cli",
        "functions_framework._http.gunicorn",
        "gunicorn.workers.gthread",
    ),
    "google-cloud-bigquery": ("google.cloud.bigquery",),
    "google-cloud-pubsub": ("google.cloud.pubsub_v1",),
    "google-cloud-storage": ("google.cloud.storage",),
}


@dataclass(frozen=True)
class DeployedPackages:
    """The installed modules that a function must not find, and those that are imported before it starts."""

    absent: tuple[str, ...] = ()
    """Top-level modules that cannot be imported."""
    overwritten: dict[str, str] = field(default_factory=dict)
    """The folders of packages, by name, whose installed ``__init__`` does not run, because the deployed one is another."""
    imported_before: tuple[str, ...] = IMPORTED_BEFORE["functions-framework"]
    """The modules that the fork server imports once for all functions."""

    def as_argument(self) -> str:
        """Return the argument of the fork server, as JSON."""
        return json.dumps(asdict(self))


@cache
def deployed_packages(source: Path) -> DeployedPackages:
    """Return the modules that a function deployed from ``source`` would not have, and those to import before it starts.

    It would not have those of packages that its ``requirements.txt`` does not need, not even indirectly. Without this file
    no module is left out.
    """
    requirements = source / REQUIREMENTS
    if not requirements.exists():
        return DeployedPackages()
    deployed = _with_dependencies(list(_requirements(requirements.read_text(encoding="utf-8"))))
    absent, others = [], set()
    for module, packages in packages_distributions().items():
        names = set(map(canonicalize_name, packages))
        if names & deployed.keys():
            others |= names - deployed.keys()
        elif module.isidentifier() and not (source / module).exists() and not (source / f"{module}.py").exists():
            absent.append(module)
    absent += _absent_from_namespaces(deployed, others)
    shared = [modules for package, modules in IMPORTED_BEFORE.items() if canonicalize_name(package) in deployed]
    return DeployedPackages(tuple(sorted(absent)), _overwritten(deployed, others), tuple(chain.from_iterable(shared)))


def _requirements(text: str) -> Iterator[Requirement]:
    """Yield the packages in the text of a requirements file, without their hashes."""
    for line in text.splitlines():
        requirement = line.partition(" #")[0].strip(" \\")
        if requirement and not requirement.startswith(("#", "--hash=")):
            yield Requirement(requirement)


def _with_dependencies(requirements: list[Requirement]) -> dict[NormalizedName, Distribution]:
    """Return the packages that ``requirements`` name, with all their dependencies."""
    todo = list(requirements)
    seen: set[tuple[NormalizedName, frozenset[str]]] = set()
    found: dict[NormalizedName, Distribution] = {}
    while todo:
        requirement = todo.pop()
        name = canonicalize_name(requirement.name)
        if (name, frozenset(requirement.extras)) in seen:
            continue
        seen.add((name, frozenset(requirement.extras)))
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:
            # A function that imports it fails with an ImportError that names it.
            continue
        environments = [{"extra": extra} for extra in ("", *requirement.extras)]
        todo += [
            each
            for each in map(Requirement, found[name].requires or ())
            if each.marker is None or any(each.marker.evaluate(environment) for environment in environments)
        ]
    return found


def _absent_from_namespaces(deployed: dict[NormalizedName, Distribution], others: set[NormalizedName]) -> list[str]:
    """Return the Python packages of ``others`` in namespaces that they share with ``deployed``.

    google-cloud-bigquery imports ``google.cloud.bigquery_storage`` if it is installed, which takes longer than itself.
    """
    ours = {path.parts[:-1] for each in deployed.values() for path in _initial_files(each)}
    kept = {path[:length] for path in ours for length in range(1, len(path) + 1)}
    theirs = {path.parts[:-1] for name in others for path in _initial_files(distribution(name))} - kept
    return [".".join(path) for path in theirs if path[:-1] not in theirs and all(map(str.isidentifier, path))]


def _overwritten(deployed: dict[NormalizedName, Distribution], others: set[NormalizedName]) -> dict[str, str]:
    """Return the folders of Python packages whose ``__init__`` is in one of ``deployed`` and in one of ``others``.

    The one that was installed last is on disk: functions-framework has a small ``google.cloud.functions``, and
    google-cloud-functions a large one.
    """
    theirs = {path for name in others for path in _initial_files(distribution(name))}
    return {
        ".".join(path.parts[:-1]): str(Path(str(each.locate_file(path))).parent)
        for each in deployed.values()
        for path in _initial_files(each)
        if path in theirs
    }


def _initial_files(package: Distribution) -> set[Path]:
    return {Path(file) for file in package.files or () if file.name == "__init__.py"}
