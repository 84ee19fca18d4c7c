"""Uploads, copies, exports and deletions of registered models.

https://cloud.google.com/vertex-ai/docs/model-registry/introduction
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Sequence
from typing import Any

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.ml.models.catalog import ModelCatalog
from localcloud.bigquery.ml.models.exporting import export_to
from localcloud.bigquery.ml.models.registration import VERTEX_ID
from localcloud.bigquery.ml.models.statements import ModelReference
from localcloud.storage.objects.store import ObjectStore
from localcloud.vertex.base.errors import RequestError, missing_field
from localcloud.vertex.base.moments import UniqueMoments
from localcloud.vertex.base.operations import EMPTY, Operations, vertex_message
from localcloud.vertex.base.violations import check_names_and_labels
from localcloud.vertex.models.bigquery_models import BigQueryModels
from localcloud.vertex.models.registry import Registry, check_names_version
from localcloud.vertex.models.versions import EXPORT_FORMAT, Version, last_segment

# The fields of an uploaded model. Those of the first set are kept and have no effect: its container does not run here, so the
# model can be registered and not deployed.
KEPT = frozenset({"artifactUri", "containerSpec", "metadata", "metadataSchemaUri", "predictSchemata"})
UPLOADABLE = KEPT | {"displayName", "description", "versionDescription", "versionAliases", "labels", "name"}
# The dataset of the copies of BigQuery's models, which no statement can name.
COPIES = "_registry_copies"


class ModelTransfers:
    """Starts the operations that add, export and delete versions."""

    def __init__(
        self,
        registry: Registry,
        operations: Operations,
        catalog: ModelCatalog,
        store: ObjectStore,
        models: BigQueryModels,
        *,
        moments: UniqueMoments,
    ) -> None:
        """Create it, and let the copies in ``registry`` predict again.

        Args:
            registry: The registered models.
            operations: The operations.
            catalog: The local BigQuery's models, which hold the files of copies.
            store: The local Cloud Storage, which exports are written to.
            models: Predicts with BigQuery's models.
            moments: The source of times.
        """
        self._registry = registry
        self._operations = operations
        self._catalog = catalog
        self._store = store
        self._models = models
        self._moments = moments
        for version in registry.all_versions():
            if version.copied_as is not None:
                version.predict = models.predictor(_reference(version.copied_as))

    def upload(self, parent: str, body: dict[str, Any]) -> dict[str, Any]:
        """Register a model of a container, and return the operation.

        Raises:
            RequestError: INVALID_ARGUMENT for a missing field or an invalid id, ALREADY_EXISTS if the id is taken, NOT_FOUND
                for an unknown parent model, or UNIMPLEMENTED for a field that is not supported here.
        """
        _refuse(body, "serviceAccount")
        model = body.get("model")
        if not isinstance(model, dict):
            raise missing_field("model")
        check_names_and_labels("model", model)
        for field, value in model.items():
            if value and field not in UPLOADABLE:
                raise RequestError("UNIMPLEMENTED", f"The field model.{field} is not supported by the local Vertex AI.")
        name = self._target(parent, body)
        fields = {key: value for key, value in model.items() if key not in ("name", "versionAliases") and value}
        aliases = [str(alias) for alias in model.get("versionAliases") or []]
        version = self._registry.add(name, fields=fields, aliases=aliases)
        return self._added(version, "UploadModel")

    def copy(self, parent: str, body: dict[str, Any]) -> dict[str, Any]:
        """Copy a version into a location, and return the operation. Aliases and deployments are not copied.

        https://cloud.google.com/vertex-ai/docs/model-registry/copy-model

        Raises:
            RequestError: NOT_FOUND, INVALID_ARGUMENT for an invalid id, ALREADY_EXISTS if the id is taken, or UNIMPLEMENTED
                for an encryption key.
        """
        _refuse(body, "encryptionSpec", "customServiceAccount")
        if not body.get("sourceModel"):
            raise missing_field("source_model")
        source = self._registry.version(str(body["sourceModel"]))
        name = self._target(parent, body)
        held = source.copied_as or source.bigquery_model
        copied_as = None if held is None else self._copy_files(held, parent)
        fields = {"displayName": last_segment(source.model), **source.fields}
        predict = None if copied_as is None else self._models.predictor(_reference(copied_as))
        version = self._registry.add(
            name,
            fields=fields,
            deployable=source.deployable,
            exportable=source.exportable,
            copied_as=copied_as,
            predict=predict,
        )
        return self._added(version, "CopyModel")

    def _copy_files(self, held: str, parent: str) -> str:
        """Copy a model of BigQuery to a hidden name, so that the copy does not depend on the original; return that name."""
        _, project, _, location = parent.split("/")
        target = ModelReference(project, COPIES, f"copy_{uuid.uuid4().hex}")
        try:
            self._catalog.copy(_reference(held), target, replacing=False, location=location)
            self._catalog.patch(target.project, target.dataset, target.model, {"expirationTime": None})
        except QueryError as error:
            raise RequestError("FAILED_PRECONDITION", error.message) from error
        return f"{target.project}.{target.dataset}.{target.model}"

    def export(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Write the files of a version to Cloud Storage, and return the operation.

        Raises:
            RequestError: NOT_FOUND, INVALID_ARGUMENT without a destination, or FAILED_PRECONDITION for another format.
        """
        version = self._registry.version(name)
        given = body.get("outputConfig")
        config = given if isinstance(given, dict) else {}
        _refuse(config, "imageDestination")
        prefix = str((config.get("artifactDestination") or {}).get("outputUriPrefix") or "")
        form = str(config.get("exportFormatId") or "")
        if not prefix.startswith("gs://"):
            raise RequestError("INVALID_ARGUMENT", "The field output_config.artifact_destination must be a gs:// URI.")
        held = version.copied_as or version.bigquery_model
        if form != EXPORT_FORMAT or not version.exportable or held is None:
            # The words are Google's: https://github.com/googleapis/python-aiplatform/issues/194
            raise RequestError(
                "FAILED_PRECONDITION",
                f"Exporting artifact for model `{version.model}` in format `{form}` is not supported.",
            )
        moment = f"{self._moments.next():%Y-%m-%dT%H:%M:%S.%fZ}"
        target = f"{prefix.rstrip('/')}/model-{last_segment(version.model)}/{form}/{moment}"

        def finish() -> dict[str, Any]:
            try:
                export_to(self._catalog.require(_reference(held)), target, self._store)
            except QueryError as error:
                raise RequestError("FAILED_PRECONDITION", error.message) from error
            return vertex_message("ExportModelResponse")

        return self._operations.begin(
            version.model,
            "ExportModelOperationMetadata",
            finish,
            details={"outputInfo": {"artifactOutputUri": target}},
        )

    def delete(self, name: str) -> dict[str, Any]:
        """Delete a model with all versions, and return the operation.

        Raises:
            RequestError: NOT_FOUND, INVALID_ARGUMENT if the name has a version, or FAILED_PRECONDITION while a version is
                deployed or belongs to BigQuery.
        """
        if "@" in name:
            raise RequestError(
                "INVALID_ARGUMENT", f"The name {name} must not include a version. Delete a version with deleteVersion."
            )
        versions = self._registry.versions_of(name)
        for version in versions:
            _check_deletable(version)
        return self._delete(name, versions)

    def delete_version(self, name: str) -> dict[str, Any]:
        """Delete a version that is not the only one, and return the operation.

        Raises:
            RequestError: NOT_FOUND, INVALID_ARGUMENT without a version, or FAILED_PRECONDITION while the version is deployed,
                belongs to BigQuery, or is the only one.
        """
        check_names_version(name)
        version = self._registry.version(name)
        _check_deletable(version)
        if len(self._registry.versions_of(version.model)) == 1:
            raise RequestError("FAILED_PRECONDITION", f"{version.name} is the only version. Delete the Model instead.")
        return self._delete(version.model, [version])

    def _delete(self, name: str, versions: Sequence[Version]) -> dict[str, Any]:
        for version in versions:
            self._registry.remove(version)
            if version.copied_as is not None:
                copied = _reference(version.copied_as)
                self._catalog.delete(copied.project, copied.dataset, copied.model)
        return self._operations.begin(name.partition("@")[0], "DeleteOperationMetadata", lambda: EMPTY)

    def _target(self, parent: str, body: dict[str, Any]) -> str:
        """Return the name of the registered model that gets a version. Raises ``RequestError``."""
        model_id, parent_model = str(body.get("modelId") or ""), str(body.get("parentModel") or "")
        if parent_model and model_id:
            raise RequestError(
                "INVALID_ARGUMENT", "A new version has a parentModel, and a new Model a modelId: give one."
            )
        if parent_model:
            name = self._registry.version(parent_model).model
            if not name.startswith(f"{parent}/models/"):
                raise RequestError("INVALID_ARGUMENT", f"The parent model {parent_model} is not in {parent}.")
            return name
        if model_id and not VERTEX_ID.fullmatch(model_id):
            raise RequestError("INVALID_ARGUMENT", f"{model_id!r} is not a model ID: {VERTEX_ID.pattern}.")
        name = f"{parent}/models/{model_id or 10**18 + secrets.randbelow(9 * 10**18)}"
        if self._registry.exists(name):
            raise RequestError("ALREADY_EXISTS", f"The Model {name} already exists. Give it as the parent model.")
        return name

    def _added(self, version: Version, kind: str) -> dict[str, Any]:
        answer = {"model": version.model, "modelVersionId": str(version.number)}
        return self._operations.begin(
            version.model, f"{kind}OperationMetadata", lambda: vertex_message(f"{kind}Response", answer)
        )


def _refuse(body: dict[str, Any], *names: str) -> None:
    """Raise ``RequestError`` (UNIMPLEMENTED) if one of these fields has a value."""
    for name in names:
        if body.get(name):
            raise RequestError("UNIMPLEMENTED", f"The field {name} is not supported by the local Vertex AI.")


def _check_deletable(version: Version) -> None:
    """Check that a version can be deleted here.

    https://cloud.google.com/vertex-ai/docs/model-registry/delete-model
    """
    version.check_not_deployed()
    if version.bigquery_model is not None:
        raise RequestError(
            "FAILED_PRECONDITION",
            f"The Model {version.name} is a BigQuery ML model: drop {version.bigquery_model} in BigQuery to delete it.",
        )


def _reference(name: str) -> ModelReference:
    project, dataset, model = name.rsplit(".", 2)
    return ModelReference(project, dataset, model)
