"""The models of the local BigQuery: their resources, and the files that each was frozen from.

A model's files lie in a folder of their own, named by the model's version, and a record beside them holds the rest, so
that a model survives a restart. Replacing a model makes a new version; a query that is running keeps the one it began
with. The files of former versions go at the next start.
"""

from __future__ import annotations

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
from localcloud.bigquery.ml.changes import patched
from localcloud.bigquery.ml.signature import Signature
from localcloud.bigquery.ml.statements import ModelReference

_RECORD = "model.json"
_REGISTRY = "registry.json"

# What models.list gives of each model: https://cloud.google.com/bigquery/docs/reference/rest/v2/models/list
LISTED_FIELDS = ("modelReference", "modelType", "creationTime", "lastModifiedTime", "labels")


@dataclass(frozen=True)
class Model:
    """One version of a model.

    Attributes:
        reference: Its name.
        version: Names this version among all versions of all models.
        type: ``TENSORFLOW``, ``ONNX``, ``TENSORFLOW_LITE`` or ``XGBOOST``; empty for a remote model.
        resource: The REST resource without its ``etag``.
        files: The folder of its files.
        signature: Its inputs and outputs; None for a remote model.
    """

    reference: ModelReference
    version: str
    type: str
    resource: dict[str, Any]
    files: Path
    signature: Signature | None = None

    @property
    def endpoint(self) -> str | None:
        """The name or URL of the remote model that it stands for, or None if it is an imported one."""
        endpoint: str | None = self.resource.get("remoteModelInfo", {}).get("endpoint")
        return endpoint

    def expired(self, now: datetime) -> bool:
        """Tell whether its expiration time has passed."""
        return "expirationTime" in self.resource and int(self.resource["expirationTime"]) <= milliseconds(now)

    def public(self) -> dict[str, Any]:
        """Return the REST resource.

        https://cloud.google.com/bigquery/docs/reference/rest/v2/models#Model
        """
        text = json.dumps(self.resource, sort_keys=True).encode()
        return {"etag": b64encode(hashlib.sha256(text).digest()[:16]).decode(), **self.resource}


def milliseconds(moment: datetime) -> int:
    """Return a moment as BigQuery's resources hold it."""
    return int(moment.timestamp() * 1000)


