"""Model drops: which objects belong to a drop, whether it is complete and settled, and the order of versions.

Everything here is pure: it decides from a listing and a time.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice

from shared.checks.identifiers import ModelName, is_drop_folder, is_relative_path
from shared.drops import limits, manifest
from shared.drops.formats.all_formats import FORMATS
from shared.drops.formats.saved_model import Graph
from shared.drops.manifest import Manifest
from shared.drops.names import check_names
from shared.drops.remote import REMOTE
from shared.errors import Rejected
from shared.keys import hash_of
from shared.work_facts import DropRequest

SAVED_MODEL = "saved_model.pb"
LONGEST_VERSION = 128
VERSION = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{LONGEST_VERSION - 1}}}")
_SHARD = re.compile(r"variables/variables\.data-([0-9]{5})-of-([0-9]{5})")

# Command-line tools write the parts of large uploads there.
TEMPORARY_FOLDERS = ("gcloud/tmp/", "gsutil/tmp/")

# The folders within a SavedModel. They are never versions, so that a SavedModel whose version folder is missing is noticed.
# https://www.tensorflow.org/guide/saved_model#the_savedmodel_format_on_disk
SAVED_MODEL_FOLDERS = frozenset({"assets", "assets.extra", "variables"})

# Folders that show that a SavedModel is meant. The first is wrong.
_SAVED_FOLDERS = (f"{SAVED_MODEL}/", "variables/")

# How the name of a model file ends, by the model's type. The file is at the top of the drop's folder.
_SINGLE_FILES = {kind: each.endings for kind, each in FORMATS.items() if each.endings}


# How the names of all model files of one file end.
MODEL_ENDINGS = tuple(ending for endings in _SINGLE_FILES.values() for ending in endings)

# Files that only a SavedModel has, beside its folders.
_SAVED_MODEL_PARTS = ("fingerprint.pb", "keras_metadata.pb")

_PARTS_OF_FOLDERS = tuple(f"{folder}/" for folder in sorted(SAVED_MODEL_FOLDERS))

# What every drop needs, and the code of the problem of a drop that has nothing of it.
WANTED = "saved_model.pb with its folders, or one .onnx, .tflite, .bst or .json file (XGBoost)"
NO_MODEL_FILE = "no_model_file"

# The name, generation, crc32c, size in bytes and time of an object.
ListedObject = tuple[str, int, str, int, datetime]


@dataclass(frozen=True)
class DropPath:
    """The folder of one drop: `<dataset>/<model>/<version>/`."""

    dataset: str
    model: str
    version: str

    @classmethod
    def of_object(cls, name: str) -> DropPath | None:
        """Return the drop that the object ``name`` belongs to; None if the object is ignored."""
        if name.startswith(TEMPORARY_FOLDERS) or name.endswith("/"):
            return None
        parts = name.split("/")
        if len(parts) < 4 or not is_relative_path(name) or parts[-1][0] in "._":
            return None
        dataset, model, version = parts[:3]
        if not is_drop_folder(dataset, model) or not VERSION.fullmatch(version) or version in SAVED_MODEL_FOLDERS:
            return None
        # Datasets and models whose names begin with an underscore are hidden, as files are.
        return None if dataset[0] == "_" or model[0] == "_" else cls(dataset, model, version)

    @classmethod
    def parse(cls, path: str, bucket: str, field: str) -> DropPath:
        """Read `gs://bucket/dataset/model/version/`; raise ``Rejected`` if it is not a drop of this bucket."""
        name = path.removeprefix(f"gs://{bucket}/")
        drop = cls.of_object(f"{name.rstrip('/')}/{SAVED_MODEL}") if name != path else None
        if drop is None or drop.prefix != f"{name.rstrip('/')}/":
            meant = cls._in_text(path, bucket)
            suggestion = f"; did you mean {meant.uri(bucket)}?" if meant else ""
            raise Rejected(
                f"{field} is {path[:120]!r}; it must be gs://{bucket}/<dataset>/<model>/<version>/{suggestion}",
                field=field,
                code="invalid_field",
            )
        return drop

    @classmethod
    def _in_text(cls, text: str, bucket: str) -> DropPath | None:
        """Return the drop that a text names otherwise: by a file in it, by the URL of a page, or without the bucket."""
        name = text.rpartition(f"{bucket}/")[2].strip("/")
        return cls.of_object("/".join([*name.split("/")[:3], SAVED_MODEL]))

    @classmethod
    def of_request(cls, request: DropRequest) -> DropPath:
        """Return the drop that a watch or an import is about."""
        return cls(request.dataset, request.folder, request.version)

    def uri(self, bucket: str) -> str:
        """Return the drop's folder as `gs://bucket/dataset/model/version/`."""
        return f"gs://{bucket}/{self.prefix}"

    @property
    def prefix(self) -> str:
        """The beginning of the names of the drop's objects."""
        return f"{self.dataset}/{self.model}/{self.version}/"

    @property
    def key(self) -> str:
        """The key under which the drop is watched."""
        return hash_of("drop", self.prefix)


