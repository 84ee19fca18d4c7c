"""Registers models in the model registry of Vertex AI: the rules, and the interface of the registry.

https://cloud.google.com/bigquery/docs/managing-models-vertex
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.ml.models.statements import ModelReference

# https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-create-glm#vertex_ai_model_id
VERTEX_ID = re.compile(r"[a-z_][a-z0-9_-]{0,62}")
# https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.models#Model (versionAliases)
VERSION_ALIAS = re.compile(r"[a-z][a-zA-Z0-9-]{0,126}[a-z0-9]")
# https://cloud.google.com/bigquery/docs/managing-models-vertex#location_considerations
_REGION_OF_MULTI_REGION = {"us": "us-central1", "eu": "europe-west4"}


@dataclass(frozen=True)
class Registration:
    """A registered model.

    Attributes:
        model: The model.
        vertex_id: Its id in the registry. Several models with one id are versions of one registered model.
        region: The region of Vertex AI.
        type: The model type, such as ``ONNX``.
        aliases: The aliases of the version.
        number: The number of the version; None before the registry has assigned it.
    """

    model: ModelReference
    vertex_id: str
    region: str
    type: str
    aliases: tuple[str, ...] = ()
    number: int | None = None


class ModelRegistry(Protocol):
    """The model registry, as BigQuery sees it."""

    def restore(self, registrations: Iterable[Registration]) -> None:
        """Add the given models, which have numbers, and remove all other models of BigQuery."""
        ...

    def register(self, registration: Registration) -> int:
        """Add a version in place of the model's present one, if any; return its number, which is never reused.

        Raises:
            QueryError: The registry rejects it, for example because the present version is deployed.
        """
        ...

    def unregister(self, model: ModelReference) -> None:
        """Remove the version of a model; do nothing if the model is not registered.

        Raises:
            QueryError: The version is deployed.
        """
        ...

    def check_not_deployed(self, model: ModelReference) -> None:
        """Raise ``QueryError`` if the version of a model is deployed or being deployed."""
        ...


class VersionNumbers:
    """The registry of a BigQuery without a Vertex AI. It counts the versions of each id and region."""

    def __init__(self) -> None:
        """Create a registry without models."""
        self._last: dict[tuple[str, str], int] = {}
        self._lock = threading.Lock()

    def restore(self, registrations: Iterable[Registration]) -> None:
        """Continue after the numbers of the given models."""
        with self._lock:
            for each in registrations:
                key = (each.region, each.vertex_id)
                self._last[key] = max(self._last.get(key, 0), each.number or 0)

    def register(self, registration: Registration) -> int:
        """Return the next number."""
        with self._lock:
            key = (registration.region, registration.vertex_id)
            self._last[key] = self._last.get(key, 0) + 1
            return self._last[key]

    def unregister(self, model: ModelReference) -> None:
        """Do nothing: numbers are not reused."""

    def check_not_deployed(self, model: ModelReference) -> None:
        """Do nothing: no model is deployed."""


def region_of(location: str) -> str:
    """Return the region of Vertex AI for the models of a dataset's location."""
    return _REGION_OF_MULTI_REGION.get(location.lower(), location.lower())


def check_vertex_id(vertex_id: object) -> str:
    """Return ``vertex_id`` if it is a valid id in the model registry.

    Raises:
        QueryError: The id is not valid.
    """
    if not isinstance(vertex_id, str) or not VERTEX_ID.fullmatch(vertex_id):
        shown = "NULL" if vertex_id is None else f"'{vertex_id}'"
        raise QueryError(
            f"Invalid VERTEX_AI_MODEL_ID {shown}. It has at most 63 characters, which are lower-case letters, "
            "digits, underscores and hyphens, and does not begin with a digit or a hyphen."
        )
    return vertex_id


def check_alias(alias: str) -> str:
    """Return ``alias`` if it is a valid version alias.

    Raises:
        QueryError: The alias is not valid.
    """
    if not VERSION_ALIAS.fullmatch(alias):
        raise QueryError(
            f"Invalid version alias '{alias}' in VERTEX_AI_MODEL_VERSION_ALIASES. It has 2 to 128 letters, digits and "
            "hyphens, begins with a lower-case letter, and ends with a lower-case letter or a digit.",
            location="query",
        )
    return alias


def registration_of(model: ModelReference, resource: Mapping[str, Any]) -> Registration | None:
    """Return the registration in the REST resource of a model, or None if it is not registered."""
    run = (resource.get("trainingRuns") or [{}])[-1]
    vertex_id = run.get("vertexAiModelId")
    if vertex_id is None:
        return None
    aliases = run.get("trainingOptions", {}).get("vertexAiModelVersionAliases") or ()
    number = run.get("vertexAiModelVersion")
    return Registration(
        model,
        vertex_id,
        region_of(resource["location"]),
        resource["modelType"],
        tuple(aliases),
        None if number is None else int(number),
    )


def with_number(resource: dict[str, Any], number: int) -> dict[str, Any]:
    """Return the resource of a registered model with the number of its version."""
    *earlier, last = resource["trainingRuns"]
    return {**resource, "trainingRuns": [*earlier, {**last, "vertexAiModelVersion": str(number)}]}


def without_registration(run: Mapping[str, Any]) -> dict[str, Any]:
    """Return a training run without everything about the registry, as in a copied model."""
    left = {name: value for name, value in run.items() if not name.startswith("vertexAi")}
    if "trainingOptions" in left:
        options = left["trainingOptions"]
        registry = ("modelRegistry", "vertexAiModelVersionAliases")
        left["trainingOptions"] = {name: value for name, value in options.items() if name not in registry}
    return left
