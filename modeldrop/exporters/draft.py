"""What an exporter returns: a model that is written, and the outputs to compare."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from modeldrop.exporters.samples import Sample

Outputs = dict[str, np.ndarray]
"""Arrays by the names of outputs, with the rows in the first dimension."""


@dataclass(frozen=True)
class Draft:
    """A model that was written into a folder."""

    file: str | None
    """The name of the model's file in the folder; None for a SavedModel, which is the folder."""
    own: Outputs
    """What the model itself returns for the sample rows, by the names of the columns of the export."""
    written: Outputs
    """What the written files return for the same rows. It may have more outputs than ``own``."""
    notes: tuple[str, ...] = field(default=())
    """What the user must know about the export."""


Exporter = Callable[[Any, Path, Sample | None], Draft]
"""Writes a model into an empty folder. It raises ``ExportError`` if it cannot.

Its arguments are the model, which is an object of the exporter's library, the folder, and the rows to compare outputs on;
without rows the exporter makes some."""
