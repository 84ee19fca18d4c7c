"""The models of the local BigQuery: their resources and their files.

Each version of a model has a folder with the model's files and a record of everything else, so models survive a
restart. Replacing a model creates a new version; a running query keeps the version that it started with. The files of
replaced versions are deleted at the next start.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import tempfile
import threading
import uuid
import weakref
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from localcloud.base.clock import Clock
from localcloud.bigquery.base.errors import NotFound, QueryError
from localcloud.bigquery.base.resources import write_json
from localcloud.bigquery.ml.models.changes import apply_patch, check_same_id
from localcloud.bigquery.ml.models.registration import (
    ModelRegistry,
    VersionNumbers,
    registration_of,
    with_number,
    without_registration,
)
from localcloud.bigquery.ml.models.signature import Signature
from localcloud.bigquery.ml.models.statements import ModelReference

_RECORD = "model.json"

# The fields that models.list returns: https://cloud.google.com/bigquery/docs/reference/rest/v2/models/list
LISTED_FIELDS = ("modelReference", "modelType", "creationTime", "lastModifiedTime", "labels")


@dataclass(frozen=True)
class Model:
    """One version of a model.

    Attributes:
        reference: The name of the model.
        version: The id of this version, unique among all versions of all models.
        type: ``TENSORFLOW``, ``ONNX``, ``TENSORFLOW_LITE`` or ``XGBOOST``; empty for a remote model.
        resource: The REST resource without its ``etag``.
        files: The folder of the model's files.
        signature: The inputs and outputs; None for a remote model.
    """

    reference: ModelReference
    version: str
    type: str
    resource: dict[str, Any]
    files: Path
    signature: Signature | None = None

    @property
    def endpoint(self) -> str | None:
        """The endpoint of a remote model, or None for an imported model."""
        endpoint: str | None = self.resource.get("remoteModelInfo", {}).get("endpoint")
        return endpoint

    def expired(self, now: datetime) -> bool:
        """Return whether the model's expiration time has passed."""
        return "expirationTime" in self.resource and int(self.resource["expirationTime"]) <= milliseconds(now)

    def to_api(self) -> dict[str, Any]:
        """Return the REST resource.

        https://cloud.google.com/bigquery/docs/reference/rest/v2/models#Model
        """
        text = json.dumps(self.resource, sort_keys=True).encode()
        return {"etag": b64encode(hashlib.sha256(text).digest()[:16]).decode(), **self.resource}


def milliseconds(moment: datetime) -> int:
    """Return a time in milliseconds since the epoch, as in BigQuery's resources."""
    return int(moment.timestamp() * 1000)


