"""Exports models of scikit-learn to ONNX, with skl2onnx.

A model that was trained with a DataFrame gets a column for each feature, and any other one a vector `features`. Numbers are
float32, as in Google's example, or float64 if only that gives the outputs of the model.
https://docs.cloud.google.com/bigquery/docs/making-predictions-with-sklearn-models-in-onnx-format
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from skl2onnx import to_onnx
from skl2onnx.common.data_types import (
    DoubleTensorType,
    FloatTensorType,
    Int64TensorType,
    StringTensorType,
)
from sklearn.base import is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.utils.validation import check_is_fitted

from modeldrop.exporters.comparison import agree, compare
from modeldrop.exporters.draft import Draft, Outputs
from modeldrop.exporters.errors import ExportError
from modeldrop.exporters.names import column_names, renamed
from modeldrop.exporters.onnx_columns import with_columns
from modeldrop.exporters.onnx_repair import FILE, repair, save
from modeldrop.exporters.onnx_runs import run
from modeldrop.exporters.samples import ROWS, Sample, random_values
from shared.drops.formats.onnx import NEWEST_OPSETS
from shared.errors import short_reason

VECTOR = "features"
_TEXT = "text"

# Otherwise the model needs the locale en_US.UTF-8 where it runs.
_TEXT_OPTIONS: dict[Any, dict[str, Any]] = {kind: {"locale": "C"} for kind in (CountVectorizer, TfidfVectorizer)}

Types = dict[str, Any]
"""skl2onnx's types of the inputs, by their names."""


def write(model: Any, folder: Path, sample: Sample | None) -> Draft:
    """Write a model of scikit-learn into an empty folder as ONNX; see ``modeldrop.exporters.draft.Exporter``."""
    try:
        check_is_fitted(model)
    except NotFittedError as error:
        raise ExportError("the model is not trained: call its method fit first") from error
    sample = _named(model, sample or _random_sample(model))
    own = _own_outputs(model, _rows(model, sample))
    failure: Exception | None = None
    for types, as_vector in _possible_types(sample):
        try:
            draft = _attempt(model, types, as_vector, sample, own, folder)
            if agree(draft.own, draft.written):
                return draft
            compare(draft.own, draft.written)
        except Exception as error:
            # skl2onnx raises many unrelated types of errors. The first attempt is the usual one, so its error says most.
            failure = failure or error
    if isinstance(failure, ExportError):
        raise failure
    raise ExportError(f"skl2onnx cannot convert the model: {short_reason(failure or '')}") from failure


def _attempt(model: Any, types: Types, as_vector: bool, sample: Sample, own: list[np.ndarray], folder: Path) -> Draft:
    if as_vector:
        integers = (isinstance(kind, Int64TensorType) for kind in types.values())
        columns = dict(zip(column_names(types).values(), integers, strict=True))
        converted = with_columns(_convert(model, _vector_type(types)), columns)
    else:
        converted = _convert(model, types)
    repaired = repair(converted)
    save(repaired.model, folder)
    # skl2onnx changes the names of inputs, and keeps their order.
    names = dict(zip(types, (value.name for value in repaired.model.graph.input), strict=True))
    feeds = {names[name]: _feed(sample.columns[name], kind) for name, kind in types.items()}
    written = run(onnx.load(folder / FILE), feeds)
    notes = (*renamed({**names, **repaired.outputs}), *_not_compared(own, written), *_text_notes(converted))
    return Draft(FILE, _matched(own, written), written, notes)


def _convert(model: Any, types: Types) -> onnx.ModelProto:
    opsets = {"": NEWEST_OPSETS[""], "ai.onnx.ml": NEWEST_OPSETS["ai.onnx.ml"]}
    last = _last_step(model)
    without_zip_map = {**_TEXT_OPTIONS, id(last): {"zipmap": False}}
    with warnings.catch_warnings():
        # skl2onnx uses attributes that scikit-learn deprecates.
        warnings.simplefilter("ignore")
        try:
            options = without_zip_map if is_classifier(last) else _TEXT_OPTIONS
            converted = to_onnx(model, initial_types=list(types.items()), options=options, target_opset=opsets)
        except NameError:
            # The classifier never has a ZipMap, so it has no such option.
            converted = to_onnx(model, initial_types=list(types.items()), options=_TEXT_OPTIONS, target_opset=opsets)
    assert isinstance(converted, onnx.ModelProto)
    return converted


def _vector_type(types: Types) -> Types:
    """Return the type of one vector for several columns of numbers."""
    number = next((type(kind) for kind in types.values() if not isinstance(kind, Int64TensorType)), FloatTensorType)
    return {VECTOR: number([None, len(types)])}


def _last_step(model: Any) -> Any:
    while hasattr(model, "steps"):
        model = model.steps[-1][1]
    return model


