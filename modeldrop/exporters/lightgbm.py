"""Exports models of LightGBM to ONNX, with onnxmltools.

A model whose features have names gets a column for each, and any other one a vector `features`.
https://onnx.ai/sklearn-onnx/auto_tutorial/plot_gexternal_lightgbm.html
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import onnx
from onnxmltools import convert_lightgbm
from onnxmltools.convert.common.data_types import FloatTensorType

from modeldrop.exporters.draft import Draft, Outputs
from modeldrop.exporters.errors import ExportError
from modeldrop.exporters.names import column_names, renamed
from modeldrop.exporters.onnx_columns import with_columns
from modeldrop.exporters.onnx_repair import FILE, repair, save
from modeldrop.exporters.onnx_runs import run
from modeldrop.exporters.samples import ROWS, Sample, random_values

VECTOR = "features"
_LABEL, _PROBABILITIES = "label", "probabilities"

# The newest opset of onnxmltools; its models use operators of much older ones.
_OPSET = 15


def write(model: Any, folder: Path, sample: Sample | None) -> Draft:
    """Write a booster, or a model of LightGBM's scikit-learn interface, into an empty folder as ONNX.

    See ``modeldrop.exporters.draft.Exporter``.
    """
    booster = model if isinstance(model, lightgbm.Booster) else model.booster_
    names = booster.feature_name()
    is_named = names != [f"Column_{at}" for at in range(len(names))]
    classes = getattr(model, "classes_", None)
    # onnxmltools cannot write the classes False and True, and takes 0 and 1 for those of a booster.
    source = booster if classes is not None and np.asarray(classes).dtype.kind == "b" else model
    converted = convert_lightgbm(
        source, initial_types=[(VECTOR, FloatTensorType([None, len(names)]))], zipmap=False, target_opset=_OPSET
    )
    columns = column_names(names)
    if is_named:
        converted = with_columns(converted, dict.fromkeys(columns.values(), False))
    repaired = repair(converted)
    save(repaired.model, folder)
    rows = _rows(names, sample)
    feeds = {name: rows[:, [at]] for at, name in enumerate(columns.values())} if is_named else {VECTOR: rows}
    written = run(onnx.load(folder / FILE), feeds)
    own = _own_outputs(model, booster, rows, written)
    notes = [*renamed(columns if is_named else {}), *repaired.notes]
    if left := sorted(written.keys() - own.keys()):
        notes.append(f"the model has no output to compare with the columns {', '.join(left)}")
    return Draft(FILE, own, written, tuple(notes))


def _rows(names: list[str], sample: Sample | None) -> np.ndarray:
    if sample is None:
        return random_values("f", (ROWS, len(names)))
    if sample.has_names and len(sample.columns) > 1:
        # LightGBM replaces spaces in names.
        given = {name.replace(" ", "_"): values for name, values in sample.columns.items()}
        if missing := [name for name in names if name not in given]:
            raise ExportError(f"the sample lacks the columns {', '.join(missing[:5])}, which are features of the model")
        sample = Sample({name: given[name] for name in names})
    table = sample.table()
    if table.shape[1] != len(names):
        raise ExportError(f"the sample has {table.shape[1]} columns, and the model has {len(names)} features")
    return table.astype(np.float32)


def _own_outputs(model: Any, booster: lightgbm.Booster, rows: np.ndarray, written: Outputs) -> Outputs:
    """Return the outputs of the model, by the names of the export's columns."""
    found = np.asarray(booster.predict(rows))
    if _PROBABILITIES not in written:
        return {next(iter(written)): found}
    # LightGBM returns the probability of the second of two classes.
    probabilities = np.column_stack([1 - found, found]) if found.ndim == 1 else found
    if model is booster:
        return {_PROBABILITIES: probabilities}
    return {_LABEL: np.asarray(model.classes_)[probabilities.argmax(axis=1)], _PROBABILITIES: probabilities}
