"""Small ONNX models, as other tools write them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Value = tuple[str, int, Sequence[int | str | None]]


def onnx_model(
    nodes: list[onnx.NodeProto],
    inputs: list[Value],
    outputs: list[Value | onnx.ValueInfoProto],
    *,
    weights: dict[str, np.ndarray] | None = None,
    opset: int = 17,
    ml: int | None = None,
    ir: int = 8,
) -> onnx.ModelProto:
    """Return a model; values are a name, a type of TensorProto, and a shape."""
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(*value) for value in inputs],
        [each if isinstance(each, onnx.ValueInfoProto) else helper.make_tensor_value_info(*each) for each in outputs],
        [numpy_helper.from_array(values, name) for name, values in (weights or {}).items()],
    )
    opsets = [helper.make_opsetid("", opset)] + ([] if ml is None else [helper.make_opsetid("ai.onnx.ml", ml)])
    return helper.make_model(graph, opset_imports=opsets, ir_version=ir)


def doubled(element: int = TensorProto.FLOAT, *, name: str = "x", rows: Any = "n", **settings: Any) -> onnx.ModelProto:
    """Return a model that adds a vector of three elements to itself."""
    node = helper.make_node("Add", [name, name], ["y"])
    return onnx_model([node], [(name, element, [rows, 3])], [("y", element, [rows, 3])], **settings)


def classifier_with_zip_map() -> onnx.ModelProto:
    """Return a classifier as skl2onnx writes it by default."""
    linear = helper.make_node(
        "LinearClassifier",
        ["x"],
        ["label", "scores"],
        domain="ai.onnx.ml",
        coefficients=[1.0, 0.0, 0.0, 0.0, 1.0, 0.0],
        intercepts=[0.0, 0.5],
        classlabels_ints=[3, 7],
        multi_class=1,
        post_transform="SOFTMAX",
    )
    zip_map = helper.make_node(
        "ZipMap", ["scores"], ["output_probability"], domain="ai.onnx.ml", classlabels_int64s=[3, 7]
    )
    dictionaries = helper.make_sequence_type_proto(
        helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, None))
    )
    outputs: list[Value | onnx.ValueInfoProto] = [
        ("label", TensorProto.INT64, [None]),
        helper.make_value_info("output_probability", dictionaries),
    ]
    return onnx_model([linear, zip_map], [("x", TensorProto.FLOAT, [None, 3])], outputs, opset=9, ml=1, ir=10)
