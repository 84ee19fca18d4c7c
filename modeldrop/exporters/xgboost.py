"""Exports models of XGBoost to the JSON that XGBoost 1.5.1 reads, which BigQuery runs.

XGBoost 1.6 and newer write another JSON: flags as numbers, other names of parameters, a list as base score. The readers of
1.5.1 are in https://github.com/dmlc/xgboost/blob/v1.5.1/src/tree/tree_model.cc and in src/learner.cc. The rules of BigQuery
are on https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-create-xgboost
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xgboost

from modeldrop.exporters.draft import Draft
from modeldrop.exporters.errors import ExportError
from modeldrop.exporters.names import column_names, renamed
from modeldrop.exporters.samples import ROWS, Sample, random_values
from shared.drops.formats.booster import OUTPUT

FILE = "model.json"

# The objectives of 1.5.1, with the parameters that it reads and that newer versions name differently or leave out.
# https://github.com/dmlc/xgboost/tree/v1.5.1/src/objective
_OBJECTIVES: dict[str, dict[str, dict[str, str]]] = {
    "binary:hinge": {},
    "binary:logistic": {"reg_loss_param": {"scale_pos_weight": "1"}},
    "binary:logitraw": {"reg_loss_param": {"scale_pos_weight": "1"}},
    "count:poisson": {"poisson_regression_param": {"max_delta_step": "0.7"}},
    "multi:softmax": {"softmax_multiclass_param": {}},
    "multi:softprob": {"softmax_multiclass_param": {}},
    "rank:map": {"lambda_rank_param": {"num_pairsample": "1", "fix_list_weight": "0"}},
    "rank:ndcg": {"lambda_rank_param": {"num_pairsample": "1", "fix_list_weight": "0"}},
    "rank:pairwise": {"lambda_rank_param": {"num_pairsample": "1", "fix_list_weight": "0"}},
    "reg:gamma": {},
    "reg:linear": {"reg_loss_param": {"scale_pos_weight": "1"}},
    "reg:logistic": {"reg_loss_param": {"scale_pos_weight": "1"}},
    "reg:pseudohubererror": {"reg_loss_param": {"scale_pos_weight": "1"}},
    "reg:squarederror": {"reg_loss_param": {"scale_pos_weight": "1"}},
    "reg:squaredlogerror": {"reg_loss_param": {"scale_pos_weight": "1"}},
    "reg:tweedie": {"tweedie_regression_param": {"tweedie_variance_power": "1.5"}},
    "survival:aft": {"aft_loss_param": {"aft_loss_distribution": "normal", "aft_loss_distribution_scale": "1"}},
    "survival:cox": {},
}
# Newer objectives, and one of 1.5.1 that gives the same outputs: an objective matters for the training, and for the last step
# of a prediction, which these two do not have.
_SAME_OUTPUTS = {"reg:absoluteerror": "reg:squarederror", "reg:quantileerror": "reg:squarederror"}

_NUMBER = "float"


def write(model: Any, folder: Path, sample: Sample | None) -> Draft:
    """Write a booster, or a model of XGBoost's scikit-learn interface, into an empty folder.

    See ``modeldrop.exporters.draft.Exporter``.
    """
    booster = _booster_of(model)
    content = json.loads(bytes(booster.save_raw("json")))
    learner = content["learner"]
    names = booster.feature_names or [f"f{index}" for index in range(booster.num_features())]
    columns = column_names(names)
    learner["feature_names"] = list(columns.values())
    learner["feature_types"] = booster.feature_types or [_NUMBER] * len(names)
    lower(learner)
    (folder / FILE).write_text(json.dumps(content, separators=(",", ":")))
    rows = _rows(names, sample)
    written = xgboost.Booster()
    written.load_model(folder / FILE)
    own = booster.predict(xgboost.DMatrix(rows), validate_features=False)
    found = written.predict(xgboost.DMatrix(rows), validate_features=False)
    return Draft(FILE, {OUTPUT: own}, {OUTPUT: found}, (*renamed(columns), *_notes(model)))


def _booster_of(model: Any) -> xgboost.Booster:
    """Return the booster whose outputs are those of the model."""
    if isinstance(model, xgboost.Booster):
        return model
    booster: xgboost.Booster = model.get_booster()
    # After early stopping, this interface predicts with the best trees only, and BigQuery with all.
    best = booster.attr("best_iteration")
    return booster if best is None else booster[: int(best) + 1]


def _notes(model: Any) -> Iterator[str]:
    missing = getattr(model, "missing", None)
    if missing is not None and not np.isnan(missing):
        yield f"the model takes {missing} for a missing value; BigQuery does not know that: pass other rows to ML.PREDICT"


def lower(learner: dict[str, Any]) -> None:
    """Change a model, as newer versions write it in JSON, into one that XGBoost 1.5.1 reads.

    Args:
        learner: The `learner` in the JSON.

    Raises:
        ExportError: The model has something that XGBoost 1.5.1 does not have.
    """
    _check(learner)
    parameters, objective = learner["learner_model_param"], learner["objective"]
    score = json.loads(parameters["base_score"])
    if isinstance(score, list):
        if len(set(score)) != 1:
            raise ExportError(
                "the model has a base score for each class, and BigQuery's XGBoost 1.5.1 has one for all: train it with "
                "base_score=0.5"
            )
        parameters["base_score"] = repr(score[0])
    name = _SAME_OUTPUTS.get(objective["name"], objective["name"])
    learner["objective"] = {**copy.deepcopy(_OBJECTIVES[name]), **objective, "name": name}
    for tree in _trees(learner):
        tree["default_left"] = [bool(value) for value in tree["default_left"]]


def _check(learner: dict[str, Any]) -> None:
    objective = learner["objective"]["name"]
    if objective not in _OBJECTIVES | _SAME_OUTPUTS:
        known = ", ".join(sorted(_OBJECTIVES))
        raise ExportError(
            f"the model has the objective {objective}, which BigQuery's XGBoost 1.5.1 does not have: train it with one of "
            f"{known}"
        )
    if int(learner["learner_model_param"].get("num_target", "1")) > 1:
        raise ExportError("the model has several outputs, and BigQuery runs only models with one: train one for each")
    if any(any(tree.get("split_type", [])) for tree in _trees(learner)):
        raise ExportError(
            "the model has trees with categories, which BigQuery's XGBoost 1.5.1 takes for numbers: encode categories as "
            "numbers before the training (one column for each, as OneHotEncoder does)"
        )


def _trees(learner: dict[str, Any]) -> list[dict[str, Any]]:
    booster = learner["gradient_booster"]
    trees: list[dict[str, Any]] = booster.get("gbtree", booster)["model"].get("trees", [])
    return trees


def _rows(names: Sequence[str], sample: Sample | None) -> np.ndarray:
    if sample is None:
        rows = random_values("f", (ROWS, len(names)))
        # Missing values show which way they go at each node.
        rows[::4, 0] = np.nan
        return rows
    if sample.has_names and len(sample.columns) > 1:
        if missing := [name for name in names if name not in sample.columns]:
            raise ExportError(f"the sample lacks the columns {', '.join(missing[:5])}, which are features of the model")
        sample = Sample({name: sample.columns[name] for name in names})
    table = sample.table()
    if table.shape[1] != len(names):
        raise ExportError(f"the sample has {table.shape[1]} columns, and the model has {len(names)} features")
    return table.astype(np.float32)
