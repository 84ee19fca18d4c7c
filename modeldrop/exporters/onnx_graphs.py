"""Walks through ONNX graphs and renames their values."""

from __future__ import annotations

from collections.abc import Iterator

from onnx import GraphProto, NodeProto


def all_graphs(graph: GraphProto) -> Iterator[GraphProto]:
    """Yield a graph and the graphs within its nodes."""
    waiting = [graph]
    while waiting:
        found = waiting.pop()
        yield found
        waiting += [inner for node in found.node for inner in subgraphs(node)]


def all_nodes(graph: GraphProto) -> Iterator[NodeProto]:
    """Yield the nodes of a graph and of the graphs within."""
    for each in all_graphs(graph):
        yield from each.node


def subgraphs(node: NodeProto) -> Iterator[GraphProto]:
    """Yield the graphs in the attributes of a node."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def value_names(graph: GraphProto) -> set[str]:
    """Return the names of all values in a graph and in the graphs within."""
    names: set[str] = set()
    for each in all_graphs(graph):
        names |= {value.name for value in (*each.input, *each.output)} | {tensor.name for tensor in each.initializer}
        names |= {name for node in each.node for name in (*node.input, *node.output)}
    return names


def rename_values(graph: GraphProto, names: dict[str, str]) -> None:
    """Rename values in a graph and in the graphs within. No value may have a new name already."""
    for each in all_graphs(graph):
        for value in (*each.input, *each.output, *each.value_info):
            value.name = names.get(value.name, value.name)
        for tensor in (*each.initializer, *(sparse.values for sparse in each.sparse_initializer)):
            tensor.name = names.get(tensor.name, tensor.name)
        for node in each.node:
            for side in (node.input, node.output):
                side[:] = [names.get(name, name) for name in side]
