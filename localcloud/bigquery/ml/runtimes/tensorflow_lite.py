"""TensorFlow Lite models, run by TensorFlow's interpreter.

https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-create-tflite
"""

from __future__ import annotations

import os
import re
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from localcloud.bigquery.ml.models.errors import InvalidModel
from localcloud.bigquery.ml.models.signature import Feature, Signature
from localcloud.bigquery.ml.runtimes.numbers import narrow, zeros
from localcloud.bigquery.ml.runtimes.startup_logs import without_startup_logs

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

with without_startup_logs():
    import tensorflow as tf

from localcloud.bigquery.ml.operators.lite_model import check_lite_model

SIGNATURE = "serving_default"
_IDENTIFIER = b"TFL3"

_TYPES: dict[type, str] = {
    **dict.fromkeys((np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64), "INT64"),
    **dict.fromkeys((np.float16, np.float32, np.float64), "FLOAT64"),
    np.bool_: "BOOL",
    np.bytes_: "STRING",
}
# The name of a tensor in a model without signatures, such as ``serving_default_input:0``.
_TENSOR_NAME = re.compile(r"(?:serving_default_)?(.*?)(?::\d+)?")


class LiteModel:
    """A loaded TensorFlow Lite model. It runs one call at a time, since the interpreter has one set of buffers."""

    def __init__(self, directory: Path) -> None:
        """Load the file ``model.tflite`` in a folder.

        Raises:
            InvalidModel: The file is not a TensorFlow Lite model, or BigQuery does not support it.
        """
        content = (directory / "model.tflite").read_bytes()
        if content[4:8] != _IDENTIFIER:
            raise InvalidModel("The file is not a TensorFlow Lite model.")
        check_lite_model(content)
        self._lock = threading.Lock()

        with warnings.catch_warnings():
            # TensorFlow warns that the interpreter will move to another package.
            warnings.simplefilter("ignore")
            self._interpreter = tf.lite.Interpreter(model_content=content)
        self._interpreter.allocate_tensors()
        self._inputs, self._outputs = self._tensors()
        inputs = tuple(_feature(name, details, "input") for name, details in self._inputs.items())
        self.batch = _batch(self._inputs)
        probed = self.run({feature.name: zeros(feature) for feature in inputs})
        outputs = tuple(
            Feature.as_output(name, _type(name, details, "output"), probed[name].shape[1:])
            for name, details in self._outputs.items()
        )
        self.signature = Signature(inputs, outputs)

    def run(self, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the model's outputs for a batch of rows."""
        with self._lock:
            self._resize(feeds)
            for name, values in feeds.items():
                details = self._inputs[name]
                value = values if details["dtype"] is np.bytes_ else narrow(name, values, details["dtype"])
                self._interpreter.set_tensor(details["index"], value)
            self._interpreter.invoke()
            return {name: self._interpreter.get_tensor(details["index"]) for name, details in self._outputs.items()}

    def _resize(self, feeds: dict[str, np.ndarray]) -> None:
        changed = False
        for name, values in feeds.items():
            details = self._inputs[name]
            if tuple(details["shape"]) != values.shape:
                self._interpreter.resize_tensor_input(details["index"], values.shape)
                details["shape"] = np.array(values.shape)
                changed = True
        if changed:
            self._interpreter.allocate_tensors()

    def _tensors(self) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
        """Return the details of the inputs and outputs by name. The names are those of the signature, if there is one."""
        signatures = self._interpreter.get_signature_list()
        inputs, outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        if not signatures:
            return _by_tensor_name(inputs), _by_tensor_name(outputs)
        key = SIGNATURE if SIGNATURE in signatures else next(iter(signatures))
        runner = self._interpreter.get_signature_runner(key)
        return (
            {name: dict(details) for name, details in sorted(runner.get_input_details().items())},
            {name: dict(details) for name, details in sorted(runner.get_output_details().items())},
        )


def _by_tensor_name(tensors: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    named = {}
    for details in tensors:
        match = _TENSOR_NAME.fullmatch(details["name"])
        named[match[1] if match else details["name"]] = dict(details)
    return named


def _shape(details: dict[str, Any]) -> list[int]:
    signature = details.get("shape_signature")
    return [int(size) for size in (details["shape"] if signature is None or not len(signature) else signature)]


def _type(name: str, details: dict[str, Any], kind: str) -> str:
    if details["dtype"] not in _TYPES:
        unsupported = np.dtype(details["dtype"]).name
        raise InvalidModel(f"TensorFlow Lite model {kind} '{name}' has the type {unsupported}, which is not supported.")
    if details.get("sparsity_parameters"):
        raise InvalidModel(f"TensorFlow Lite model {kind} '{name}' is a sparse tensor, which is not supported.")
    return _TYPES[details["dtype"]]


def _feature(name: str, details: dict[str, Any], kind: str) -> Feature:
    shape = tuple(None if size < 0 else size for size in _shape(details)[1:])
    return Feature.as_input(name, _type(name, details, kind), shape)


def _batch(inputs: dict[str, dict[str, Any]]) -> int | None:
    """Return the number of rows in one call, or None for any number."""
    firsts = {name: (_shape(details) or [1])[0] for name, details in inputs.items()}
    for name, size in firsts.items():
        if size > 1:
            raise InvalidModel(
                f"TensorFlow Lite model input '{name}' has a first dimension of {size}; it is the batch dimension and "
                "must be open or 1."
            )
    return 1 if 1 in firsts.values() else None
