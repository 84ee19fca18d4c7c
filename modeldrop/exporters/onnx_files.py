"""Exports ONNX models that any tool wrote, if they only need other settings."""

from __future__ import annotations

from pathlib import Path

import onnx

from modeldrop.exporters.draft import Draft
from modeldrop.exporters.onnx_repair import FILE, repair, save, without_zip_maps
from modeldrop.exporters.onnx_runs import feeds_of, run
from modeldrop.exporters.samples import Sample


def write(model: onnx.ModelProto, folder: Path, sample: Sample | None) -> Draft:
    """Write a repaired ONNX model into an empty folder; see ``modeldrop.exporters.draft.Exporter``."""
    repaired = repair(model)
    save(repaired.model, folder)
    feeds = feeds_of(model, sample)
    own = {repaired.outputs[name]: values for name, values in run(without_zip_maps(model), feeds).items()}
    written = run(onnx.load(folder / FILE), {repaired.inputs[name]: values for name, values in feeds.items()})
    return Draft(FILE, own, written, repaired.notes)
