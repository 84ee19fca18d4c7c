"""Checks the operators and tensors of an ONNX model, in all graphs, subgraphs and functions.

https://github.com/onnx/onnx/blob/main/docs/IR.md
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import onnx
from onnx import TensorProto

from localcloud.bigquery.ml.models.errors import InvalidModel
from localcloud.bigquery.ml.operators.allowed import ONNX_DOMAINS, ONNX_RUNTIME, ONNX_RUNTIME_DOMAIN


def check_onnx_model(model: onnx.ModelProto) -> None:
    """Check a parsed ONNX model.

    Raises:
        InvalidModel: An operator is not allowed, or a tensor is in another file.
    """
    functions = {(function.domain, function.name) for function in model.functions}
    bodies = [list(_all_nodes(model.graph.node)), *(list(_all_nodes(each.node)) for each in model.functions)]
    if model.training_info:
        raise InvalidModel("The ONNX model contains graphs for training, which are not supported.")
    for node in (node for body in bodies for node in body):
        if (node.domain, node.op_type) not in functions:
            _check_operator(node)
    for tensor in (*_graph_tensors(model.graph), *(tensor for body in bodies for tensor in _node_tensors(body))):
        if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
            raise InvalidModel(
                f"The ONNX model keeps tensors in other files ('{tensor.name}'); all must be in the one .onnx file."
            )


def _check_operator(node: onnx.NodeProto) -> None:
    domain = "" if node.domain == "ai.onnx" else node.domain
    if domain in ONNX_DOMAINS and onnx.defs.has(node.op_type, domain):
        return
    if domain == ONNX_RUNTIME_DOMAIN and node.op_type in ONNX_RUNTIME:
        return
    raise InvalidModel(
        f"The ONNX model uses the operator {node.op_type} of domain '{node.domain or 'ai.onnx'}' (node '{node.name}'), "
        "which is not supported in an imported model. Only the operators of ONNX and of ONNX Runtime 1.12 are."
    )


def _all_nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """Yield nodes and the nodes of their subgraphs."""
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        yield node
        waiting += [inner for graph in _subgraphs(node) for inner in graph.node]


def _subgraphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _graph_tensors(graph: onnx.GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)


def _node_tensors(nodes: list[onnx.NodeProto]) -> Iterator[TensorProto]:
    """Yield the tensors in the attributes of nodes, and those of their subgraphs."""
    for node in nodes:
        for attribute in node.attribute:
            yield attribute.t
            yield from attribute.tensors
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                yield from (sparse.values, sparse.indices)
        for graph in _subgraphs(node):
            yield from _graph_tensors(graph)
