"""Why a model does not come: the problem of a drop that is stuck or has failed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from shared.checks.identifiers import ModelName
from shared.drops import limits, watches
from shared.drops.contents.files import drop_files
from shared.drops.drop import DropPath
from shared.drops.imports.planning import import_key
from shared.engine.services import Services
from shared.errors import Problem
from shared.work import Item, Kind

STUCK, FAILED = "drop_stuck", "drop_failed"


@dataclass(frozen=True)
class DropProblem:
    """Why a drop has not become a model."""

    code: str
    """``STUCK`` or ``FAILED``."""
    path: str
    """The drop's folder: `gs://bucket/dataset/model/version/`."""
    problem: Problem


def problem_of_drop(model: ModelName, services: Services) -> DropProblem | None:
    """Return the problem of the last drop of a model that does not exist; None if no drop is stuck or has failed.

    Of very many drops, only the newest ones are looked up.
    """
    newest = dict(_drops_of(model, services))
    for path in sorted(newest, key=newest.__getitem__, reverse=True)[: limits.LOOKED_UP_DROPS]:
        watch = services.ledger.find(Kind.DROP, path.key)
        if watch is not None and (found := _problem(path, watch, model, services)):
            return found
    return None


def is_stuck(watch: Item, services: Services) -> bool:
    """Return whether an open watch has lacked files for too long. It may still become a model."""
    return watches.stuck_problem(watch, services) is not None


def _drops_of(model: ModelName, services: Services) -> Iterator[tuple[DropPath, datetime]]:
    """Yield the drops in the folder of the model, and those whose `modeldrop.yaml` may name it."""
    files = drop_files(services)
    if model.project == services.settings.google_cloud_project:
        yield from files.versions(f"{model.dataset}/{model.model}/")
    yield from files.described()


def _problem(path: DropPath, watch: Item, model: ModelName, services: Services) -> DropProblem | None:
    if watches.request_of(watch).model != str(model):
        return None
    folder = path.uri(services.settings.model_bucket)
    if not watch.final:
        stuck = watches.stuck_problem(watch, services)
        return DropProblem(STUCK, folder, stuck[0]) if stuck else None
    fingerprint = watches.facts_of(watch).fingerprint
    item = services.ledger.find(Kind.IMPORT, import_key(path, fingerprint)) if fingerprint else None
    if item is None or item.outcome is None or item.outcome.is_success or item.problem is None:
        return None
    return DropProblem(FAILED, folder, item.problem)
