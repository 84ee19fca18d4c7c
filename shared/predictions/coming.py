"""Models that do not exist yet, and whose drop is watched, is being imported, or was not noticed yet.

To find out, the index and the model bucket are listed. Many predictions may wait for the same models, so they share the lists.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cache

from shared.checks.identifiers import ModelName
from shared.drops import watches
from shared.drops.contents.files import drop_files
from shared.drops.drop import DropPath
from shared.drops.problems import is_stuck
from shared.engine.services import Services
from shared.predictions.recent import Recent
from shared.work import Kind


class ComingModels:
    """The models that are coming, as one process knows them. Several threads may use it."""

    def __init__(self, services: Services) -> None:
        """Look with these services."""
        self._services = services
        self._models: Recent[ModelName, bool] = Recent(services.now)
        self._described: Recent[None, list[tuple[DropPath, datetime]]] = Recent(services.now)

    def is_coming(self, model: ModelName, *, since: datetime) -> bool:
        """Return whether a drop of ``model`` is watched or being imported, or was uploaded and not noticed yet.

        A drop that is stuck does not count.

        Args:
            model: A model that does not exist.
            since: When the work that needs it was requested. A drop may have been uploaded just before, so that the answer
                no must be younger; after a yes, the work waits and looks again.
        """
        return self._models.get(
            model,
            lambda: self._look(model, since),
            lambda begun, coming: coming or begun >= since,
        )

    def _look(self, model: ModelName, since: datetime) -> bool:
        ledger = self._services.ledger
        # A watch ends after its import has begun, so watches are listed first.
        for pending in ledger.pending(Kind.DROP):
            if pending.model == str(model):
                watch = ledger.find(Kind.DROP, pending.key)
                if watch is None or not is_stuck(watch, self._services):
                    return True
        if any(pending.model == str(model) for pending in ledger.pending(Kind.IMPORT)):
            return True
        return self._is_in_its_folder(model) or self._is_a_target(model, since)

    def _is_in_its_folder(self, model: ModelName) -> bool:
        """Return whether a drop in the folder of ``model`` was not noticed yet."""
        if model.project != self._services.settings.google_cloud_project:
            return False
        versions = drop_files(self._services).versions(f"{model.dataset}/{model.model}/")
        return any(self._is_unnoticed(path, newest) for path, newest in versions)

    def _is_a_target(self, model: ModelName, since: datetime) -> bool:
        """Return whether a drop in another folder names ``model``. A drop that is older is left to the reconciliation."""
        services = self._services
        settings, files = services.settings, drop_files(services)
        oldest = services.now() - timedelta(seconds=settings.reconcile_seconds)
        described = self._described.get(None, lambda: list(files.described()), lambda begun, _: begun >= since)
        return any(
            written > oldest
            and self._is_unnoticed(path, written)
            and files.read_or_list(path)[0].target(settings.google_cloud_project) == model
            for path, written in described
        )

    def _is_unnoticed(self, path: DropPath, newest: datetime) -> bool:
        watch = self._services.ledger.find(Kind.DROP, path.key)
        # An open watch has an index object.
        return watch is None or (watch.final and not watches.covers(watch, newest))


@cache
def coming_models(services: Services) -> ComingModels:
    """Return the models that are coming, as this process knows them."""
    return ComingModels(services)
