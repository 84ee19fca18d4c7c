"""Loads a model that a library saved into a file.

A pickle runs code when it is loaded, so only files of one's own may be given. The documentation of the command says so.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

from modeldrop.exporters.errors import ExportError
from shared.errors import short_reason

_BEGINNING_BYTES = 64


def load_model(path: Path) -> Any:
    """Return the model in a file.

    Args:
        path: A file of Keras (`.keras`, `.h5`), scikit-learn (`.pkl`, `.joblib`), XGBoost (`.json`, `.ubj`, `.bst`), LightGBM
            (text), PyTorch (`.pt2`, or a whole module in `.pt` or `.pth`) or ONNX.

    Raises:
        ExportError: There is no such file, or it is not a model of these libraries.
    """
    if not path.is_file():
        what = "is a folder: give the file of a model" if path.is_dir() else "does not exist"
        raise ExportError(f"{path} {what}")
    load = _loader(path)
    try:
        return load(path)
    except ExportError:
        raise
    except ModuleNotFoundError as error:
        raise ExportError(
            f"{path} needs the package {error.name}, which is not installed: install it, and export again"
        ) from error
    except Exception as error:
        # The libraries raise many unrelated types of errors for damaged files.
        raise ExportError(f"{path} cannot be loaded: {type(error).__name__}: {short_reason(error)}") from error


def _loader(path: Path) -> Callable[[Path], Any]:
    with path.open("rb") as file:
        beginning = file.read(_BEGINNING_BYTES)
    ending = path.suffix.lower()
    if beginning.startswith((b"tree\n", b"tree\r\n")):
        return _load_lightgbm
    if ending in _LOADERS:
        return _LOADERS[ending]
    raise ExportError(
        f"{path} has an ending that is not known: give a file that ends in {', '.join(sorted(_LOADERS))}, or the text file of "
        "a LightGBM model"
    )


def _load_onnx(path: Path) -> Any:
    import onnx

    return onnx.load(path)


def _load_keras(path: Path) -> Any:
    import keras

    return keras.models.load_model(path, compile=False)


def _load_pickle(path: Path) -> Any:
    try:
        import joblib
    except ModuleNotFoundError:
        with path.open("rb") as file:
            return pickle.load(file)
    return joblib.load(path)


def _load_xgboost(path: Path) -> Any:
    import xgboost

    booster = xgboost.Booster()
    booster.load_model(path)
    return booster


def _load_lightgbm(path: Path) -> Any:
    import lightgbm

    return lightgbm.Booster(model_file=path)


def _load_exported_program(path: Path) -> Any:
    import torch

    return torch.export.load(path)


def _load_pytorch(path: Path) -> Any:
    import torch

    found = torch.load(path, map_location="cpu", weights_only=False)
    if isinstance(found, dict):
        raise ExportError(
            f"{path} has weights without the module: load them into the module in Python, and call modeldrop.export(module, "
            "path, sample=inputs)"
        )
    return found


_LOADERS: dict[str, Callable[[Path], Any]] = {
    ".bst": _load_xgboost,
    ".h5": _load_keras,
    ".joblib": _load_pickle,
    ".json": _load_xgboost,
    ".keras": _load_keras,
    ".onnx": _load_onnx,
    ".pickle": _load_pickle,
    ".pkl": _load_pickle,
    ".pt": _load_pytorch,
    ".pt2": _load_exported_program,
    ".pth": _load_pytorch,
    ".ubj": _load_xgboost,
}
