"""Reads drops from the model bucket: the list of files, and the files that say which others the drop needs."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime
from functools import cache

from google.api_core import exceptions
from google.cloud import storage

from shared.cloud import clients
from shared.cloud.storage import STORAGE
from shared.drops.drop import (
    Drop,
    DropFile,
    DropPath,
    listed_files,
)
from shared.drops.formats.saved_model import Graph, read_graph
from shared.drops.manifest import (
    LARGEST_BYTES,
    NAME,
    decode,
    read_manifest,
)
from shared.engine.services import Services
from shared.errors import Problem, Rejected, TryLater

_FIELDS = "nextPageToken,items(name,generation,crc32c,size,updated)"

# The largest TensorFlow model that BigQuery imports, so a larger graph is not read:
# https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-create-tensorflow
LARGEST_GRAPH_BYTES = 450 * 1024 * 1024

# The beginning of an XGBoost model in JSON: https://xgboost.readthedocs.io/en/stable/tutorials/saving_model.html
BOOSTER = re.compile(rb'\s*\{\s*"(learner|version)"\s*:')
BOOSTER_BYTES = 256
# A drop with two boosters is not imported, so a few files are enough to look at.
MOST_JSON_FILES = 5


class DropFiles:
    """The model bucket."""

    def __init__(self, client: storage.Client, bucket: str, project: str) -> None:
        """Create the reader of the bucket; ``project`` completes names of models that have none."""
        self._client = client
        self._bucket = client.bucket(bucket)
        self._project = project
        # Each generation is read once: a graph may be large, and a drop is read several times.
        self._graphs: dict[tuple[str, int], Graph] = {}

    @property
    def bucket(self) -> str:
        """The name of the bucket."""
        return str(self._bucket.name)

    def read(self, path: DropPath) -> Drop:
        """Return the current state of a drop. A drop that does not exist has no files.

        Raises:
            Rejected: Its `modeldrop.yaml` or its graph is wrong.
            TryLater: Cloud Storage does not answer.
        """
        drop = self.list(path)
        try:
            if drop.manifest_file is not None:
                if drop.manifest_file.size > LARGEST_BYTES:
                    raise Rejected(f"modeldrop.yaml is larger than {LARGEST_BYTES} bytes", code="invalid_manifest")
                text = self._content(path, drop.manifest_file)
                manifest = read_manifest(text, self._project)
                drop = replace(drop, manifest=manifest, manifest_text=decode(text))
            if drop.graph_file is not None:
                drop = replace(drop, graph=self._graph(path, drop.graph_file))
            else:
                others = {file.name for file in drop.json_files[:MOST_JSON_FILES] if not self._is_booster(path, file)}
                drop = replace(drop, other_json=frozenset(others))
        except exceptions.NotFound as error:
            raise TryLater(f"{path.prefix} changed while it was read") from error
        return drop

    def read_or_list(self, path: DropPath) -> tuple[Drop, Problem | None]:
        """Return the current state of a drop, and None. If it is wrong, return its list of files alone, and the problem."""
        try:
            return self.read(path), None
        except Rejected as error:
            return self.list(path), error.problem

    def list(self, path: DropPath) -> Drop:
        """Return the drop with its list of files alone. One call lists 1,000 files."""
        with STORAGE.call(f"list {path.prefix}") as options:
            listed = self._client.list_blobs(
                self._bucket, prefix=path.prefix, page_size=1000, fields=_FIELDS, **options
            )
            objects = [(blob.name, int(blob.generation), blob.crc32c, int(blob.size), blob.updated) for blob in listed]
        return Drop(path, listed_files(path.prefix, objects))

    def versions(self, prefix: str = "") -> dict[DropPath, datetime]:
        """Return all drops below ``prefix``, each with the time of its newest object."""
        return self._newest_objects(prefix=prefix)

    def described(self) -> dict[DropPath, datetime]:
        """Return all drops with a `modeldrop.yaml`, each with the time of that file."""
        return self._newest_objects(match_glob=f"*/*/*/{NAME}")

    def _newest_objects(self, **selection: str) -> dict[DropPath, datetime]:
        newest: dict[DropPath, datetime] = {}
        with STORAGE.call("list the drops") as options:
            for blob in self._client.list_blobs(
                self._bucket, page_size=1000, fields="nextPageToken,items(name,updated)", **options, **selection
            ):
                if path := DropPath.of_object(blob.name):
                    newest[path] = max(newest.get(path, blob.updated), blob.updated)
        return newest

    def _graph(self, path: DropPath, file: DropFile) -> Graph:
        key = (path.prefix, file.generation)
        if key not in self._graphs:
            if file.size > LARGEST_GRAPH_BYTES:
                raise Rejected("saved_model.pb is larger than the 450 MB that BigQuery imports", code="too_large")
            if len(self._graphs) > 1000:
                self._graphs.clear()
            self._graphs[key] = read_graph(self._content(path, file))
        return self._graphs[key]

    def _is_booster(self, path: DropPath, file: DropFile) -> bool:
        return file.size > 0 and BOOSTER.match(self._content(path, file, first_bytes=BOOSTER_BYTES)) is not None

    def _content(self, path: DropPath, file: DropFile, *, first_bytes: int | None = None) -> bytes:
        blob = self._bucket.blob(path.prefix + file.name, generation=file.generation)
        end = None if first_bytes is None else first_bytes - 1
        with STORAGE.call(f"return {path.prefix}{file.name}", passes=(exceptions.NotFound,)) as options:
            return bytes(blob.download_as_bytes(end=end, raw_download=True, **options))


@cache
def drop_files(services: Services) -> DropFiles:
    """Return the reader of the model bucket. There is one in a process, because it caches graphs."""
    settings = services.settings
    return DropFiles(clients.storage_client(), settings.model_bucket, settings.google_cloud_project)
