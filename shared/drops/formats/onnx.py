"""Reads the signature, the versions and the operators of an ONNX model, without ONNX.

The numbers of the fields are those of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto. The rules are on
https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-create-onnx
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from shared.drops import limits
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
from shared.drops.formats.protobuf import Bytes, End, Field, Found, MalformedError, Message, Varint, find_fields, signed
from shared.errors import Problem, Rejected

# The newest versions that BigQuery's ONNX Runtime 1.12 reads: https://onnxruntime.ai/docs/reference/compatibility.html
NEWEST_IR = 8
NEWEST_OPSETS = {"": 17, "ai.onnx": 17, "ai.onnx.ml": 3}

# The operators of ONNX, of ONNX Runtime, and of its extensions, which Google's example of a tokenizer uses:
# https://docs.cloud.google.com/bigquery/docs/generate-embeddings-onnx-format
_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft", "ai.onnx.contrib"})

# The types of elements by their numbers: the name, and the type in GoogleSQL, which is None if BigQuery has none.
_ELEMENTS: dict[int, tuple[str, str | None]] = {
    1: ("float32", "FLOAT64"),
    2: ("uint8", "INT64"),
    3: ("int8", "INT64"),
    4: ("uint16", "INT64"),
    5: ("int16", "INT64"),
    6: ("int32", "INT64"),
    7: ("int64", "INT64"),
    8: ("string", "STRING"),
    9: ("bool", "BOOL"),
    10: ("float16", "FLOAT64"),
    11: ("float64", "FLOAT64"),
    12: ("uint32", "INT64"),
    13: ("uint64", "INT64"),
    14: ("complex64", None),
    15: ("complex128", None),
    16: ("bfloat16", "FLOAT64"),
}

_EXTERNAL = 1
_TENSOR = Message(
    # A list of texts has one field for each.
    {6: End(), 8: Bytes("tensor", longest=limits.NAME_BYTES), 13: Bytes("file"), 14: Varint("location")},
    name="new tensor",
)
# An attribute has one kind of value. Lists of numbers and texts have one field for each element.
_attribute: dict[int, Field] = {5: _TENSOR, 7: End(), 8: End(), 9: End()}
_NODE = Message({4: Bytes("operator", longest=100), 5: Message(_attribute), 7: Bytes("domain", longest=200)})
_SUBGRAPH = Message({1: _NODE, 5: _TENSOR})
_attribute |= {6: _SUBGRAPH, 11: _SUBGRAPH}
_SHAPE = Message({1: Message({1: Varint("size")}, name="dimension")}, name="shape")
_TYPE = Message(
    {
        1: Message({1: Varint("element"), 2: _SHAPE}),
        4: Bytes("sequence"),
        5: Bytes("map"),
        7: Bytes("opaque"),
        8: Bytes("sparse tensor"),
        9: Bytes("optional"),
    }
)
_VALUE: Mapping[int, Field] = {1: Bytes("name", longest=limits.NAME_BYTES), 2: _TYPE}
_GRAPH = Message({1: _NODE, 5: _TENSOR, 11: Message(_VALUE, name="input"), 12: Message(_VALUE, name="output")}, "graph")
_MODEL: Mapping[int, Field] = {
    1: Varint("ir"),
    2: Bytes("producer", longest=100),
    3: Bytes("producer version", longest=100),
    7: _GRAPH,
    8: Message({1: Bytes("opset domain", longest=200), 2: Varint("opset")}, name="new opset"),
    25: Message({7: _NODE, 10: Bytes("function domain", longest=200)}),
}

_EXPORT = "or run `modeldrop export model.onnx OUT`"
_KINDS = frozenset({"sequence", "map", "opaque", "sparse tensor", "optional"})


@dataclass(slots=True)
class _Value:
    """An input or output, while it is read."""

    name: str = ""
    element: int = 0
    shape: list[int | None] | None = None
    kind: str = "tensor"


@dataclass
class _Parsed:
    """What is read of the file."""

    ir: int = 0
    producer: dict[str, str] = field(default_factory=dict)
    opsets: dict[str, int] = field(default_factory=dict)
    inputs: list[_Value] = field(default_factory=list)
    outputs: list[_Value] = field(default_factory=list)
    weights: set[int] = field(default_factory=set)
    """The hashes of the names of tensors with values."""
    external: list[str] = field(default_factory=list)
    foreign: dict[tuple[str, str], None] = field(default_factory=dict)
    """The operators of other domains."""
    functions: set[str] = field(default_factory=set)
    has_graph: bool = False


def read_onnx(file: ModelFile, declared: Columns) -> ModelFacts:
    """Return what the file of an ONNX model says.

    Raises:
        Rejected: It is not an ONNX model, or it exceeds a limit of ``shared.drops.limits``.
    """
    try:
        parsed = _parse(file)
    except MalformedError as error:
        raise Rejected(
            f"{file.name} is not an ONNX model: {error}; upload it again if the upload was cut off", code="wrong_format"
        ) from error
    if not parsed.has_graph or not parsed.outputs:
        raise Rejected(f"{file.name} is not an ONNX model: it has no graph with outputs", code="wrong_format")
    problems = [*_version_problems(parsed), *_content_problems(parsed)]
    inputs = _tensors([each for each in parsed.inputs if hash(each.name) not in parsed.weights], "input", problems)
    outputs = _tensors(parsed.outputs, "output", problems)
    problems += [*check_batch("ONNX", inputs), *check_columns(inputs, outputs)]
    notes = []
    if any(tensor.shape and tensor.shape[0] == 1 for tensor in inputs):
        notes.append(
            "the batch dimension is 1, so each row is a run of its own: export it with an open one to be faster"
        )
    if declared.inputs:
        problems.append(
            Problem(
                "invalid_manifest", "modeldrop.yaml has input and output, which only XGBoost models have: remove both"
            )
        )
    opsets = ", ".join(f"{domain or 'ai.onnx'} {version}" for domain, version in sorted(parsed.opsets.items()))
    versions = [("IR version", str(parsed.ir)), ("opsets", opsets)]
    if parsed.producer:
        versions.append(("producer", " ".join(parsed.producer[key] for key in sorted(parsed.producer))))
    return ModelFacts("ONNX", tuple(inputs), tuple(outputs), tuple(versions), tuple(problems), tuple(notes))


def _parse(file: ModelFile) -> _Parsed:
    parsed = _Parsed()
    value = _Value()
    operators: dict[int, str] = {}  # the last one at each depth
    tensor = domain = ""
    for found in find_fields(file, _MODEL):
        match found.name:
            case "operator":
                operators[found.depth] = _text(found)
            case "domain" if _text(found) not in _DOMAINS and len(parsed.foreign) < limits.NAMED_OPERATORS:
                parsed.foreign[_text(found), operators.get(found.depth, "")] = None
            case "new tensor":
                tensor = ""
            case "tensor":
                tensor = _text(found)
                parsed.weights.add(hash(tensor))
                if len(parsed.weights) > limits.TENSORS:
                    raise Rejected(f"{file.name} has more than {limits.TENSORS:,} tensors", code="too_large")
            case "file":
                parsed.external.append(tensor) if not parsed.external else None
            case "location" if found.value == _EXTERNAL and not parsed.external:
                parsed.external.append(tensor)
            case "input" | "output" as side:
                values = parsed.inputs if side == "input" else parsed.outputs
                # Old models also list tensors with values as inputs, after the values.
                if values and hash(values[-1].name) in parsed.weights:
                    values.pop()
                value = _Value()
                values.append(value)
                if len(values) > limits.VALUES:
                    raise Rejected(f"{file.name} has more than {limits.VALUES:,} {side}s", code="too_large")
            case "name":
                value.name = _text(found)
            case "element":
                value.element = _number(found)
            case "shape":
                value.shape = []
            case "dimension" if value.shape is not None and len(value.shape) < limits.DIMENSIONS:
                value.shape.append(None)
            case "size" if value.shape:
                value.shape[-1] = signed(_number(found)) if signed(_number(found)) > 0 else None
            case kind if kind in _KINDS:
                value.kind = kind
            case "ir":
                parsed.ir = _number(found)
            case "producer" | "producer version" as key:
                parsed.producer[key] = _text(found)
            case "graph":
                parsed.has_graph = True
            case "new opset":
                domain = ""
            case "opset domain":
                domain = _text(found)
            case "opset" if len(parsed.opsets) < limits.NAMED_OPERATORS:
                parsed.opsets[domain] = _number(found)
            case "function domain" if len(parsed.functions) < limits.ASSETS:
                parsed.functions.add(_text(found))
    return parsed


def _version_problems(parsed: _Parsed) -> list[Problem]:
    problems = []
    if parsed.ir > NEWEST_IR:
        problems.append(
            Problem(
                "unsupported_version",
                f"the ONNX model has IR version {parsed.ir}, and BigQuery's ONNX Runtime 1.12 reads at most {NEWEST_IR}: set "
                f"`model.ir_version = {NEWEST_IR}` before onnx.save, {_EXPORT}",
            )
        )
    for domain, version in sorted(parsed.opsets.items()):
        newest = NEWEST_OPSETS.get(domain)
        if newest is not None and version > newest:
            option = f"target_opset={newest} (skl2onnx), opset_version={newest} (torch.onnx.export)"
            if domain == "ai.onnx.ml":
                option = f"target_opset={{'': {NEWEST_OPSETS['']}, 'ai.onnx.ml': {newest}}} (skl2onnx)"
            problems.append(
                Problem(
                    "unsupported_version",
                    f"the ONNX model uses opset {version} of the domain {domain or 'ai.onnx'}, and BigQuery's ONNX Runtime "
                    f"1.12 has at most {newest}: convert it with {option}, {_EXPORT}",
                )
            )
    return problems


def _content_problems(parsed: _Parsed) -> list[Problem]:
    problems = []
    if parsed.external:
        problems.append(
            Problem(
                "external_data",
                f"the ONNX model keeps the tensor {parsed.external[0][:120]!r} in another file, and BigQuery reads only the "
                f".onnx file: save it with onnx.save(onnx.load('model.onnx'), 'one.onnx'), {_EXPORT}",
            )
        )
    foreign = [(domain, name) for domain, name in parsed.foreign if domain not in parsed.functions]
    if foreign:
        names = ", ".join(f"{name} of the domain {domain}" for domain, name in foreign[:5])
        problems.append(
            Problem(
                "unsupported_operator",
                f"the ONNX model uses custom operators ({names}), and BigQuery runs only those of ONNX and ONNX Runtime: "
                "convert it without them",
            )
        )
    return problems


def _tensors(values: list[_Value], side: str, problems: list[Problem]) -> list[Tensor]:
    """Return the inputs or outputs, and add what is wrong with their types to ``problems``."""
    tensors = []
    for value in values:
        name, kind = _ELEMENTS.get(value.element, (f"type {value.element}", None))
        if value.kind != "tensor":
            problems.append(_kind_problem(value, side))
            name, kind = value.kind, None
        elif kind is None:
            problems.append(
                Problem(
                    "unsupported_type",
                    f"the {side} {value.name[:120]!r} of the ONNX model has elements of {name}, which BigQuery has no type "
                    "for: cast it to float or int64 in the model",
                )
            )
        shape: Shape | None = tuple(value.shape) if value.shape is not None else None
        column = (input_type if side == "input" else output_type)(kind or "unsupported", (shape or ())[1:])
        tensors.append(Tensor(value.name, column, name, shape))
    return tensors


def _kind_problem(value: _Value, side: str) -> Problem:
    if side == "output" and value.kind in ("sequence", "map"):
        return Problem(
            "unsupported_type",
            f"the output {value.name[:120]!r} of the ONNX model is a {value.kind}, which BigQuery cannot return; "
            "scikit-learn's converter adds such a list of dictionaries (ZipMap) to classifiers: convert with "
            f"options={{'zipmap': False}}, {_EXPORT}",
        )
    return Problem(
        "unsupported_type",
        f"the {side} {value.name[:120]!r} of the ONNX model is a {value.kind}; BigQuery supports only tensors: change the "
        "model so that it is one",
    )


def _text(found: Found) -> str:
    return found.value.decode(errors="replace") if isinstance(found.value, bytes) else ""


def _number(found: Found) -> int:
    return found.value if isinstance(found.value, int) else 0


FORMAT = Format("ONNX", (".onnx",), limits.GRAPH_BYTES, read_onnx)
