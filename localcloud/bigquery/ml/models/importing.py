"""CREATE MODEL for imported models: checks the options and copies the model's files from the bucket.

https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-create
"""

from __future__ import annotations

import errno
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.base.type_names import standard_name
from localcloud.bigquery.ml.models.options import OptionValue
from localcloud.bigquery.ml.models.registration import check_alias, check_vertex_id
from localcloud.bigquery.ml.models.signature import Feature, Signature
from localcloud.bigquery.ml.models.statements import CreateModel, FieldDeclaration
from localcloud.storage.objects.store import ObjectStore
from localcloud.storage.rules.errors import NotFound as ObjectNotFound
from localcloud.storage.rules.resources import StoredObject

_MEGABYTE = 1024 * 1024
_NAME_ERRORS = {errno.ENAMETOOLONG, errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.EILSEQ}


@dataclass(frozen=True)
class Format:
    """The format of a model type.

    Attributes:
        limit: The largest size of a model in bytes.
        suffixes: The suffixes of the model's file; empty if a model is a folder.
        declarable: Whether INPUT and OUTPUT clauses are supported.
    """

    limit: int
    suffixes: tuple[str, ...] = ()
    declarable: bool = False


# The limits are on the page of each type, for example
# https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-create-tensorflow
# (-onnx, -tflite, -xgboost).
FORMATS: dict[str, Format] = {
    "TENSORFLOW": Format(450 * _MEGABYTE),
    "ONNX": Format(450 * _MEGABYTE, (".onnx",)),
    "TENSORFLOW_LITE": Format(450 * _MEGABYTE, (".tflite",)),
    "XGBOOST": Format(250 * _MEGABYTE, (".bst", ".json"), declarable=True),
}

_STRINGS = ("MODEL_TYPE", "MODEL_PATH", "KMS_KEY_NAME", "MODEL_REGISTRY", "VERTEX_AI_MODEL_ID")
_ALIASES = "VERTEX_AI_MODEL_VERSION_ALIASES"
_KMS_KEY = re.compile(r"projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+")
# The types of the declared inputs, and those that the model reads.
_NUMBERS = {"INT64": "INT64", "FLOAT64": "FLOAT64", "NUMERIC": "FLOAT64", "BIGNUMERIC": "FLOAT64"}


@dataclass(frozen=True)
class ImportOptions:
    """The validated options of an import.

    Attributes:
        type: The model type.
        path: The Cloud Storage URI.
        kms_key: The name of the encryption key, or None.
        vertex_id: The model's id in the model registry, or None if it is not registered.
        aliases: The version aliases in the model registry.
        declared: The inputs and outputs in the INPUT and OUTPUT clauses, or None.
    """

    type: str
    path: str
    kms_key: str | None = None
    vertex_id: str | None = None
    aliases: tuple[str, ...] = ()
    declared: Signature | None = None


def import_options(statement: CreateModel) -> ImportOptions:
    """Return the validated options of a statement that imports a model.

    Raises:
        QueryError: An option is missing, unknown or not valid.
    """
    options = statement.options
    if "MODEL_TYPE" not in options and not statement.trained:
        for name, value in options.items():
            _check_option(name, value)
        raise QueryError("Missing required option: MODEL_TYPE", location="query")
    model_type = options.get("MODEL_TYPE", "LINEAR_REG")
    if not isinstance(model_type, str):
        raise QueryError("Option MODEL_TYPE must be a string.", location="query")
    model_type = model_type.upper()
    if statement.trained and model_type in FORMATS:
        raise QueryError(
            f"A query (AS) and TRANSFORM are not supported for the imported MODEL_TYPE '{model_type}'.",
            location="query",
        )
    if model_type not in FORMATS:
        raise QueryError(
            f"MODEL_TYPE '{model_type}' is not available: the local BigQuery does not train models. It imports "
            f"{', '.join(FORMATS)}, and creates remote models.",
            reason="notImplemented",
            location="query",
        )
    for name, value in options.items():
        _check_option(name, value)
    path = options.get("MODEL_PATH")
    if not path:
        raise QueryError(f"Missing required option: MODEL_PATH, for MODEL_TYPE '{model_type}'", location="query")
    vertex_id, aliases = _registry(statement)
    return ImportOptions(
        model_type, str(path), _text(options.get("KMS_KEY_NAME")), vertex_id, aliases, _declared(statement, model_type)
    )


