"""Runs ONNX models with onnxruntime."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import ValueInfoProto, helper

from modeldrop.exporters.draft import Outputs
from modeldrop.exporters.errors import ExportError
from modeldrop.exporters.samples import ONLY, ROWS, Sample, random_values
from shared.errors import short_reason

_QUIET = 4


def model_inputs(model: onnx.ModelProto) -> list[ValueInfoProto]:
    """Return the inputs of a model. Old models list their weights as inputs too, which are left out."""
    weights = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in weights]


def shape_of(value: ValueInfoProto) -> list[int | None]:
    """Return the shape of an input or output, with None for open sizes."""
    return [size.dim_value if size.dim_value > 0 else None for size in value.type.tensor_type.shape.dim]


def fixed_rows(model: onnx.ModelProto) -> int | None:
    """Return the number of rows that the inputs of a model fix; None if they take any number."""
    return next((shape[0] for value in model_inputs(model) if (shape := shape_of(value)) and shape[0]), None)


def feeds_of(model: onnx.ModelProto, sample: Sample | None) -> dict[str, np.ndarray]:
    """Return values for the inputs of a model, with the rows in the first dimension.

    Args:
        model: The model.
        sample: Rows with a column for each input; None makes random ones.

    Raises:
        ExportError: The sample lacks an input, or does not have its shape.
    """
    inputs = model_inputs(model)
    if sample is None:
        return {value.name: _random(value, seed) for seed, value in enumerate(inputs)}
    if len(inputs) == 1 and len(sample.columns) > 1 and inputs[0].name not in sample.columns:
        sample = Sample({ONLY: sample.table()})
    feeds = {value.name: _given(value, sample, len(inputs)) for value in inputs}
    # A model with a fixed number of rows gets a multiple of it.
    size = fixed_rows(model) or 1
    rows = np.arange(math.ceil(sample.rows / size) * size) % sample.rows
    return {name: values[rows] for name, values in feeds.items()}


def _random(value: ValueInfoProto, seed: int) -> np.ndarray:
    dtype = _dtype(value)
    sizes = shape_of(value)
    rows = ROWS if not sizes or sizes[0] in (None, 1) else 2 * (sizes[0] or 1)
    row = tuple(size or _open_size(value, at) for at, size in enumerate(sizes[1:], 1))
    return random_values(dtype.kind, (rows, *row), seed=seed).astype(dtype)


def _open_size(value: ValueInfoProto, at: int) -> int:
    # Inputs with the same named dimension get the same size.
    return 1 + sum(value.type.tensor_type.shape.dim[at].dim_param.encode()) % 7


def _given(value: ValueInfoProto, sample: Sample, count: int) -> np.ndarray:
    found = sample.columns.get(value.name)
    if found is None and count == 1 and len(sample.columns) == 1:
        found = next(iter(sample.columns.values()))
    if found is None:
        names = ", ".join(sample.columns)
        raise ExportError(f"the sample has no column {value.name!r}, which is an input of the model; it has: {names}")
    row = shape_of(value)[1:]
    sizes = [size for size in row if size is not None]
    is_open = len(sizes) < len(row)
    if not is_open and found.size != len(found) * math.prod(sizes):
        raise ExportError(
            f"the column {value.name!r} of the sample has rows of the shape {found.shape[1:]}; the model has {row}"
        )
    return (found if is_open else found.reshape(len(found), *sizes)).astype(_dtype(value))


def _dtype(value: ValueInfoProto) -> np.dtype[Any]:
    if value.type.WhichOneof("value") != "tensor_type":
        raise ExportError(
            f"the input {value.name!r} is not a tensor, and BigQuery passes only tensors: change the model"
        )
    return np.dtype(helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type))


def run(model: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> Outputs:
    """Return the outputs of a model.

    A model with a fixed number of rows runs as often as needed.

    Raises:
        ExportError: onnxruntime cannot load or run the model.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _QUIET
    names = [value.name for value in model.graph.output]
    size = fixed_rows(model)
    scalars = {value.name for value in model_inputs(model) if not shape_of(value)}
    rows = len(next(iter(feeds.values()))) if feeds else 1
    step = 1 if scalars else size or max(rows, 1)
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        parts: list[list[np.ndarray]] = []
        for start in range(0, rows, step):
            part = {
                name: np.asarray(values[start]) if name in scalars else values[start : start + step]
                for name, values in feeds.items()
            }
            parts.append([np.asarray(value) for value in session.run(names, part)])
    except Exception as error:
        # The classes of onnxruntime's errors have no common base class.
        raise ExportError(f"onnxruntime cannot run the ONNX model: {short_reason(error)}") from error
    return {name: _joined([part[at] for part in parts]) for at, name in enumerate(names)}


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    if len(parts) == 1:
        return parts[0]
    return np.stack(parts) if parts[0].ndim == 0 else np.concatenate(parts)
