"""Reads a model as the function `import_model` does, before it is uploaded: ``check``.

The readers are those of the function, so what passes here is imported. No library of a format is needed.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from shared.drops import limits, manifest
from shared.drops.contents.kinds import BEGINNING_BYTES
from shared.drops.contents.reading import OpenFile, read_drop, read_model
from shared.drops.contents.refusals import explained
from shared.drops.drop import SAVED_MODEL, Drop, DropFile, DropPath, NotReady, listed_files
from shared.drops.formats.model_facts import Columns, ModelFacts, Tensor
from shared.errors import Problem, Rejected, short_reason

# A model that is not in a drop's folder has these names in the example.
_PLACE = DropPath("my_dataset", "my_model", "1")
_PROJECT = "my-project"
_WRITTEN = datetime(2026, 1, 1, tzinfo=UTC)

# An example array with more elements is written as a query.
_SHORT_ARRAY = 8
_VALUES = {"INT64": "1", "FLOAT64": "0.5", "BOOL": "TRUE", "STRING": "'text'"}


@dataclass(frozen=True)
class Checked:
    """What a model is, and what BigQuery would refuse."""

    path: str
    facts: ModelFacts | None = None
    """None if the files could not be read as a model."""
    problems: tuple[Problem, ...] = ()
    """Why it cannot be imported, each with what to do. Empty if it can be."""
    model_file: str | None = None
    """The name of the model's file in its folder; None for a SavedModel, which is a folder."""
    manifest: str | None = None
    """The `modeldrop.yaml` that the model needs and does not have."""
    sql: str | None = None
    """An example prediction; None if the model cannot be imported."""

    @property
    def ok(self) -> bool:
        """Whether the model can be imported as it is."""
        return not self.problems

    def as_json(self) -> dict[str, Any]:
        """Return the result as a JSON object."""
        facts = self.facts or ModelFacts("")
        return {
            "path": self.path,
            "ok": self.ok,
            "model_type": facts.model_type or None,
            "versions": dict(facts.versions),
            "inputs": [asdict(tensor) for tensor in facts.inputs],
            "outputs": [asdict(tensor) for tensor in facts.outputs],
            "problems": [problem.as_json() for problem in self.problems],
            "notes": list(facts.notes),
            "manifest": self.manifest,
            "sql": self.sql,
        }


@dataclass(frozen=True)
class LocalFile:
    """A file of a model on the disk. It is a ``ModelFile``."""

    path: Path
    name: str
    size: int

    def read(self, start: int, stop: int) -> bytes:
        """Return the bytes from ``start`` up to ``stop``."""
        with self.path.open("rb") as file:
            file.seek(start)
            return file.read(stop - start)


def check(path: str | Path) -> Checked:
    """Return what a model is, and what BigQuery would refuse.

    Args:
        path: The model's file or folder, or its `gs://` URI. A `modeldrop.yaml` beside a file is read with it.

    Raises:
        OSError: A file cannot be read, or Cloud Storage refuses or does not answer.
    """
    text = str(path)
    try:
        listed = _stored_drop(text) if text.startswith("gs://") else _local_drop(Path(path))
    except Rejected as error:
        return Checked(text, problems=(error.problem,))
    drop, folder, open_file = listed

    def read(file: DropFile) -> bytes:
        return open_file(file).read(0, min(file.size, BEGINNING_BYTES))

    try:
        drop = read_drop(drop, _PROJECT, open_file)
        ready = drop.readiness(_WRITTEN, timedelta(0))
        if isinstance(ready, NotReady):
            missing = ", ".join(ready.missing)
            return Checked(text, problems=(Problem("incomplete", f"{folder} lacks {missing}: add what is missing"),))
        facts = read_model(drop, ready, open_file)
    except Rejected as error:
        return Checked(text, problems=(explained(error.problem, drop, folder, read),))
    needed = None if facts.needed is None else _manifest_text(facts.needed)
    sql = None if facts.problems else _example_sql(drop, facts)
    return Checked(text, facts, facts.problems, ready.file, needed, sql)


Listed = tuple[Drop, str, OpenFile]
"""A drop with its list of files, the folder that they are in, and what opens them."""


