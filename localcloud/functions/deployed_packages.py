"""Limits what a function can import to the packages that it is deployed with.

The local cloud needs many more packages. A function that imports one of those would work here and fail on Google Cloud.
Google's clients also import some of them if they are installed, which takes longer than the rest of a function's start.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.metadata import Distribution, PackageNotFoundError, distribution, packages_distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

REQUIREMENTS = "requirements.txt"

# The first argument is a `LeftOut` as JSON; the others are those of functions-framework. A module that is None in
# sys.modules cannot be imported:
# https://docs.python.org/3/reference/import.html#the-module-cache
LAUNCH = """\
import json, runpy, sys, types
left_out = json.loads(sys.argv.pop(1))
sys.modules.update(dict.fromkeys(left_out["absent"]))
for name, folder in left_out["overwritten"].items():
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [folder]
runpy.run_module("functions_framework", run_name="__main__", alter_sys=True)
"""


@dataclass(frozen=True)
class LeftOut:
    """The installed modules that a function must not find."""

    absent: tuple[str, ...] = ()
    """Top-level modules that cannot be imported."""
    overwritten: dict[str, str] = field(default_factory=dict)
    """The folders of packages, by name, whose installed ``__init__`` does not run, because the deployed one is another."""

    def as_argument(self) -> str:
        """Return the first argument of ``LAUNCH``."""
        return json.dumps(asdict(self))


@cache
def left_out(source: Path) -> LeftOut:
    """Return the modules that a function deployed from ``source`` would not have.

    These are the modules of packages that its ``requirements.txt`` does not need, not even indirectly. Without this file
    no module is left out. Namespaces that several packages share, such as ``google``, are not divided.
    """
    requirements = source / REQUIREMENTS
    if not requirements.exists():
        return LeftOut()
    lines = (line.partition(" #")[0].strip() for line in requirements.read_text(encoding="utf-8").splitlines())
    deployed = _with_dependencies([Requirement(line) for line in lines if line and not line.startswith("#")])
    absent, others = [], set()
    for module, packages in packages_distributions().items():
        names = set(map(canonicalize_name, packages))
        if names & deployed.keys():
            others |= names - deployed.keys()
        elif module.isidentifier() and not (source / module).exists() and not (source / f"{module}.py").exists():
            absent.append(module)
    return LeftOut(tuple(sorted(absent)), _overwritten(deployed, others))


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
