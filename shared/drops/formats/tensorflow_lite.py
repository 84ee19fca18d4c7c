"""Reads the signature and the operators of a TensorFlow Lite model, without TensorFlow.

The numbers of the fields are those of
https://github.com/tensorflow/tensorflow/blob/master/tensorflow/compiler/mlir/lite/schema/schema.fbs. The rules are on
https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-create-tflite
"""

from __future__ import annotations

import re

from shared.drops import limits
from shared.drops.formats.flatbuffer import Buffer, MalformedBuffer, Table
from shared.drops.formats.model_facts import (
    Columns,
    Format,
    ModelFacts,
    Shape,
    Tensor,
    check_batch,
    check_columns,
    input_type,
    output_type,
)
from shared.drops.formats.model_file import ModelFile
from shared.errors import Problem, Rejected

_IDENTIFIER = b"TFL3"
_SIGNATURE = "serving_default"
_CUSTOM = 32

# Model, SubGraph, Tensor, OperatorCode, SignatureDef and TensorMap: the fields that are read.
_VERSION, _OPERATORS, _SUBGRAPHS, _SIGNATURES = 0, 1, 2, 7
_TENSORS, _INPUTS, _OUTPUTS = 0, 1, 2
_SHAPE, _TYPE, _NAME, _SPARSITY, _OPEN_SHAPE = 0, 1, 3, 6, 7
_OLD_CODE, _CUSTOM_NAME, _CODE = 0, 1, 3
_SIGNATURE_INPUTS, _SIGNATURE_OUTPUTS, _SIGNATURE_KEY, _SUBGRAPH_INDEX = 0, 1, 2, 4
_MAP_NAME, _MAP_TENSOR = 0, 1

# The types of elements by their numbers: the name, and the type in GoogleSQL, which is None if BigQuery has none.
_ELEMENTS: dict[int, tuple[str, str | None]] = {
    0: ("float32", "FLOAT64"),
    1: ("float16", "FLOAT64"),
    2: ("int32", "INT64"),
    3: ("uint8", "INT64"),
    4: ("int64", "INT64"),
    5: ("string", "STRING"),
    6: ("bool", "BOOL"),
    7: ("int16", "INT64"),
    8: ("complex64", None),
    9: ("int8", "INT64"),
    10: ("float64", "FLOAT64"),
    11: ("complex128", None),
    12: ("uint64", "INT64"),
    13: ("resource", None),
    14: ("variant", None),
    15: ("uint32", "INT64"),
    16: ("uint16", "INT64"),
}

# The name of a tensor in a model without signatures, such as ``serving_default_input:0``.
_TENSOR_NAME = re.compile(r"(?:serving_default_)?(.*?)(?::\d+)?")


def read_tensorflow_lite(file: ModelFile, declared: Columns) -> ModelFacts:
    """Return what the file of a TensorFlow Lite model says.

    Raises:
        Rejected: It is not a TensorFlow Lite model, or it exceeds a limit of ``shared.drops.limits``.
    """
    if file.size < 8 or file.read(0, 8)[4:] != _IDENTIFIER:
        raise Rejected(
            f"{file.name} is not a TensorFlow Lite model: it does not begin as one; convert the model with "
            "tf.lite.TFLiteConverter",
            code="wrong_format",
        )
    try:
        model = Buffer(file).root()
        problems, notes = _operator_findings(model)
        if not model.tables(_SUBGRAPHS):
            raise MalformedBuffer("it has no graph")
        inputs, outputs = _signature(model, problems)
    except MalformedBuffer as error:
        raise Rejected(
            f"{file.name} is not a TensorFlow Lite model, or is cut off: {error}; upload it again", code="wrong_format"
        ) from error
    problems += [*check_batch("TensorFlow Lite", inputs), *check_columns(inputs, outputs)]
    if declared.inputs:
        problems.append(
            Problem(
                "invalid_manifest", "modeldrop.yaml has input and output, which only XGBoost models have: remove both"
            )
        )
    versions = (("schema version", str(model.number(_VERSION, "I"))),)
    return ModelFacts("TENSORFLOW_LITE", tuple(inputs), tuple(outputs), versions, tuple(problems), tuple(notes))


