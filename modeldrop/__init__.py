"""What people type and import: the command ``modeldrop``, and the tools around model files.

``modeldrop.export(model, path)`` writes a model as BigQuery imports it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modeldrop.exporters.exports import Exported


def export(model: Any, path: str | os.PathLike[str], *, sample: Any = None, overwrite: bool = False) -> Exported:
    """Write a model as BigQuery imports it, check it, and compare its outputs with the model's own.

    Args:
        model: A model of Keras 3, scikit-learn, PyTorch, XGBoost or LightGBM, an ONNX model, or the path of a file that one of
            these libraries saved.
        path: The folder to write, or the file itself if the model is one file: ``model.onnx`` or ``model.json``.
        sample: Rows to compare outputs on: a DataFrame, an array, a dictionary or tuple of arrays, or a list of dictionaries.
        overwrite: Whether files of the same names may be replaced.

    Raises:
        modeldrop.exporters.errors.ExportError: The model cannot be exported, BigQuery would refuse it, or its outputs differ.
            Nothing was written.
    """
    # Imported here, so that the command starts without NumPy.
    from modeldrop.exporters import exports

    return exports.export(model, path, sample=sample, overwrite=overwrite)
