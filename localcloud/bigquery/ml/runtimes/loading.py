"""Loads a model with the library of its type, in a worker."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

import pyarrow as pa

from localcloud.bigquery.ml.models.errors import InvalidModel
from localcloud.bigquery.ml.models.signature import Signature
from localcloud.bigquery.ml.runtimes.base import Runtime


def load(model_type: str, directory: Path, *, declared: Signature | None = None) -> Runtime:
    """Load a model.

    Args:
        model_type: ``TENSORFLOW``, ``ONNX``, ``TENSORFLOW_LITE`` or ``XGBOOST``.
        directory: The folder of the model's files.
        declared: The inputs and outputs in the INPUT and OUTPUT clauses, for XGBoost.

    Raises:
        InvalidModel: BigQuery can't import the files as a model of that type.
    """
    try:
        return _load(model_type, directory, declared)
    except InvalidModel:
        raise
    except Exception as error:
        # The libraries raise many unrelated types of errors for broken files.
        reason = str(error).strip().split("\n", 1)[0].replace(f"{directory}/", "")
        raise InvalidModel(f"The model can't be loaded: {reason or type(error).__name__}") from error


def _load(model_type: str, directory: Path, declared: Signature | None) -> Runtime:
    match model_type:
        case "TENSORFLOW":
            from localcloud.bigquery.ml.runtimes.tensorflow import SavedModel

            return SavedModel(directory)
        case "ONNX":
            from localcloud.bigquery.ml.runtimes.onnx import OnnxModel

            return OnnxModel(directory)
        case "TENSORFLOW_LITE":
            from localcloud.bigquery.ml.runtimes.tensorflow_lite import LiteModel

            return LiteModel(directory)
        case "XGBOOST":
            from localcloud.bigquery.ml.runtimes.xgboost import Booster

            return Booster(directory, declared)
    raise ValueError(model_type)


def import_library(model_type: str) -> None:
    """Import the library of a model type, without the optional parts that take long.

    Args:
        model_type: ``TENSORFLOW``, ``ONNX`` or ``XGBOOST``.
    """
    match model_type:
        case "TENSORFLOW":
            import localcloud.bigquery.ml.runtimes.tensorflow
            import localcloud.bigquery.ml.runtimes.tensorflow_lite
        case "ONNX":
            import localcloud.bigquery.ml.runtimes.onnx
        case "XGBOOST":
            # XGBoost imports both if it can, which takes longer than the rest.
            for optional in ("pandas", "sklearn"):
                sys.modules[optional] = None  # type: ignore[assignment]  # makes an import fail
            # PyArrow looks for pandas once, and takes None for the module: its first array would raise an error.
            with suppress(AttributeError):
                pa.array([])
            import localcloud.bigquery.ml.runtimes.xgboost  # noqa: F401