def _operator_findings(model: Table) -> tuple[list[Problem], list[str]]:
    """Return what is wrong with the operators of the model, and what is to be known of them."""
    custom: set[str] = set()
    for position in model.tables(_OPERATORS):
        if len(custom) > limits.ASSETS:
            break  # enough for every text, and each one can take a kilobyte
        code = model.buffer.table(position)
        name = code.text(_CUSTOM_NAME)
        if name or max(code.number(_CODE, "i"), code.number(_OLD_CODE, "b")) == _CUSTOM:
            custom.add(name or "without a name")
    # Operators of TensorFlow itself, which the converter's SELECT_TF_OPS adds, and of TensorFlow Text are supported.
    core = {name for name in custom if name.startswith("Flex") and "sentencepiece" not in name.lower()}
    text = {name for name in custom if name.startswith("TFText>")}
    foreign = sorted(custom - core - text)
    problems, notes = [], []
    if foreign:
        problems.append(
            Problem(
                "unsupported_operator",
                f"the TensorFlow Lite model uses the custom operators {', '.join(foreign[: limits.NAMED_OPERATORS])}, and "
                "BigQuery runs only those of TensorFlow, TensorFlow Lite and TensorFlow Text: convert the model without "
                "them, or save it as a SavedModel",
            )
        )
    if core or text:
        names = ", ".join(sorted(core | text)[: limits.NAMED_OPERATORS])
        notes.append(
            f"the model uses operators outside TensorFlow Lite ({names}); the local cloud does not run them. A SavedModel "
            "works in both"
        )
    return problems, notes


def _signature(model: Table, problems: list[Problem]) -> tuple[list[Tensor], list[Tensor]]:
    """Return the inputs and outputs, and add what is wrong with them to ``problems``."""
    buffer = model.buffer
    graphs = model.tables(_SUBGRAPHS)
    signatures = [buffer.table(position) for position in model.tables(_SIGNATURES)[: limits.NAMED_OPERATORS]]
    signature = next((each for each in signatures if each.text(_SIGNATURE_KEY) == _SIGNATURE), None)
    signature = signature or (signatures[0] if signatures else None)
    index = signature.number(_SUBGRAPH_INDEX, "I") if signature else 0
    if index >= len(graphs):
        raise MalformedBuffer("a signature has no graph")
    graph = buffer.table(graphs[index])
    sides = []
    for side, number in (("input", _INPUTS), ("output", _OUTPUTS)):
        if signature is not None:
            maps = signature.tables(_SIGNATURE_INPUTS if side == "input" else _SIGNATURE_OUTPUTS)
            entries = [buffer.table(position) for position in maps[: limits.COLUMNS + 1]]
            named = sorted((entry.text(_MAP_NAME), entry.number(_MAP_TENSOR, "I")) for entry in entries)
        else:
            named = [("", each) for each in (graph.integers(number) or ())[: limits.COLUMNS + 1]]
        tensors = graph.tables(_TENSORS)
        if any(not 0 <= each < len(tensors) for _, each in named):
            raise MalformedBuffer(f"an {side} has no tensor")
        sides.append([_tensor(name, buffer.table(tensors[each]), side, problems) for name, each in named])
    return sides[0], sides[1]


def _tensor(name: str, tensor: Table, side: str, problems: list[Problem]) -> Tensor:
    if not name:
        match = _TENSOR_NAME.fullmatch(tensor.text(_NAME))
        name = match[1] if match else tensor.text(_NAME)
    element, kind = _ELEMENTS.get(tensor.number(_TYPE, "b"), (f"type {tensor.number(_TYPE, 'b')}", None))
    fault = f"has elements of {element}" if kind is None else "is a sparse tensor" if tensor.has(_SPARSITY) else None
    if fault:
        problems.append(
            Problem(
                "unsupported_type",
                f"the {side} {name[:120]!r} of the TensorFlow Lite model {fault}, which BigQuery does not support: cast it to "
                "float32, or make it dense, in the model",
            )
        )
    # The shape with open sizes is stored only if there is one.
    sizes = tensor.integers(_OPEN_SHAPE) or tensor.integers(_SHAPE) or ()
    shape: Shape = tuple(None if size < 0 else size for size in sizes)
    column = (input_type if side == "input" else output_type)(kind or "unsupported", shape[1:])
    return Tensor(name, column, element, shape)


FORMAT = Format("TENSORFLOW_LITE", (".tflite",), limits.GRAPH_BYTES, read_tensorflow_lite)
