"""Loads a model with the library of its type, which is imported only then."""

from __future__ import annotations

from pathlib import Path

from localcloud.bigquery.ml.runtimes.base import ModelRefused, Runtime
from localcloud.bigquery.ml.signature import Signature


def load(model_type: str, directory: Path, *, declared: Signature | None = None) -> Runtime:
    """Load the model whose files lie in ``directory``.

    Args:
        model_type: ``TENSORFLOW``, ``ONNX``, ``TENSORFLOW_LITE`` or ``XGBOOST``.
        directory: Where the files are.
        declared: The inputs and outputs that an INPUT and OUTPUT clause named, for XGBoost.

    Raises:
        ModelRefused: The files are no model of that type that BigQuery imports.
    """
    try:
        return _load(model_type, directory, declared)
    except ModelRefused:
        raise
    except Exception as error:
        # Of broken files the libraries raise whatever their depths meet.
        reason = str(error).strip().split("\n", 1)[0].replace(f"{directory}/", "")
        raise ModelRefused(f"The model can't be loaded: {reason or type(error).__name__}") from error


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


def verify(model_type: str, directory: Path) -> None:
    """Make sure that loading a file from somewhere else can't bring this process down.

    Raises:
        ModelRefused: It would.
    """
    binary = directory / "model.bst"
    if model_type == "XGBOOST" and binary.is_file():
        from localcloud.bigquery.ml.runtimes.verification import verify_booster

        verify_booster(binary)
