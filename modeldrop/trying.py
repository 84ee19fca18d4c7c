"""Predicts rows with a model on this machine, as ML.PREDICT of the local cloud does, without starting one.

The model runs in a process of its own, with the limits that it has on the local cloud.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.ml.models.catalog import Model
from localcloud.bigquery.ml.models.errors import InvalidModel
from localcloud.bigquery.ml.models.signature import Feature, Signature
from localcloud.bigquery.ml.models.statements import ModelReference
from localcloud.bigquery.ml.workers.pool import ModelWorkers
from modeldrop.check import Checked, check
from shared.drops.formats.model_facts import ModelFacts
from shared.errors import ModeldropError

Row = dict[str, Any]

_TYPES: dict[str, tuple[type, ...]] = {"INT64": (int,), "FLOAT64": (int, float), "BOOL": (bool,), "STRING": (str,)}


class TrialFailed(ModeldropError):
    """The model cannot be imported, or cannot predict the rows. The text says which row and column, and what is right."""


def predict_rows(path: str | os.PathLike[str], rows: Sequence[Row]) -> list[Row]:
    """Return what ML.PREDICT returns for rows.

    Args:
        path: The file or folder of a model on this machine.
        rows: A value for each input of the model, by the name of its column. Other columns are passed through.

    Returns:
        For each row the outputs of the model, and then the columns of the row.

    Raises:
        TrialFailed: The model cannot be imported, or a row does not fit.
    """
    place = Path(path).absolute()
    checked = check(place)
    facts = checked.facts
    if facts is None or not checked.ok:
        raise TrialFailed("; ".join(problem.message for problem in checked.problems))
    with tempfile.TemporaryDirectory(prefix="modeldrop-try-") as temporary:
        return _predict(facts, _folder(place, checked, Path(temporary)), rows)


def _folder(place: Path, checked: Checked, temporary: Path) -> Path:
    """Return a folder with the model's files under the names that the runtime expects."""
    folder = place if place.is_dir() else place.parent
    if checked.model_file is None:
        return folder
    source = folder / checked.model_file
    target = temporary / f"model{source.suffix}"
    with suppress(OSError):
        # A model can be large. The link is not possible on another disk.
        target.hardlink_to(source.resolve())
        return temporary
    shutil.copyfile(source, target)
    return temporary


def _predict(facts: ModelFacts, folder: Path, rows: Sequence[Row]) -> list[Row]:
    reference = ModelReference("local-project", "try", "model")
    version, cancelled, workers = "try", threading.Event(), ModelWorkers()
    try:
        signature = workers.load(version, facts.model_type, folder, _declared(facts), str(reference), cancelled)
        columns = {feature.name: _column(feature, rows) for feature in signature.inputs}
        model = Model(reference, version, facts.model_type, {}, folder, signature)
        outputs = workers.predict(model, columns, cancelled)
    except InvalidModel as error:
        raise TrialFailed(str(error)) from error
    except QueryError as error:
        raise TrialFailed(error.message) from error
    finally:
        workers.close()
    predicted = zip(*(values.to_pylist() for values in outputs.values()), strict=True)
    return [
        {
            **dict(zip(outputs, values, strict=True)),
            **{name: value for name, value in row.items() if name not in outputs},
        }
        for values, row in zip(predicted, rows, strict=True)
    ]


def _declared(facts: ModelFacts) -> Signature | None:
    """Return the INPUT and OUTPUT clauses of an XGBoost model; the file itself may have the same."""
    if facts.model_type != "XGBOOST":
        return None
    inputs = tuple(Feature(tensor.name, "INT64" if tensor.type == "INT64" else "FLOAT64") for tensor in facts.inputs)
    return Signature(inputs, tuple(Feature(tensor.name, "FLOAT64") for tensor in facts.outputs))


def _column(feature: Feature, rows: Sequence[Row]) -> pa.Array:
    values = [_value(feature, number, row) for number, row in enumerate(rows, 1)]
    try:
        return pa.array(values, feature.arrow_type)
    except (pa.ArrowInvalid, OverflowError) as error:
        raise TrialFailed(
            f"the column {feature.name!r} has a number that {feature.type} does not have: {error}"
        ) from error


def _value(feature: Feature, number: int, row: Row) -> Any:
    """Return the value of an input in a row. Names of columns are compared without case, as in BigQuery."""
    name = feature.name
    found = [value for key, value in row.items() if key.lower() == name.lower()]
    if len(found) != 1:
        what = "no column" if not found else f"{len(found)} columns"
        raise TrialFailed(f"row {number} has {what} {name!r}, an input of the model of the type {feature.sql_type}")
    elements = list(_elements(found[0]))
    wrong = [element for element in elements if not _fits(feature.type, element)]
    if (
        wrong
        or (not feature.array and len(elements) != 1)
        or (feature.array and not _is_list(found[0]) and feature.size != 1)
    ):
        shown = repr(wrong[0] if wrong else found[0])[:60]
        raise TrialFailed(f"row {number} has {shown} in the column {name!r}, and the model takes {feature.sql_type}")
    return elements if feature.array else elements[0]


def _elements(value: Any) -> Iterator[Any]:
    """Yield the values in lists of lists, which BigQuery takes as one array."""
    if not _is_list(value):
        yield value
        return
    for each in value:
        yield from _elements(each)


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _fits(kind: str, value: Any) -> bool:
    if kind == "INT64" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES[kind]) and (kind == "BOOL" or not isinstance(value, bool))
