"""The model registry: models and versions that BigQuery ML registers.

https://cloud.google.com/bigquery/docs/managing-models-vertex and
https://cloud.google.com/vertex-ai/docs/model-registry/model-alias
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NoReturn

from localcloud.vertex.base.errors import RequestError
from localcloud.vertex.base.filters import EQUALITY, Field, compile_filter
from localcloud.vertex.base.moments import UniqueMoments, rfc3339_micros, serial
from localcloud.vertex.base.pages import page

DEFAULT = "default"
ALIAS = re.compile(r"[a-z][a-zA-Z0-9-]{0,126}[a-z0-9]")
# The region of the models of a multi-region dataset.
REGION_OF = {"us": "us-central1", "eu": "europe-west4"}
PATCHABLE = ("displayName", "description", "versionDescription", "labels")

Predictor = Callable[[list[Any]], list[Any]]


def last_segment(name: str) -> str:
    """Return the id at the end of a resource name."""
    return name.rsplit("/", 1)[-1]


FILTER_FIELDS = {
    "model": Field("name", EQUALITY, last_segment),
    "display_name": Field("displayName", EQUALITY),
}


@dataclass
class Version:
    """One version of a registered model.

    Attributes:
        model: The model's resource name, without a version.
        number: The version's id.
        bigquery_model: The BigQuery ML model: ``project.dataset.model``.
        predict: Predicts on instances once the version is deployed; None if it cannot.
        deployable: Whether the version can be deployed.
        deployed: The endpoints and deployed models that serve the version, as DeployedModelRef.
    """

    model: str
    number: int
    bigquery_model: str
    created: datetime
    predict: Predictor | None
    deployable: bool
    aliases: list[str] = field(default_factory=list)
    updated: datetime | None = None
    fields: dict[str, Any] = field(default_factory=dict)
    deployed: list[dict[str, str]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The resource name with the version."""
        return f"{self.model}@{self.number}"

    def resource(self, first: Version, last: Version) -> dict[str, Any]:
        """Return the Model resource; ``first`` and ``last`` are the model's oldest version and the last changed."""
        updated = self.updated or self.created
        answer: dict[str, Any] = {
            "name": self.model,
            "displayName": last_segment(self.model),
            **self.fields,
            "versionId": str(self.number),
            "versionAliases": sorted(self.aliases),
            "versionCreateTime": rfc3339_micros(self.created),
            "versionUpdateTime": rfc3339_micros(updated),
            "createTime": rfc3339_micros(first.created),
            "updateTime": rfc3339_micros(last.updated or last.created),
            "modelSourceInfo": {"sourceType": "BQML"},
            "etag": f"{serial(updated):x}",
        }
        if self.deployable:
            answer["supportedDeploymentResourcesTypes"] = ["DEDICATED_RESOURCES"]
        if self.deployed:
            answer["deployedModels"] = list(self.deployed)
        return answer


