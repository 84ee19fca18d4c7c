"""SavedModels whose only input is a serialized ``tf.train.Example``, as TFX and Estimators export them.

BigQuery takes the features in the example as columns. The graph says which they are: it parses the example.
https://www.tensorflow.org/api_docs/python/tf/io/parse_example
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.example import example_pb2
from tensorflow.core.framework import node_def_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from localcloud.bigquery.ml.models.signature import Feature

_TYPES = {tf.float32: "FLOAT64", tf.int64: "INT64", tf.string: "STRING"}


@dataclass(frozen=True)
class ExampleInput:
    """An input that is a serialized example.

    Attributes:
        name: Its name in the signature.
        features: The features in the example, which are the columns, in the order of their names.
    """

    name: str
    features: tuple[Feature, ...]

    def serialize(self, feeds: Mapping[str, np.ndarray]) -> tf.Tensor:
        """Return the examples of a batch of rows. A NULL is a feature that an example does not have."""
        rows = len(next(iter(feeds.values())))
        examples = [example_pb2.Example() for _ in range(rows)]
        for feature in self.features:
            column = feeds[feature.name].reshape(rows, -1)
            for example, values in zip(examples, column, strict=True):
                given = [value for value in values.tolist() if not (feature.nullable and _is_null(value))]
                if given or not feature.nullable:
                    _put(example.features.feature[feature.name], feature.type, given)
        return tf.constant([example.SerializeToString() for example in examples], tf.string)


def _is_null(value: Any) -> bool:
    return value is None or value != value


def _put(target: Any, kind: str, values: Sequence[Any]) -> None:
    match kind:
        case "FLOAT64":
            target.float_list.value.extend(float(value) for value in values)
        case "INT64":
            target.int64_list.value.extend(int(value) for value in values)
        case _:
            target.bytes_list.value.extend(
                value if isinstance(value, bytes) else str(value).encode() for value in values
            )


def example_input(definition: meta_graph_pb2.SignatureDef, graph: meta_graph_pb2.MetaGraphDef) -> ExampleInput | None:
    """Return the input of a signature if it is a serialized example whose features the graph names, or None."""
    if len(definition.inputs) != 1:
        return None
    name, info = next(iter(definition.inputs.items()))
    if tf.dtypes.as_dtype(info.dtype) != tf.string or len(info.tensor_shape.dim) > 1:
        return None
    features: dict[str, Feature] = {}
    for nodes in _bodies(graph):
        constants = {node.name: node for node in nodes if node.op == "Const"}
        for node in nodes:
            if node.op in ("ParseExample", "ParseExampleV2"):
                features |= {feature.name: feature for feature in _features(node, constants)}
    if not features:
        return None
    return ExampleInput(name, tuple(features[each] for each in sorted(features)))


def _bodies(graph: meta_graph_pb2.MetaGraphDef) -> Iterator[Sequence[node_def_pb2.NodeDef]]:
    yield graph.graph_def.node
    for function in graph.graph_def.library.function:
        yield function.node_def


def _features(node: node_def_pb2.NodeDef, constants: Mapping[str, node_def_pb2.NodeDef]) -> Iterator[Feature]:
    """Yield the features that a node parses."""
    inputs = [constants.get(each.removeprefix("^").split(":")[0]) for each in node.input]
    kinds = [tf.dtypes.as_dtype(kind) for kind in node.attr["Tdense"].list.type]
    sparse = [tf.dtypes.as_dtype(kind) for kind in node.attr["sparse_types"].list.type]
    if node.op == "ParseExampleV2":
        # serialized, names, sparse_keys, dense_keys, ragged_keys, and a default for each dense key
        sparse_names, dense_names, defaults = _texts(inputs[2]), _texts(inputs[3]), inputs[5:]
    else:
        # serialized, names, one input for each sparse key, for each dense key and for each default
        first, second = 2 + len(sparse), 2 + len(sparse) + len(kinds)
        sparse_names = [text for each in inputs[2:first] for text in _texts(each)]
        dense_names = [text for each in inputs[first:second] for text in _texts(each)]
        defaults = inputs[second:]
    for name, kind, shape, default in zip(
        dense_names, kinds, node.attr["dense_shapes"].list.shape, defaults, strict=False
    ):
        sizes = tuple(None if dim.size < 0 else int(dim.size) for dim in shape.dim)
        has_default = default is None or tf.make_ndarray(default.attr["value"].tensor).size > 0
        yield Feature(name, _TYPES[kind], sizes, array=sizes not in ((), (1,)), nullable=has_default)
    for name, kind in zip(sparse_names, sparse, strict=False):
        yield Feature(name, _TYPES[kind], (None,), array=True, nullable=True)


def _texts(node: node_def_pb2.NodeDef | None) -> list[str]:
    if node is None:
        return []
    return [text.decode() for text in tf.make_ndarray(node.attr["value"].tensor).reshape(-1)]
