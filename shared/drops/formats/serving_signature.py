"""Reads the serving signature and the operators of a SavedModel from `saved_model.pb`, without TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from shared.drops import limits
from shared.drops.formats.model_facts import (
    Columns,
    ModelFacts,
    Shape,
    Tensor,
    check_batch,
    check_columns,
    input_type,
    output_type,
)
from shared.drops.formats.model_file import ModelFile
from shared.drops.formats.protobuf import Bytes, Field, Found, MalformedError, Message, Varint, find_fields, signed
from shared.errors import Problem, Rejected

_SIGNATURE = "serving_default"
_TAG = "serve"
_OLDEST_GRAPH = 20
_INITIALIZATION = "__saved_model_init_op"

# The types of elements by their numbers: the name, and the type in GoogleSQL, which is None if BigQuery has none.
# https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/framework/types.proto
_ELEMENTS: dict[int, tuple[str, str | None]] = {
    1: ("float32", "FLOAT64"),
    2: ("float64", "FLOAT64"),
    3: ("int32", "INT64"),
    4: ("uint8", "INT64"),
    5: ("int16", "INT64"),
    6: ("int8", "INT64"),
    7: ("string", "STRING"),
    8: ("complex64", None),
    9: ("int64", "INT64"),
    10: ("bool", "BOOL"),
    11: ("qint8", None),
    12: ("quint8", None),
    13: ("qint32", None),
    14: ("bfloat16", "FLOAT64"),
    15: ("qint16", None),
    16: ("quint16", None),
    17: ("uint16", "INT64"),
    18: ("complex128", None),
    19: ("float16", "FLOAT64"),
    20: ("resource", None),
    21: ("variant", None),
    22: ("uint32", "INT64"),
    23: ("uint64", "INT64"),
}

# Operators that are not TensorFlow's own, or run outside the model, by the beginning of their names.
_FOREIGN = {
    "PyFunc": "runs Python code (tf.numpy_function)",
    "EagerPyFunc": "runs Python code (tf.py_function)",
    "Addons>": "is of TensorFlow Addons",
    "SimpleML": "is of TensorFlow Decision Forests",
    "YggdrasilDecisionForests": "is of TensorFlow Decision Forests",
}
_FOREIGN_BYTES = tuple(start.encode() for start in _FOREIGN)
_FIRST_LETTERS = frozenset(start[:1] for start in _FOREIGN_BYTES)
_EXAMPLE_OPERATORS = frozenset({b"ParseExample", b"ParseExampleV2"})

_NODE = Message({2: Bytes("operator", longest=100)})
_FUNCTION = Message({3: _NODE})
_SHAPE = Message({2: Message({1: Varint("size")}, name="dimension"), 3: Varint("open rank")})
_TENSOR = Message({2: Varint("element"), 3: _SHAPE, 4: Bytes("sparse"), 5: Bytes("composite")})
_NAME = limits.NAME_BYTES
_DEFINITION = Message(
    {
        1: Message({1: Bytes("input name", longest=_NAME), 2: _TENSOR}, name="input"),
        2: Message({1: Bytes("output name", longest=_NAME), 2: _TENSOR}, name="output"),
    }
)
_META_GRAPH = Message(
    {
        1: Message({4: Bytes("tag", longest=_NAME), 5: Bytes("version", longest=50)}),
        2: Message({1: _NODE, 2: Message({1: _FUNCTION}), 4: Message({1: Varint("producer")})}),
        5: Message({1: Bytes("signature", longest=_NAME), 2: _DEFINITION}, name="new signature"),
    },
    name="graph",
)
_SAVED_MODEL: Mapping[int, Field] = {2: _META_GRAPH}


@dataclass(slots=True)
class _Value:
    """An input or output, while it is read."""

    name: str = ""
    element: int = 0
    shape: list[int | None] = field(default_factory=list)
    has_rank: bool = True
    encoding: str | None = None


@dataclass
class _Signature:
    name: str = ""
    inputs: list[_Value] = field(default_factory=list)
    outputs: list[_Value] = field(default_factory=list)


@dataclass
class _Graph:
    """What is read of one graph."""

    tags: list[str] = field(default_factory=list)
    version: str = ""
    producer: int = 0
    signatures: list[_Signature] = field(default_factory=list)
    foreign: dict[str, str] = field(default_factory=dict)
    parses_examples: bool = False


def read_signature(file: ModelFile, declared: Columns) -> ModelFacts:
    """Return what `saved_model.pb` says about the model.

    Raises:
        Rejected: It is not a SavedModel, or it exceeds a limit of ``shared.drops.limits``.
    """
    try:
        graphs = _parse(file)
    except MalformedError as error:
        raise Rejected(f"{file.name} is not a SavedModel: {error}", code="wrong_format") from error
    graph = next((each for each in graphs if _TAG in each.tags), None)
    if graph is None:
        tags = ", ".join(sorted({tag for each in graphs for tag in each.tags})) or "none"
        problem = Problem(
            "no_signature",
            f"the SavedModel has no graph with the tag {_TAG!r} (its tags: {tags[:200]}): save it with tf.saved_model.save or "
            "model.export",
        )
        return ModelFacts("TENSORFLOW", problems=(problem,))
    problems = _graph_problems(graph)
    notes = []
    if declared.inputs:
        problems.append(
            Problem(
                "invalid_manifest", "modeldrop.yaml has input and output, which only XGBoost models have: remove both"
            )
        )
    versions = (("saved by TensorFlow", graph.version),) if graph.version else ()
    signature = next((each for each in graph.signatures if each.name == _SIGNATURE), None)
    if signature is None:
        problems.append(_no_signature(graph))
        return ModelFacts("TENSORFLOW", versions=versions, problems=tuple(problems))
    others = [each.name for each in graph.signatures if each.name not in (_SIGNATURE, _INITIALIZATION)]
    if others:
        notes.append(f"BigQuery uses the signature {_SIGNATURE!r}; the file also has {', '.join(sorted(others)[:20])}")
    for side, values in (("inputs", signature.inputs), ("outputs", signature.outputs)):
        if not values:
            problems.append(
                Problem(
                    "no_signature",
                    f"the signature {_SIGNATURE!r} has no {side}: save the model with a function that has",
                )
            )
    is_batched = any(value.shape or not value.has_rank for value in signature.inputs)
    inputs = _tensors(signature.inputs, "input", True, problems)
    outputs = _tensors(signature.outputs, "output", is_batched, problems)
    takes_examples = graph.parses_examples and [tensor.type for tensor in inputs] == ["STRING"]
    if takes_examples:
        notes.append(
            f"the input {inputs[0].name!r} is a serialized tf.train.Example; BigQuery takes the features in it as columns"
        )
    problems += [*check_batch("TensorFlow", inputs), *check_columns(inputs, outputs)]
    if any(tensor.shape and tensor.shape[0] == 1 for tensor in inputs):
        notes.append(
            "the batch dimension is 1, so each row is a run of its own: export it with an open one to be faster"
        )
    return ModelFacts(
        "TENSORFLOW",
        tuple(inputs),
        tuple(outputs),
        versions,
        tuple(problems),
        tuple(notes),
        takes_examples=takes_examples,
    )


def _parse(file: ModelFile) -> list[_Graph]:
    graphs: list[_Graph] = []
    signature, value, count = _Signature(), _Value(), 0
    for found in find_fields(file, _SAVED_MODEL):
        if found.name == "graph":
            if len(graphs) == limits.NAMED_OPERATORS:
                raise Rejected(f"{file.name} has more than {len(graphs)} graphs", code="too_large")
            graphs.append(_Graph())
            continue
        graph = graphs[-1]
        match found.name:
            case "operator":
                _note_operator(found.value, graph)
            case "tag" if len(graph.tags) < limits.NAMED_OPERATORS:
                graph.tags.append(_text(found))
            case "version":
                graph.version = _text(found)
            case "producer":
                graph.producer = _number(found)
            case "new signature":
                signature = _Signature()
                graph.signatures.append(signature)
                if len(graph.signatures) > limits.ASSETS:
                    raise Rejected(f"{file.name} has more than {limits.ASSETS:,} signatures", code="too_large")
            case "signature":
                signature.name = _text(found)
            case "input" | "output" as side:
                value = _Value()
                if signature.name not in ("", _SIGNATURE):
                    continue
                values = signature.inputs if side == "input" else signature.outputs
                values.append(value)
                count += 1
                if count > limits.VALUES:
                    raise Rejected(
                        f"{file.name} has signatures with more than {limits.VALUES:,} inputs and outputs",
                        code="too_large",
                    )
            case "input name" | "output name":
                value.name = _text(found)
            case "element":
                value.element = _number(found)
            case "dimension" if len(value.shape) < limits.DIMENSIONS:
                value.shape.append(0)
            case "size" if value.shape:
                size = signed(_number(found))
                value.shape[-1] = size if size >= 0 else None
            case "open rank":
                value.has_rank = not found.value
            case "sparse" | "composite" as encoding:
                value.encoding = encoding
    return graphs


def _note_operator(name: bytes | int | None, graph: _Graph) -> None:
    if not isinstance(name, bytes):
        return
    if name in _EXAMPLE_OPERATORS:
        graph.parses_examples = True
    elif name[:1] in _FIRST_LETTERS and name.startswith(_FOREIGN_BYTES) and len(graph.foreign) < limits.NAMED_OPERATORS:
        text = name.decode(errors="replace")
        graph.foreign[text] = next(reason for start, reason in _FOREIGN.items() if text.startswith(start))


def _graph_problems(graph: _Graph) -> list[Problem]:
    problems = []
    if 0 < graph.producer < _OLDEST_GRAPH:
        problems.append(
            Problem(
                "unsupported_version",
                f"the SavedModel has GraphDef version {graph.producer}, and BigQuery takes {_OLDEST_GRAPH} and newer: save it "
                "with a newer TensorFlow",
            )
        )
    if graph.foreign:
        names = ", ".join(f"{name}, which {reason}" for name, reason in sorted(graph.foreign.items())[:5])
        problems.append(
            Problem(
                "unsupported_operator",
                f"the SavedModel uses operators that BigQuery does not have ({names}): only TensorFlow's own operators "
                "are supported",
            )
        )
    return problems


def _no_signature(graph: _Graph) -> Problem:
    names = sorted(each.name for each in graph.signatures if not each.name.startswith("__"))
    return Problem(
        "no_signature",
        f"the SavedModel has no signature {_SIGNATURE!r} (it has: {', '.join(names[:20]) or 'none'}): save it with "
        f"model.export(folder) of Keras, or tf.saved_model.save(model, folder, signatures={{{_SIGNATURE!r}: function}})",
    )


def _tensors(values: list[_Value], side: str, is_batched: bool, problems: list[Problem]) -> list[Tensor]:
    """Return the inputs or outputs, and add what is wrong with their types to ``problems``."""
    tensors = []
    for value in sorted(values, key=lambda each: each.name):
        element, kind = _ELEMENTS.get(value.element, (f"type {value.element}", None))
        if value.encoding == "composite":
            problems.append(
                Problem(
                    "unsupported_type",
                    f"the {side} {value.name[:120]!r} of the SavedModel is a RaggedTensor or another composite tensor, which "
                    "BigQuery does not support: convert it to a dense tensor in the model (to_tensor)",
                )
            )
        elif kind is None:
            problems.append(
                Problem(
                    "unsupported_type",
                    f"the {side} {value.name[:120]!r} of the SavedModel has elements of {element}, which BigQuery has no type "
                    "for: cast it to float32 or int64 in the model",
                )
            )
        shape: Shape | None = tuple(value.shape) if value.has_rank else None
        row = (shape or ())[1 if is_batched else 0 :]
        column = (input_type if side == "input" else output_type)(kind or "unsupported", row)
        tensors.append(Tensor(value.name, column, element, shape))
    return tensors


def _text(found: Found) -> str:
    return found.value.decode(errors="replace") if isinstance(found.value, bytes) else ""


def _number(found: Found) -> int:
    return found.value if isinstance(found.value, int) else 0
