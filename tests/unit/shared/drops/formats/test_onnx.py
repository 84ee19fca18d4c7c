"""What is read of an ONNX model before BigQuery imports it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from shared.drops.formats.model_facts import Columns, ModelFacts, Tensor
from shared.drops.formats.onnx import read_onnx
from shared.errors import Rejected
from tests.model_files import InMemory, onnx_file


def identity(**changes: Any) -> onnx.ModelProto:
    """Return a model that returns its input."""
    inputs = changes.get("inputs", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 2])])
    outputs = changes.get("outputs", [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 2])])
    node = helper.make_node("Identity", ["x"], ["y"], domain=changes.get("domain", ""))
    graph = helper.make_graph(changes.get("nodes", [node]), "g", inputs, outputs, changes.get("initializers", []))
    opsets = [helper.make_opsetid(domain, version) for domain, version in changes.get("opsets", [("", 17)])]
    return helper.make_model(graph, ir_version=changes.get("ir", 8), opset_imports=opsets)


def read(model: onnx.ModelProto | bytes, declared: Columns | None = None) -> ModelFacts:
    content = model if isinstance(model, bytes) else model.SerializeToString()
    return read_onnx(InMemory(content, "model.onnx"), declared or Columns())


def vector(name: str, kind: int = TensorProto.FLOAT, *shape: Any) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def test_the_smallest_model_of_the_tests_is_accepted_by_onnx_and_by_the_reader() -> None:
    onnx.checker.check_model(onnx.load_model_from_string(onnx_file()))
    assert read(onnx_file()).refusal() is None


def test_inputs_and_outputs_become_columns() -> None:
    inputs = [
        vector("scalars", TensorProto.INT32, None, 1),
        vector("flat", TensorProto.STRING, None),
        vector("images", TensorProto.UINT8, "rows", 28, 28, 1),
    ]
    outputs = [vector("label", TensorProto.INT64, None), vector("score", TensorProto.DOUBLE, None, 1)]
    facts = read(identity(inputs=inputs, outputs=outputs))
    assert facts.inputs == (
        Tensor("scalars", "INT64", "int32", (None, 1)),
        Tensor("flat", "STRING", "string", (None,)),
        Tensor("images", "ARRAY<INT64>", "uint8", (None, 28, 28, 1)),
    )
    assert facts.outputs == (
        Tensor("label", "INT64", "int64", (None,)),
        Tensor("score", "ARRAY<FLOAT64>", "float64", (None, 1)),
    )
    assert facts.problems == ()


def test_weights_that_old_formats_list_among_the_inputs_are_left_out() -> None:
    weight = helper.make_tensor("w", TensorProto.FLOAT, [2], [1.0, 2.0])
    inputs = [vector("x", TensorProto.FLOAT, None, 2), vector("w", TensorProto.FLOAT, 2)]
    assert [each.name for each in read(identity(inputs=inputs, initializers=[weight], ir=3)).inputs] == ["x"]


def _sequence() -> onnx.ValueInfoProto:
    map_type = helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
    return helper.make_value_info("output_probability", helper.make_sequence_type_proto(map_type))


def _external() -> onnx.TensorProto:
    tensor = onnx.TensorProto(name="embedding", data_type=TensorProto.FLOAT, dims=[2])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights.bin")
    return tensor


def _within_a_branch() -> onnx.NodeProto:
    branch = helper.make_graph([helper.make_node("Tokenize", [], ["t"], domain="my.operators")], "b", [], [vector("t")])
    return helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)


@pytest.mark.parametrize(
    ("changes", "code", "parts"),
    [
        ({"ir": 10}, "unsupported_version", ["IR version 10", "at most 8", "modeldrop export"]),
        ({"opsets": [("", 21)]}, "unsupported_version", ["opset 21", "ai.onnx", "at most 17", "target_opset=17"]),
        ({"opsets": [("", 17), ("ai.onnx.ml", 5)]}, "unsupported_version", ["opset 5", "ai.onnx.ml", "at most 3"]),
        ({"outputs": [_sequence()]}, "unsupported_type", ["'output_probability'", "ZipMap", "'zipmap': False"]),
        ({"outputs": [vector("y", TensorProto.COMPLEX64, 1)]}, "unsupported_type", ["output 'y'", "complex64"]),
        ({"inputs": [vector("x", TensorProto.FLOAT, 32, 2)]}, "fixed_batch", ["input 'x'", "batch dimension 32"]),
        ({"initializers": [_external()]}, "external_data", ["'embedding'", "another file"]),
        ({"domain": "my.operators"}, "unsupported_operator", ["Identity of the domain my.operators"]),
        ({"nodes": [_within_a_branch()]}, "unsupported_operator", ["Tokenize of the domain my.operators"]),
        ({"inputs": [vector("a.b")]}, "wrong_column", ["input 'a.b'", "the character '.'"]),
        ({"outputs": [vector("Y"), vector("y")]}, "wrong_column", ["'Y' and 'y' differ only in case"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_bigquery_would_refuse_is_named_with_the_way_out(
    changes: dict[str, Any], code: str, parts: list[str]
) -> None:
    refusal = read(identity(**changes)).refusal()
    assert refusal is not None
    assert refusal.code == code
    assert [part for part in parts if part not in refusal.message] == []


def test_all_problems_of_a_model_are_in_one_refusal() -> None:
    refusal = read(identity(ir=10, opsets=[("", 21)], outputs=[_sequence()])).refusal()
    assert refusal is not None
    assert [part in refusal.message for part in ("(1) ", "IR version 10", "(2) ", "opset 21", "(3) ", "ZipMap")] == [
        True
    ] * 6


@pytest.mark.parametrize("domain", ["ai.onnx", "ai.onnx.ml", "com.microsoft", "ai.onnx.contrib"])
def test_operators_that_bigquerys_runtime_has_are_accepted(domain: str) -> None:
    assert read(identity(domain=domain)).problems == ()


def test_operators_that_the_model_defines_itself_are_accepted() -> None:
    model = identity(domain="my.functions")
    node = helper.make_node("Add", ["a", "a"], ["b"])
    model.functions.append(helper.make_function("my.functions", "Identity", ["a"], ["b"], [node], model.opset_import))
    assert read(model).problems == ()


def test_columns_in_the_manifest_are_refused_for_onnx() -> None:
    refusal = read(identity(), Columns((("x", "FLOAT64"),), (("y", "FLOAT64"),))).refusal()
    assert refusal is not None and refusal.code == "invalid_manifest"


def test_the_values_of_a_forest_are_not_read() -> None:
    node = helper.make_node("TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml", nodes_values=[1.0] * 500_000)
    file = InMemory(identity(nodes=[node] * 5).SerializeToString(), "model.onnx")
    assert read_onnx(file, Columns()).problems == ()


@pytest.mark.parametrize("content", [b"", b"x", b"\x89PNG\r\n\x1a\n", b'{"learner": {}}', b"<html>", b"\x08\x08"])
def test_a_file_that_is_not_an_onnx_model_is_rejected(content: bytes) -> None:
    with pytest.raises(Rejected, match="is not an ONNX model") as refusal:
        read(content)
    assert refusal.value.problem.code == "wrong_format"


@given(data=st.data())
def test_a_damaged_file_is_read_or_rejected(data: st.DataObject) -> None:
    content = bytearray(identity(initializers=[_external()], nodes=[_within_a_branch()]).SerializeToString())
    for at in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=8)):
        content[at] = data.draw(st.integers(0, 255))
    _read_or_rejected(lambda: read(bytes(content)))


def _read_or_rejected(reading: Callable[[], ModelFacts]) -> None:
    try:
        reading()
    except Rejected as refusal:
        assert refusal.problem.code in {"wrong_format", "too_large"}
