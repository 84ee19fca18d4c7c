"""Reads the features and the version of an XGBoost model, without XGBoost.

The formats are on https://xgboost.readthedocs.io/en/stable/tutorials/saving_model.html, and the rules on
https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-create-xgboost
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import Any

from shared.checks.identifiers import check_column
from shared.drops import limits
from shared.drops.formats.json_stream import MalformedJson, Wanted, find_values
from shared.drops.formats.model_facts import Columns, Format, ModelFacts, Tensor, check_columns
from shared.drops.formats.model_file import ModelFile
from shared.errors import Problem, Rejected

OUTPUT = "predicted_label"
"""The name of the output of a model whose file has the names and types of its features."""

# Its version is a list of numbers; that of a tokenizer of Hugging Face, which begins alike, is a text.
_BEGINNING = re.compile(rb'\s*\{\s*"(learner"\s*:|version"\s*:\s*\[)')
_JSON_BEGINNING = re.compile(rb'\s*\{\s*("|\})')

# XGBoost's types of features. The values of a categorical feature are integers.
_TYPES = {"int": "INT64", "i": "INT64", "c": "INT64", "float": "FLOAT64", "q": "FLOAT64"}

# The newest version whose models BigQuery's XGBoost 1.5.1 is known to read.
_NEWEST_VERSION = (1, 5)

_WANTED: Wanted = {
    "learner": {
        "feature_names": None,
        "feature_types": None,
        "gradient_booster": {"name": None},
        "learner_model_param": None,
        "objective": {"name": None},
    },
    "version": None,
}

# The binary format begins with these numbers: the base score, features, classes, two flags, the major and minor version
# and the number of targets; then, after unused ones, the name of the objective.
# https://github.com/dmlc/xgboost/blob/v1.5.1/src/learner.cc (LearnerModelParamLegacy)
_BINARY = struct.Struct("<fIiiiIII")
_BINARY_BYTES = 136
_BINARY_MARK = b"binf"
_LARGEST_NUMBER = 2**32 - 1
_OBJECTIVE = re.compile(rb"[a-z]+[a-z0-9:_@]{0,60}")


@dataclass(frozen=True)
class _Booster:
    """What is read of the file."""

    features: int
    classes: int = 0
    targets: int = 1
    objective: str = ""
    version: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    has_list_of_scores: bool = False
    is_json: bool = True


def is_booster(file: ModelFile) -> bool:
    """Return whether a JSON file begins as an XGBoost model."""
    beginning = file.read(0, min(file.size, limits.BOOSTER_BYTES))
    return _BEGINNING.match(beginning) is not None


def read_booster(file: ModelFile, declared: Columns) -> ModelFacts:
    """Return what the file of an XGBoost model says.

    Raises:
        Rejected: It is not an XGBoost model in JSON or in the binary format, or it exceeds a limit of
            ``shared.drops.limits``.
    """
    beginning = file.read(0, min(file.size, limits.BOOSTER_BYTES))
    if beginning[:1] == b"{" and not _JSON_BEGINNING.match(beginning):
        raise Rejected(
            f"{file.name} is in XGBoost's UBJSON format, which BigQuery's XGBoost 1.5.1 does not read; XGBoost 2.1 and newer "
            "write it for every name that does not end in .json: run `modeldrop export`, or save the model with "
            "booster.save_model('model.json')",
            code="unsupported_format",
        )
    if file.name.endswith(".json") or _JSON_BEGINNING.match(beginning):
        booster = _read_json(file)
    else:
        booster = _read_binary(file, beginning)
    problems = _problems(booster)
    inputs, needed, fault = _inputs(booster, declared)
    if fault is not None:
        problems.append(fault)
    many = booster.objective == "multi:softprob" and booster.classes > 1
    output = declared.outputs[0][0] if declared.outputs else OUTPUT
    column = "ARRAY<FLOAT64>" if many else "FLOAT64"
    outputs = (Tensor(output, column, "float32", (None, booster.classes) if many else (None,)),)
    problems += check_columns(inputs, outputs)
    notes = []
    if booster.version > (*_NEWEST_VERSION, 99):
        notes.append(
            f"the model was saved by XGBoost {'.'.join(map(str, booster.version))}; BigQuery runs 1.5.1, which does not read "
            "all that 1.6 and newer save: run `modeldrop export`, if it did not write this file"
        )
    if "c" in booster.types:
        notes.append(
            "the model has categories, which BigQuery takes for integers, so its predictions differ from the model's own: "
            "encode them as numbers before the training"
        )
    versions = [("format", "JSON" if booster.is_json else "binary"), ("features", str(booster.features))]
    if booster.version:
        versions.append(("saved by XGBoost", ".".join(map(str, booster.version))))
    if booster.objective:
        versions.append(("objective", booster.objective))
    return ModelFacts("XGBOOST", inputs, outputs, tuple(versions), tuple(problems), tuple(notes), needed)


def _read_json(file: ModelFile) -> _Booster:
    try:
        found = find_values(file, _WANTED)
        parameters = found.get("learner.learner_model_param")
        if not isinstance(parameters, dict):
            raise MalformedJson("it has no learner with parameters")
        features = _whole(parameters.get("num_feature"))
        for what in ("names", "types"):
            count = len(_list(found.get(f"learner.feature_{what}")))
            if count not in (0, features):
                raise MalformedJson(f"it has {features:,} features and {count:,} {what} of features")
        return _Booster(
            features=features,
            classes=_whole(parameters.get("num_class", 0)),
            targets=_whole(parameters.get("num_target", 1)),
            objective=_short(found.get("learner.objective.name")),
            version=tuple(_whole(each) for each in _list(found.get("version"))[:3]),
            names=tuple(_short(each) for each in _list(found.get("learner.feature_names"))),
            types=tuple(_short(each) for each in _list(found.get("learner.feature_types"))),
            has_list_of_scores=str(parameters.get("base_score", "")).startswith("["),
        )
    except MalformedJson as error:
        raise Rejected(
            f"{file.name} is not an XGBoost model in JSON, or is cut off: {error}; save it with "
            "booster.save_model('model.json') and upload it again",
            code="wrong_format",
        ) from error


def _read_binary(file: ModelFile, beginning: bytes) -> _Booster:
    content = beginning.removeprefix(_BINARY_MARK)
    wrong = Rejected(
        f"{file.name} is not an XGBoost model: it begins neither as JSON nor as XGBoost's binary format; save the model with "
        "booster.save_model('model.json')",
        code="wrong_format",
    )
    if len(content) < _BINARY_BYTES + 8:
        raise wrong
    _, features, classes, _, _, major, minor, targets = _BINARY.unpack_from(content)
    (size,) = struct.unpack_from("<Q", content, _BINARY_BYTES)
    objective = content[_BINARY_BYTES + 8 : _BINARY_BYTES + 8 + min(size, limits.BOOSTER_BYTES)]
    if not 0 < features < 2**24 or not 0 <= classes < 2**16 or not _OBJECTIVE.fullmatch(objective):
        raise wrong
    version = (major, minor) if 0 < major < 100 and minor < 100 else ()
    return _Booster(features, classes, max(targets, 1), objective.decode(), version, is_json=False)


def _problems(booster: _Booster) -> list[Problem]:
    problems = []
    if booster.targets > 1:
        problems.append(
            Problem(
                "unsupported_output",
                f"the XGBoost model has {booster.targets} outputs, and BigQuery runs only models with one: train one model "
                "for each",
            )
        )
    if booster.has_list_of_scores:
        problems.append(
            Problem(
                "unsupported_version",
                f"the XGBoost model was saved by version {'.'.join(map(str, booster.version))}, whose base_score is a list, "
                "and BigQuery's XGBoost 1.5.1 reads only a number: run `modeldrop export`, or save the model with XGBoost 3.0",
            )
        )
    return problems


def _inputs(booster: _Booster, declared: Columns) -> tuple[tuple[Tensor, ...], Columns | None, Problem | None]:
    """Return the inputs, what `modeldrop.yaml` must declare, and what is wrong with what it declares."""
    if booster.features > limits.COLUMNS:
        return (
            (),
            None,
            Problem(
                "too_large",
                f"the XGBoost model has {booster.features:,} features, each of which is a column, and a query has at most "
                f"{limits.COLUMNS:,}: train it on fewer",
            ),
        )
    names = booster.names or tuple(f"f{index}" for index in range(booster.features))
    kinds = tuple(_TYPES.get(kind, "FLOAT64") for kind in booster.types) or ("FLOAT64",) * len(names)
    known = Columns(tuple(zip(names, kinds, strict=False)), ((OUTPUT, "FLOAT64"),))
    if declared.inputs:
        inputs = tuple(Tensor(name, kind, "float32", (None,)) for name, kind in declared.inputs)
        return inputs, None, _declaration_problem(booster, declared, known)
    inputs = tuple(Tensor(name, kind, "float32", (None,)) for name, kind in known.inputs)
    if not booster.names or not booster.types:
        lacking = [name for name, value in (("names", booster.names), ("types", booster.types)) if not value]
        if (fault := _wrong_name(names)) is not None:
            return inputs, None, fault
        return (
            inputs,
            known,
            Problem(
                "columns_needed",
                f"the XGBoost model does not contain the {' and '.join(lacking)} of its {booster.features} features, so "
                f"BigQuery needs the columns: upload {example(known)} beside it",
                field="modeldrop.yaml",
            ),
        )
    unknown = next((kind for kind in booster.types if kind not in _TYPES), None)
    return (
        inputs,
        None,
        None
        if unknown is None
        else Problem(
            "unsupported_type", f"the XGBoost model has the feature type {unknown!r}, which BigQuery has no type for"
        ),
    )


def _declaration_problem(booster: _Booster, declared: Columns, known: Columns) -> Problem | None:
    given = tuple(name for name, _ in declared.inputs)
    if booster.names and booster.names != given:
        return Problem(
            "wrong_columns",
            f"input in modeldrop.yaml must have the names of the XGBoost model's features, in their order: write "
            f"{example(known)}",
            field="modeldrop.yaml.input",
        )
    if len(given) != booster.features:
        return Problem(
            "wrong_columns",
            f"input in modeldrop.yaml has {len(given)} columns, and the XGBoost model has {booster.features} features: give "
            "one column for each",
            field="modeldrop.yaml.input",
        )
    if len(declared.outputs) != 1:
        return Problem("wrong_columns", "output in modeldrop.yaml must have one column", field="modeldrop.yaml.output")
    return None


def _wrong_name(names: tuple[str, ...]) -> Problem | None:
    for name in names:
        try:
            check_column(name)
        except Rejected:
            return Problem(
                "wrong_column",
                f"the XGBoost model does not contain the types of its features, so they must be declared, and the feature "
                f"{name[:120]!r} cannot be the name of a column: set booster.feature_names to names of letters, digits and "
                "underscores, and save it again",
            )
    return None


def example(columns: Columns) -> str:
    """Return a `modeldrop.yaml` that declares columns, on one line and cut at 20 columns, for an error text."""
    inputs = ", ".join(f"{name}: {kind}" for name, kind in columns.inputs[: limits.NAMED_OPERATORS])
    more = len(columns.inputs) - limits.NAMED_OPERATORS
    rest = f", and {more:,} more, which `modeldrop check` prints" if more > 0 else ""
    outputs = ", ".join(f"{name}: {kind}" for name, kind in columns.outputs)
    return f"modeldrop.yaml with the lines `input: {{{inputs}{rest}}}` and `output: {{{outputs}}}`"


def _whole(value: Any) -> int:
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        number = -1
    if not 0 <= number <= _LARGEST_NUMBER:
        raise MalformedJson("a number of the learner is not a number, or is too large")
    return number


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _short(value: Any) -> str:
    """Return a text that can be encoded: JSON can hold halves of surrogate pairs, which UTF-8 cannot."""
    return value[: limits.NAME_BYTES].encode(errors="replace").decode() if isinstance(value, str) else ""


FORMAT = Format("XGBOOST", (".bst", ".json"), limits.BOOSTER_FILE_BYTES, read_booster)