class Registry:
    """The registered models of a project."""

    def __init__(self, project: str, *, moments: UniqueMoments) -> None:
        """Create an empty registry."""
        self._project = project
        self._moments = moments
        self._models: dict[str, list[Version]] = {}
        self._last_number: dict[str, int] = {}
        self._lock = threading.RLock()

    def register(
        self,
        model_id: str,
        *,
        bigquery_model: str,
        location: str,
        aliases: Iterable[str] = (),
        version: int | None = None,
        deployable: bool = True,
        predict: Predictor | None = None,
    ) -> str:
        """Register a BigQuery ML model as a new version, which replaces the model's earlier one.

        Args:
            model_id: The registry's id of the model.
            bigquery_model: ``project.dataset.model``.
            location: The dataset's location; the models of a multi-region are in a region of their own.
            aliases: The version's aliases, which are removed from other versions.
            version: The version's number; None means the next one.
            deployable: Whether the version can be deployed; imported XGBoost models cannot.
            predict: Predicts on instances of an endpoint.

        Returns:
            The version's number as text.

        Raises:
            RequestError: INVALID_ARGUMENT for an invalid alias.
        """
        parent = f"projects/{self._project}/locations/{REGION_OF.get(location.lower(), location.lower())}"
        name = f"{parent}/models/{model_id}"
        with self._lock:
            number = version or self._last_number.get(name, 0) + 1
            self._last_number[name] = max(number, self._last_number.get(name, 0))
            added = Version(name, number, bigquery_model, self._moments.next(), predict, deployable)
            kept = [old for old in self._models.get(name, []) if old.bigquery_model != bigquery_model]
            self._models[name] = [*kept, added]
            self._move_aliases(added, aliases)
            if not any(DEFAULT in one.aliases for one in self._models[name]):
                added.aliases.append(DEFAULT)
            return str(number)

    def unregister(self, bigquery_model: str) -> None:
        """Remove a model that BigQuery dropped; do nothing if it is not registered.

        Raises:
            RequestError: FAILED_PRECONDITION while it is deployed.
        """
        with self._lock:
            for name, versions in list(self._models.items()):
                gone = [version for version in versions if version.bigquery_model == bigquery_model]
                for version in gone:
                    _refuse_deployed(version)
                left = [version for version in versions if version not in gone]
                if left and gone and not any(DEFAULT in version.aliases for version in left):
                    left[-1].aliases.append(DEFAULT)
                if left:
                    self._models[name] = left
                else:
                    del self._models[name]

    def get(self, name: str) -> dict[str, Any]:
        """Return the Model resource of ``.../models/ID``, ``...@2`` or ``...@alias``. Raises ``RequestError``."""
        with self._lock:
            return self._resource(self.version(name))

    def version(self, name: str) -> Version:
        """Return the version that ``name`` ends with, or the default version. Raises ``RequestError`` (NOT_FOUND)."""
        model, _, wanted = name.partition("@")
        with self._lock:
            for version in self._models.get(model, []):
                if (wanted or DEFAULT) in (*version.aliases, str(version.number)):
                    return version
        raise RequestError("NOT_FOUND", f"The Model {name} does not exist.")

    def list(self, parent: str, text: str = "", page_size: int = 0, page_token: str = "") -> dict[str, Any]:
        """Return a page of the models of a location that match a filter, each as its default version."""
        passes = compile_filter(text, FILTER_FIELDS)
        with self._lock:
            found = [
                (serial(versions[0].created), self.get(name))
                for name, versions in self._models.items()
                if name.startswith(f"{parent}/models/")
            ]
        return _listed((item for item in found if passes(item[1])), page_size, page_token)

    def versions(self, name: str, text: str = "", page_size: int = 0, page_token: str = "") -> dict[str, Any]:
        """Return a page of a model's versions, whose names include the version. Raises ``RequestError``."""
        passes = compile_filter(text, {})
        with self._lock:
            self.version(name)
            found = [
                (version.number, self._resource(version) | {"name": version.name})
                for version in self._models[name.partition("@")[0]]
            ]
        return _listed((item for item in found if passes(item[1])), page_size, page_token)

    def patch(self, name: str, changes: dict[str, Any], mask: Iterable[str]) -> dict[str, Any]:
        """Update the fields of ``mask``, and return the resource.

        Raises:
            RequestError: NOT_FOUND, or INVALID_ARGUMENT for a field that cannot be updated.
        """
        with self._lock:
            version = self.version(name)
            for path in mask:
                if path not in PATCHABLE:
                    raise RequestError("INVALID_ARGUMENT", f"The field {path} of a model cannot be updated.")
            for path in mask:
                version.fields[path] = changes.get(path, {} if path == "labels" else "")
            version.updated = self._moments.next()
            return self._resource(version)

    def merge_aliases(self, name: str, aliases: Iterable[str]) -> dict[str, Any]:
        """Add aliases to a version, or remove those that start with ``-``; return the resource.

        Raises:
            RequestError: NOT_FOUND, or INVALID_ARGUMENT for an invalid alias or for removing ``default``.
        """
        with self._lock:
            version = self.version(name)
            wanted = list(aliases)
            taken = {alias[1:] for alias in wanted if alias.startswith("-")}
            if DEFAULT in taken and DEFAULT in version.aliases:
                raise RequestError(
                    "INVALID_ARGUMENT", "The default alias cannot be removed; give it to another version instead."
                )
            self._move_aliases(version, [alias for alias in wanted if not alias.startswith("-")])
            version.aliases = [alias for alias in version.aliases if alias not in taken]
            version.updated = self._moments.next()
            return self._resource(version)

    def refuse_delete(self, name: str) -> NoReturn:
        """Raise the error for deleting a model: it belongs to BigQuery, and must be dropped there.

        https://cloud.google.com/vertex-ai/docs/model-registry/delete-model

        Raises:
            RequestError: NOT_FOUND or FAILED_PRECONDITION, always.
        """
        with self._lock:
            version = self.version(name)
            _refuse_deployed(version)
            raise RequestError(
                "FAILED_PRECONDITION",
                f"The Model {name} is a BigQuery ML model: drop {version.bigquery_model} in BigQuery to delete it.",
            )

    def _resource(self, version: Version) -> dict[str, Any]:
        versions = self._models[version.model]
        return version.resource(versions[0], max(versions, key=lambda one: one.updated or one.created))

    def _move_aliases(self, version: Version, aliases: Iterable[str]) -> None:
        wanted = list(aliases)
        for alias in wanted:
            if not ALIAS.fullmatch(alias):
                raise RequestError("INVALID_ARGUMENT", f"{alias!r} is not a version alias: {ALIAS.pattern}.")
        for other in self._models[version.model]:
            other.aliases = [alias for alias in other.aliases if alias not in wanted]
        version.aliases.extend(dict.fromkeys(wanted))


def _refuse_deployed(version: Version) -> None:
    if version.deployed:
        raise RequestError(
            "FAILED_PRECONDITION",
            f"The Model {version.name} is deployed to {version.deployed[0]['endpoint']}. Undeploy it first.",
        )


def _listed(items: Iterable[tuple[int, dict[str, Any]]], page_size: int, page_token: str) -> dict[str, Any]:
    models, token = page(items, page_size, page_token)
    return {"models": models, **({"nextPageToken": token} if token else {})}