def _check_option(name: str, value: OptionValue) -> None:
    if name == _ALIASES:
        if not isinstance(value, list) or not all(isinstance(alias, str) for alias in value):
            raise QueryError(f"Option {name} must be an array of strings.", location="query")
        return
    if name not in _STRINGS:
        raise QueryError(f"Unknown option: {name}", location="query")
    if not isinstance(value, str):
        raise QueryError(f"Option {name} must be a string.", location="query")
    if name == "KMS_KEY_NAME" and not _KMS_KEY.fullmatch(value):
        raise QueryError(
            f"Invalid KMS_KEY_NAME '{value}'; it has the form projects/P/locations/L/keyRings/R/cryptoKeys/K.",
            location="query",
        )


def _text(value: OptionValue) -> str | None:
    return None if value is None else str(value)


def _registry(statement: CreateModel) -> tuple[str | None, tuple[str, ...]]:
    options = statement.options
    registry = options.get("MODEL_REGISTRY")
    if registry is None:
        for name in ("VERTEX_AI_MODEL_ID", _ALIASES):
            if name in options:
                raise QueryError(f"Option {name} is only allowed with MODEL_REGISTRY='VERTEX_AI'.", location="query")
        return None, ()
    if str(registry).upper() != "VERTEX_AI":
        raise QueryError(f"Invalid MODEL_REGISTRY '{registry}'; the only value is 'VERTEX_AI'.", location="query")
    aliases = options.get(_ALIASES) or []
    names = tuple(check_alias(str(alias)) for alias in aliases) if isinstance(aliases, list) else ()
    # The default id is the name of the model, which must be a valid id.
    return check_vertex_id(options.get("VERTEX_AI_MODEL_ID", statement.reference.model)), names


def _declared(statement: CreateModel, model_type: str) -> Signature | None:
    if statement.inputs is None or statement.outputs is None:
        return None
    if not FORMATS[model_type].declarable:
        raise QueryError(f"INPUT and OUTPUT are not supported for MODEL_TYPE '{model_type}'.", location="query")
    names = [field.name.lower() for field in (*statement.inputs, *statement.outputs)]
    if len(set(names)) < len(names):
        raise QueryError("INPUT and OUTPUT have two fields of the same name.", location="query")
    if len(statement.outputs) != 1:
        raise QueryError("An XGBoost model has one output: OUTPUT must name one field.", location="query")
    output = statement.outputs[0]
    if output.type not in ("FLOAT64", "ARRAY<FLOAT64>"):
        raise QueryError(
            f"Output field {output.name} of an XGBoost model must be FLOAT64, not {output.type}.", location="query"
        )
    inputs = tuple(Feature(field.name, _numeric_type(field)) for field in statement.inputs)
    return Signature(inputs, (Feature(output.name, "FLOAT64"),))


def _numeric_type(field: FieldDeclaration) -> str:
    kind = standard_name(re.sub(r"\(.*\)", "", field.type))
    if kind not in _NUMBERS:
        raise QueryError(
            f"Input field {field.name} of an XGBoost model must be numeric (INT64, FLOAT64, NUMERIC or BIGNUMERIC), "
            f"not {field.type}.",
            location="query",
        )
    return _NUMBERS[kind]


# Files


