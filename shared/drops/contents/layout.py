"""Objects outside the layout of the model bucket: which ones to report, why, and which name would be right.

Everything here is pure: it decides from the name of an object.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from pathlib import PurePosixPath

from shared.checks.identifiers import LONGEST_DATASET, LONGEST_MODEL, is_drop_folder, is_relative_path
from shared.drops.drop import (
    LONGEST_VERSION,
    SAVED_MODEL_FOLDERS,
    TEMPORARY_FOLDERS,
    VERSION,
    DropPath,
)

LAYOUT = "<dataset>/<model>/<version>/<file>"

# Words in a suggestion that a person replaces.
DATASET, MODEL, FILE, FIRST_VERSION = "DATASET", "MODEL", "FILE", "1"

# A folder with such a name is a version rather than a model.
_NUMBER = re.compile(r"v?[0-9]+(?:[._-][0-9]+)*", re.IGNORECASE)
_HIDDEN = (".", "_")
_LACKS_SLASH = (
    "it is a file with the name of a {}'s folder, which an upload creates if its destination lacks the slash at the end"
)


@dataclass(frozen=True)
class Misplaced:
    """An object that belongs to no drop."""

    folder: str
    """The folder that is reported once: it ends with `/`, or is empty for the top of the bucket."""
    reason: str
    """Why the object belongs to no drop, as a clause."""
    suggestion: str
    """The name that would be right. ``DATASET``, ``MODEL`` and ``FILE`` in it are to be replaced."""


def misplaced(name: str) -> Misplaced | None:
    """Return why the object ``name`` belongs to no drop.

    Returns:
        None if it belongs to one, or is an object that tools write beside the files of users: the placeholder of a folder, a
        temporary object, or one with a part that begins with `.` or `_`.
    """
    parts = name.split("/")
    real = [part for part in parts if part not in {"", ".", ".."}]
    if (
        name.startswith(TEMPORARY_FOLDERS)
        or name.endswith("/")
        or not real
        or any(part.startswith(_HIDDEN) for part in real)
        or DropPath.of_object(name) is not None
    ):
        return None
    length = _folder_length(parts)
    folder = "".join(f"{part}/" for part in parts[:length])
    meant, fault = _meant(real)
    right, reason = _placed(meant)
    reason = fault or reason
    if not is_relative_path(name):
        reason = "its path has two slashes in a row, begins with a slash, or has a part `.` or `..`"
    return Misplaced(folder, reason, right)


def _meant(parts: list[str]) -> tuple[list[str], str | None]:
    """Return the parts of a path as they were meant, and what is wrong with it, if it names the model as SQL does.

    In a query a model is `dataset.model` or `project.dataset.model`. The name of a dataset never has a hyphen, as the id of a
    project usually has.
    """
    names = parts[0].split(".") if len(parts) > 1 else []
    if len(names) in {2, 3} and _is_plain(names[-1], LONGEST_MODEL) and _is_plain(names[-2], LONGEST_DATASET):
        return [*names[-2:], *parts[1:]], "the dataset and the model are two folders"
    if len(parts) > 4 and "-" in parts[0] and DropPath.of_object("/".join(parts[1:])) is not None:
        return parts[1:], f"{parts[0][:80]!r} cannot be the name of a dataset, and the project is not part of the path"
    return parts, None


def _folder_length(parts: list[str]) -> int:
    """Return how many parts name the folder that the model is in, so that a SavedModel is reported once."""
    inner = (at for at, part in enumerate(parts[:-1]) if part in SAVED_MODEL_FOLDERS)
    return min(next(inner, len(parts)), len(parts) - 1, 3)


def _placed(parts: list[str]) -> tuple[str, str]:
    """Return the name with which an object would be in a drop, and what its name lacks."""
    length = _folder_length(parts)
    folders, inner = parts[:length], "/".join(parts[length:])
    model = _model_of_file(parts[-1]) if length == len(parts) - 1 else MODEL
    match folders:
        case []:
            return (
                f"{DATASET}/{model}/{FIRST_VERSION}/{inner}",
                "it is not in the folder of a dataset, model and version",
            )
        case [dataset] if len(parts) == 2 and "." not in inner:
            # `gcloud storage cp FILE gs://BUCKET/ml/m`, without the slash at the end, names the object `ml/m`.
            right = f"{_corrected(dataset, LONGEST_DATASET) or DATASET}/{_corrected(inner, LONGEST_MODEL) or MODEL}"
            return f"{right}/{FIRST_VERSION}/{FILE}", _LACKS_SLASH.format("model")
        case [dataset]:
            right = f"{_corrected(dataset, LONGEST_DATASET) or DATASET}/{model}/{FIRST_VERSION}/{inner}"
            return right, "the folders of the model and of the version are missing"
        case [dataset, version] if _NUMBER.fullmatch(version):
            right = f"{_corrected(dataset, LONGEST_DATASET) or DATASET}/{model}/{version}/{inner}"
            return right, "the folder of the model is missing"
        case [dataset, name] if length == len(parts) - 1 and _NUMBER.fullmatch(inner):
            right = f"{_corrected(dataset, LONGEST_DATASET) or DATASET}/{_corrected(name, LONGEST_MODEL) or MODEL}"
            return f"{right}/{inner}/{FILE}", _LACKS_SLASH.format("version")
        case [dataset, name]:
            right = f"{_corrected(dataset, LONGEST_DATASET) or DATASET}/{_corrected(name, LONGEST_MODEL) or MODEL}"
            return f"{right}/{FIRST_VERSION}/{inner}", "the folder of the version is missing"
        case _:
            dataset, name, version = folders
            return (
                f"{_corrected(dataset, LONGEST_DATASET) or DATASET}/{_corrected(name, LONGEST_MODEL) or MODEL}/"
                f"{_corrected_version(version)}/{inner}"
            ), _fault_of_names(dataset, name, version)


def _fault_of_names(dataset: str, model: str, version: str) -> str:
    if not is_drop_folder(dataset, MODEL):
        return (
            f"{dataset[:80]!r} cannot be the name of a dataset: use the letters A to Z, digits and underscores, "
            f"at most {LONGEST_DATASET}"
        )
    if not is_drop_folder(DATASET, model):
        return (
            f"{model[:80]!r} cannot be the name of a model: use the letters A to Z, digits and underscores, "
            f"at most {LONGEST_MODEL}"
        )
    return (
        f"{version[:80]!r} cannot be the name of a version: use the letters A to Z, digits, dots, hyphens and underscores, "
        f"beginning with a letter or digit, at most {LONGEST_VERSION}"
    )


def _model_of_file(name: str) -> str:
    """Return the model's name that the name of its file suggests: `genres` for `genres.onnx`."""
    file = PurePosixPath(name)
    if not file.suffix or file.stem in {"saved_model", "model", "modeldrop"}:
        return MODEL
    return _corrected(file.stem, LONGEST_MODEL) or MODEL


def _corrected(name: str, longest: int) -> str:
    """Return the name of a dataset or model that is most like ``name``; empty if nothing of it is left."""
    plain = "".join(each for each in unicodedata.normalize("NFKD", name) if not unicodedata.combining(each))
    return re.sub("[^A-Za-z0-9]+", "_", plain).strip("_")[:longest] if not _is_plain(name, longest) else name


def _is_plain(name: str, longest: int) -> bool:
    return len(name) <= longest and re.fullmatch("[A-Za-z0-9_]+", name) is not None


def _corrected_version(version: str) -> str:
    if VERSION.fullmatch(version):
        return version
    return re.sub("[^A-Za-z0-9._-]+", "_", version).strip("._-")[:LONGEST_VERSION] or FIRST_VERSION