def _possible_types(sample: Sample) -> Iterator[tuple[Types, bool]]:
    """Yield types of the inputs, and whether the model gets them as one vector, the usual ones first.

    Most models take one vector. One that has a ColumnTransformer takes columns by their names.
    """
    kinds = {values.dtype.kind for values in sample.columns.values()}
    vector = (True, False) if len(sample.columns) > 1 and kinds <= set("fiub") else (False,)
    integers = (True, False) if kinds & set("iub") else (True,)
    for number, as_vector, keeps_integers in product((FloatTensorType, DoubleTensorType), vector, integers):
        types = {}
        for name, values in sample.columns.items():
            kind = number
            if values.dtype.kind not in "fiub":
                kind = StringTensorType
            elif values.dtype.kind in "iub" and keeps_integers:
                kind = Int64TensorType
            types[name] = kind([None, 1 if values.ndim == 1 else values.shape[1]])
        yield types, as_vector


def _feed(values: np.ndarray, kind: Any) -> np.ndarray:
    dtypes = {"FloatTensorType": np.float32, "DoubleTensorType": np.float64, "Int64TensorType": np.int64}
    return values.reshape(len(values), -1).astype(dtypes.get(type(kind).__name__, object))


def _random_sample(model: Any) -> Sample:
    names = getattr(model, "feature_names_in_", None)
    count = getattr(model, "n_features_in_", None)
    if count is None:
        raise ExportError(
            "the model does not say which features it has: give a few rows of its training data as sample "
            "(modeldrop.export(model, path, sample=rows), or --sample rows.jsonl)"
        )
    values = random_values("f", (ROWS, count)).astype(np.float64)
    return Sample({VECTOR: values} if names is None else {str(name): values[:, at] for at, name in enumerate(names)})


def _named(model: Any, sample: Sample) -> Sample:
    """Return a sample with the columns of the model: one for each feature that has a name, or one vector."""
    names = getattr(model, "feature_names_in_", None)
    if names is not None:
        wanted = [str(name) for name in names]
        if not sample.has_names:
            table = sample.table()
            if table.shape[1] != len(wanted):
                raise ExportError(f"the sample has {table.shape[1]} columns, and the model has {len(wanted)} features")
            return Sample({name: table[:, at] for at, name in enumerate(wanted)})
        if missing := [name for name in wanted if name not in sample.columns]:
            raise ExportError(f"the sample lacks the columns {', '.join(missing[:5])}, which are features of the model")
        return Sample({name: sample.columns[name] for name in wanted})
    if len(sample.columns) == 1:
        [values] = sample.columns.values()
        is_text = values.dtype.kind not in "fiub" and values.ndim == 1
        return Sample({_TEXT if is_text else VECTOR: values})
    return Sample({VECTOR: sample.table()})


def _rows(model: Any, sample: Sample) -> Any:
    """Return the sample as the model takes it."""
    if getattr(model, "feature_names_in_", None) is not None:
        import pandas

        return pandas.DataFrame(sample.columns)
    [values] = sample.columns.values()
    return values


def _own_outputs(model: Any, rows: Any) -> list[np.ndarray]:
    """Return what the model returns for the sample rows, in the order of skl2onnx's outputs."""
    try:
        if not hasattr(model, "predict"):
            return [np.asarray(_dense(model.transform(rows)))]
        outputs = [np.asarray(model.predict(rows))]
        if hasattr(model, "predict_proba"):
            outputs.append(np.asarray(model.predict_proba(rows)))
        elif hasattr(model, "decision_function"):
            outputs.append(np.asarray(model.decision_function(rows)))
    except Exception as error:
        # Estimators raise many unrelated types of errors for rows that do not fit.
        raise ExportError(
            f"the model cannot predict the sample rows ({short_reason(error)}): give a few rows of its training data as sample "
            "(modeldrop.export(model, path, sample=rows), or --sample rows.jsonl)"
        ) from error
    return outputs


def _dense(values: Any) -> Any:
    return values.toarray() if hasattr(values, "toarray") else values


def _matched(own: list[np.ndarray], written: Outputs) -> Outputs:
    """Return the model's outputs by the names of the export's, those that can be compared."""
    return {
        name: values for (name, found), values in zip(written.items(), own, strict=False) if values.size == found.size
    } or dict(zip(written, own, strict=False))


def _not_compared(own: list[np.ndarray], written: Outputs) -> tuple[str, ...]:
    left = sorted(written.keys() - _matched(own, written).keys())
    return (f"the model has no output to compare with the columns {', '.join(left)}",) if left else ()


def _text_notes(model: onnx.ModelProto) -> tuple[str, ...]:
    if all(node.op_type != "StringNormalizer" for node in model.graph.node):
        return ()
    return ("letters outside ASCII are not converted to lower case: pass LOWER(text) to the model",)
