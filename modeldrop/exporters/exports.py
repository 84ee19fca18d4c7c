"""Exports a model of any library into the files that BigQuery imports."""

from __future__ import annotations

import importlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modeldrop.check import Checked, check
from modeldrop.exporters.comparison import compare
from modeldrop.exporters.draft import Draft, Exporter
from modeldrop.exporters.errors import ExportError
from modeldrop.exporters.samples import sample_of
from modeldrop.exporters.stored_models import load_model
from shared.drops import manifest
from shared.drops.drop import MODEL_ENDINGS, SAVED_MODEL
from shared.errors import short_reason

# The exporters, by the package of a model's class. A class of several libraries, such as XGBClassifier, belongs to the first in
# the order of its base classes.
EXPORTERS: dict[str, str] = {
    "keras": "modeldrop.exporters.keras",
    "lightgbm": "modeldrop.exporters.lightgbm",
    "onnx": "modeldrop.exporters.onnx_files",
    "sklearn": "modeldrop.exporters.scikit_learn",
    "torch": "modeldrop.exporters.pytorch",
    "xgboost": "modeldrop.exporters.xgboost",
}
LIBRARIES = "Keras, scikit-learn, PyTorch, XGBoost, LightGBM and ONNX"


@dataclass(frozen=True)
class Exported:
    """A model that BigQuery imports."""

    path: Path
    """The folder or file that was written."""
    checked: Checked
    """What `modeldrop check` says about it."""
    largest_difference: float
    """The largest difference between a number that the model returned for a sample row, and that of the export."""
    notes: tuple[str, ...] = ()
    """What changed in the export and the user must know, such as names of columns."""


def export(model: Any, path: str | os.PathLike[str], *, sample: Any = None, overwrite: bool = False) -> Exported:
    """Write a model as BigQuery imports it, check it, and compare its outputs with the model's own.

    Args:
        model: A model of Keras 3, scikit-learn, PyTorch, XGBoost or LightGBM, an ONNX model, or the path of a file that one of
            these libraries saved.
        path: The folder to write. It can be the file itself if the model is one file: ``model.onnx`` or ``model.json``.
        sample: Rows to compare outputs on: a DataFrame, an array, a dictionary or tuple of arrays, or a list of dictionaries.
            Without it, the exporter makes random rows, unless the model needs to be shown its inputs.
        overwrite: Whether files of the same names may be replaced.

    Raises:
        ExportError: The model cannot be exported, BigQuery would refuse it, or its outputs differ. Nothing was written.
    """
    target = Path(path)
    if not overwrite and (target.is_file() or (target.is_dir() and any(target.iterdir()))):
        raise ExportError(f"{target} exists: choose another path, or overwrite it (--overwrite)")
    if isinstance(model, str | os.PathLike):
        model = load_model(Path(model))
    exporter = _exporter_of(model)
    with tempfile.TemporaryDirectory(prefix="modeldrop-export-") as temporary:
        folder = Path(temporary) / "model"
        folder.mkdir()
        draft = _write(exporter, model, folder, None if sample is None else sample_of(sample))
        is_file = _is_file(target, draft)
        _copy_manifest(target.parent if is_file else target, folder)
        if not is_file:
            _check_for_others(target, draft)
        checked = check(folder)
        if not checked.ok:
            reasons = "; ".join(problem.message for problem in checked.problems)
            raise ExportError(f"BigQuery would refuse the exported model: {reasons}")
        difference = compare(draft.own, draft.written)
        _move(folder, target, draft.file if is_file else None)
    written = check(target)
    return Exported(target, written, difference, draft.notes)


def _exporter_of(model: Any) -> Exporter:
    for base in type(model).__mro__:
        module = EXPORTERS.get(base.__module__.partition(".")[0])
        if module is not None:
            exporter: Exporter = importlib.import_module(module).write
            return exporter
    kind = f"{type(model).__module__}.{type(model).__qualname__}"
    raise ExportError(f"the model is of the class {kind}: only models of {LIBRARIES} can be exported")


def _write(exporter: Exporter, model: Any, folder: Path, sample: Any) -> Draft:
    try:
        return exporter(model, folder, sample)
    except ExportError:
        raise
    except ModuleNotFoundError as error:
        raise ExportError(
            f"the export needs the package {error.name}, which is not installed: install it, and export again"
        ) from error
    except Exception as error:
        # The libraries raise many unrelated types of errors for models that they cannot convert.
        reason = short_reason(str(error).partition("Stack trace:")[0]) or type(error).__name__
        raise ExportError(f"the model cannot be exported: {reason}") from error


def _is_file(target: Path, draft: Draft) -> bool:
    """Return whether the target is the name of the model's file."""
    if target.is_dir() or target.suffix not in MODEL_ENDINGS:
        return False
    if draft.file is None or target.suffix != Path(draft.file).suffix:
        what = (
            "a SavedModel, which is a folder"
            if draft.file is None
            else f"a file that ends in {Path(draft.file).suffix}"
        )
        raise ExportError(f"the model is exported as {what}, so {target} cannot be its name: give the name of a folder")
    return True


def _copy_manifest(target: Path, folder: Path) -> None:
    """Copy the `modeldrop.yaml` of the target to the model, so that both are checked together."""
    for name in manifest.NAMES:
        if (target / name).is_file():
            shutil.copyfile(target / name, folder / name)


def _check_for_others(target: Path, draft: Draft) -> None:
    """Raise an error if the folder has a model under another name, since one folder is one model."""
    names = sorted(each.name for each in target.iterdir()) if target.is_dir() else []
    for name in names:
        if name != (draft.file or SAVED_MODEL) and (name.endswith(MODEL_ENDINGS) or name == SAVED_MODEL):
            raise ExportError(
                f"{target} has another model, {name}: one folder is one model, so choose another folder, or delete it"
            )


def _move(folder: Path, target: Path, file: str | None) -> None:
    """Move what was written to its place. Files of the target with other names stay."""
    (target if file is None else target.parent).mkdir(parents=True, exist_ok=True)
    written = (each for each in folder.iterdir() if each.name not in manifest.NAMES)
    moves = [(folder / file, target)] if file else [(each, target / each.name) for each in written]
    for source, place in moves:
        if place.is_dir():
            shutil.rmtree(place)
        shutil.move(source, place)
