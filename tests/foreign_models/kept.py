"""Keeps models, the rows of a sample, and what the library returns for them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np


def keep(folder: Path, name: str, rows: dict[str, np.ndarray], outputs: dict[str, np.ndarray]) -> None:
    """Write the rows and outputs of a model as JSON.

    Args:
        folder: The folder.
        name: The name of the model.
        rows: The inputs by column, with the rows in the first dimension.
        outputs: What the library returns, by the name of the column in the export.
    """
    content = {
        "rows": [_row(rows, at) for at in range(len(next(iter(rows.values()))))],
        "outputs": {column: np.asarray(values).tolist() for column, values in outputs.items()},
    }
    (folder / f"{name}.rows.json").write_text(json.dumps(content) + "\n")


def _row(rows: dict[str, np.ndarray], at: int) -> dict[str, Any]:
    return {column: np.asarray(values)[at].tolist() for column, values in rows.items()}
