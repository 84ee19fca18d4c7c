"""The model registry as BigQuery sees it: BigQuery ML models become versions of registered models.

https://cloud.google.com/bigquery/docs/managing-models-vertex
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.ml.models.registration import Registration
from localcloud.bigquery.ml.models.statements import ModelReference
from localcloud.vertex.base.errors import RequestError
from localcloud.vertex.models.registry import Registry
from localcloud.vertex.models.versions import Predictor

# https://cloud.google.com/bigquery/docs/managing-models-vertex#limitations
NOT_DEPLOYABLE = frozenset({"XGBOOST"})
# https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-export-model
EXPORTABLE = frozenset({"TENSORFLOW"})

# The status of an endpoint's answer for the reason of an error in BigQuery.
_STATUSES = {
    "notFound": "NOT_FOUND",
    "notImplemented": "UNIMPLEMENTED",
    "resourcesExceeded": "RESOURCE_EXHAUSTED",
    "stopped": "UNAVAILABLE",
    "internalError": "INTERNAL",
}


class BigQueryModels:
    """Implements BigQuery's ``ModelRegistry`` over the registry."""

    def __init__(self, registry: Registry, predict: Callable[[ModelReference, list[Any]], list[Any]]) -> None:
        """Register models in ``registry``; ``predict`` predicts on instances, and raises ``QueryError``."""
        self._registry = registry
        self._predict = predict

    def restore(self, registrations: Iterable[Registration]) -> None:
        """Make the versions of BigQuery in the registry the given ones: add missing ones, and remove all others."""
        present = {(version.name, version.bigquery_model): version for version in self._registry.all_of_bigquery()}
        for each in registrations:
            name = f"{_resource_name(each)}@{each.number}"
            version = present.pop((name, _full_name(each.model)), None)
            if version is None:
                self._add(each)
            else:
                version.predict = self.predictor(each.model)
        for version in present.values():
            self._registry.remove(version)

    def register(self, registration: Registration) -> int:
        """Add a version in place of the model's present one, if any; return its number. Raises ``QueryError``."""
        with _registry_errors():
            return self._add(registration)

    def unregister(self, model: ModelReference) -> None:
        """Remove the version of a model, if it is registered. Raises ``QueryError`` if the version is deployed."""
        with _registry_errors():
            self._registry.unregister(_full_name(model))

    def check_not_deployed(self, model: ModelReference) -> None:
        """Raise ``QueryError`` if the version of a model is deployed or being deployed."""
        version = self._registry.of_bigquery(_full_name(model))
        if version is not None:
            with _registry_errors():
                version.check_not_deployed()

    def _add(self, registration: Registration) -> int:
        return self._registry.register(
            _resource_name(registration),
            bigquery_model=_full_name(registration.model),
            aliases=registration.aliases,
            number=registration.number,
            deployable=registration.type not in NOT_DEPLOYABLE,
            exportable=registration.type in EXPORTABLE,
            predict=self.predictor(registration.model),
        )

    def predictor(self, model: ModelReference) -> Predictor:
        """Return the function that predicts with a BigQuery ML model. It raises ``RequestError``."""

        def predict(instances: list[Any]) -> list[Any]:
            try:
                return self._predict(model, instances)
            except QueryError as error:
                raise RequestError(_STATUSES.get(error.reason, "INVALID_ARGUMENT"), error.message) from error

        return predict


def _full_name(model: ModelReference) -> str:
    return f"{model.project}.{model.dataset}.{model.model}"


def _resource_name(registration: Registration) -> str:
    return f"projects/{registration.model.project}/locations/{registration.region}/models/{registration.vertex_id}"


@contextmanager
def _registry_errors() -> Iterator[None]:
    """Translate the errors of the registry to BigQuery's, in the words that BigQuery has for them.

    https://github.com/GoogleCloudPlatform/vertex-ai-samples/pull/788
    """
    try:
        yield
    except RequestError as error:
        raise QueryError(
            "Model Registry failed: com.google.cloud.ai.platform.common.errors.AiPlatformException: "
            f"code={error.status}, message={error.message}, cause=null",
            reason="invalid",
        ) from error
