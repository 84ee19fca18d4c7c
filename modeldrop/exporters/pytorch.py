"""Exports modules of PyTorch to ONNX.

https://docs.pytorch.org/docs/stable/onnx_export.html
"""

from __future__ import annotations

import inspect
import logging
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch

from modeldrop.exporters.draft import Draft
from modeldrop.exporters.errors import ExportError
from modeldrop.exporters.onnx_repair import FILE, repair, save
from modeldrop.exporters.onnx_runs import run
from modeldrop.exporters.samples import Sample

_OUTPUT = "output"

# The oldest opset that PyTorch writes itself. The repair lowers it.
_OPSET = 18


def write(model: Any, folder: Path, sample: Sample | None) -> Draft:
    """Write a module, or an exported program, into an empty folder as ONNX; see ``modeldrop.exporters.draft.Exporter``.

    The module is evaluated, not trained: layers such as dropout do nothing.
    """
    # It warns of packages that are not installed, and of its own conversions.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    is_program = isinstance(model, torch.export.ExportedProgram)
    module = model.module() if is_program else model
    was_training = module.training
    if not is_program:
        module.eval()
    try:
        arguments = _example(model) if is_program and sample is None else _arguments(module, sample)
        with torch.no_grad():
            own = _named(module(*arguments))
        program = torch.onnx.export(
            model,
            None if is_program else tuple(arguments),
            dynamo=True,
            opset_version=_OPSET,
            output_names=list(own),
            dynamic_shapes=None if is_program else tuple({0: torch.export.Dim.DYNAMIC} for _ in arguments),
            verbose=False,
        )
    finally:
        if not is_program:
            module.train(was_training)
    repaired = repair(program.model_proto)
    save(repaired.model, folder)
    feeds = {name: value.numpy() for name, value in zip(repaired.inputs.values(), arguments, strict=True)}
    written = run(onnx.load(folder / FILE), feeds)
    return Draft(FILE, dict(zip(written, own.values(), strict=True)), written, repaired.notes)


def _arguments(module: Any, sample: Sample | None) -> list[Any]:
    """Return the sample rows as tensors, in the order of the parameters of `forward`."""
    if sample is None:
        raise ExportError(
            "a module does not say which inputs it has: give a few rows as sample (modeldrop.export(module, path, "
            "sample=inputs), or --sample rows.jsonl)"
        )
    if sample.rows == 1:
        # PyTorch takes a size of one for fixed.
        sample = Sample({name: np.repeat(values, 2, axis=0) for name, values in sample.columns.items()})
    columns = sample.columns
    parameters = list(inspect.signature(module.forward).parameters)
    if sample.has_names and columns.keys() <= set(parameters):
        columns = {name: columns[name] for name in parameters if name in columns}
    elif len(columns) > 1 and "0" not in columns:
        raise ExportError(
            f"the sample has the columns {', '.join(columns)}, and the module takes {', '.join(parameters)}: give a column for "
            "each"
        )
    floating = next((each.dtype for each in module.parameters() if each.is_floating_point()), torch.float32)
    tensors = [torch.as_tensor(np.ascontiguousarray(values)) for values in columns.values()]
    return [tensor.to(floating) if tensor.is_floating_point() else tensor for tensor in tensors]


def _example(program: Any) -> list[Any]:
    positional, named = program.example_inputs
    return [*positional, *named.values()]


def _named(results: Any) -> dict[str, np.ndarray]:
    """Return the outputs of a module by name."""
    if isinstance(results, dict):
        found = {str(name): value for name, value in results.items()}
    elif isinstance(results, tuple | list):
        found = {f"{_OUTPUT}_{index}": value for index, value in enumerate(results)}
    else:
        found = {_OUTPUT: results}
    if not all(isinstance(value, torch.Tensor) for value in found.values()):
        raise ExportError(
            "the module returns something that is not a tensor: return tensors, alone, as a tuple or a dictionary"
        )
    return {name: value.detach().numpy() for name, value in found.items()}
