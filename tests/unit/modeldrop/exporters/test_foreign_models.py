"""Models of LightGBM and PyTorch predict the same rows as their libraries, in the runtime of the local cloud.

`make test` has files that the programs in `tests/foreign_models` wrote. `make test-all` runs these programs again.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modeldrop import export
from modeldrop.trying import predict_rows
from tests.foreign_models.environments import run_module
from tests.paths import ROOT
from tests.unit.modeldrop.exporters.test_xgboost import ROWS, trained

KEPT = ROOT / "tests" / "foreign_models" / "files"


def compare_with_the_library(model: Path, kept: Path, names: dict[str, str] | None = None) -> None:
    """Predict the kept rows with a model, and compare the outputs with those of the library."""
    content: dict[str, Any] = json.loads(kept.read_text())
    predicted = predict_rows(model, content["rows"])
    for name, expected in content["outputs"].items():
        found = [row[(names or {}).get(name, name)] for row in predicted]
        if isinstance(expected[0], str | bool | int):
            assert found == expected
        else:
            np.testing.assert_allclose(np.ravel(found), np.ravel(expected), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    "name", ["lightgbm_columns", "lightgbm_text", "pytorch_file", "pytorch_inputs", "pytorch_module"]
)
@pytest.mark.long
def test_an_exported_model_predicts_as_its_library(name: str) -> None:
    compare_with_the_library(KEPT / f"{name}.onnx", KEPT / f"{name}.rows.json")


@pytest.mark.parametrize("name", ["lightgbm_default", "pytorch_default"])
def test_what_a_converter_writes_by_default_comes_in_after_an_export(name: str, tmp_path: Path) -> None:
    exported = export(KEPT / f"{name}.onnx", tmp_path / "out")

    assert exported.checked.ok
    compare_with_the_library(tmp_path / "out", KEPT / f"{name}.rows.json")


@pytest.mark.matrix
@pytest.mark.parametrize("library", ["lightgbm", "pytorch"])
def test_todays_libraries_export_their_models(library: str, tmp_path: Path) -> None:
    run_module(library, f"tests.foreign_models.{library}_models", str(tmp_path))

    files = [file for file in tmp_path.glob("*.onnx") if not file.stem.endswith("_default")]
    assert len(files) >= 2
    for file in files:
        compare_with_the_library(file, file.with_suffix(".rows.json"))


@pytest.mark.matrix
@pytest.mark.parametrize(
    ("objective", "settings"),
    [
        ("binary:hinge", {}),
        ("binary:logistic", {}),
        ("binary:logitraw", {}),
        ("count:poisson", {}),
        ("multi:softmax", {"num_class": 3}),
        ("multi:softprob", {"num_class": 3}),
        ("reg:absoluteerror", {}),
        ("reg:gamma", {}),
        ("reg:pseudohubererror", {}),
        ("reg:quantileerror", {"quantile_alpha": 0.5}),
        ("reg:squarederror", {"booster": "dart"}),
        ("reg:squarederror", {"booster": "gblinear"}),
        ("reg:tweedie", {}),
        ("survival:cox", {}),
    ],
)
def test_the_xgboost_that_bigquery_runs_predicts_the_same(
    tmp_path: Path, objective: str, settings: dict[str, Any]
) -> None:
    import xgboost

    model = trained(objective, **settings)
    export(model, tmp_path / "model.json")
    rows = ROWS.copy()
    if settings.get("booster") != "gblinear":
        rows[::3, 1] = np.nan
    (tmp_path / "rows.json").write_text(json.dumps(rows.tolist()))

    files = [str(tmp_path / name) for name in ("model.json", "rows.json")]
    predicted = json.loads(run_module("lightgbm", "tests.foreign_models.old_xgboost", *files))

    np.testing.assert_allclose(predicted, model.predict(xgboost.DMatrix(rows)), rtol=1e-5, atol=1e-6)
