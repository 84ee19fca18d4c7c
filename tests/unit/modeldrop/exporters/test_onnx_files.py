"""ONNX files that only need other settings come in after an export."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from modeldrop import export
from modeldrop.exporters.errors import ExportError
from modeldrop.exporters.exports import Exported
from tests.unit.modeldrop.exporters.onnx_models import classifier_with_zip_map, doubled, onnx_model

FLOAT, DOUBLE, INT64, BOOL = TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.INT64, TensorProto.BOOL


def columns(exported: Exported) -> list[tuple[str, str]]:
    facts = exported.checked.facts
    assert facts is not None
    return [(tensor.name, tensor.type) for tensor in (*facts.inputs, *facts.outputs)]


def test_versions_are_lowered_and_float64_is_kept(tmp_path: Path) -> None:
    exported = export(doubled(DOUBLE, ir=10, opset=21), tmp_path / "out")

    written = onnx.load(tmp_path / "out" / "model.onnx")
    assert exported.checked.ok
    assert (written.ir_version, [each.version for each in written.opset_import]) == (8, [17])
    assert {value.type.tensor_type.elem_type for value in (*written.graph.input, *written.graph.output)} == {DOUBLE}


def test_lower_versions_stay(tmp_path: Path) -> None:
    export(doubled(ir=7, opset=13), tmp_path / "model.onnx")

    written = onnx.load(tmp_path / "model.onnx")
    assert (written.ir_version, written.opset_import[0].version) == (7, 13)


def test_the_probabilities_of_a_zip_map_become_an_array(tmp_path: Path) -> None:
    exported = export(classifier_with_zip_map(), tmp_path / "model.onnx")

    assert columns(exported) == [
        ("x", "ARRAY<FLOAT64>"),
        ("label", "INT64"),
        ("output_probability", "ARRAY<FLOAT64>"),
    ]


def test_an_operator_whose_form_changed_is_converted(tmp_path: Path) -> None:
    # From opset 18 on, the axes are an input.
    node = helper.make_node("ReduceMean", ["x", "axes"], ["y"], keepdims=0, noop_with_empty_axes=0)
    weights = {"axes": np.array([1], np.int64)}
    model = onnx_model([node], [("x", FLOAT, ["n", 3])], [("y", FLOAT, ["n"])], weights=weights, opset=18)

    assert columns(export(model, tmp_path / "model.onnx")) == [("x", "ARRAY<FLOAT64>"), ("y", "FLOAT64")]


def test_a_split_into_equal_parts_needs_no_count_in_the_older_version(tmp_path: Path) -> None:
    node = helper.make_node("Split", ["x"], ["a", "b"], num_outputs=2, axis=1)
    outputs = [(name, FLOAT, ["n", 2]) for name in ("a", "b")]

    exported = export(onnx_model([node], [("x", FLOAT, ["n", 4])], outputs, opset=20), tmp_path / "model.onnx")

    assert list(columns(exported)) == [("x", "ARRAY<FLOAT64>"), ("a", "ARRAY<FLOAT64>"), ("b", "ARRAY<FLOAT64>")]


def test_a_model_of_single_numbers_runs_once_for_each_row(tmp_path: Path) -> None:
    node = helper.make_node("Neg", ["x"], ["y"])
    model = onnx_model([node], [("x", FLOAT, [])], [("y", FLOAT, [])])

    assert columns(export(model, tmp_path / "model.onnx")) == [("x", "FLOAT64"), ("y", "FLOAT64")]


@pytest.mark.parametrize(
    ("operator", "settings", "element"),
    [("Gelu", {}, FLOAT), ("Gelu", {"approximate": "tanh"}, DOUBLE), ("Mish", {}, FLOAT)],
)
def test_an_operator_that_is_too_new_is_replaced_by_its_formula(
    tmp_path: Path, operator: str, settings: dict[str, str], element: int
) -> None:
    node = helper.make_node(operator, ["x"], ["y"], **settings)
    model = onnx_model([node], [("x", element, ["n", 3])], [("y", element, ["n", 3])], opset=20, ir=10)

    assert export(model, tmp_path / "model.onnx").largest_difference < 1e-5


@pytest.mark.parametrize(
    ("node", "settings", "parts"),
    [
        (helper.make_node("RMSNormalization", ["x", "x"], ["y"]), {"opset": 23}, ["RMSN", "opset 23", "opset 17"]),
        (helper.make_node("Foo", ["x"], ["y"], domain="mine"), {}, ["Foo"]),
        (helper.make_node("Tan", ["z"], ["y"]), {}, ["onnxruntime cannot run"]),
    ],
)
def test_a_model_that_cannot_be_repaired_leaves_no_output(
    tmp_path: Path, node: onnx.NodeProto, settings: dict[str, int], parts: list[str]
) -> None:
    model = onnx_model([node], [("x", FLOAT, ["n", 3])], [("y", FLOAT, ["n", 3])], **settings)

    with pytest.raises(ExportError) as error:
        export(model, tmp_path / "out")

    assert all(part in str(error.value) for part in parts), error.value
    assert not list(tmp_path.iterdir())


def test_names_that_columns_cannot_have_are_changed_everywhere(tmp_path: Path) -> None:
    inner = [helper.make_node("Identity", ["input.1"], ["kept.1"])], [helper.make_node("Neg", ["input.1"], ["kept.2"])]
    branches = [
        helper.make_graph(nodes, name, [], [helper.make_tensor_value_info(nodes[0].output[0], FLOAT, None)])
        for name, nodes in zip(("then", "else"), inner, strict=True)
    ]
    nodes = [
        helper.make_node("ReduceSum", ["input.1"], ["sum"], keepdims=0),
        helper.make_node("Greater", ["sum", "limit"], ["condition"]),
        helper.make_node("If", ["condition"], ["output.1"], then_branch=branches[0], else_branch=branches[1]),
        helper.make_node("Identity", ["input.1"], ["input_1"]),
        helper.make_node("Neg", ["input_1"], ["Output_1"]),
    ]
    weights = {"limit": np.array(0, np.float32)}
    outputs = [("output.1", FLOAT, [None, 3]), ("Output_1", FLOAT, [None, 3])]

    exported = export(
        onnx_model(nodes, [("input.1", FLOAT, [None, 3])], outputs, weights=weights), tmp_path / "model.onnx"
    )

    assert [name for name, _ in columns(exported)] == ["input_1", "output_1", "Output_1_2"]
    assert "'input.1' is now 'input_1'" in exported.notes[0]


def test_a_fixed_number_of_rows_is_opened(tmp_path: Path) -> None:
    exported = export(doubled(rows=4), tmp_path / "model.onnx", sample=np.ones((5, 3)))

    assert exported.checked.facts is not None
    assert [tensor.shape for tensor in exported.checked.facts.inputs] == [(None, 3)]


def test_a_number_of_rows_that_the_graph_needs_is_refused(tmp_path: Path) -> None:
    node = helper.make_node("Reshape", ["x", "shape"], ["y"])
    weights = {"shape": np.array([4, 3], np.int64)}
    model = onnx_model([node], [("x", FLOAT, [4, 3])], [("y", FLOAT, [4, 3])], weights=weights)

    with pytest.raises(ExportError, match="onnxruntime cannot run"):
        export(model, tmp_path / "model.onnx")

    assert not list(tmp_path.iterdir())


def test_a_model_that_mixes_the_rows_of_its_batch_is_refused(tmp_path: Path) -> None:
    nodes = [helper.make_node("ReduceSum", ["x", "axes"], ["s"]), helper.make_node("Add", ["x", "s"], ["y"])]
    weights = {"axes": np.array([0], np.int64)}
    model = onnx_model(nodes, [("x", FLOAT, [4, 3])], [("y", FLOAT, [4, 3])], weights=weights)

    with pytest.raises(ExportError, match=r"the column 'y' of the export differs .* the largest difference is"):
        export(model, tmp_path / "model.onnx")

    assert not list(tmp_path.iterdir())


def test_weights_in_other_files_are_put_into_the_one_file(tmp_path: Path) -> None:
    weights = {"w": np.arange(3, dtype=np.float32)}
    node = helper.make_node("Add", ["x", "w"], ["y"])
    model = onnx_model([node], [("x", FLOAT, ["n", 3])], [("y", FLOAT, ["n", 3])], weights=weights)
    (tmp_path / "saved").mkdir()
    onnx.save(model, tmp_path / "saved" / "a.onnx", save_as_external_data=True, size_threshold=0, location="a.data")

    export(tmp_path / "saved" / "a.onnx", tmp_path / "out")

    assert [file.name for file in (tmp_path / "out").iterdir()] == ["model.onnx"]
    assert onnx.load(tmp_path / "out" / "model.onnx", load_external_data=False).graph.initializer[0].raw_data


def test_sample_rows_are_taken_by_name_and_a_missing_one_is_named(tmp_path: Path) -> None:
    node = helper.make_node("Where", ["c", "a", "b"], ["y"])
    inputs = [("c", BOOL, ["n"]), ("a", INT64, ["n"]), ("b", INT64, ["n"])]
    model = onnx_model([node], inputs, [("y", INT64, ["n"])])
    sample = [{"a": 1, "b": 2, "c": True}, {"a": 3, "b": 4, "c": False}]

    assert export(model, tmp_path / "model.onnx", sample=sample).largest_difference == 0
    with pytest.raises(ExportError, match="no column 'b'"):
        export(model, tmp_path / "other.onnx", sample=[{"a": 1, "c": True}])
