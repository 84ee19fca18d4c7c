"""Models of XGBoost come in, in the form that XGBoost 1.5.1 reads.

XGBoost is imported in the functions, because every process of `make test` imports this file.
"""

from __future__ import annotations

import copy
import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from modeldrop import export
from modeldrop.exporters.errors import ExportError
from modeldrop.exporters.exports import Exported

if TYPE_CHECKING:
    import xgboost

ROWS = np.random.default_rng(0).random((80, 3), np.float32)
LABELS = ROWS @ np.array([3, 1, 0.5]) + 0.1


def trained(objective: str = "reg:squarederror", **settings: Any) -> xgboost.Booster:
    import xgboost

    labels = (LABELS * 2 % 3).astype(int) if "multi" in objective else LABELS > 2 if "binary" in objective else LABELS
    return xgboost.train({"objective": objective, **settings}, xgboost.DMatrix(ROWS, labels), 3)


def columns(exported: Exported) -> dict[str, str]:
    facts = exported.checked.facts
    assert facts is not None
    return {tensor.name: tensor.type for tensor in (*facts.inputs, *facts.outputs)}


@pytest.mark.long
def test_a_booster_without_names_needs_no_declaration_after_the_export(tmp_path: Path) -> None:
    exported = export(trained(), tmp_path / "model.json")

    assert exported.checked.ok
    assert exported.checked.manifest is None
    assert columns(exported) == {"f0": "FLOAT64", "f1": "FLOAT64", "f2": "FLOAT64", "predicted_label": "FLOAT64"}


@pytest.mark.long
def test_flags_are_written_as_the_old_version_reads_them(tmp_path: Path) -> None:
    export(trained(), tmp_path / "model.json")

    written = json.loads((tmp_path / "model.json").read_text())
    [first, *_] = written["learner"]["gradient_booster"]["model"]["trees"]
    assert {type(flag) for flag in first["default_left"]} == {bool}


@pytest.mark.parametrize("ending", ["ubj", *(pytest.param(each, marks=pytest.mark.long) for each in ("json", "bst"))])
def test_a_file_of_any_form_comes_in(tmp_path: Path, ending: str) -> None:
    saved = tmp_path / f"saved.{ending}"
    with warnings.catch_warnings():
        # XGBoost does not know this ending, and writes UBJSON.
        warnings.simplefilter("ignore")
        trained("multi:softprob", num_class=3).save_model(saved)

    exported = export(saved, tmp_path / "out", sample=ROWS)

    assert columns(exported)["predicted_label"] == "ARRAY<FLOAT64>"
    assert (tmp_path / "out" / "model.json").exists()


def test_a_model_that_stopped_early_predicts_with_its_best_trees(tmp_path: Path) -> None:
    import xgboost

    model = xgboost.XGBRegressor(n_estimators=30, learning_rate=1, early_stopping_rounds=2)
    noise = np.random.default_rng(1).random(20)
    model.fit(ROWS[20:], LABELS[20:], eval_set=[(ROWS[:20], LABELS[:20] + noise)], verbose=False)
    assert model.best_iteration + 1 < model.get_booster().num_boosted_rounds()

    export(model, tmp_path / "model.json", sample=ROWS)

    written = xgboost.Booster(model_file=tmp_path / "model.json")
    np.testing.assert_allclose(written.inplace_predict(ROWS), model.predict(ROWS), rtol=1e-6)


def test_names_of_features_become_columns(tmp_path: Path) -> None:
    import pandas
    import xgboost

    data = pandas.DataFrame(ROWS, columns=["a.b", "c", "d"]).assign(c=lambda rows: (rows.c * 10).astype(int))
    model = xgboost.XGBClassifier(n_estimators=2).fit(data, LABELS > 2)

    exported = export(model, tmp_path / "model.json", sample=data)

    assert columns(exported) == {"a_b": "FLOAT64", "c": "INT64", "d": "FLOAT64", "predicted_label": "FLOAT64"}
    assert exported.notes == ("names that columns cannot have were changed: 'a.b' is now 'a_b'",)


@pytest.mark.parametrize(
    "objective",
    [
        "binary:logistic",
        "count:poisson",
        "reg:absoluteerror",
        "reg:gamma",
        "reg:pseudohubererror",
        "reg:tweedie",
    ],
)
def test_objectives_give_the_same_outputs_under_the_old_names(tmp_path: Path, objective: str) -> None:
    assert export(trained(objective), tmp_path / "model.json", sample=ROWS).checked.ok


@pytest.mark.parametrize("booster", ["dart", "gblinear"])
def test_other_kinds_of_boosters_come_in(tmp_path: Path, booster: str) -> None:
    assert export(trained(booster=booster), tmp_path / "model.json", sample=ROWS).checked.ok


def test_a_model_that_the_old_version_cannot_have_is_refused(tmp_path: Path) -> None:
    import pandas
    import xgboost

    several = xgboost.XGBRegressor(n_estimators=1).fit(ROWS, np.column_stack([LABELS, LABELS]))
    data = pandas.DataFrame({"k": pandas.Categorical(["a", "b"] * 40), "v": ROWS[:, 0]})
    categories = xgboost.XGBRegressor(n_estimators=2, enable_categorical=True).fit(data, np.tile([0, 5], 40))

    for model, part in ((several, "several outputs"), (categories, "encode categories as numbers")):
        with pytest.raises(ExportError, match=part):
            export(model, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_list_of_equal_base_scores_becomes_one_number() -> None:
    from modeldrop.exporters.xgboost import lower

    learner = json.loads(bytes(trained().save_raw("json")))["learner"]
    learner["learner_model_param"]["base_score"] = "[2.5E-1]"
    several = copy.deepcopy(learner)
    several["learner_model_param"]["base_score"] = "[2.5E-1,5E-1]"

    lower(learner)

    assert learner["learner_model_param"]["base_score"] == "0.25"
    with pytest.raises(ExportError, match="base score for each class"):
        lower(several)
