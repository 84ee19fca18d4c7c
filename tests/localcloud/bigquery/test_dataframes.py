"""BigQuery DataFrames with imported models: read, predict, save, register.

BigQuery DataFrames and XGBoost are imported in the tests, because every process of `make test` imports this file.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from google.auth.credentials import AnonymousCredentials
from onnx import TensorProto, helper

from tests.localcloud.bigquery.ml.world import (
    BUCKET,
    PROJECT,
    MlWorld,
    ml_world,
)

pytestmark = pytest.mark.long

FEATURES = np.array([[0.0, 1.0], [1.0, 3.0], [2.0, -1.0], [5.5, 0.5]], dtype=np.float32)


@pytest.fixture(scope="module")
def world() -> Iterator[MlWorld]:
    with ml_world() as running:
        rows = ", ".join(f"({index}, {a}, {b})" for index, (a, b) in enumerate(FEATURES.tolist()))
        running.run("CREATE TABLE d.points (id INT64, a FLOAT64, b FLOAT64)")
        running.run(f"INSERT INTO d.points (id, a, b) VALUES {rows}")
        yield running


@pytest.fixture(scope="module")
def session(world: MlWorld) -> Iterator[Any]:
    import bigframes

    endpoints = {"bqclient": world.bigquery.url, "bqstoragereadclient": f"127.0.0.1:{world.bigquery.storage_api_port}"}
    session = bigframes.connect(
        bigframes.BigQueryOptions(
            project=PROJECT, location="US", credentials=AnonymousCredentials(), client_endpoints_override=endpoints
        )
    )
    yield session
    session.close()


def registered_as(world: MlWorld, model: Any, name: str) -> str:
    """Save a model under a name, register it, and return its id in Vertex AI."""
    kept = model.to_gbq(f"{PROJECT}.{world.dataset}.{name}", replace=True)
    kept.register(f"{name}_in_vertex")
    return str(world.model(name)["trainingRuns"][0]["vertexAiModelId"])


def test_an_onnx_model_predicts_and_is_registered(world: MlWorld, session: Any) -> None:
    from bigframes.ml.imported import ONNXModel

    graph = helper.make_graph(
        [helper.make_node("Add", ["a", "b"], ["total"])],
        "adder",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", 1]) for name in ("a", "b")],
        [helper.make_tensor_value_info("total", TensorProto.FLOAT, ["rows", 1])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    world.upload("adder", {"model.onnx": onnx.ModelProto.SerializeToString(model)})
    imported = ONNXModel(f"gs://{BUCKET}/adder/model.onnx", session=session)
    points = session.read_gbq(f"{PROJECT}.{world.dataset}.points", index_col="id")
    predictions = imported.predict(points).to_pandas().sort_index()
    found = np.array([np.ravel(total) for total in predictions["total"]])[:, 0]
    np.testing.assert_allclose(found, FEATURES.sum(axis=1), rtol=1e-6)
    assert registered_as(world, imported, "adder") == "adder_in_vertex"


@pytest.mark.matrix
def test_an_xgboost_model_predicts_and_is_registered(world: MlWorld, session: Any, tmp_path: Path) -> None:
    import xgboost
    from bigframes.ml.imported import XGBoostModel

    schema: dict[str, Any] = {"feature_names": ["a", "b"], "feature_types": ["float", "float"]}
    training = xgboost.DMatrix(FEATURES, FEATURES[:, 0] * 3, **schema)
    booster = xgboost.train({"objective": "reg:squarederror", "base_score": 0.5}, training, 6)
    booster.save_model(tmp_path / "model.json")
    world.upload("booster", {"model.json": (tmp_path / "model.json").read_bytes()})
    imported = XGBoostModel(
        f"gs://{BUCKET}/booster/model.json",
        input={"a": "float64", "b": "float64"},
        output={"guess": "float64"},
        session=session,
    )
    points = session.read_gbq(f"SELECT * FROM {world.dataset}.points WHERE a > 0", index_col="id")
    predictions = imported.predict(points).to_pandas().sort_index()
    np.testing.assert_allclose(predictions["guess"].to_numpy(dtype=float), booster.predict(training)[1:], rtol=1e-5)
    assert registered_as(world, imported, "booster") == "booster_in_vertex"
