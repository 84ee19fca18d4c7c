"""Calls to the model registry of Vertex AI.

https://docs.cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.models
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from google.cloud import aiplatform_v1 as vertex

from shared.cloud.calls import Service
from shared.cloud.vertex import VERTEX

REGISTRY = Service("Vertex AI", retry=VERTEX.retry, rejects=True)


class ModelRegistry:
    """The registered models of one project."""

    def __init__(self, client_of: Callable[[str], vertex.ModelServiceClient], project: str) -> None:
        """Create the registry of a project; ``client_of`` returns the client of a location."""
        self._client_of = client_of
        self._project = project

    def aliases(self, location: str, registry_id: str, version: str) -> list[str]:
        """Return the aliases of a version, sorted.

        Raises:
            Rejected: There is no such version.
            TryLater: Vertex AI does not answer.
        """
        with REGISTRY.call("return a model") as options:
            found = self._client_of(location).get_model(name=self._name(location, registry_id, version), **options)
        return sorted(found.version_aliases)

    def give_aliases(self, location: str, registry_id: str, version: str, aliases: Iterable[str]) -> None:
        """Give aliases to a version; other versions that have them lose them.

        Raises:
            Rejected: Vertex AI refuses an alias, or there is no such version.
            TryLater: Vertex AI does not answer.
        """
        with REGISTRY.call("change a model", field="aliases") as options:
            self._client_of(location).merge_version_aliases(
                name=self._name(location, registry_id, version), version_aliases=list(aliases), **options
            )

    def _name(self, location: str, registry_id: str, version: str) -> str:
        return f"projects/{self._project}/locations/{location}/models/{registry_id}@{version}"
