"""Calls to the model registry of Vertex AI.

https://docs.cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.models
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from google.api_core import exceptions
from google.cloud import aiplatform_v1 as vertex

from shared.cloud.calls import CALL_SECONDS, Service
from shared.cloud.vertex import VERTEX

REGISTRY = Service("Vertex AI", retry=VERTEX.retry, rejects=True)


@dataclass(frozen=True)
class RegisteredVersion:
    """A version of a registered model, as the registry describes it."""

    aliases: tuple[str, ...]
    """Sorted."""
    deployed: tuple[tuple[str, str], ...]
    """The resource name of each endpoint that it is deployed to, and its id there."""

    def aliases_include(self, aliases: Iterable[str]) -> bool:
        """Return whether the version has all of ``aliases``."""
        return set(aliases) <= set(self.aliases)


class ModelRegistry:
    """The registered models of one project."""

    def __init__(self, client_of: Callable[[str], vertex.ModelServiceClient], project: str) -> None:
        """Create the registry of a project; ``client_of`` returns the client of a location."""
        self._client_of = client_of
        self._project = project

    def find(self, location: str, registry_id: str, version: str) -> RegisteredVersion | None:
        """Return a version; None if there is no such version.

        Raises:
            Rejected: The functions may not read it.
            TryLater: Vertex AI does not answer.
        """
        name = self.name(location, registry_id, version)
        try:
            with REGISTRY.call("return a model", passes=(exceptions.NotFound,)) as options:
                found = self._client_of(location).get_model(name=name, **options)
        except exceptions.NotFound:
            return None
        deployed = tuple((each.endpoint, each.deployed_model_id) for each in found.deployed_models)
        return RegisteredVersion(tuple(sorted(found.version_aliases)), deployed)

    def give_aliases(
        self, location: str, registry_id: str, version: str, aliases: Iterable[str], *, timeout: float = CALL_SECONDS
    ) -> None:
        """Give aliases to a version; other versions that have them lose them.

        Args:
            location: The location of the registry.
            registry_id: The id of the registered model.
            version: The version.
            aliases: The aliases.
            timeout: The time limit in seconds. Of two versions that get an alias, the last call decides.

        Raises:
            Rejected: Vertex AI refuses an alias, or there is no such version.
            TryLater: Vertex AI does not answer.
        """
        with REGISTRY.call("change a model", field="aliases", timeout=min(timeout, CALL_SECONDS)) as options:
            self._client_of(location).merge_version_aliases(
                name=self.name(location, registry_id, version), version_aliases=list(aliases), **options
            )

    def name(self, location: str, registry_id: str, version: str) -> str:
        """Return the resource name of a version."""
        return f"projects/{self._project}/locations/{location}/models/{registry_id}@{version}"