def fetch(options: ImportOptions, store: ObjectStore, target: Path, check: Callable[[], None]) -> None:
    """Copy the model's files into a folder.

    Args:
        options: The options of the import.
        store: The Cloud Storage that holds the bucket.
        target: An empty folder. A model of one file is named ``model`` plus its suffix.
        check: Called before each file; raises an error if the job is cancelled.

    Raises:
        QueryError: No files are found, they are too large, or their names do not match the model type.
    """
    bucket, pattern = split_uri(options.path)
    kind = FORMATS[options.type]
    chosen = _find_folder(store, bucket, pattern) if not kind.suffixes else _find_file(store, bucket, pattern, options)
    if not chosen:
        raise QueryError(f"Not found: URI {options.path}", reason="notFound")
    size = sum(stored.size for stored in chosen.values())
    if size > kind.limit:
        raise QueryError(
            f"The model at {options.path} has {size} bytes, more than the {kind.limit // _MEGABYTE} MB allowed for "
            f"MODEL_TYPE '{options.type}'."
        )
    for name, stored in chosen.items():
        check()
        try:
            file = target / name
            file.parent.mkdir(parents=True, exist_ok=True)
            with store.open(stored) as source, file.open("wb") as copy:
                shutil.copyfileobj(source, copy, _MEGABYTE)
        except ObjectNotFound as error:
            raise QueryError(
                f"gs://{bucket}/{stored.name} changed during the import of the model.", reason="invalid"
            ) from error
        except (OSError, ValueError) as error:
            # A ValueError is raised for a NUL in a name.
            if isinstance(error, OSError) and error.errno not in _NAME_ERRORS:
                raise
            raise QueryError(
                f"The name of gs://{bucket}/{stored.name[:200]!r} can't be the name of a file: it is too long, holds a NUL, or "
                "is the name of a folder too.",
                reason="invalid",
            ) from error


def split_uri(uri: str, option: str = "MODEL_PATH") -> tuple[str, str]:
    """Return the bucket of a URI, and its object name or pattern.

    https://cloud.google.com/bigquery/docs/batch-loading-data#load-wildcards

    Args:
        uri: The URI.
        option: What the statement calls it, for the error.

    Raises:
        QueryError: The URI is not valid, or has a wildcard before its end.
    """
    match = re.fullmatch(r"gs://([^/*]+)(?:/(.*))?", uri, re.DOTALL)
    if match is None:
        raise QueryError(
            f"Invalid {option} '{uri}'; it is a Cloud Storage URI such as gs://bucket/folder/*.", reason="invalid"
        )
    pattern = match[2] or ""
    if "*" in pattern[:-1]:
        raise QueryError(f"Invalid {option} '{uri}'; it may hold one wildcard (*), at its end.", reason="invalid")
    return match[1], pattern


def _matching(store: ObjectStore, bucket: str, pattern: str) -> tuple[list[StoredObject], str]:
    """Return the objects that match a pattern, and the folder that their relative names start from."""
    prefix = pattern.removesuffix("*")
    if prefix == pattern and prefix and not prefix.endswith("/"):
        prefix += "/"
    folder = prefix[: prefix.rfind("/") + 1]
    try:
        found = store.list(bucket, prefix)
    except ObjectNotFound as error:
        raise QueryError(f"Not found: Bucket {bucket}", reason="notFound") from error
    return [stored for stored in found if not stored.name.endswith("/")], folder


def _find_folder(store: ObjectStore, bucket: str, pattern: str) -> dict[str, StoredObject]:
    """Return the objects of a model that is a folder, by their file names."""
    found, folder = _matching(store, bucket, pattern)
    return {name: stored for stored in found if _is_inside(name := stored.name[len(folder) :])}


def _is_inside(name: str) -> bool:
    """Return whether a relative object name is the path of a file in its folder.

    BigQuery merges consecutive slashes, so it does not find an object with an empty part:
    https://cloud.google.com/bigquery/docs/batch-loading-data#gcs-uri
    """
    return not {"", ".", ".."}.intersection(name.split("/"))


def _find_file(store: ObjectStore, bucket: str, pattern: str, options: ImportOptions) -> dict[str, StoredObject]:
    """Return the object of a model that is one file, by its file name."""
    suffixes = FORMATS[options.type].suffixes
    try:
        # The path can be that of the file itself.
        found = [store.get(bucket, pattern)] if pattern and not pattern.endswith(("*", "/")) else []
    except ObjectNotFound:
        found = []
    if not found:
        found, _ = _matching(store, bucket, pattern)
    models = [stored for stored in found if stored.name.endswith(suffixes)]
    if found and not models:
        raise QueryError(
            f"No {' or '.join(suffixes)} file was found at {options.path} for MODEL_TYPE '{options.type}'."
        )
    if len(models) > 1:
        raise QueryError(
            f"More than one model file was found at {options.path}: {', '.join(stored.name for stored in models[:3])}. "
            "Give the path of one file."
        )
    return {f"model{suffix}": stored for stored in models for suffix in suffixes if stored.name.endswith(suffix)}
