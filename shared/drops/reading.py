"""Reads what the files of a drop say about the model, wherever the files are."""

from __future__ import annotations

from collections.abc import Callable

from shared.drops import limits
from shared.drops.drop import SAVED_MODEL, Drop, DropFile, Ready
from shared.drops.formats.all_formats import FORMATS
from shared.drops.formats.model_facts import Columns, ModelFacts
from shared.drops.formats.model_file import ModelFile
from shared.errors import Rejected


def read_model(drop: Drop, ready: Ready, open_file: Callable[[DropFile], ModelFile]) -> ModelFacts:
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
