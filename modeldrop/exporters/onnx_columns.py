"""Gives an ONNX model a column for each feature instead of one vector, as in Google's example.

https://docs.cloud.google.com/bigquery/docs/making-predictions-with-sklearn-models-in-onnx-format
"""

from __future__ import annotations

from collections.abc import Mapping

from onnx import ModelProto, TensorProto, helper

from shared.drops.formats.onnx import NEWEST_OPSETS


def with_columns(model: ModelProto, columns: Mapping[str, bool]) -> ModelProto:
    """Return a model whose one input, a vector, is replaced by a column for each of its elements.

    Args:
        model: The model. Its parts are used in the result.
        columns: For each element the name of its column, and whether it takes integers instead of the numbers of the model.
    """
    graph = model.graph
    [vector] = graph.input
    element = vector.type.tensor_type.elem_type
    inputs, nodes, names = [], [], []
    for at, (column, is_integer) in enumerate(columns.items()):
        names.append(f"{vector.name}_{at}")
        inputs.append(helper.make_tensor_value_info(column, TensorProto.INT64 if is_integer else element, [None, 1]))
        nodes.append(helper.make_node("Cast", [column], [names[-1]], to=element))
    nodes += [helper.make_node("Concat", names, [vector.name], axis=1), *graph.node]
    changed = helper.make_graph(nodes, graph.name, inputs, graph.output, graph.initializer)
    result = helper.make_model(changed, opset_imports=model.opset_import, ir_version=model.ir_version)
    result.producer_name, result.producer_version = model.producer_name, model.producer_version
    if "" not in {each.domain for each in result.opset_import}:
        result.opset_import.add(domain="", version=NEWEST_OPSETS[""])
    return result
