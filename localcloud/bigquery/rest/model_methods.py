"""The model methods of the REST API.

https://cloud.google.com/bigquery/docs/reference/rest/v2/models
"""

from __future__ import annotations

from typing import Any

from bqemulator.api.dependencies import AppContext

from localcloud.bigquery.base.errors import NotFound
from localcloud.bigquery.ml.service import MachineLearning
from localcloud.bigquery.running.service import page_token, position_of

_LISTED = (
    "modelReference",
    "creationTime",
    "lastModifiedTime",
    "modelType",
    "labels",
    "location",
    "friendlyName",
    "description",
    "expirationTime",
    "etag",
)


class ModelMethods:
    """Lists, returns, patches and deletes models."""

    def __init__(self, context: AppContext, learning: MachineLearning) -> None:
        """Create the methods for the models of ``learning``."""
        self._context = context
        self._models = learning.models

    def _check_dataset(self, project: str, dataset: str) -> None:
        if self._context.catalog.get_dataset(project, dataset) is None:
            raise NotFound(f"Not found: Dataset {project}:{dataset}")

    def list(self, project: str, dataset: str, size: int | None, token: str | None) -> dict[str, Any]:
        """Return a page of a dataset's models. Raises ``NotFound``."""
        self._check_dataset(project, dataset)
        models = sorted(self._models.list(project, dataset), key=lambda m: m["modelReference"]["modelId"])
        start = position_of(token) if token else 0
        end = start + (size or 1000)
        body: dict[str, Any] = {
            "models": [{key: model[key] for key in _LISTED if key in model} for model in models[start:end]]
        }
        if end < len(models):
            body["nextPageToken"] = page_token(end)
        return body

    def get(self, project: str, dataset: str, model: str) -> dict[str, Any]:
        """Return a model. Raises ``NotFound``."""
        return self._models.get(project, dataset, model)

    def patch(self, project: str, dataset: str, model: str, body: dict[str, Any]) -> dict[str, Any]:
        """Change a model's description, labels, friendly name or expiration time. Raises ``QueryError``."""
        return self._models.patch(project, dataset, model, body)

    def delete(self, project: str, dataset: str, model: str) -> None:
        """Delete a model. Raises ``NotFound``."""
        self._models.delete(project, dataset, model)
