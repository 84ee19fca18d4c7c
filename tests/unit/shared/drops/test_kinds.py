"""Files that BigQuery does not import are recognized by their content, and else by their name."""

from __future__ import annotations

import gzip
import io
import pickle
import tarfile
import zipfile

import pytest

from shared.drops.contents.kinds import BEGINNING_BYTES, KINDS, kind_of, kind_of_content


def _zip(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return buffer.getvalue()


def _tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("saved_model.pb"))
    return buffer.getvalue()


KERAS = _zip("metadata.json", "config.json", "model.weights.h5")
TORCH = _zip("archive/data.pkl", "archive/version")
HDF5 = b"\x89HDF\r\n\x1a\n" + bytes(100)
PICKLE = pickle.dumps({"model": [1, 2]})
SAFETENSORS = (20).to_bytes(8, "little") + b'{"w":{"dtype":"F32"}}'
UBJSON = b"{L\0\0\0\0\0\0\0\x07learner{L\0\0\0\0\0\0\0\x0aattributes{}"
LIGHTGBM = b"tree\nversion=v4\nnum_class=1\n"
ONNX = b"\x08\x0a\x12\x07pytorch\x1a\x052.5.0"
TFLITE = b"\x1c\0\0\0TFL3" + bytes(100)


@pytest.mark.parametrize(
    ("name", "content", "what", "advice"),
    [
        ("model.keras", KERAS, "a Keras model", "model.export"),
        ("model.zip", KERAS, "a Keras model", "model.export"),
        ("model.h5", HDF5, "HDF5", "model.export"),
        ("model.keras", HDF5, "HDF5", "model.export"),
        ("model.pkl", PICKLE, "a pickled Python object", "skl2onnx"),
        ("model.joblib", PICKLE, "a pickled Python object", "skl2onnx"),
        ("model.onnx", PICKLE, "a pickled Python object", "skl2onnx"),
        ("model.bst", PICKLE, "a pickled Python object", "skl2onnx"),
        ("model.pt", TORCH, "PyTorch", "torch.onnx.export"),
        ("legacy.pt", PICKLE, "PyTorch", "torch.onnx.export"),
        ("pytorch_model.bin", TORCH, "PyTorch", "torch.onnx.export"),
        ("model.onnx", TORCH, "PyTorch", "torch.onnx.export"),
        ("model.safetensors", SAFETENSORS, "safetensors", "torch.onnx.export"),
        ("model.ubj", UBJSON, "UBJSON", "save_model('model.json')"),
        ("model.bst", UBJSON, "UBJSON", "save_model('model.json')"),
        ("model.txt", LIGHTGBM, "a LightGBM model", "onnxmltools"),
        ("model.bst", LIGHTGBM, "a LightGBM model", "onnxmltools"),
        ("model.cbm", b"CBM1\x10\0\0\0", "a CatBoost model", "format='onnx'"),
        ("model.pmml", b'<?xml version="1.0"?>\n<PMML xmlns="x">', "a PMML model", "does not import PMML"),
        ("model.xml", b'<?xml version="1.0"?>\n<PMML xmlns="x">', "a PMML model", "does not import PMML"),
        ("model.gguf", b"GGUF\x03\0\0\0", "GGUF", "Gemini"),
        ("model.zip", _zip("saved_model.pb"), "a ZIP archive", "unpack"),
        ("model.tar", _tar(), "an archive", "unpack"),
        ("model.tar.gz", gzip.compress(b"x", mtime=0), "an archive", "unpack"),
        ("model.onnx", gzip.compress(b"x", mtime=0), "a compressed file", "without -Z"),
        ("model.rds", gzip.compress(b"x", mtime=0), "an object of R", "export the model"),
        ("model.onnx", b"\n<!DOCTYPE html>\n<html>", "a web page", "download the model again"),
        ("model.onnx", b"<?xml version='1.0'?><Error><Code>AccessDenied", "an error message of a server", "download"),
        ("model.onnx", b"version https://git-lfs.github.com/spec/v1\noid", "a pointer of Git LFS", "git lfs pull"),
        ("model.mlmodel", b"\x08\x05\x12\x50\n\x0cfeatures", "a Core ML model", "does not import Core ML"),
        ("model.json", b'{"format": "graph-model", "generatedBy"', "a TensorFlow.js model", "the SavedModel"),
        ("model.json", b'{"name":"tree","version":"v4"', "a LightGBM model in JSON", "onnxmltools"),
        ("data.npz", _zip("arr_0.npy"), "NumPy", "not a model"),
        ("data.parquet", b"PAR1\x15\x04", "a table", "upload the model itself"),
        ("model.bin", ONNX, "an ONNX model", "ends in .onnx"),
        ("model.bin", TFLITE, "a TensorFlow Lite model", "ends in .tflite"),
        ("model.txt", b"booster[0]:\n0:[f2<2.4] yes=1", "a dump of an XGBoost model", "save_model('model.json')"),
        ("model.json", b'[\n  { "nodeid": 0, "depth": 0', "a dump of an XGBoost model", "save_model('model.json')"),
        ("model.txt", b'{"learner":{}}', "an XGBoost model in JSON", "ends in .json"),
    ],
)  # fmt: skip
def test_the_content_shows_the_kind_and_the_advice(name: str, content: bytes, what: str, advice: str) -> None:
    kind = kind_of(name, content[:BEGINNING_BYTES])
    assert kind is not None
    assert what in kind.what
    assert advice in kind.advice


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("Model.KERAS", "a Keras model"), ("weights.h5", "HDF5"), ("model.pth", "PyTorch"), ("m.cbm", "CatBoost"),
        ("frozen_graph.pb", "a TensorFlow graph"), ("saved_model.pbtxt", "as text"), ("model.ckpt.index", "checkpoint"),
        ("train.csv", "a table"), ("config.json", "not an XGBoost model"), ("model.mlmodel", "Core ML"),
        ("model.rds", "an object of R"), ("MLmodel", "MLflow"),
        ("train.py", "source code"), ("Dockerfile", "source code"), ("net.engine", "does not import"),
    ],
)  # fmt: skip
def test_the_ending_shows_the_kind_if_the_content_does_not(name: str, what: str) -> None:
    kind = kind_of(name, b"unknown content")
    assert kind is not None
    assert what in kind.what


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("m.onnx", ONNX), ("m.tflite", TFLITE), ("m.json", b'{"learner":{}}'), ("m.bst", b"binf\0\0"),
        ("saved_model.pb", b"\x08\x01\x12\xf0"), ("saved_model.pb", b"\x08\x01\x12\xf0\x1c\n\xa0"),
    ],
)  # fmt: skip
def test_a_model_under_its_right_name_is_of_no_wrong_kind(name: str, content: bytes) -> None:
    assert kind_of_content(name, content) is None


def test_no_advice_ends_with_a_full_stop_and_no_ending_has_a_capital() -> None:
    for kind in KINDS:
        assert not kind.advice.endswith(".")
        assert all(ending == ending.lower() for ending in kind.endings)
