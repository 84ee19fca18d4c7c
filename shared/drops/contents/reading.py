"""Reads what the files of a drop say about the model, wherever the files are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from shared.drops import limits
from shared.drops.drop import SAVED_MODEL, Drop, DropFile, Ready
from shared.drops.formats.all_formats import FORMATS
from shared.drops.formats.booster import is_booster
from shared.drops.formats.model_facts import Columns, ModelFacts
from shared.drops.formats.model_file import ModelFile
from shared.drops.formats.saved_model import Graph, read_graph
from shared.drops.manifest import NAME, decode, read_manifest
from shared.errors import Rejected

OpenFile = Callable[[DropFile], ModelFile]


def read_drop(
    drop: Drop, project: str, open_file: OpenFile, graph_of: Callable[[DropFile], Graph] | None = None
) -> Drop:
    """Return a drop with what its files say about the other files: `modeldrop.yaml`, the graph, and the JSON files.

    Args:
        drop: The drop with its list of files alone.
        project: The project of names in `modeldrop.yaml` that have none.
        open_file: Opens a file of the drop.
        graph_of: Reads the graph of a SavedModel; None reads it from the file.

    Raises:
        Rejected: The folder has too many files, or its `modeldrop.yaml` or its graph is wrong.
    """
    if drop.is_truncated:
        raise Rejected(
            f"{drop.path.prefix} holds more than {limits.FILES:,} objects, or names of more than "
            f"{limits.LISTED_CHARACTERS:,} characters together, the most that a drop may have",
            code="too_large",
        )
    drop.check_manifest_name()
    if (file := drop.manifest_file) is not None:
        if file.size > limits.MANIFEST_BYTES:
            raise Rejected(f"{NAME} is larger than {limits.MANIFEST_BYTES} bytes", field=NAME, code="invalid_manifest")
        text = open_file(file).read(0, file.size)
        drop = replace(drop, manifest=read_manifest(text, project), manifest_text=decode(text))
    if (file := drop.graph_file) is not None:
        return replace(drop, graph=graph_of(file) if graph_of is not None else read_graph(open_file(file)))
    others = (file.name for file in drop.json_files[: limits.JSON_FILES] if not is_booster(open_file(file)))
    return replace(drop, other_json=frozenset(others))


def read_model(drop: Drop, ready: Ready, open_file: OpenFile) -> ModelFacts:
    """Return what the files of a drop that is ready say about the model, its problems included.

    Args:
        drop: The drop.
        ready: Its decision, which names the type and the file of the model.
        open_file: Opens a file of the drop.

    Raises:
        Rejected: The files are too large, or are not of their type.
    """
    kind = FORMATS[ready.model_type]
    name = ready.file or SAVED_MODEL
    file = next(each for each in drop.payload if each.name == name)
    size = file.size if ready.file else sum(each.size for each in drop.payload)
    if size > kind.largest:
        raise Rejected(
            f"the model has {size / limits.MEBIBYTE:,.0f} MB, and BigQuery imports at most "
            f"{kind.largest // limits.MEBIBYTE} MB of {ready.model_type}: make it smaller, for example with fewer layers or "
            "trees, or in half precision",
            code="too_large",
        )
    return kind.read(open_file(file), Columns(drop.manifest.inputs, drop.manifest.outputs))
