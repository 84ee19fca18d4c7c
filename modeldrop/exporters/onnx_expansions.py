"""Replaces ONNX operators that are newer than BigQuery's ONNX Runtime 1.12 by older ones that compute the same.

PyTorch writes them by default. The formulas are those of https://onnx.ai/onnx/operators/
"""

from __future__ import annotations

import math
from collections.abc import Callable

from onnx import ModelProto, NodeProto, TensorProto, helper

from modeldrop.exporters.onnx_graphs import all_graphs


def expand_new_operators(model: ModelProto) -> None:
    """Replace the operators of the table below in a model, in all its graphs."""
    for graph in all_graphs(model.graph):
        if not any(_expansion(node) for node in graph.node):
            continue
        nodes = []
        for node in graph.node:
            expand = _expansion(node)
            nodes += [node] if expand is None else expand(node)
        kept = [NodeProto.FromString(node.SerializeToString()) for node in nodes]
        del graph.node[:]
        graph.node.extend(kept)


def _expansion(node: NodeProto) -> Callable[[NodeProto], list[NodeProto]] | None:
    return _EXPANSIONS.get(node.op_type) if node.domain in ("", "ai.onnx") else None


class _Formula:
    """The nodes of a formula over the input of a node. The names of its values begin with that of the node's output."""

    def __init__(self, node: NodeProto) -> None:
        self._output = node.output[0]
        self.input = node.input[0]
        self.nodes: list[NodeProto] = []

    def apply(self, operator: str, *values: str) -> str:
        name = f"{self._output}__{operator}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(values), [name]))
        return name

    def number(self, value: float) -> str:
        """Return a constant of the type of the input."""
        name = f"{self._output}__constant_{len(self.nodes)}"
        tensor = helper.make_tensor(name, TensorProto.FLOAT, [], [value])
        self.nodes.append(helper.make_node("Constant", [], [name], value=tensor))
        return self.apply("CastLike", name, self.input)

    def end(self, value: str) -> list[NodeProto]:
        self.nodes.append(helper.make_node("Identity", [value], [self._output]))
        return self.nodes


def _gelu(node: NodeProto) -> list[NodeProto]:
    formula = _Formula(node)
    value, one, half = formula.input, formula.number(1), formula.number(0.5)
    approximation = next((each.s for each in node.attribute if each.name == "approximate"), b"none")
    if approximation == b"tanh":
        cube = formula.apply("Mul", formula.apply("Mul", value, value), value)
        inner = formula.apply("Add", value, formula.apply("Mul", formula.number(0.044715), cube))
        bounded = formula.apply("Tanh", formula.apply("Mul", formula.number(math.sqrt(2 / math.pi)), inner))
    else:
        bounded = formula.apply("Erf", formula.apply("Mul", value, formula.number(math.sqrt(0.5))))
    return formula.end(formula.apply("Mul", formula.apply("Mul", half, value), formula.apply("Add", one, bounded)))


def _mish(node: NodeProto) -> list[NodeProto]:
    formula = _Formula(node)
    bounded = formula.apply("Tanh", formula.apply("Softplus", formula.input))
    return formula.end(formula.apply("Mul", formula.input, bounded))


_EXPANSIONS: dict[str, Callable[[NodeProto], list[NodeProto]]] = {"Gelu": _gelu, "Mish": _mish}
