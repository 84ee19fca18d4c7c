"""`modeldrop try`: rows in, ML.PREDICT's rows out, without a cloud."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnx
import pytest
from click.testing import CliRunner, Result
from onnx import TensorProto, helper

from modeldrop.__main__ import main
from tests.unit.modeldrop.exporters.onnx_models import doubled, onnx_model

FLOAT, INT64, STRING, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.STRING, TensorProto.BOOL


def run(model: Path, rows: list[Any] | str, *options: str) -> Result:
    text = rows if isinstance(rows, str) else "\n".join(map(json.dumps, rows))
    return CliRunner().invoke(main, ["try", str(model), "--rows", "-", *options], input=text)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model of a text, a flag, two numbers and a vector, which it returns."""
    folder = tmp_path_factory.mktemp("model")
    types = {"text": (STRING, 1), "flag": (BOOL, 1), "count": (INT64, 1), "size": (FLOAT, 1), "vector": (FLOAT, 4)}
    nodes = [helper.make_node("Identity", [name], [f"{name}_out"]) for name in types]
    inputs = [(name, kind, ["n", width]) for name, (kind, width) in types.items()]
    outputs: list[Any] = [(f"{name}_out", kind, ["n", width]) for name, (kind, width) in types.items()]
    onnx.save(onnx_model(nodes, inputs, outputs), folder / "any.onnx")
    return folder


ROW = {"text": "Ünï", "flag": True, "count": 3, "size": 2, "vector": [[1, 2], [3, 4.5]]}


def test_outputs_come_before_the_columns_of_the_row(folder: Path) -> None:
    done = run(folder, [{**ROW, "id": 7}, {**ROW, "id": 8, "flag": False}], "--json")

    assert done.exit_code == 0, done.output
    first, second = json.loads(done.stdout)
    assert first == {
        "text_out": ["Ünï"],
        "flag_out": [True],
        "count_out": [3],
        "size_out": [2.0],
        "vector_out": [1.0, 2.0, 3.0, 4.5],
        **ROW,
        "id": 7,
    }
    assert list(first)[:2] == ["text_out", "flag_out"]
    assert (second["flag_out"], second["id"]) == ([False], 8)


def test_a_table_is_printed_for_people_and_names_ignore_case(folder: Path) -> None:
    onnx.save(doubled(), folder / "one.onnx")
    try:
        done = run(folder / "one.onnx", [{"X": [0.5, 1, 2]}])
    finally:
        (folder / "one.onnx").unlink()

    assert done.exit_code == 0, done.output
    assert "[1, 2, 4]" in done.output


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"text": None}, "row 2 has None in the column 'text', and the model takes STRING"),
        ({"text": 5}, "row 2 has 5 in the column 'text'"),
        ({"count": 1.5}, "row 2 has 1.5 in the column 'count', and the model takes INT64"),
        ({"count": 2**70}, "the column 'count' has a number that INT64 does not have"),
        ({"size": "2"}, "row 2 has '2' in the column 'size', and the model takes FLOAT64"),
        ({"size": [1, 2]}, "row 2 has [1, 2] in the column 'size'"),
        ({"vector": 1}, "row 2 has 1 in the column 'vector', and the model takes ARRAY<FLOAT64>"),
        ({"vector": [1, 2]}, "arrays of 4 elements"),
        ({"Text": "twice"}, "row 2 has 2 columns 'text'"),
    ],
)
def test_a_row_that_does_not_fit_is_named_with_its_column(folder: Path, change: dict[str, Any], part: str) -> None:
    done = run(folder, [ROW, {**ROW, **change}])

    assert done.exit_code == 1
    assert part in done.output, done.output


def test_a_missing_column_is_named_with_its_type(folder: Path) -> None:
    done = run(folder, [{name: value for name, value in ROW.items() if name != "vector"}])

    assert (done.exit_code, done.stdout) == (1, "")
    assert "row 1 has no column 'vector', an input of the model of the type ARRAY<FLOAT64>" in done.stderr


def test_a_model_that_bigquery_refuses_is_explained(tmp_path: Path) -> None:
    onnx.save(doubled(ir=10), tmp_path / "model.onnx")

    done = run(tmp_path / "model.onnx", [{"x": [1, 2, 3]}])

    assert done.exit_code == 1
    assert "IR version 10" in done.output


def test_an_infinite_number_is_written_as_bigquery_does(tmp_path: Path) -> None:
    node = helper.make_node("Reciprocal", ["x"], ["y"])
    onnx.save(onnx_model([node], [("x", FLOAT, ["n"])], [("y", FLOAT, ["n"])]), tmp_path / "model.onnx")

    assert [row["y"] for row in json.loads(run(tmp_path, [{"x": 0}, {"x": 2}], "--json").stdout)] == ["Infinity", 0.5]


@pytest.mark.parametrize("text", ["", "{", "[1]"])
def test_a_file_without_rows_is_refused(folder: Path, text: str) -> None:
    done = run(folder, text)

    assert done.exit_code == 1
    assert '{"x": 1.5}' in done.output
