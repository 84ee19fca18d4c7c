"""XGBoost boosters, in the binary format and in JSON.

https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-create-xgboost
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import xgboost

from localcloud.bigquery.ml.models.errors import InvalidModel
from localcloud.bigquery.ml.models.signature import Feature, Importance, Signature

OUTPUT = "predicted_label"
# XGBoost's names of feature types. The values of a categorical feature are integers.
_TYPES = {"int": "INT64", "i": "INT64", "c": "INT64", "float": "FLOAT64", "q": "FLOAT64"}


class Booster:
    """A loaded booster."""

    def __init__(self, directory: Path, declared: Signature | None) -> None:
        """Load the only file in a folder.

        Args:
            directory: The folder with ``model.bst`` or ``model.json``.
            declared: The inputs and outputs in the INPUT and OUTPUT clauses; None if the file contains them.

        Raises:
            InvalidModel: BigQuery does not support the model.
        """
        file = next(directory.iterdir())
        check_format(file)
        self.batch: int | None = None
        self._booster = xgboost.Booster()
        try:
            self._booster.load_model(str(file))
        except xgboost.core.XGBoostError as error:
            raise InvalidModel(
                f"The file is not an XGBoost model, or it is incomplete: it can't be loaded ({_reason(error)})."
            ) from error
        learner = json.loads(self._booster.save_config())["learner"]
        _check_targets(learner)
        inputs = booster_inputs(self._booster, declared)
        if len(inputs) != self._booster.num_features():
            raise InvalidModel(
                f"INPUT names {len(inputs)} fields, but the XGBoost model has {self._booster.num_features()} features."
            )
        self._names = [feature.name for feature in inputs]
        # Other kinds of boosters can't predict on an array in place.
        kind = learner["gradient_booster"]["name"]
        self._in_place, self._has_trees = kind == "gbtree", kind in ("gbtree", "dart")
        probe = self._predict(np.zeros((1, len(inputs)), np.float32))
        output = declared.outputs[0].name if declared is not None else OUTPUT
        outputs = (Feature.as_output(output, "FLOAT64", probe.shape[1:]),)
        self.signature = Signature(inputs, outputs, self._importance())

    def run(self, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the model's output for a batch of rows."""
        rows = np.column_stack([feeds[name].reshape(-1).astype(np.float32) for name in self._names])
        return {self.signature.outputs[0].name: self._predict(rows)}

    def _importance(self) -> tuple[Importance, ...]:
        """Return the importance of the features by which the booster's trees split."""
        if not self._has_trees:
            return ()
        self._booster.feature_names = self._names
        kinds = ("weight", "gain", "cover")
        scores: list[Any] = [self._booster.get_score(importance_type=kind) for kind in kinds]
        return tuple(
            Importance(name, *(float(score[name]) for score in scores)) for name in self._names if name in scores[0]
        )

    def _predict(self, rows: np.ndarray) -> np.ndarray:
        predictions: np.ndarray = (
            self._booster.inplace_predict(rows, validate_features=False)
            if self._in_place
            else self._booster.predict(xgboost.DMatrix(rows, nthread=1), validate_features=False)
        )
        return predictions


def check_format(file: Path) -> None:
    """Check that a file starts like a booster.

    Raises:
        InvalidModel: The file is not a booster, or it is in the newer UBJSON format.
    """
    content = file.read_bytes()
    if not content:
        raise InvalidModel("The file is not an XGBoost model: it is empty.")
    if file.suffix == ".json":
        try:
            parsed = json.loads(content)
        except ValueError as error:
            raise InvalidModel("The file is not an XGBoost model: it can't be parsed as JSON.") from error
        if not isinstance(parsed, dict) or "learner" not in parsed:
            raise InvalidModel("The JSON file is not an XGBoost model: it has no 'learner'.")
    elif content[:1] == b"{" and content[1:2] not in b'"} \t\r\n':
        raise InvalidModel(
            "The file is in XGBoost's UBJ format, which is not supported. Save the booster as JSON, or in the binary "
            "format with an XGBoost older than 2.1."
        )


def _check_targets(learner: dict[str, Any]) -> None:
    targets = int(learner["learner_model_param"].get("num_target", "1"))
    if targets > 1:
        raise InvalidModel(f"The XGBoost model has {targets} outputs; models with several outputs are not supported.")


def booster_inputs(booster: xgboost.Booster, declared: Signature | None) -> tuple[Feature, ...]:
    """Return the inputs of a booster.

    Raises:
        InvalidModel: The inputs are neither in the file nor declared, or the two differ.
    """
    names, types = booster.feature_names, booster.feature_types
    if declared is not None:
        given = [feature.name for feature in declared.inputs]
        if names and names != given:
            raise InvalidModel(
                f"The fields of INPUT must be the XGBoost model's feature names, in order: {', '.join(names)}; they "
                f"are {', '.join(given)}."
            )
        return declared.inputs
    if not names or not types:
        raise InvalidModel(
            "The XGBoost model does not contain feature_names and feature_types, so INPUT and OUTPUT must be specified."
        )
    unknown = [kind for kind in types if kind not in _TYPES]
    if unknown:
        raise InvalidModel(f"The XGBoost model has the feature type '{unknown[0]}', which is not supported.")
    return tuple(Feature(name, _TYPES[kind]) for name, kind in zip(names, types, strict=True))


def _reason(error: Exception) -> str:
    """Return the message of an XGBoost error without its stack."""
    first = str(error).strip().split("\n", 1)[0]
    return first.rpartition(": ")[2] if first.startswith("[") else first
