"""Changes an ONNX model so that BigQuery takes it, without changing what it computes.

https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-create-onnx
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import GraphProto, ModelProto, TensorProto, helper

from modeldrop.exporters.errors import ExportError
from modeldrop.exporters.names import column_names, renamed
from modeldrop.exporters.onnx_expansions import expand_new_operators
from modeldrop.exporters.onnx_graphs import rename_values, value_names
from modeldrop.exporters.onnx_opsets import lower_versions
from modeldrop.exporters.onnx_runs import model_inputs, shape_of
from shared.drops import limits

FILE = "model.onnx"

# The name of a batch dimension that was fixed.
_ROWS = "rows"


@dataclass(frozen=True)
class Repaired:
    """A model that BigQuery takes."""

    model: ModelProto
    inputs: dict[str, str]
    """The new names of the inputs, by their old ones."""
    outputs: dict[str, str]
    """The new names of the outputs, by their old ones."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user must know about the changes."""
        return renamed({**self.inputs, **self.outputs})


def repair(original: ModelProto) -> Repaired:
    """Return a copy of a model that BigQuery takes.

    It has versions that ONNX Runtime 1.12 reads, no ZipMap, an open number of rows, and names that columns can have. The
    types of numbers stay.

    Raises:
        ExportError: The model uses something for which there is no older version.
    """
    model = without_zip_maps(original)
    expand_new_operators(model)
    model = lower_versions(model)
    _open_batch(model)
    inputs = column_names(value.name for value in model_inputs(model))
    outputs = column_names(value.name for value in model.graph.output)
    _rename(model.graph, inputs, outputs)
    return Repaired(model, inputs, outputs)


def save(model: ModelProto, folder: Path) -> None:
    """Write a model into a folder, with its weights.

    Raises:
        ExportError: It is larger than a model that BigQuery imports.
    """
    if model.ByteSize() > limits.GRAPH_BYTES:
        raise ExportError(
            f"the ONNX model has {model.ByteSize() // limits.MEBIBYTE:,} MB, and BigQuery imports at most "
            f"{limits.GRAPH_BYTES // limits.MEBIBYTE}: make it smaller, for example in half precision"
        )
    onnx.save(model, folder / FILE)


def without_zip_maps(original: ModelProto) -> ModelProto:
    """Return a copy of a model that returns the probabilities of a classifier as an array, not as a list of dictionaries.

    https://onnx.ai/sklearn-onnx/auto_examples/plot_convert_zipmap.html
    """
    model = copy.deepcopy(original)
    graph = model.graph
    outputs = {value.name: value for value in graph.output}
    for node in graph.node:
        if node.op_type == "ZipMap" and node.output[0] in outputs:
            value = outputs[node.output[0]]
            classes = sum(len(each.strings) + len(each.ints) for each in node.attribute)
            element = next(
                (each.type.tensor_type.elem_type for each in graph.value_info if each.name == node.input[0]), 0
            )
            array = helper.make_tensor_value_info(value.name, element or _element(graph), [None, classes or None])
            node.CopyFrom(helper.make_node("Identity", [node.input[0]], [value.name]))
            value.CopyFrom(array)
    return model


def _element(graph: GraphProto) -> int:
    """Return the type of the probabilities, which is float64 only if the inputs are."""
    is_double = all(value.type.tensor_type.elem_type == TensorProto.DOUBLE for value in graph.input)
    return int(TensorProto.DOUBLE if is_double else TensorProto.FLOAT)


def _open_batch(model: ModelProto) -> None:
    """Open the first dimension if all inputs fix the same number of rows, of more than one."""
    sizes = {shape[0] for value in model_inputs(model) if (shape := shape_of(value))}
    size = next(iter(sizes)) if len(sizes) == 1 else None
    if size is None or size == 1:
        return
    for value in (*model_inputs(model), *model.graph.output):
        if shape_of(value)[:1] == [size]:
            value.type.tensor_type.shape.dim[0].dim_param = _ROWS
    # The shapes of inner values would still have the fixed size.
    del model.graph.value_info[:]


def _rename(graph: GraphProto, inputs: dict[str, str], outputs: dict[str, str]) -> None:
    """Give inputs and outputs new names. Inner values that have one of these get another."""
    changed = {old: new for old, new in {**inputs, **outputs}.items() if old != new}
    taken = value_names(graph)
    inner = {new: f"{new}__inner" for new in changed.values() if new in taken and new not in changed}
    while any(name in taken for name in inner.values()):
        inner = {old: f"{new}_" for old, new in inner.items()}
    rename_values(graph, inner | changed)