def _local_drop(path: Path) -> Listed:
    path = path.resolve()
    if not path.exists():
        raise Rejected(f"there is no file or folder {path}", code="not_found")
    folder, found = (path, _files_below(path)) if path.is_dir() else (path.parent, _files_beside(path))
    paths = list(itertools.islice(found, limits.FILES + 1))
    names = {each.relative_to(folder).as_posix(): each for each in paths}
    objects = [(name, 1, "", each.stat().st_size, _WRITTEN) for name, each in sorted(names.items())]
    drop = Drop(_place(folder.parts), listed_files("", objects), is_truncated=len(paths) > limits.FILES)
    if drop.is_empty:
        raise Rejected(f"{folder} holds no files", code="not_found")
    return drop, f"{folder}/", lambda file: LocalFile(names[file.name], file.name, file.size)


def _files_below(folder: Path) -> Iterator[Path]:
    return (each for each in folder.rglob("*") if each.is_file())


def _files_beside(file: Path) -> Iterator[Path]:
    """Yield the files of a model that is named by its file: for `saved_model.pb`, all of its folder."""
    if file.name == SAVED_MODEL:
        return _files_below(file.parent)
    return (each for each in (file, *(file.parent / name for name in manifest.NAMES)) if each.is_file())


def _stored_drop(uri: str) -> Listed:
    # Imported here, so that files on the disk are checked without the clients of Google Cloud.
    from google.api_core.exceptions import GoogleAPIError
    from google.auth.exceptions import GoogleAuthError
    from google.cloud import storage

    from shared.drops.contents.files import StoredFile

    bucket_name, _, name = uri.removeprefix("gs://").partition("/")
    try:
        bucket = storage.Client().bucket(bucket_name)
        is_file = bool(name) and not name.endswith("/") and bucket.blob(name).exists()
        folder = name.rpartition("/")[0] if is_file else name.rstrip("/")
        prefix = f"{folder}/" if folder else ""
        blobs = list(itertools.islice(bucket.list_blobs(prefix=prefix), limits.FILES + 1))
    except (GoogleAPIError, GoogleAuthError) as error:
        raise OSError(f"cannot read {uri}: {short_reason(error)}") from error
    objects = [(each.name, int(each.generation), each.crc32c, int(each.size), _WRITTEN) for each in blobs]
    if is_file and name != f"{prefix}{SAVED_MODEL}":
        beside = {name, *(f"{prefix}{manifest_name}" for manifest_name in manifest.NAMES)}
        objects = [each for each in objects if each[0] in beside]
    if not objects:
        raise Rejected(f"there is no object {uri}, and none below it", code="not_found")
    drop = Drop(_place(tuple(folder.split("/"))), listed_files(prefix, objects), is_truncated=len(blobs) > limits.FILES)
    return drop, f"gs://{bucket_name}/{prefix}", lambda file: StoredFile(bucket, prefix, file)


def _place(parts: tuple[str, ...]) -> DropPath:
    """Return the drop that a folder's last three names are, if they end in a version as drops' folders do."""
    found = DropPath.of_object("/".join([*parts[-3:], "model"])) if len(parts) >= 3 and parts[-1].isdigit() else None
    return found or _PLACE


def _manifest_text(columns: Columns) -> str:
    content = {"input": dict(columns.inputs), "output": dict(columns.outputs)}
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


def _example_sql(drop: Drop, facts: ModelFacts) -> str:
    target = drop.target(_PROJECT)
    if facts.takes_examples:
        return (
            "-- The columns of this table are the features of the tf.train.Example.\n"
            f"SELECT * FROM ML.PREDICT(MODEL `{target.dataset}.{target.model}`, TABLE `{target.dataset}.features`)"
        )
    values = ",\n  ".join(f"{_example_value(tensor)} AS `{tensor.name}`" for tensor in facts.inputs)
    return (
        f"SELECT * FROM ML.PREDICT(MODEL `{target.dataset}.{target.model}`, (\n  SELECT\n  {values}\n))"
        if values
        else f"SELECT * FROM ML.PREDICT(MODEL `{target.dataset}.{target.model}`, (SELECT 1 AS unused))"
    )


def _example_value(tensor: Tensor) -> str:
    element = tensor.type.removeprefix("ARRAY<").removesuffix(">")
    value = _VALUES.get(element, "NULL")
    if element == tensor.type:
        return value
    size = 1
    for dimension in (tensor.shape or ())[1:]:
        size *= dimension or 1
    if size <= _SHORT_ARRAY:
        return f"[{', '.join([value] * size)}]"
    return f"ARRAY(SELECT {value} FROM UNNEST(GENERATE_ARRAY(1, {size})))"
