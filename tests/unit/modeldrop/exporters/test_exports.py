"""What every export does: choose the exporter, compare, and write nothing unless all is well."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result

from modeldrop import export
from modeldrop.__main__ import main
from modeldrop.exporters.comparison import compare
from modeldrop.exporters.errors import ExportError
from modeldrop.exporters.samples import sample_of
from tests.unit.modeldrop.exporters.onnx_models import doubled

ROW = np.array([[1.0, 2.0]])


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["export", *map(str, arguments)])


@pytest.mark.parametrize(
    ("own", "written"),
    [
        (ROW, ROW * (1 + 1e-6)),
        (ROW, ROW.reshape(1, 2, 1)),
        (np.array([1e-8, 2e-8]), np.array([1e-8, 2.00001e-8])),
        (np.array([np.nan, np.inf, 1]), np.array([np.nan, np.inf, 1])),
        (np.array([3, 7]), np.array([3, 7], np.int32)),
        (np.array(["a", "b"], dtype=object), np.array([b"a", b"b"], dtype=object)),
        (np.array([True]), np.array([1])),
    ],
)
def test_outputs_that_are_the_same_agree(own: np.ndarray, written: np.ndarray) -> None:
    assert compare({"y": own}, {"y": written}) < 1e-4


@pytest.mark.parametrize(
    ("own", "written", "part"),
    [
        (ROW, ROW + 0.5, "largest difference is 0.5, in row 1"),
        (np.array([1e-8, 2e-8]), np.zeros(2), "in 2 of 2 sample rows"),
        (np.array([1.0, 2.0]), np.array([1.0, np.nan]), "largest difference is inf, in row 2"),
        (np.array(["a", "b"], dtype=object), np.array(["a", "c"], dtype=object), "row 2 has 'c' instead of 'b'"),
        (ROW, np.ones((1, 3)), "shape (1, 3)"),
    ],
)
def test_outputs_that_differ_are_named_with_their_column(own: np.ndarray, written: np.ndarray, part: str) -> None:
    with pytest.raises(ExportError, match="'y'") as error:
        compare({"y": own}, {"y": written})
    assert part in str(error.value)


@pytest.mark.parametrize("given", [[], {"a": [1, 2], "b": [1]}, [{"a": 1}, {"b": 1}], np.zeros((0, 3)), [[1], [1, 2]]])
def test_a_sample_without_equal_rows_is_refused(given: object) -> None:
    with pytest.raises(ExportError, match=r"row|columns"):
        sample_of(given)


def test_files_that_exist_are_only_replaced_when_asked(tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.mkdir()
    (target / "modeldrop.yaml").write_text("description: mine\n")
    (target / "model.onnx").write_bytes(b"old")

    with pytest.raises(ExportError, match=r"exists: .*--overwrite"):
        export(doubled(), target)
    assert (target / "model.onnx").read_bytes() == b"old"

    export(doubled(), target, overwrite=True)
    assert onnx.load(target / "model.onnx").graph.name == "g"
    assert (target / "modeldrop.yaml").read_text() == "description: mine\n"


def test_a_folder_with_another_model_or_a_wrong_manifest_is_refused(tmp_path: Path) -> None:
    (tmp_path / "old.json").write_bytes(b"{}")
    with pytest.raises(ExportError, match=r"another model, old\.json"):
        export(doubled(), tmp_path, overwrite=True)

    assert export(doubled(), tmp_path / "beside.onnx").checked.ok
    (tmp_path / "beside.onnx").unlink()
    (tmp_path / "old.json").rename(tmp_path / "modeldrop.yaml")
    (tmp_path / "modeldrop.yaml").write_text("input: {x: FLOAT64}\noutput: {y: FLOAT64}\n")
    with pytest.raises(ExportError, match="only XGBoost models have"):
        export(doubled(), tmp_path, overwrite=True)
    assert [file.name for file in tmp_path.iterdir()] == ["modeldrop.yaml"]


def test_a_name_of_another_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"ends in \.onnx, so .*model\.json cannot be its name"):
        export(doubled(), tmp_path / "model.json")
    assert not list(tmp_path.iterdir())


def test_an_object_that_is_not_a_model_is_refused_with_the_libraries(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"class builtins\.dict: only models of Keras, scikit-learn"):
        export({}, tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "content", "part"),
    [
        ("none.onnx", None, "does not exist"),
        ("model.onnx", b"not a model", "cannot be loaded"),
        ("model.zip", b"PK", "ending that is not known"),
        ("model.pkl", b"not a pickle", "cannot be loaded"),
    ],
)
def test_a_file_that_cannot_be_loaded_is_explained(tmp_path: Path, name: str, content: bytes | None, part: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)

    done = run(tmp_path / name, tmp_path / "out")

    assert (done.exit_code, part in done.output) == (1, True), done.output
    assert not (tmp_path / "out").exists()


def test_the_command_prints_what_was_written_and_compared(tmp_path: Path) -> None:
    onnx.save(doubled(ir=10), tmp_path / "new.onnx")
    (tmp_path / "rows.jsonl").write_text('{"x": [1, 2, 3]}\n\n{"x": [4, 5, 6]}\n')

    done = run(tmp_path / "new.onnx", tmp_path / "out", "--sample", tmp_path / "rows.jsonl")

    assert done.exit_code == 0, done.output
    assert f"{tmp_path / 'out'}: can be imported (ONNX)" in done.output
    assert "largest difference: 0" in done.output
    again = run(tmp_path / "new.onnx", tmp_path / "out", "--overwrite", "--json")
    found = json.loads(again.stdout)
    assert (found["path"], found["ok"], found["largest_difference"]) == (str(tmp_path / "out"), True, 0.0)


def test_rows_that_are_not_objects_are_named_by_their_line(tmp_path: Path) -> None:
    onnx.save(doubled(), tmp_path / "new.onnx")
    (tmp_path / "rows.jsonl").write_text('{"x": [1, 2, 3]}\n[1]\n')

    done = run(tmp_path / "new.onnx", tmp_path / "out", "--sample", tmp_path / "rows.jsonl")

    assert done.exit_code == 1
    assert "line 2 of" in done.output
