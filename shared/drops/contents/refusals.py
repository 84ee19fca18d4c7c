"""What a drop that cannot become a model holds, and what to do about it: the text of its event."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence

from shared.drops import limits
from shared.drops.contents.kinds import FileKind, kind_of, kind_of_content
from shared.drops.drop import (
    MODEL_ENDINGS,
    NO_MODEL_FILE,
    SAVED_MODEL,
    SAVED_MODEL_FOLDERS,
    WANTED,
    Drop,
    DropFile,
)
from shared.errors import Problem
from shared.work_facts import FoundFile

WRONG_FORMAT = "wrong_format"

# Returns the first bytes of a file, at most ``kinds.BEGINNING_BYTES``.
ReadBeginning = Callable[[DropFile], bytes]


def found_files(files: Sequence[DropFile]) -> tuple[FoundFile, ...]:
    """Return the first files with their sizes, as an event shows them."""
    return tuple(FoundFile(file.name[:200], file.size) for file in files[: limits.FOUND_FILES])


def list_in_words(files: Sequence[DropFile]) -> str:
    """Return a few of the files in words: "model.keras (1,234 bytes) and 3 more files"."""
    shown = ", ".join(f"{file.name[:200]} ({file.size:,} bytes)" for file in files[: limits.NAMED_FILES])
    more = len(files) - limits.NAMED_FILES
    return f"{shown} and {more:,} more files" if more > 0 else shown


def explained(problem: Problem, drop: Drop, folder: str, read: ReadBeginning) -> Problem:
    """Return a problem with what the drop's files are and what to do about them.

    Only problems about the content of files are explained; any other one is returned unchanged.

    Args:
        problem: Why the drop cannot be imported.
        drop: The drop.
        folder: Where its files are, with a `/` at the end: in a bucket (`gs://...`) or on the disk.
        read: Returns the beginning of a file.
    """
    if problem.code == NO_MODEL_FILE:
        return Problem(problem.code, _no_model(drop, folder, read), problem.field)
    if problem.code == WRONG_FORMAT:
        models = [file for file in drop.payload if file.name == SAVED_MODEL or _is_model_name(file.name)]
        advice = list(filter(None, (_other_content(file, read) for file in models[: limits.RECOGNIZED_FILES])))
        return Problem(problem.code, ". ".join([problem.message, *advice]), problem.field)
    return problem


def _other_content(file: DropFile, read: ReadBeginning) -> str | None:
    """Return what a file with the name of a model is, and what to do, as a sentence; None if that is not known."""
    if file.size == 0:
        return f"{file.name[:200]} is empty: upload it again"
    kind = kind_of_content(file.name, read(file))
    return f"{file.name[:200]} is {kind.what}: {kind.advice}" if kind is not None else None


def _no_model(drop: Drop, folder: str, read: ReadBeginning) -> str:
    if not drop.payload:
        return f"{folder} holds only modeldrop.yaml: upload {WANTED} into the same folder"
    begin = f"{folder} holds {list_in_words(drop.payload)}, and none of them is a model that BigQuery imports"
    if deeper := _deeper_folders(drop.payload):
        return f"{begin} at the top of the folder. {_move_up(folder, deeper)}"
    if declared := drop.manifest.model_type:
        others = [file.name for file in drop.payload if file.name == SAVED_MODEL or _is_model_name(file.name)]
        if others:
            return f"{begin} as {declared}, the type in modeldrop.yaml. Correct the type, or remove it"
    return ". ".join([begin, *(_advice(drop.payload, read) or [f"Upload {WANTED}"])])


def _advice(files: Sequence[DropFile], read: ReadBeginning) -> list[str]:
    """Return what to do about the files, as sentences without full stops: one for each kind."""
    # A model is large, and files beside it are small.
    ordered = sorted(files, key=lambda file: (not _has_known_ending(file), -file.size))
    found: dict[FileKind | str, str] = {}
    for file in ordered[: limits.RECOGNIZED_FILES]:
        if "/" in file.name:
            continue
        if file.size == 0:
            found.setdefault("empty", f"{file.name[:200]} is empty: upload it again")
            continue
        kind = kind_of(file.name, read(file))
        if kind is not None and kind not in found:
            found[kind] = f"{file.name[:200]} is {kind.what}: {kind.advice}"
        elif kind is None and (right := _right_name(file.name)):
            found.setdefault(right, f"{file.name[:200]} must be named {right}: names are case-sensitive")
    return list(found.values())[: limits.NAMED_FILES]


def _has_known_ending(file: DropFile) -> bool:
    kind = kind_of(file.name, b"")
    return kind is not None or _right_name(file.name) is not None


def _right_name(name: str) -> str | None:
    """Return the name that differs only in case and is the name of a model file; None if there is none."""
    lower = name.lower()
    if lower == name:
        return None
    if lower == SAVED_MODEL:
        return SAVED_MODEL
    ending = next((each for each in MODEL_ENDINGS if lower.endswith(each)), None)
    return name[: -len(ending)] + ending if ending and not name.endswith(ending) else None


def _is_model_name(name: str) -> bool:
    return "/" not in name and name.endswith(MODEL_ENDINGS)


def _deeper_folders(files: Sequence[DropFile]) -> list[str]:
    """Return the folders within the drop that a model is in, each with a `/` at its end."""
    folders: dict[str, None] = {}
    for file in files:
        parts = file.name.split("/")
        inner = next((at for at, part in enumerate(parts[:-1]) if part in SAVED_MODEL_FOLDERS), len(parts) - 1)
        is_part = inner < len(parts) - 1 or parts[-1] == SAVED_MODEL or parts[-1].endswith(MODEL_ENDINGS)
        if inner > 0 and is_part and not parts[-1].endswith(".json"):
            folders["/".join(parts[:inner]) + "/"] = None
    return list(folders)


def _move_up(folder: str, deeper: list[str]) -> str:
    inner = f"{folder}{deeper[0]}"
    # gcloud expands the wildcard itself, a shell does so only outside the quotes.
    move = (
        f"gcloud storage mv {shlex.quote(f'{inner}*')}" if folder.startswith("gs://") else f"mv {shlex.quote(inner)}*"
    )
    if len(deeper) == 1:
        return (
            f"The model is in the folder {deeper[0][:200]}, and must be directly in {folder}. Move it: "
            f"{move} {shlex.quote(folder)}"
        )
    version = f"{folder.rstrip('/').rsplit('/', 1)[0]}/VERSION/"
    names = ", ".join(each[:100] for each in deeper[: limits.NAMED_FILES])
    return (
        f"There are models in {len(deeper)} folders ({names}), and each needs a version folder of its own. Move them: "
        f"{move} {shlex.quote(version)}"
    )
