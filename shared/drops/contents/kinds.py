"""The kinds of files that people drop and that BigQuery does not import: the one table of what they are and what to do.

A kind is recognized by the beginning of the file, because names mislead: XGBoost writes UBJSON into `.bst`, and a `.keras`
file is a ZIP archive. The ending of the name decides where the beginning does not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# As many bytes as the mark of the latest format needs: "ustar" of a tar archive is at 257.
BEGINNING_BYTES = 512

_SAVED_MODEL_ADVICE = "and upload what is in FOLDER, with saved_model.pb at the top of the version folder"


@dataclass(frozen=True)
class FileKind:
    """A kind of files."""

    what: str
    """What a file of this kind is: "a Keras model"."""
    advice: str
    """What to do, as an instruction."""
    endings: tuple[str, ...] = ()
    """How names of this kind end, in lower case."""
    mark: re.Pattern[bytes] | None = None
    """Matches the beginning of the content; None if the content shows nothing."""
    right: tuple[str, ...] = ()
    """How names end under which BigQuery imports files of this kind."""
    is_container: bool = False
    """Whether files of other kinds have this content too, so that the name says more."""


def _mark(pattern: bytes) -> re.Pattern[bytes]:
    return re.compile(pattern, re.DOTALL)


# The first kind whose mark fits is taken, so the special kinds of archives come before archives.
KINDS: tuple[FileKind, ...] = (
    FileKind(
        "a web page or an error message of a server",
        "download the model again, and look at the file before you upload it",
        (".html", ".htm"),
        _mark(rb"(?i)\s*(?:<!doctype html|<html|<\?xml.{0,200}<error>)"),
    ),
    # https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
    FileKind(
        "a pointer of Git LFS in place of the file",
        "fetch the file with git lfs pull, and upload that",
        (),
        _mark(rb"version https://git-lfs"),
    ),
    # https://keras.io/api/models/model_saving_apis/export/
    FileKind(
        "a Keras model",
        f"run `modeldrop export`, or export it with model.export('FOLDER') {_SAVED_MODEL_ADVICE}",
        (".keras",),
        _mark(rb"PK\x03\x04.{26}(?:metadata|config)\.json"),
    ),
    FileKind(
        "a Keras model or weights in HDF5",
        f"load the model in Keras, export it with model.export('FOLDER') {_SAVED_MODEL_ADVICE}",
        (".h5", ".hdf5", ".hdf"),
        _mark(rb"\x89HDF\r\n\x1a\n"),
    ),
    # https://pytorch.org/docs/stable/onnx.html
    FileKind(
        "a PyTorch model or checkpoint",
        "export the module with torch.onnx.export(module, example_inputs, 'model.onnx')",
        (".pt", ".pth", ".pt2", ".ptl", ".ckpt", ".mar", ".bin"),
        _mark(rb"PK\x03\x04.{26}[^/]{1,200}/(?:data\.pkl|\.format_version|\.data/|byteorder|version|archive_format|constants\.pkl|code/)"),
    ),
    # https://onnx.ai/sklearn-onnx/
    FileKind(
        "a pickled Python object",
        "run `modeldrop export`, or convert a scikit-learn model to ONNX with skl2onnx.to_onnx, and save a booster of XGBoost "
        "with booster.save_model('model.json')",
        (".pkl", ".pickle", ".joblib", ".dill", ".sav"),
        _mark(rb"\x80[\x02-\x05][\x95\x8a\x8c}\](c.K]|(?:ccopy_reg|c__main__|csklearn)"),
        is_container=True,
    ),
    FileKind(
        "a set of weights in safetensors, without the model",
        "load it into its model, and export that: to ONNX with torch.onnx.export, or as a SavedModel",
        (".safetensors",),
        _mark(rb".{4}\0{4}\{\s*\""),
    ),
    # https://xgboost.readthedocs.io/en/stable/tutorials/saving_model.html
    FileKind(
        "an XGBoost model in UBJSON",
        "run `modeldrop export`, or save it with booster.save_model('model.json') of XGBoost 1.5, which BigQuery runs",
        (".ubj",),
        _mark(rb"\{[iUIlL].{0,8}(?:learner|version)"),
    ),
    # https://github.com/tensorflow/tfjs/tree/master/tfjs-converter
    FileKind(
        "a TensorFlow.js model",
        "upload the SavedModel that it was converted from, with saved_model.pb at the top of the version folder",
        (),
        _mark(rb'\s*\{\s*"(?:format"\s*:\s*"(?:layers|graph)-model"|modelTopology")'),
    ),
    FileKind(
        "a LightGBM model in JSON",
        "load the model from its text file, and convert it to ONNX with onnxmltools.convert_lightgbm",
        (),
        _mark(rb'\s*\{\s*"name"\s*:\s*"tree"'),
    ),
    FileKind(
        "an XGBoost model in JSON",
        "rename it so that it ends in .json",
        (),
        _mark(rb'\s*\{\s*"(?:learner"\s*:|version"\s*:\s*\[)'),
        (".json", ".bst"),
    ),
    # https://xgboost.readthedocs.io/en/stable/python/python_api.html#xgboost.Booster.dump_model
    FileKind(
        "a dump of an XGBoost model, which no program can load",
        "save the model with booster.save_model('model.json')",
        (),
        _mark(rb'booster\[0\]:\s|\s*\[\s*\{\s*"(?:nodeid|leaf)"'),
    ),
    FileKind(
        "an XGBoost model in the binary format",
        "rename it so that it ends in .bst",
        (),
        _mark(rb"binf"),
        (".bst",),
    ),
    # https://onnx.ai/onnxmltools/
    FileKind(
        "a LightGBM model",
        "run `modeldrop export`, or convert it to ONNX with onnxmltools.convert_lightgbm",
        (".lgb", ".lgbm", ".lightgbm"),
        _mark(rb"tree\r?\nversion="),
    ),
    FileKind(
        "a CatBoost model",
        "save it with model.save_model('model.onnx', format='onnx')",
        (".cbm",),
        _mark(rb"CBM1"),
    ),
    FileKind(
        "a PMML model",
        "BigQuery does not import PMML: export the model to ONNX with the library that trained it",
        (".pmml",),
        _mark(rb"\s*(?:\xef\xbb\xbf)?(?:<\?xml.{0,200}>\s*)?<PMML"),
    ),
    FileKind(
        "a language model in GGUF",
        "BigQuery does not import it: use a remote model, or a Gemini batch",
        (".gguf", ".ggml"),
        _mark(rb"GGUF"),
    ),
    FileKind(
        "a TensorFlow Lite model",
        "rename it so that it ends in .tflite",
        (".lite",),
        _mark(rb".{4}TFL3"),
        (".tflite",),
    ),
    FileKind(
        "an ONNX model",
        "rename it so that it ends in .onnx",
        (),
        _mark(rb"\x08[\x01-\x14](?:\x12.[A-Za-z]|:)"),
        (".onnx",),
    ),
    # https://apple.github.io/coremltools/mlmodel/Format/Model.html
    FileKind(
        "a Core ML model",
        "BigQuery does not import Core ML: export the model to ONNX with the library that trained it",
        (".mlmodel",),
        # Its version is 2 or higher; that of a SavedModel, which begins alike, is 1.
        _mark(rb"\x08[\x02-\x14]\x12.{1,3}\n"),
    ),
    FileKind(
        "an array of NumPy",
        "it is data, not a model: upload the model itself, as ONNX or as a SavedModel",
        (".npy", ".npz"),
        _mark(rb"\x93NUMPY|PK\x03\x04.{26}[^/]{1,200}\.npy"),
    ),
    FileKind(
        "a ZIP archive",
        "unpack it, and upload the files in it",
        (".zip",),
        _mark(rb"PK\x03\x04"),
        is_container=True,
    ),
    FileKind(
        "an archive or a compressed file",
        "unpack it, and upload the files in it as they are, with `gcloud storage cp` without -Z and -z",
        (".tar", ".tar.gz", ".tgz", ".gz", ".bz2", ".xz", ".zst", ".7z", ".rar"),
        _mark(rb"\x1f\x8b|BZh|\xfd7zXZ|\x28\xb5\x2f\xfd|7z\xbc\xaf|Rar!|.{257}ustar"),
        is_container=True,
    ),
    FileKind(
        "a table or a document, not a model",
        "upload the model itself, as ONNX or as a SavedModel",
        (".csv", ".tsv", ".parquet", ".avro", ".md", ".txt", ".pdf", ".xlsx", ".docx", ".png", ".jpg"),
        _mark(rb"PAR1|Obj\x01|%PDF"),
    ),
    FileKind(
        "an object of R",
        "export the model with a library of R that writes ONNX, TensorFlow or XGBoost models, such as xgb.save",
        (".rds", ".rdata"),
        _mark(rb"RD[AX][23]\n|[XA]\n\0\0\0[\2\3]"),
    ),
    # https://mlflow.org/docs/latest/ml/model/
    FileKind(
        "the description of a model in MLflow's format",
        "export the model that it names",
        ("mlmodel",),
    ),
    FileKind(
        "source code, not a model",
        "run it, and upload the model that it saves, as ONNX or as a SavedModel",
        (".ipynb", ".py", ".pyc", ".r", ".sql", ".java", ".cpp", ".js", ".ts", "dockerfile"),
    ),
    # https://www.tensorflow.org/guide/saved_model
    FileKind(
        "a TensorFlow model as text",
        f"save the model with tf.saved_model.save(model, 'FOLDER') {_SAVED_MODEL_ADVICE}",
        (".pbtxt",),
    ),
    FileKind(
        "a TensorFlow graph",
        f"if it is a SavedModel, rename it to saved_model.pb; otherwise load the model, export it with "
        f"tf.saved_model.save(model, 'FOLDER') {_SAVED_MODEL_ADVICE}",
        (".pb",),
    ),
    FileKind(
        "a part of a TensorFlow checkpoint, without the graph",
        f"load the checkpoint into its model, export it with tf.saved_model.save(model, 'FOLDER') {_SAVED_MODEL_ADVICE}",
        (".index", ".meta", ".data-00000-of-00001", "checkpoint"),
    ),
    FileKind(
        "an XGBoost model, or another one",
        "if it is XGBoost's, save it with booster.save_model('model.json')",
        (".model", ".xgb", ".xgboost"),
    ),
    FileKind(
        "a model in a format that BigQuery does not import",
        "export it to ONNX with the library that trained it",
        (".mlpackage", ".engine", ".plan", ".trt", ".pdmodel", ".ort", ".mlir", ".msgpack"),
    ),
    FileKind(
        "a file that is not an XGBoost model",
        "if it is to be one, save it with booster.save_model('model.json'); other models cannot be in JSON",
        (".json",),
    ),
)  # fmt: skip


def kind_of_content(name: str, beginning: bytes) -> FileKind | None:
    """Return the kind that the content of a file shows, if BigQuery does not import it under this name; otherwise None.

    Args:
        name: The name of the file.
        beginning: Its first ``BEGINNING_BYTES`` bytes, or all if it is shorter.
    """
    kind = next((each for each in KINDS if each.mark is not None and each.mark.match(beginning)), None)
    return None if kind is None or name.endswith(kind.right) else kind


def kind_of(name: str, beginning: bytes) -> FileKind | None:
    """Return the kind of a file by its content or else by its name; None if it is not known.

    The arguments are those of ``kind_of_content``.
    """
    lower = name.lower()
    shown = kind_of_content(name, beginning)
    named = next((kind for kind in KINDS if lower.endswith(kind.endings)), None)
    if shown is None or named is None or named.mark is None:
        return shown or named
    # Several kinds can begin alike; then the name decides.
    if shown.is_container or (named.mark.match(beginning) and not named.is_container):
        return named
    return shown