class ModelCatalog:
    """All models. It is safe to use from several threads."""

    def __init__(self, directory: Path | None, clock: Clock) -> None:
        """Open the catalog.

        Args:
            directory: The folder of the catalog, created if missing; None uses a temporary one.
            clock: The source of creation, modification and expiration times.
        """
        if directory is None:
            directory = Path(tempfile.mkdtemp(prefix="models-"))
            # Delete it with the catalog, or at the latest when the process ends.
            weakref.finalize(self, shutil.rmtree, directory, ignore_errors=True)
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._clock = clock
        self._lock = threading.RLock()
        self._models: dict[ModelReference, Model] = {}
        self._registry: ModelRegistry = VersionNumbers()
        self._restore()
        self.connect(self._registry)

    def connect(self, registry: ModelRegistry) -> None:
        """Register models in ``registry`` from now on, and the present ones with the numbers that they have."""
        with self._lock:
            self._registry = registry
            known = [registration_of(model.reference, model.resource) for model in self._models.values()]
            registry.restore([registration for registration in known if registration is not None])

    # Reading

    def find(self, reference: ModelReference) -> Model | None:
        """Return the current version of a model, or None if the model does not exist."""
        with self._lock:
            self._remove_expired()
            return self._models.get(reference)

    def require(self, reference: ModelReference) -> Model:
        """Return the current version of a model.

        Raises:
            NotFound: The model does not exist.
        """
        model = self.find(reference)
        if model is None:
            raise NotFound(f"Not found: Model {reference}")
        return model

    def list(self, project: str, dataset: str) -> list[dict[str, Any]]:
        """Return the models of a dataset, sorted by name, each with the fields of ``models.list``."""
        with self._lock:
            self._remove_expired()
            models = [m for r, m in self._models.items() if (r.project, r.dataset) == (project, dataset)]
        models.sort(key=lambda model: model.reference.model)
        return [{name: m.resource[name] for name in LISTED_FIELDS if name in m.resource} for m in models]

    def get(self, project: str, dataset: str, model: str) -> dict[str, Any]:
        """Return the REST resource of a model.

        Raises:
            NotFound: The model does not exist.
        """
        return self.require(ModelReference(project, dataset, model)).to_api()

    # Changing

    def begin(self) -> tuple[str, Path]:
        """Start a new version; return its id and the empty folder for its files."""
        version = uuid.uuid4().hex
        files = self._directory / version / "files"
        files.mkdir(parents=True)
        return version, files

    def discard(self, version: str) -> None:
        """Delete a version that was started but not committed."""
        shutil.rmtree(self._directory / version, ignore_errors=True)

    def commit(self, model: Model, *, replacing: bool) -> Model | None:
        """Make a version the current one of its model; return the version that it replaces, or None.

        Raises:
            QueryError: The model exists and ``replacing`` is False, or it can't be replaced; see ``check_replaceable``.
        """
        with self._lock:
            self._remove_expired()
            former = self._models.get(model.reference)
            if former is not None and not replacing:
                raise already_exists(model.reference)
            wanted = registration_of(model.reference, model.resource)
            self.check_replaceable(model.reference, None if wanted is None else wanted.vertex_id)
            if wanted is not None:
                number = self._registry.register(wanted)
                model = replace(model, resource=with_number(model.resource, number))
            else:
                self._registry.unregister(model.reference)
            self._save(model)
            if former is not None:
                self._remove(former)
            return former

    def check_replaceable(self, reference: ModelReference, vertex_id: str | None) -> None:
        """Check that a model, if it exists, can be replaced by one with an id in the model registry, or without one.

        Raises:
            QueryError: The model is registered with another id, or deployed.
        """
        with self._lock:
            present = self._models.get(reference)
            if present is None:
                return
            if vertex_id is not None:
                check_same_id(registered_id(present.resource), vertex_id)
            self._registry.check_not_deployed(reference)

    def update(self, reference: ModelReference, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Model:
        """Replace a model's resource with what ``change`` returns for the current one.

        Raises:
            NotFound: The model does not exist.
        """
        with self._lock:
            model = self.require(reference)
            resource = change(dict(model.resource))
            resource["lastModifiedTime"] = str(milliseconds(self._clock.now()))
            wanted = registration_of(reference, resource)
            if wanted is not None and wanted.number is None:
                resource = with_number(resource, self._registry.register(wanted))
            changed = replace(model, resource=resource)
            self._save(changed)
            return changed

    def patch(self, project: str, dataset: str, model: str, body: dict[str, Any]) -> dict[str, Any]:
        """Change a model as ``models.patch`` does; return its resource. Fields and labels that are null are removed.

        Raises:
            NotFound: The model does not exist.
            QueryError: A value is not valid.
        """
        changed = self.update(ModelReference(project, dataset, model), lambda resource: apply_patch(resource, body))
        return changed.to_api()

    def delete(self, project: str, dataset: str, model: str) -> None:
        """Delete a model and its entry in the model registry.

        Raises:
            NotFound: The model does not exist.
            QueryError: The model is deployed.
        """
        with self._lock:
            self._delete(self.require(ModelReference(project, dataset, model)))

    def check_not_deployed(self, project: str, dataset: str) -> None:
        """Raise ``QueryError`` if a model of a dataset is deployed, so that the dataset can't be deleted."""
        with self._lock:
            for reference in self._models:
                if (reference.project, reference.dataset) == (project, dataset):
                    self._registry.check_not_deployed(reference)

    def copy(self, source: ModelReference, target: ModelReference, *, replacing: bool, location: str) -> Model:
        """Copy a model. The copy is not in the model registry.

        https://cloud.google.com/bigquery/docs/managing-models#copy_a_model

        Args:
            source: The model to copy.
            target: The name of the copy.
            replacing: Whether to replace an existing model of that name.
            location: The location of the copy's dataset.

        Raises:
            QueryError: The source does not exist, or the target exists and ``replacing`` is False.
        """
        with self._lock:
            original = self.require(source)
            version, files = self.begin()
            shutil.copytree(original.files, files, dirs_exist_ok=True)
            now = str(milliseconds(self._clock.now()))
            resource = dict(original.resource)
            resource |= {"modelReference": target.resource(), "location": location}
            resource |= {"creationTime": now, "lastModifiedTime": now}
            resource["trainingRuns"] = [without_registration(run) for run in resource.get("trainingRuns", [])]
            model = replace(original, reference=target, version=version, resource=resource, files=files)
            try:
                self.commit(model, replacing=replacing)
            except QueryError:
                self.discard(version)
                raise
            return model

    # Files

    def _save(self, model: Model) -> None:
        record = {
            "reference": model.reference.resource(),
            "type": model.type,
            "resource": model.resource,
            "signature": None if model.signature is None else model.signature.to_json(),
        }
        write_json(self._directory / model.version / _RECORD, record)
        self._models[model.reference] = model

    def _delete(self, model: Model) -> None:
        self._registry.unregister(model.reference)
        self._remove(model)

    def _remove(self, model: Model) -> None:
        if self._models.get(model.reference) is not None and self._models[model.reference].version == model.version:
            del self._models[model.reference]
        (self._directory / model.version / _RECORD).unlink(missing_ok=True)

    def _remove_expired(self) -> None:
        now = self._clock.now()
        for model in [model for model in self._models.values() if model.expired(now)]:
            with contextlib.suppress(QueryError):  # A deployed model exists until it is undeployed.
                self._delete(model)

    def _restore(self) -> None:
        folders = [folder for folder in self._directory.iterdir() if folder.is_dir()]
        for folder in folders:
            if not (folder / _RECORD).is_file():
                shutil.rmtree(folder)
        # A crash while a model is replaced can leave two versions of it. The newer one is the current one.
        records = [folder / _RECORD for folder in folders if folder.is_dir()]
        for record in sorted(records, key=lambda record: record.stat().st_mtime_ns):
            folder = record.parent
            content = json.loads(record.read_text())
            names = content["reference"]
            reference = ModelReference(names["projectId"], names["datasetId"], names["modelId"])
            former = self._models.get(reference)
            if former is not None:
                self.discard(former.version)
            signature = None if content["signature"] is None else Signature.from_json(content["signature"])
            self._models[reference] = Model(
                reference, folder.name, content["type"], content["resource"], folder / "files", signature
            )


def already_exists(reference: ModelReference) -> QueryError:
    """Return the error for creating a model that exists."""
    return QueryError(f"Already Exists: Model {reference}", reason="duplicate")


def registered_id(resource: dict[str, Any]) -> str | None:
    """Return a model's id in the model registry, or None if it is not registered."""
    runs = resource.get("trainingRuns") or [{}]
    vertex_id: str | None = runs[-1].get("vertexAiModelId")
    return vertex_id
