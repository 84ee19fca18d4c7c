"""`modeldrop check`: what it prints for a model, and how it exits."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from google.cloud import storage

from modeldrop.__main__ import main
from modeldrop.check import check
from shared.drops.manifest import read_manifest
from tests.lite_files import lite_file
from tests.model_files import booster, graph, onnx_file, saved_model, saved_signature, saved_tensor


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["check", *arguments])


def write(folder: Path, **files: bytes) -> Path:
    """Write files whose names have a dot for each double underscore."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_bytes(content)
    return folder


def test_a_file_that_can_be_imported_is_described_with_an_example(tmp_path: Path) -> None:
    write(tmp_path, model__onnx=onnx_file())
    result = run(str(tmp_path / "model.onnx"))
    assert result.exit_code == 0
    assert "can be imported (ONNX)" in result.output
    assert "x  ARRAY<FLOAT64>  float32 [?, 4]" in result.output
    assert "ML.PREDICT(MODEL `my_dataset.my_model`" in result.output
    assert "[0.5, 0.5, 0.5, 0.5] AS `x`" in result.output


def test_a_drops_folder_gives_the_names_of_the_example(tmp_path: Path) -> None:
    folder = write(
        tmp_path / "films" / "genres" / "2", model__tflite=lite_file([("x", 0, (-1, 1))], [("y", 0, (-1, 1))])
    )
    assert "MODEL `films.genres`" in (check(folder).sql or "")


def test_a_model_of_serialized_examples_is_shown_with_a_table_of_features(tmp_path: Path) -> None:
    signature = saved_signature({"examples": saved_tensor(7, -1)}, {"y": saved_tensor(1, -1)})
    folder = write(
        tmp_path / "films" / "genres" / "2", saved_model__pb=saved_model(signature, operators=(b"ParseExampleV2",))
    )
    (folder / "variables").mkdir()
    write(folder / "variables", variables__index=b"i")
    write(folder / "variables", **{"variables__data-00000-of-00001": b"d"})
    assert (check(folder).sql or "").endswith("ML.PREDICT(MODEL `films.genres`, TABLE `films.features`)")


def test_a_file_that_bigquery_would_refuse_is_explained_and_exits_with_1(tmp_path: Path) -> None:
    write(tmp_path, model__onnx=onnx_file(ir=10, opset=21))
    result = run(str(tmp_path / "model.onnx"))
    assert result.exit_code == 1
    assert "cannot be imported (ONNX)" in result.output
    assert "has IR version 10" in result.output
    assert "uses opset 21" in result.output


def test_the_manifest_that_is_printed_makes_the_booster_importable(tmp_path: Path) -> None:
    write(tmp_path, model__json=booster())
    first = check(tmp_path)
    assert not first.ok
    assert first.manifest is not None
    assert read_manifest(first.manifest.encode(), "p").inputs == (("f0", "FLOAT64"), ("f1", "FLOAT64"))
    (tmp_path / "modeldrop.yaml").write_text(first.manifest)
    assert check(tmp_path).ok
    assert check(tmp_path / "model.json").ok


def test_a_saved_model_is_checked_by_its_folder_or_its_file(tmp_path: Path) -> None:
    signature = saved_signature({"x": saved_tensor(1, -1)}, {"y": saved_tensor(1, -1)})
    write(tmp_path, saved_model__pb=saved_model(signature))
    assert [check(path).ok for path in (tmp_path, tmp_path / "saved_model.pb")] == [True, True]


@pytest.mark.parametrize(
    ("files", "part"),
    [
        ({"saved_model__pb": graph(b"\x12\x0bVarHandleOp")}, "lacks variables/variables.index"),
        ({"a__onnx": onnx_file(), "b__onnx": onnx_file()}, "holds 2 model files"),
        ({"a__onnx": onnx_file(), "modeldrop__yaml": b"typ: ONNX"}, "typ"),
        ({"a__onnx": b"not a model"}, "is not an ONNX model"),
        ({"model__keras": b"PK\x03\x04" + bytes(26) + b"metadata.json"}, "model.export('FOLDER')"),
        ({"model__bst": b"{L\0\0\0\0\0\0\0\7learner{"}, "UBJSON"),
    ],
)
def test_a_wrong_folder_is_explained(tmp_path: Path, files: dict[str, bytes], part: str) -> None:
    result = run(str(write(tmp_path, **files)))
    assert result.exit_code == 1
    assert part in result.output


def test_a_model_that_is_one_folder_too_deep_is_moved_up_on_the_disk(tmp_path: Path) -> None:
    write(tmp_path / "export", model__onnx=onnx_file())
    assert f"Move it: mv {tmp_path}/export/* {tmp_path}/" in run(str(tmp_path)).output


def test_a_missing_file_is_named() -> None:
    result = run("/no/such/model.onnx")
    assert (result.exit_code, "no file or folder /no/such/model.onnx" in result.output) == (1, True)


def test_json_has_one_object_for_each_path(tmp_path: Path) -> None:
    write(tmp_path, good__onnx=onnx_file(), bad__onnx=onnx_file(ir=10))
    result = run("--json", str(tmp_path / "good.onnx"), str(tmp_path / "bad.onnx"))
    good, bad = json.loads(result.stdout)
    assert result.exit_code == 1
    assert (good["ok"], good["model_type"], good["problems"]) == (True, "ONNX", [])
    assert good["inputs"] == [{"name": "x", "type": "ARRAY<FLOAT64>", "element": "float32", "shape": [None, 4]}]
    assert (bad["ok"], [each["code"] for each in bad["problems"]]) == (False, ["unsupported_version"])


def test_a_drop_in_a_bucket_is_checked(bucket: storage.Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", bucket.client._connection.API_BASE_URL)
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "units")
    bucket.blob("films/genres/1/model.json").upload_from_string(booster())
    bucket.blob("films/genres/1/modeldrop.yaml").upload_from_string(
        yaml.safe_dump({"input": {"a": "FLOAT64", "b": "FLOAT64"}, "output": {"score": "FLOAT64"}})
    )
    folder = f"gs://{bucket.name}/films/genres/1"
    for uri in (folder, f"{folder}/", f"{folder}/model.json"):
        found = check(uri)
        assert found.ok
        assert "MODEL `films.genres`" in (found.sql or "")
    assert [problem.code for problem in check(f"gs://{bucket.name}/none").problems] == ["not_found"]


def test_a_check_of_a_file_imports_no_library_of_a_format_and_no_client(tmp_path: Path) -> None:
    write(tmp_path, model__onnx=onnx_file())
    program = (
        "import sys; from modeldrop.__main__ import main\n"
        "try: main(['check', sys.argv[1]])\n"
        "finally: print({'google.cloud.storage', 'tensorflow', 'onnx', 'numpy', 'xgboost'} & set(sys.modules))"
    )
    arguments = [sys.executable, "-c", program, str(tmp_path)]
    result = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert result.stdout.rstrip().endswith("set()")
