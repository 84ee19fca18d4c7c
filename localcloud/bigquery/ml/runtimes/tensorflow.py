"""SavedModels, run by TensorFlow through their serving signature.

https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-create-tensorflow
"""

from __future__ import annotations

import os
import re
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
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from localcloud.bigquery.ml.operators.saved_model import check_saved_model
from localcloud.bigquery.ml.runtimes.examples import example_input

SIGNATURE = "serving_default"
OLDEST_GRAPH = 20
_SHARD = re.compile(r"variables\.data-\d{5}-of-(\d{5})")
_VARIABLE_OPS = frozenset({"VarHandleOp", "VariableV2", "Variable"})

_TYPES: dict[tf.DType, str] = {
    **dict.fromkeys(
        (tf.int8, tf.int16, tf.int32, tf.int64, tf.uint8, tf.uint16, tf.uint32, tf.uint64),
        "INT64",
    ),
    **dict.fromkeys((tf.float16, tf.bfloat16, tf.float32, tf.float64), "FLOAT64"),
    tf.bool: "BOOL",
    tf.string: "STRING",
}


class SavedModel:
    """A loaded SavedModel."""

    def __init__(self, directory: Path) -> None:
        """Load the SavedModel in a folder.

        Raises:
            InvalidModel: BigQuery does not support the model.
        """
        graph = read_serving_graph(directory)
        check_files(directory, graph)
        definition = signature_of(graph)
        self._dtypes = {name: tf.dtypes.as_dtype(info.dtype) for name, info in definition.inputs.items()}
        self._scalars = {name for name, info in definition.inputs.items() if rank(info) == 0}
        self.batch = batch_size(definition)
        batched = len(self._scalars) < len(definition.inputs)
        self._sparse = {name for name, info in definition.inputs.items() if info.WhichOneof("encoding") == "coo_sparse"}
        inputs = tuple(feature(name, definition.inputs[name], "input") for name in sorted(definition.inputs))
        self._example = example_input(definition, graph)
        if self._example is not None:
            inputs = self._example.features
        self._loaded = tf.saved_model.load(str(directory))
        self._function = self._loaded.signatures[SIGNATURE]
        outputs = tuple(
            feature(name, definition.outputs[name], "output", batched=batched) for name in sorted(definition.outputs)
        )
        self.signature = Signature(inputs, self._with_known_ranks(inputs, outputs, definition))

    def run(self, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the model's outputs for a batch of rows."""
        tensors = self._tensors(feeds)
        results = {name: value.numpy() for name, value in self._function(**tensors).items()}
        if self._scalars and len(self._scalars) == len(tensors):
            # The signature has no batch dimension, so each row is a call.
            return {name: np.expand_dims(value, 0) for name, value in results.items()}
        return results

    def _tensors(self, feeds: dict[str, np.ndarray]) -> dict[str, tf.Tensor]:
        if self._example is not None:
            return {self._example.name: self._example.serialize(feeds)}
        tensors: dict[str, tf.Tensor] = {}
        for name, values in feeds.items():
            tensor = self._tensor(name, values)
            if name in self._sparse:
                # TensorFlow takes the parts of a SparseTensor as inputs of their own.
                sparse = tf.sparse.from_dense(tensor)
                parts = {"indices": sparse.indices, "values": sparse.values, "dense_shape": sparse.dense_shape}
                tensors |= {f"{name}_{part}": value for part, value in parts.items()}
            else:
                tensors[name] = tensor
        return tensors

    def _tensor(self, name: str, values: np.ndarray) -> tf.Tensor:
        if name in self._scalars:
            values = values[0]
        dtype = self._dtypes[name]
        if dtype == tf.string:
            return tf.constant(values, tf.string)
        return tf.constant(narrow(name, np.asarray(values), dtype.as_numpy_dtype))

    def _with_known_ranks(
        self, inputs: tuple[Feature, ...], outputs: tuple[Feature, ...], definition: meta_graph_pb2.SignatureDef
    ) -> tuple[Feature, ...]:
        """Return the outputs. Run the model once to find the ranks that the graph leaves open."""
        unknown = {name for name, info in definition.outputs.items() if info.tensor_shape.unknown_rank}
        if not unknown:
            return outputs
        feeds = {f.name: zeros(f) for f in inputs}
        try:
            results = self.run(feeds)
        except (tf.errors.OpError, ValueError, TypeError):
            return outputs
        return tuple(
            Feature.as_output(f.name, f.type, results[f.name].shape[1:]) if f.name in unknown else f for f in outputs
        )


def read_serving_graph(directory: Path) -> meta_graph_pb2.MetaGraphDef:
    """Return the serving graph of the SavedModel in a folder.

    Raises:
        InvalidModel: The folder has no SavedModel, or the SavedModel has no serving graph.
    """
    file = directory / "saved_model.pb"
    if not file.is_file():
        raise InvalidModel("The path holds no saved_model.pb. A TensorFlow model is imported from a SavedModel folder.")
    saved = saved_model_pb2.SavedModel()
    try:
        saved.ParseFromString(file.read_bytes())
    except Exception as error:
        # The class of the error differs between implementations of protobuf.
        raise InvalidModel("saved_model.pb is not a SavedModel: it can't be parsed.") from error
    check_saved_model(saved)
    for graph in saved.meta_graphs:
        if "serve" in graph.meta_info_def.tags:
            producer = graph.graph_def.versions.producer
            if 0 < producer < OLDEST_GRAPH:
                raise InvalidModel(
                    f"The GraphDef version {producer} is not supported; it must be {OLDEST_GRAPH} or higher."
                )
            return graph
    raise InvalidModel("saved_model.pb holds no graph with the tag 'serve'.")


def check_files(directory: Path, graph: meta_graph_pb2.MetaGraphDef) -> None:
    """Check that all files that the graph needs exist.

    Raises:
        InvalidModel: A file is missing; the message names it.
    """
    for asset in graph.asset_file_def:
        if not (directory / "assets" / asset.filename).is_file():
            raise InvalidModel(f"The SavedModel is incomplete: assets/{asset.filename} is missing.")
    # A TensorFlow 2 model stores its objects with its variables, so loading it needs these files even without variables.
    if not graph.object_graph_def.nodes and not any(node.op in _VARIABLE_OPS for node in graph.graph_def.node):
        return
    variables = directory / "variables"
    if not (variables / "variables.index").is_file():
        raise InvalidModel("The SavedModel is incomplete: variables/variables.index is missing.")
    present = {file.name for file in variables.iterdir()}
    counts = {int(match[1]) for name in present if (match := _SHARD.fullmatch(name))} or {1}
    for count in counts:
        for shard in range(count):
            name = f"variables.data-{shard:05d}-of-{count:05d}"
            if name not in present:
                raise InvalidModel(f"The SavedModel is incomplete: variables/{name} is missing.")


def signature_of(graph: meta_graph_pb2.MetaGraphDef) -> meta_graph_pb2.SignatureDef:
    """Return the serving signature of a graph.

    Raises:
        InvalidModel: The graph has no serving signature, or it has no inputs or outputs.
    """
    if SIGNATURE not in graph.signature_def:
        names = sorted(name for name in graph.signature_def if not name.startswith("__"))
        raise InvalidModel(
            f"The SavedModel has no signature '{SIGNATURE}'; it has: {', '.join(names) if names else 'none'}."
        )
    definition = graph.signature_def[SIGNATURE]
    for kind, tensors in (("inputs", definition.inputs), ("outputs", definition.outputs)):
        if not tensors:
            raise InvalidModel(f"The signature '{SIGNATURE}' has no {kind}.")
    return definition


def rank(info: meta_graph_pb2.TensorInfo) -> int | None:
    """Return the number of a tensor's dimensions, including the batch, or None if the graph leaves it open."""
    return None if info.tensor_shape.unknown_rank else len(info.tensor_shape.dim)


def batch_size(definition: meta_graph_pb2.SignatureDef) -> int | None:
    """Return the number of rows in one call, or None for any number.

    Raises:
        InvalidModel: The batch dimension has a fixed size other than 1.
    """
    firsts = {name: info.tensor_shape.dim[0].size for name, info in definition.inputs.items() if rank(info)}
    for name, size in firsts.items():
        if size > 1:
            raise InvalidModel(
                f"Input '{name}' has a first dimension of {size}; it is the batch dimension and must be open or 1."
            )
    return 1 if 1 in firsts.values() or any(rank(info) == 0 for info in definition.inputs.values()) else None


def feature(name: str, info: meta_graph_pb2.TensorInfo, kind: str, *, batched: bool = True) -> Feature:
    """Return an input or output of the signature.

    Args:
        name: Its name.
        info: Its tensor.
        kind: ``input`` or ``output``.
        batched: Whether the first dimension of the tensor is the batch.

    Raises:
        InvalidModel: BigQuery does not support the type of the tensor.
    """
    encoding = info.WhichOneof("encoding")
    if encoding == "composite_tensor":
        raise InvalidModel(
            f"The {kind} '{name}' is a RaggedTensor or another composite tensor, which is not supported."
        )
    if encoding == "coo_sparse" and kind == "output":
        raise InvalidModel(f"The output '{name}' is a SparseTensor, which is not supported locally.")
    dtype = tf.dtypes.as_dtype(info.dtype)
    if dtype not in _TYPES:
        raise InvalidModel(f"The {kind} '{name}' has the type {dtype.name}, which is not supported.")
    shape: tuple[Any, ...] = tuple(None if dim.size < 0 else dim.size for dim in info.tensor_shape.dim[batched:])
    if encoding == "coo_sparse":
        # A dense array, or NULL for no values.
        return Feature(name, _TYPES[dtype], shape, array=True, nullable=True)
    make = Feature.as_input if kind == "input" else Feature.as_output
    return make(name, _TYPES[dtype], shape)
