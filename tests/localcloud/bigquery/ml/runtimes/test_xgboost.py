"""XGBoost models: the rows of a table compared with XGBoost, and the boosters that are rejected.

XGBoost is imported in the functions, because every process of `make test` imports this file.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from localcloud.bigquery.ml.models import importing
from tests.localcloud.bigquery.ml.runtimes.iris import NAMES, ordered
from tests.localcloud.bigquery.ml.world import MlWorld
from tests.model_files import read_columns

if TYPE_CHECKING:
    import xgboost


def booster(objective: str, features: np.ndarray, labels: np.ndarray, *, named: bool) -> xgboost.Booster:
    import xgboost

    schema: dict[str, Any] = {"feature_names": NAMES, "feature_types": ["float"] * 4} if named else {}
    options = {"objective": objective, "max_depth": 3, "seed": 7}
    if objective == "multi:softprob":
        options["num_class"] = 3
    return xgboost.train(options, xgboost.DMatrix(features, labels, **schema), 8)


def saved(model: xgboost.Booster, folder: Path, suffix: str) -> bytes:
    file = folder / f"model.{suffix}"
    with warnings.catch_warnings():
        # XGBoost warns that it will drop this format, which is the one that BigQuery reads.
        warnings.simplefilter("ignore")
        model.save_model(file)
    return file.read_bytes()


@pytest.mark.long
def test_a_json_booster_with_a_schema_needs_no_clauses(
    world: MlWorld, iris: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    import xgboost

    model = booster("multi:softprob", *iris, named=True)
    content = saved(model, tmp_path, "json")
    world.upload("xgb", {"model.json": content})
    world.import_model("xgb", "XGBOOST", "xgb/*")

    rows = ordered(world, "SELECT * FROM ML.PREDICT(MODEL d.xgb, TABLE d.iris)")

    assert next(iter(rows[0])) == "predicted_label"
    direct = model.predict(xgboost.DMatrix(iris[0], feature_names=NAMES, feature_types=["float"] * 4))
    np.testing.assert_allclose([row["predicted_label"] for row in rows], direct, rtol=1e-6)
    assert world.columns("xgb") == read_columns("XGBOOST", content)


@pytest.mark.parametrize("suffix", ["deprecated", "json"])
def test_a_booster_without_names_takes_them_from_the_clauses(
    world: MlWorld, iris: tuple[np.ndarray, np.ndarray], tmp_path: Path, suffix: str
) -> None:
    import xgboost

    features, _ = iris
    model = booster("reg:squarederror", features[:, :3], features[:, 3], named=False)
    name = "model.bst" if suffix == "deprecated" else "model.json"
    world.upload(f"width-{suffix}", {name: saved(model, tmp_path, suffix)})
    clauses = "INPUT(sepal_length FLOAT64, sepal_width NUMERIC, petal_length INT64) OUTPUT(width FLOAT64)"
    world.import_model("width", "XGBOOST", f"width-{suffix}/{name}", clauses)

    rows = ordered(
        world,
        "SELECT width, n FROM ML.PREDICT(MODEL d.width, (SELECT n, CAST(sepal_length AS STRING) AS sepal_length, "
        "CAST(sepal_width AS NUMERIC) AS sepal_width, CAST(petal_length AS INT64) AS petal_length FROM d.iris))",
    )

    given = features[:, :3].copy()
    whole = world.rows("SELECT n, CAST(petal_length AS INT64) AS petal_length FROM d.iris ORDER BY n")
    given[:, 2] = [row["petal_length"] for row in sorted(whole, key=lambda row: row["n"])]
    np.testing.assert_allclose([row["width"] for row in rows], model.predict(xgboost.DMatrix(given)), rtol=1e-6)


def test_a_linear_booster_predicts_like_xgboost(
    world: MlWorld, iris: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    import xgboost

    features, labels = iris
    schema = {"feature_names": NAMES, "feature_types": ["float"] * 4}
    options = {"booster": "gblinear", "objective": "reg:squarederror"}
    model = xgboost.train(options, xgboost.DMatrix(features, labels, **schema), 8)
    world.upload("linear", {"model.json": saved(model, tmp_path, "json")})
    world.import_model("linear", "XGBOOST", "linear/*")

    rows = ordered(world, "SELECT predicted_label, n FROM ML.PREDICT(MODEL d.linear, TABLE d.iris)")

    direct = model.predict(xgboost.DMatrix(features, **schema))
    np.testing.assert_allclose([row["predicted_label"] for row in rows], direct, rtol=1e-5)


@pytest.mark.parametrize(
    ("clauses", "named", "suffix", "part"),
    [
        ("", False, "json", "INPUT and OUTPUT must be specified"),
        ("", True, "ubj", "UBJ format, which is not supported"),
        ("INPUT(a FLOAT64) OUTPUT(y FLOAT64)", False, "json", "INPUT names 1 fields, but the XGBoost model has 4"),
        (
            "INPUT(a INT64, b INT64, c INT64, e INT64) OUTPUT(y FLOAT64)",
            True,
            "json",
            "must be the XGBoost model's feature",
        ),
        ("INPUT(a STRING) OUTPUT(y FLOAT64)", False, "json", "must be numeric"),
        ("INPUT(a FLOAT64) OUTPUT(y STRING)", False, "json", "must be FLOAT64, not STRING"),
        ("INPUT(a FLOAT64) OUTPUT(y FLOAT64, z FLOAT64)", False, "json", "has one output"),
    ],
)
def test_an_unsupported_booster_is_rejected(
    world: MlWorld,
    iris: tuple[np.ndarray, np.ndarray],
    tmp_path: Path,
    clauses: str,
    named: bool,
    suffix: str,
    part: str,
) -> None:
    model = booster("multi:softprob", *iris, named=named)
    name = "model.bst" if suffix == "ubj" else "model.json"
    world.upload("refused-booster", {name: saved(model, tmp_path, suffix)})

    _, message = world.refusal(
        f"CREATE MODEL d.r {clauses} OPTIONS(MODEL_TYPE='XGBOOST', MODEL_PATH='gs://bucket/refused-booster/{name}')"
    )

    assert part in message


def broken_boosters(content: bytes) -> dict[str, bytes]:
    return {"half": content[: len(content) // 2], "text": b"no booster at all " * 20, "empty": b""}


@pytest.mark.parametrize("name", ["half", "text", "empty"])
def test_a_broken_booster_is_rejected_and_the_server_keeps_running(
    world: MlWorld, iris: tuple[np.ndarray, np.ndarray], tmp_path: Path, name: str
) -> None:
    content = saved(booster("reg:squarederror", *iris, named=False), tmp_path, "deprecated")
    world.upload(f"broken-{name}", {"model.bst": broken_boosters(content)[name]})

    _, message = world.refusal(
        "CREATE MODEL d.r INPUT(a FLOAT64, b FLOAT64, c FLOAT64, e FLOAT64) OUTPUT(y FLOAT64) "
        f"OPTIONS(MODEL_TYPE='XGBOOST', MODEL_PATH='gs://bucket/broken-{name}/*')"
    )

    assert "not an XGBoost model" in message
    assert len(world.rows("SELECT n FROM d.iris")) == 150


def test_a_booster_with_several_outputs_is_rejected(
    world: MlWorld, iris: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    import xgboost

    features, _ = iris
    model = xgboost.train({"objective": "reg:squarederror"}, xgboost.DMatrix(features, features[:, :2]), 2)
    clauses = "INPUT(a FLOAT64, b FLOAT64, c FLOAT64, e FLOAT64) OUTPUT(y FLOAT64)"
    for suffix, name in (("json", "model.json"), ("deprecated", "model.bst")):
        world.upload(f"several-{suffix}", {name: saved(model, tmp_path, suffix)})

        _, message = world.refusal(
            f"CREATE MODEL d.r {clauses} OPTIONS(MODEL_TYPE='XGBOOST', MODEL_PATH='gs://bucket/several-{suffix}/*')"
        )

        assert message == "The XGBoost model has 2 outputs; models with several outputs are not supported."


def test_json_without_a_booster_is_rejected(world: MlWorld) -> None:
    world.upload("other-json", {"m.json": json.dumps({"a": 1}).encode()})

    _, message = world.refusal("CREATE MODEL d.r OPTIONS(MODEL_TYPE='XGBOOST', MODEL_PATH='gs://bucket/other-json/*')")

    assert "is not an XGBoost model" in message


@pytest.mark.long
def test_a_model_larger_than_the_limit_is_rejected(world: MlWorld) -> None:
    limit = importing.FORMATS["XGBOOST"].limit
    world.store.write("models", "huge/m.bst", bytes(limit + 1))

    _, message = world.refusal("CREATE MODEL d.r OPTIONS(MODEL_TYPE='XGBOOST', MODEL_PATH='gs://bucket/huge/*')")

    assert "more than the 250 MB allowed for MODEL_TYPE 'XGBOOST'" in message
