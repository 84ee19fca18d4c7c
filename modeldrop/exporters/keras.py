"""Exports models of Keras 3 as SavedModels, with the names of their inputs and outputs as columns.

https://keras.io/api/models/model_saving_apis/export/
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from modeldrop.exporters.draft import Draft
from modeldrop.exporters.errors import ExportError
from modeldrop.exporters.names import column_names, renamed
from modeldrop.exporters.samples import ONLY, ROWS, Sample, random_values

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import tensorflow as tf

_SIGNATURE = "serving_default"
_INPUT, _OUTPUT = "input", "output"

# The size of a dimension that the model leaves open, in rows that are made.
_OPEN_SIZE = 4


def write(model: Any, folder: Path, sample: Sample | None) -> Draft:
    """Write a model of Keras into an empty folder as a SavedModel; see ``modeldrop.exporters.draft.Exporter``."""
    if keras.backend.backend() != "tensorflow":
        raise ExportError(
            f"Keras runs on {keras.backend.backend()}, and only models on TensorFlow can be exported: load the model with "
            "KERAS_BACKEND=tensorflow"
        )
    specs = _specs(model, sample)
    inputs = column_names(specs, identifiers=True)
    feeds = {inputs[name]: _feed(name, spec, sample, seed) for seed, (name, spec) in enumerate(specs.items())}
    call = _caller(model, list(inputs.values()))
    own = call([tf.constant(values) for values in feeds.values()])
    outputs = column_names(own)

    def serve(*values: tf.Tensor) -> dict[str, tf.Tensor]:
        return {outputs[name]: value for name, value in call(list(values)).items()}

    archive = keras.export.ExportArchive()
    archive.track(model)
    signature = [tf.TensorSpec(spec.shape, spec.dtype, name=inputs[name]) for name, spec in specs.items()]
    archive.add_endpoint("serve", serve, input_signature=signature)
    archive.write_out(str(folder), verbose=False)
    loaded = tf.saved_model.load(str(folder))
    written = loaded.signatures[_SIGNATURE](**{name: tf.constant(values) for name, values in feeds.items()})
    return Draft(
        None,
        {outputs[name]: value.numpy() for name, value in own.items()},
        {name: value.numpy() for name, value in written.items()},
        renamed({**inputs, **outputs}),
    )


def _specs(model: Any, sample: Sample | None) -> dict[str, tf.TensorSpec]:
    """Return the shapes and types of a model's inputs, by name."""
    tensors = getattr(model, "inputs", None)
    if tensors:
        if any(tensor.sparse or tensor.ragged for tensor in tensors):
            raise ExportError("the model has a sparse or ragged input: convert it to a dense one in the model")
        return {tensor.name: tf.TensorSpec((None, *tensor.shape[1:]), tensor.dtype) for tensor in tensors}
    if sample is None:
        raise ExportError(
            "the model does not say which inputs it has: give a few rows as sample (modeldrop.export(model, path, "
            "sample=rows)), or begin the model with keras.Input"
        )
    names = {name: _INPUT if name == ONLY else name for name in sample.columns}
    return {
        names[name]: tf.TensorSpec((None, *values.shape[1:]), _tensorflow_type(values))
        for name, values in sample.columns.items()
    }


def _tensorflow_type(values: np.ndarray) -> tf.DType:
    # Keras computes in float32 by default.
    return {"f": tf.float32, "O": tf.string}.get(values.dtype.kind) or tf.as_dtype(values.dtype)


def _feed(name: str, spec: tf.TensorSpec, sample: Sample | None, seed: int) -> np.ndarray:
    dtype = spec.dtype.as_numpy_dtype
    if sample is None:
        shape = (ROWS, *(size or _OPEN_SIZE for size in spec.shape[1:]))
        return random_values(np.dtype(dtype).kind, shape, seed=seed).astype(dtype)
    values = sample.columns.get(name, next(iter(sample.columns.values())) if len(sample.columns) == 1 else None)
    if values is None:
        raise ExportError(
            f"the sample has no column {name!r}, which is an input of the model; it has: {', '.join(sample.columns)}"
        )
    sizes = [size for size in spec.shape[1:] if size is not None]
    if len(sizes) == len(spec.shape[1:]):
        values = values.reshape(len(values), *sizes)
    return values.astype(dtype)


def _caller(model: Any, names: list[str]) -> Callable[[list[tf.Tensor]], dict[str, tf.Tensor]]:
    """Return a function from the inputs in their order to the outputs by name."""
    structure = getattr(model, "input", None) if getattr(model, "inputs", None) else None

    def call(values: list[tf.Tensor]) -> dict[str, tf.Tensor]:
        if structure is not None:
            given = keras.tree.pack_sequence_as(structure, values)
        else:
            given = values[0] if len(values) == 1 else dict(zip(names, values, strict=True))
        results = model(given, training=False)
        if isinstance(results, dict):
            return {str(name): value for name, value in results.items()}
        found = keras.tree.flatten(results)
        return dict(zip(_output_names(model, len(found)), found, strict=True))

    return call


def _output_names(model: Any, count: int) -> list[str]:
    """Return the names of the layers that give the outputs, as Keras 2 names outputs in SavedModels."""
    names = list(getattr(model, "output_names", None) or [])
    if not names and count == 1 and isinstance(model, keras.Sequential):
        names = [model.layers[-1].name]
    if len(names) != count or len(set(names)) != count:
        names = [_OUTPUT] if count == 1 else [f"{_OUTPUT}_{index}" for index in range(count)]
    return names
