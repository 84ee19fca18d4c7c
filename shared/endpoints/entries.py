"""The entry of a model in the registry of Vertex AI, as BigQuery describes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared.checks.identifiers import ModelName
from shared.checks.registry_rules import registry_location, remote_error
from shared.engine.services import Services
from shared.errors import Rejected

if TYPE_CHECKING:
    from shared.cloud.registry import RegisteredVersion


@dataclass(frozen=True)
class RegistryEntry:
    """The entry of a model in the registry of Vertex AI."""

    id: str
    version: str | None
    location: str

    def as_json(self) -> dict[str, Any]:
        """Return the entry as events publish it, without aliases."""
        return {"id": self.id, "version": self.version, "location": self.location}

    def described(self, version: RegisteredVersion | None) -> dict[str, Any]:
        """Return the entry as events publish it, with the aliases of its version; None: the registry does not have it."""
        return {**self.as_json(), "aliases": list(version.aliases) if version else []}


def entry_of(resource: Mapping[str, Any], location: str) -> RegistryEntry | None:
    """Return the entry of a model in the registry; None if it is not registered.

    https://docs.cloud.google.com/bigquery/docs/reference/rest/v2/models#TrainingRun

    Args:
        resource: The model as BigQuery describes it.
        location: The location of its dataset.
    """
    runs = [run for run in resource.get("trainingRuns") or [] if run.get("vertexAiModelId")]
    if not runs:
        return None
    return RegistryEntry(runs[-1]["vertexAiModelId"], runs[-1].get("vertexAiModelVersion"), registry_location(location))


def entry_of_model(model: ModelName, location: str, services: Services) -> RegistryEntry | None:
    """Return the entry of a model in the registry; None if there is no such model, or it is not registered."""
    try:
        resource = services.bigquery.model_resource(str(model))
    except Rejected as error:
        if error.problem.code == "notFound":
            return None
        raise
    return entry_of(resource, location)


def required_entry(model: ModelName, resource: Mapping[str, Any], location: str) -> RegistryEntry:
    """Return the entry of a model, with its version; see ``entry_of``.

    Raises:
        Rejected: The model is not registered, or is a remote model, which cannot be.
    """
    if resource.get("remoteModelInfo") is not None:
        raise remote_error(str(model))
    entry = entry_of(resource, location)
    if entry is None or entry.version is None:
        raise Rejected(f"{model} is not registered: publish register first", field="model", code="not_registered")
    return entry


def version_of(entry: RegistryEntry, services: Services) -> RegisteredVersion | None:
    """Return the version of an entry as the registry describes it; None if it does not have one."""
    return services.registry.find(entry.location, entry.id, entry.version) if entry.version else None