class ModelCatalog:
    """All models. Every method may be called from any thread."""

    def __init__(self, directory: Path | None, clock: Clock) -> None:
        """Open the catalog in ``directory``, which is made if it is not there; None keeps it until the process ends."""
        if directory is None:
            directory = Path(tempfile.mkdtemp(prefix="models-"))
            # It goes with the catalog, or at the latest with the process.
            weakref.finalize(self, shutil.rmtree, directory, ignore_errors=True)
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._clock = clock
        self._lock = threading.RLock()
        self._models: dict[ModelReference, Model] = {}
        self._registry: dict[str, int] = {}
        self._restore()

    # Looking

    def find(self, reference: ModelReference) -> Model | None:
        """Return the present version of a model, or None if there is no such model."""
        with self._lock:
            self._expire()
            return self._models.get(reference)

    def require(self, reference: ModelReference) -> Model:
        """Return the present version of a model. Raises ``NotFound``."""
        model = self.find(reference)
        if model is None:
            raise NotFound(f"Not found: Model {reference}")
        return model

    def list(self, project: str, dataset: str) -> list[dict[str, Any]]:
        """Return the models of a dataset by name, each with the fields that a list shows."""
        with self._lock:
            self._expire()
            models = [m for r, m in self._models.items() if (r.project, r.dataset) == (project, dataset)]
        models.sort(key=lambda model: model.reference.model)
        return [{name: m.resource[name] for name in LISTED_FIELDS if name in m.resource} for m in models]

    def get(self, project: str, dataset: str, model: str) -> dict[str, Any]:
        """Return a model's resource. Raises ``NotFound``."""
        return self.require(ModelReference(project, dataset, model)).public()

    # Changing

    def begin(self) -> tuple[str, Path]:
        """Return the name of a new version and the empty folder for its files."""
        version = uuid.uuid4().hex
        files = self._directory / version / "files"
        files.mkdir(parents=True)
        return version, files

    def discard(self, version: str) -> None:
        """Remove a version that came to nothing."""
        shutil.rmtree(self._directory / version, ignore_errors=True)

    def commit(self, model: Model, *, replacing: bool) -> Model | None:
        """Make a version the present one of its model; return the one it replaced, or None.

        Raises:
            QueryError: A model of that name is there and ``replacing`` is False.
        """
        with self._lock:
            self._expire()
            former = self._models.get(model.reference)
            if former is not None and not replacing:
                raise already_exists(model.reference)
            vertex_id = registered_id(model.resource)
            if vertex_id is not None:
                model = replace(model, resource=self._registered(model.resource, vertex_id))
            self._keep(model)
            if former is not None:
                self._forget(former)
            return former

    def update(self, reference: ModelReference, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Model:
        """Give a model the resource that ``change`` makes of its present one. Raises ``NotFound``."""
        with self._lock:
            model = self.require(reference)
            resource = change(dict(model.resource))
            resource["lastModifiedTime"] = str(milliseconds(self._clock.now()))
            vertex_id = registered_id(resource)
            if vertex_id is not None and registered_id(model.resource) is None:
                resource = self._registered(resource, vertex_id)
            changed = replace(model, resource=resource)
            self._keep(changed)
            return changed

    def patch(self, project: str, dataset: str, model: str, body: dict[str, Any]) -> dict[str, Any]:
        """Change a model as ``models.patch`` does and return its resource.

        A field that is null is removed, and so is a label.

        Raises:
            NotFound: There is no such model.
            QueryError: A field may not be changed.
        """

        return self.update(ModelReference(project, dataset, model), lambda resource: patched(resource, body)).public()

    def delete(self, project: str, dataset: str, model: str) -> None:
        """Delete a model, and its entry in the registry with it. Raises ``NotFound``."""
        with self._lock:
            self._forget(self.require(ModelReference(project, dataset, model)))

    def copy(self, source: ModelReference, target: ModelReference, *, replacing: bool, location: str) -> Model:
        """Copy a model under another name; the copy is in no registry.

        https://cloud.google.com/bigquery/docs/managing-models#copy_a_model

        Args:
            source: The model.
            target: The copy's name.
            replacing: Whether a model of that name may be replaced.
            location: Where the copy's dataset is.

        Raises:
            QueryError: There is no such model, or one of the new name is there and ``replacing`` is False.
        """
        with self._lock:
            original = self.require(source)
            version, files = self.begin()
            shutil.copytree(original.files, files, dirs_exist_ok=True)
            now = str(milliseconds(self._clock.now()))
            resource = dict(original.resource)
            resource |= {"modelReference": target.resource(), "location": location}
            resource |= {"creationTime": now, "lastModifiedTime": now}
            resource["trainingRuns"] = [
                {name: value for name, value in run.items() if not name.startswith("vertexAi")}
                for run in resource.get("trainingRuns", [])
            ]
            model = replace(original, reference=target, version=version, resource=resource, files=files)
            try:
                self.commit(model, replacing=replacing)
            except QueryError:
                self.discard(version)
                raise
            return model

    # Keeping

    def _registered(self, resource: dict[str, Any], vertex_id: str) -> dict[str, Any]:
        """Return the resource with the next version number under its id in the model registry.

        Numbers are never used again: https://cloud.google.com/bigquery/docs/managing-models-vertex
        """
        number = self._registry.get(vertex_id, 0) + 1
        self._registry[vertex_id] = number
        _write(self._directory / _REGISTRY, self._registry)
        runs = [dict(run) for run in resource["trainingRuns"]]
        runs[-1]["vertexAiModelVersion"] = str(number)
        return {**resource, "trainingRuns": runs}

    def _keep(self, model: Model) -> None:
        record = {
            "reference": model.reference.resource(),
            "type": model.type,
            "resource": model.resource,
            "signature": None if model.signature is None else model.signature.to_json(),
        }
        _write(self._directory / model.version / _RECORD, record)
        self._models[model.reference] = model

    def _forget(self, model: Model) -> None:
        if self._models.get(model.reference) is not None and self._models[model.reference].version == model.version:
            del self._models[model.reference]
        (self._directory / model.version / _RECORD).unlink(missing_ok=True)

    def _expire(self) -> None:
        now = self._clock.now()
        for model in [model for model in self._models.values() if model.expired(now)]:
            self._forget(model)

    def _restore(self) -> None:
        registry = self._directory / _REGISTRY
        if registry.is_file():
            self._registry = json.loads(registry.read_text())
        folders = [folder for folder in self._directory.iterdir() if folder.is_dir()]
        for folder in folders:
            if not (folder / _RECORD).is_file():
                shutil.rmtree(folder)
        # Whoever died while replacing a model may have left two versions of it: the newer one is meant.
        records = [folder / _RECORD for folder in folders if folder.is_dir()]
        for record in sorted(records, key=lambda record: record.stat().st_mtime_ns):
            folder = record.parent
            kept = json.loads(record.read_text())
            named = kept["reference"]
            reference = ModelReference(named["projectId"], named["datasetId"], named["modelId"])
            former = self._models.get(reference)
            if former is not None:
                self.discard(former.version)
            signature = None if kept["signature"] is None else Signature.from_json(kept["signature"])
            self._models[reference] = Model(
                reference, folder.name, kept["type"], kept["resource"], folder / "files", signature
            )


def _write(file: Path, content: dict[str, Any]) -> None:
    """Write JSON so that a crash leaves the former content or the new one, never half of it."""
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps(content))
    partial.replace(file)


def already_exists(reference: ModelReference) -> QueryError:
    """Return the error that a model of that name is there."""
    return QueryError(f"Already Exists: Model {reference}", reason="duplicate")


def registered_id(resource: dict[str, Any]) -> str | None:
    """Return the id under which a model is in the model registry, or None if it is not there."""
    runs = resource.get("trainingRuns") or [{}]
    vertex_id: str | None = runs[-1].get("vertexAiModelId")
    return vertex_id
