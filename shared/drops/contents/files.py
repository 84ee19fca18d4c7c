"""Reads drops from the model bucket: the list of files, and the files that say which others the drop needs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from itertools import groupby
from threading import RLock

from google.api_core import exceptions
from google.cloud import storage

from shared.cloud import clients
from shared.cloud.storage import STORAGE
from shared.drops import limits
from shared.drops.contents.kinds import BEGINNING_BYTES
from shared.drops.contents.layout import Misplaced, misplaced
from shared.drops.contents.reading import OpenFile, read_drop, read_model
from shared.drops.contents.refusals import explained
from shared.drops.drop import (
    Drop,
    DropFile,
    DropPath,
    ListedObject,
    Ready,
    listed_files,
)
from shared.drops.formats.model_facts import ModelFacts
from shared.drops.formats.saved_model import Graph, read_graph
from shared.drops.manifest import NAMES
from shared.engine.services import Services
from shared.errors import Problem, Rejected, TryLater

_FIELDS = "nextPageToken,items(name,generation,crc32c,size,updated)"


@dataclass(frozen=True)
class StoredFile:
    """One generation of a file of a drop, in its bucket. It is a ``ModelFile``."""

    bucket: storage.Bucket
    prefix: str
    file: DropFile

    @property
    def name(self) -> str:
        """The name within the drop's folder."""
        return self.file.name

    @property
    def size(self) -> int:
        """The number of bytes."""
        return self.file.size

    def read(self, start: int, stop: int) -> bytes:
        """Return the stored bytes from ``start`` up to ``stop``, with one call.

        Raises:
            NotFound: The file was overwritten or deleted.
            TryLater: Cloud Storage does not answer, or not with these bytes.
        """
        if start == stop:
            return b""
        # The bytes as they are stored: of an object with gzip encoding no range could be read otherwise.
        # https://docs.cloud.google.com/storage/docs/transcoding#range
        blob = self.bucket.blob(self.prefix + self.name, generation=self.file.generation)
        with STORAGE.call(f"return {self.prefix}{self.name}", passes=(exceptions.NotFound,)) as options:
            content = bytes(blob.download_as_bytes(start=start, end=stop - 1, raw_download=True, **options))
        if len(content) != stop - start:
            raise TryLater(
                f"Cloud Storage returned {len(content)} bytes of {self.prefix}{self.name} instead of {stop - start}"
            )
        return content