@dataclass(frozen=True, slots=True)
class DropFile:
    """One object of a drop."""

    name: str
    """Within the drop's folder."""
    generation: int
    crc32c: str
    size: int
    updated: datetime

    @property
    def hidden(self) -> bool:
        """Whether it belongs to the drop only if the graph names it."""
        return self.name.rsplit("/", 1)[-1][:1] in {"", ".", "_"}


@dataclass(frozen=True)
class Ready:
    """The drop may be imported."""

    model_type: str
    fingerprint: str
    file: str | None
    """The file that is the model; None for a SavedModel, which consists of all files."""


@dataclass(frozen=True)
class NotReady:
    """The drop may not be imported yet."""

    missing: tuple[str, ...]
    """What the drop lacks, in words; empty if it is complete and has not settled. A long list is counted at its end."""
    due: datetime
    """When to examine the drop again."""


@dataclass(frozen=True)
class Drop:
    """A drop at the time of a listing."""

    path: DropPath
    files: tuple[DropFile, ...]
    manifest: Manifest = field(default_factory=Manifest)
    manifest_text: str = ""
    graph: Graph | None = None
    """The graph of a SavedModel; None until it is uploaded."""
    other_json: frozenset[str] = frozenset()
    """The JSON files that are not boosters of XGBoost."""
    is_truncated: bool = False
    """Whether the folder holds more objects than a drop may have. Then ``files`` are the first ones."""

    @property
    def is_empty(self) -> bool:
        """Whether the folder has no file that counts. Hidden files alone are not a drop."""
        return not self.payload and self.manifest_file is None

    @property
    def newest(self) -> datetime | None:
        """When the newest file was written; None if there is no file."""
        return max((file.updated for file in self.files), default=None)

    @property
    def graph_file(self) -> DropFile | None:
        """`saved_model.pb`."""
        return self._file(SAVED_MODEL)

    @property
    def manifest_file(self) -> DropFile | None:
        """`modeldrop.yaml`, or `modeldrop.yml`."""
        return next(iter(self._manifest_files), None)

    @property
    def json_files(self) -> tuple[DropFile, ...]:
        """The files that may be an XGBoost booster in JSON."""
        return tuple(
            file for file in self.files if not file.hidden and "/" not in file.name and file.name.endswith(".json")
        )

    @property
    def payload(self) -> tuple[DropFile, ...]:
        """The model's files: all but `modeldrop.yaml` and hidden files that the graph does not name."""
        named = set(self.graph.assets) if self.graph else set()
        return tuple(
            file for file in self.files if (not file.hidden or file.name in named) and file.name not in manifest.NAMES
        )

    @property
    def fingerprint(self) -> str:
        """The hash of the files that count and of `modeldrop.yaml`: it changes with each of them."""
        counted = [*self.payload, *self._manifest_files]
        parts = sorted(f"{file.name}\n{file.generation}\n{file.crc32c}" for file in counted)
        return hash_of("fingerprint", *parts)

    def check_manifest_name(self) -> None:
        """Raise ``Rejected`` if `modeldrop.yaml` is there twice, or under a name that is not read."""
        manifest.check_name({file.name for file in self.files if "/" not in file.name})

    def target(self, project: str) -> ModelName:
        """Return the model that the drop becomes."""
        return self.manifest.target or ModelName(project, self.path.dataset, self.path.model)

    def readiness(self, now: datetime, settle: timedelta) -> Ready | NotReady:
        """Decide whether the drop can be imported ``now``.

        Args:
            now: The current time.
            settle: How long the newest file must be unchanged.

        Raises:
            Rejected: It cannot be imported until its files change.
        """
        model_type, file, missing = self._completeness()
        if missing:
            return NotReady(missing, now + settle)
        if self.manifest.files is not None:
            lacking = self.manifest.files - len(self.payload)
            if lacking > 0:
                return NotReady(
                    (f"{lacking} of {self.manifest.files} files ({manifest.NAME} says files)",), now + settle
                )
            return Ready(model_type, self.fingerprint, file)
        settled = (self.newest or now) + settle
        return NotReady((), settled) if settled > now else Ready(model_type, self.fingerprint, file)

    def _completeness(self) -> tuple[str, str | None, tuple[str, ...]]:
        """Return the model's type, its file if it has only one, and what is missing."""
        if self.manifest.remote is not None:
            if self.payload:
                raise Rejected(
                    f"{manifest.NAME} has remote, and the drop holds {self.payload[0].name[:120]!r} too: delete the files, or "
                    "remote",
                    code="several_models",
                )
            return REMOTE, None, ()
        names = {file.name for file in self.payload} - self.other_json
        declared = self.manifest.model_type
        singles = {
            model_type: sorted(name for name in names if "/" not in name and name.endswith(endings))
            for model_type, endings in _SINGLE_FILES.items()
        }
        has_parts = SAVED_MODEL in names or any(name.startswith(_SAVED_FOLDERS) for name in names)
        others = sorted(name for each in singles.values() for name in each if not name.endswith(".json"))
        if declared is None and has_parts and others:
            raise Rejected(
                f"the drop holds a SavedModel and {', '.join(others[:5])}; one folder is one model: delete the files of one, "
                f"or write its type into {manifest.NAME}, such as `type: TENSORFLOW`",
                code="several_models",
            )
        if declared in {None, "TENSORFLOW"} and has_parts:
            if any(name.startswith(f"{SAVED_MODEL}/") for name in names):
                raise Rejected(f"{SAVED_MODEL} is a folder; it must be a file: rename or delete it", code="wrong_name")
            check_names(names)
            return "TENSORFLOW", None, self._missing_of_saved_model(names)
        if declared == "TENSORFLOW":
            return self._without_model()
        found = {declared: singles[declared]} if declared else {kind: each for kind, each in singles.items() if each}
        files = [name for each in found.values() for name in each]
        if any(not name.endswith(".json") for name in files):
            # Many tools write a JSON file beside the model: it is the model only if no other file can be.
            found = {kind: [name for name in each if not name.endswith(".json")] for kind, each in found.items()}
            files = [name for each in found.values() for name in each]
        if len(files) > 1:
            raise Rejected(
                f"the drop holds {len(files)} model files ({', '.join(sorted(files)[:5])}); one folder is one model",
                code="several_models",
            )
        if not files:
            return self._without_model()
        check_names(files)
        if "*" in files[0]:
            raise Rejected(
                f"the name of {files[0][:120]!r} holds a *, which BigQuery reads as a wildcard", code="wrong_name"
            )
        return next(kind for kind, each in found.items() if each) or "", files[0], ()

    def _without_model(self) -> tuple[str, str | None, tuple[str, ...]]:
        """Return what a drop without a model file lacks, in the form of ``_completeness``.

        Raises:
            Rejected: It holds no part of a model either, and no file is announced.
        """
        declared = self.manifest.model_type
        has_parts = any(
            file.name in _SAVED_MODEL_PARTS or file.name.startswith(_PARTS_OF_FOLDERS) for file in self.files
        )
        if declared in {None, "TENSORFLOW"} and has_parts:
            return "TENSORFLOW", None, (SAVED_MODEL,)
        wanted = f"a file of type {declared}" if declared else WANTED
        if self.manifest.files is not None and len(self.payload) < self.manifest.files:
            return declared or "", None, (wanted,)
        raise Rejected(f"the drop lacks {wanted}", code=NO_MODEL_FILE)

    def _missing_of_saved_model(self, names: set[str]) -> tuple[str, ...]:
        if self.graph is None:
            return (SAVED_MODEL,)
        missing = [asset for asset in self.graph.assets if asset not in names]
        uncounted = 0
        if self.graph.has_variables:
            if "variables/variables.index" not in names:
                missing.append("variables/variables.index")
            shards, lacking = _missing_shards(names)
            missing += shards
            uncounted = lacking - len(shards)
        more = max(0, len(missing) - limits.MISSING_FILES) + uncounted
        return (*missing[: limits.MISSING_FILES], *([f"and {more:,} more files"] if more else []))

    @property
    def _manifest_files(self) -> tuple[DropFile, ...]:
        return tuple(file for name in manifest.NAMES if (file := self._file(name)))

    def _file(self, name: str) -> DropFile | None:
        return next((file for file in self.files if file.name == name), None)


def _missing_shards(names: Collection[str]) -> tuple[list[str], int]:
    """Return the first shards of the variables that are missing, and how many are missing."""
    # A folder that was written twice may hold the shards of both times: one complete set is enough.
    sets = Counter(
        int(found[2]) for name in names if (found := _SHARD.fullmatch(name)) and int(found[1]) < int(found[2])
    )
    if not sets:
        return ["variables/variables.data-00000-of-?????"], 1
    count = min(sorted(sets), key=lambda count: count - sets[count])
    missing = (name for index in range(count) if (name := _shard_name(index, count)) not in names)
    return list(islice(missing, limits.MISSING_FILES)), count - sets[count]


def _shard_name(index: int, count: int) -> str:
    return f"variables/variables.data-{index:05d}-of-{count:05d}"


def listed_files(prefix: str, objects: Sequence[ListedObject]) -> tuple[DropFile, ...]:
    """Return the files of a drop from a listing, without the objects that do not belong to a drop.

    Args:
        prefix: The drop's folder.
        objects: The objects in that folder.
    """
    return tuple(
        DropFile(name.removeprefix(prefix), generation, crc32c, size, updated)
        for name, generation, crc32c, size, updated in objects
        if is_relative_path(name.removeprefix(prefix))
    )