class DropFiles:
    """The model bucket."""

    def __init__(self, client: storage.Client, bucket: str, project: str) -> None:
        """Create the reader of the bucket; ``project`` completes names of models that have none."""
        self._client = client
        self._bucket = client.bucket(bucket)
        self._project = project
        # What each generation of a graph was read as. A graph takes time, and a drop is read several times.
        self._graphs: dict[tuple[str, int], Graph | Problem] = {}
        # One file is parsed at a time, so that the threads of a process do not add up their memory.
        self._parsing = RLock()

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
        with self._parsing:
            try:
                return read_drop(drop, self._project, self._open(path), lambda file: self._graph(path, file))
            except exceptions.NotFound as error:
                raise TryLater(f"{path.prefix} changed while it was read") from error

    def read_model(self, drop: Drop, ready: Ready) -> ModelFacts:
        """Return what the files of a drop that is ready say about the model.

        Raises:
            Rejected: BigQuery would refuse the model; the error says why and what to do.
            TryLater: The drop changed while it was read, or Cloud Storage does not answer.
        """
        with self._parsing:
            try:
                facts = read_model(drop, ready, self._open(drop.path))
            except exceptions.NotFound as error:
                raise TryLater(f"{drop.path.prefix} changed while it was read") from error
        if refusal := facts.refusal():
            raise Rejected(refusal.message, field=refusal.field, code=refusal.code)
        return facts

    def read_or_list(self, path: DropPath) -> tuple[Drop, Problem | None]:
        """Return the current state of a drop, and None. If it is wrong, return its list of files alone, and the problem."""
        try:
            return self.read(path), None
        except Rejected as error:
            return self.list(path), error.problem

    def explain(self, drop: Drop, problem: Problem) -> Problem:
        """Return the problem of a drop with what its files are and what to do about them.

        Raises:
            TryLater: The drop changed while its files were read, or Cloud Storage does not answer.
        """

        def read(file: DropFile) -> bytes:
            return self._stored(drop.path, file).read(0, min(file.size, BEGINNING_BYTES))

        try:
            return explained(problem, drop, drop.path.uri(self.bucket), read)
        except exceptions.NotFound as error:
            raise TryLater(f"{drop.path.prefix} changed while it was read") from error

    def list(self, path: DropPath) -> Drop:
        """Return the drop with its list of files alone. One call lists 1,000 files.

        Of a folder that exceeds ``limits.FILES`` or ``limits.LISTED_CHARACTERS``, the first objects are returned.
        """
        objects: list[ListedObject] = []
        characters = 0
        with STORAGE.call(f"list {path.prefix}") as options:
            for blob in self._client.list_blobs(
                self._bucket, prefix=path.prefix, page_size=1000, fields=_FIELDS, **options
            ):
                characters += len(blob.name)
                if len(objects) == limits.FILES or characters > limits.LISTED_CHARACTERS:
                    return Drop(path, listed_files(path.prefix, objects), is_truncated=True)
                objects.append((blob.name, int(blob.generation), blob.crc32c, int(blob.size), blob.updated))
        return Drop(path, listed_files(path.prefix, objects))

    def versions(self, prefix: str = "") -> Iterator[tuple[DropPath, datetime]]:
        """Yield all drops below ``prefix``, each with the time of its newest object."""
        return self._newest_objects(prefix=prefix)

    def contents(self) -> Iterator[tuple[DropPath | Misplaced, str, datetime]]:
        """Yield all drops, and all folders with objects that belong to no drop.

        A folder whose objects are not listed one after the other is yielded several times.

        Yields:
            The drop, or where its first object should be; the name of the first object; the time of the newest object.
        """
        last: tuple[DropPath | Misplaced, str, datetime] | None = None
        for name, written in self._objects():
            place = DropPath.of_object(name) or misplaced(name)
            if place is None:
                continue
            # Objects are listed in the order of their names, so those of one drop follow each other.
            if last is not None and _folder_of(last[0]) == _folder_of(place):
                last = (last[0], last[1], max(last[2], written))
                continue
            if last is not None:
                yield last
            last = (place, name, written)
        if last is not None:
            yield last

    def described(self) -> Iterator[tuple[DropPath, datetime]]:
        """Yield all drops with a `modeldrop.yaml`, each with the time of that file."""
        return self._newest_objects(match_glob=f"*/*/*/{{{','.join(NAMES)}}}")

    def _newest_objects(self, **selection: str) -> Iterator[tuple[DropPath, datetime]]:
        found = ((path, written) for name, written in self._objects(**selection) if (path := DropPath.of_object(name)))
        # Objects are listed in the order of their names, so those of one drop follow each other.
        for path, each in groupby(found, key=lambda each: each[0]):
            yield path, max(written for _, written in each)

    def _objects(self, **selection: str) -> Iterator[tuple[str, datetime]]:
        with STORAGE.call("list the drops") as options:
            for blob in self._client.list_blobs(
                self._bucket, page_size=1000, fields="nextPageToken,items(name,updated)", **options, **selection
            ):
                yield blob.name, blob.updated

    def _graph(self, path: DropPath, file: DropFile) -> Graph:
        key = (path.prefix, file.generation)
        if key not in self._graphs:
            if len(self._graphs) >= limits.REMEMBERED_GRAPHS:
                self._graphs.clear()
            try:
                self._graphs[key] = read_graph(self._stored(path, file))
            except Rejected as error:
                self._graphs[key] = error.problem
        found = self._graphs[key]
        if isinstance(found, Problem):
            raise Rejected(found.message, field=found.field, code=found.code)
        return found

    def _open(self, path: DropPath) -> OpenFile:
        return lambda file: self._stored(path, file)

    def _stored(self, path: DropPath, file: DropFile) -> StoredFile:
        return StoredFile(self._bucket, path.prefix, file)


def _folder_of(place: DropPath | Misplaced) -> DropPath | str:
    return place.folder if isinstance(place, Misplaced) else place


@cache
def drop_files(services: Services) -> DropFiles:
    """Return the reader of the model bucket. There is one in a process, because it caches graphs."""
    settings = services.settings
    return DropFiles(clients.storage_client(), settings.model_bucket, settings.google_cloud_project)
