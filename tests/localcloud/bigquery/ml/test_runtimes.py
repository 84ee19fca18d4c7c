"""ONNX, TensorFlow Lite and XGBoost: rows in tables against the runtimes called directly, and what is refused."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import xgboost
from onnx import TensorProto, helper
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from localcloud.bigquery.ml import importing
from tests.localcloud.bigquery.ml.world import MlWorld, ml_world

NAMES = ["sepal_length", "sepal_width", "petal_length", "petal_width"]


@pytest.fixture(scope="module")
def iris() -> tuple[np.ndarray, np.ndarray]:
    features, labels = load_iris(return_X_y=True)
    return features.astype(np.float32), labels


@pytest.fixture(scope="module")
def world(iris: tuple[np.ndarray, np.ndarray]) -> Iterator[MlWorld]:
    with ml_world() as running:
        rows = ", ".join(
            "STRUCT({} AS n, {} AS sepal_length, {} AS sepal_width, {} AS petal_length, {} AS petal_width)".format(
                number, *(round(float(value), 1) for value in row)
            )
            for number, row in enumerate(iris[0])
        )
        running.run(f"CREATE TABLE d.iris AS SELECT *, 'setosa' AS species FROM UNNEST([{rows}])")
        yield running


def ordered(world: MlWorld, query: str) -> list[dict[str, Any]]:
    return sorted(world.rows(query), key=lambda row: row["n"])


# ONNX


def onnx_model(
    *nodes: Any, inputs: list[Any], outputs: list[Any], weights: Any = (), opset: int = 13
) -> onnx.ModelProto:
    graph = helper.make_graph(list(nodes), "graph", inputs, outputs, list(weights))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 8
    return model


def tensor(name: str, kind: int, *shape: int | str) -> Any:
    return helper.make_tensor_value_info(name, kind, list(shape))


@pytest.fixture(scope="module")
def classifier(iris: tuple[np.ndarray, np.ndarray]) -> LogisticRegression:
    return LogisticRegression(max_iter=1000).fit(*iris)


def converted(classifier: LogisticRegression, *, zipmap: bool, opset: int = 15) -> bytes:
    content: bytes = convert_sklearn(
        classifier,
        initial_types=[("input", FloatTensorType([None, 4]))],
        target_opset={"": opset, "ai.onnx.ml": 2},
        options={"zipmap": zipmap},
    ).SerializeToString()
    return content


def test_a_sklearn_classifier_gives_what_onnxruntime_gives(
    world: MlWorld, classifier: LogisticRegression, iris: tuple[np.ndarray, np.ndarray]
) -> None:
    content = converted(classifier, zipmap=False)
    world.upload("sklearn", {"pipeline.onnx": content})
    world.import_model("sklearn", "ONNX", "sklearn/pipeline.onnx")

    rows = ordered(
        world,
        f"SELECT * FROM ML.PREDICT(MODEL d.sklearn, (SELECT [{', '.join(NAMES)}] AS input, n, species FROM d.iris))",
    )

    assert list(rows[0]) == ["label", "probabilities", "input", "n", "species"]
    labels, probabilities = onnxruntime.InferenceSession(content).run(None, {"input": iris[0]})
    assert [row["label"] for row in rows] == labels.tolist()
    np.testing.assert_allclose([row["probabilities"] for row in rows], probabilities, rtol=1e-5)


def test_scalars_vectors_strings_and_open_sizes_reach_an_onnx_model(world: MlWorld) -> None:
    model = onnx_model(
        helper.make_node("Add", ["a", "b"], ["sum"]),
        helper.make_node("ReduceSum", ["many", "axis"], ["total"], keepdims=0),
        helper.make_node("Identity", ["text"], ["said"]),
        helper.make_node("Not", ["flag"], ["other"]),
        inputs=[
            tensor("a", TensorProto.FLOAT, "N", 1),
            tensor("b", TensorProto.FLOAT, "N", 1),
            tensor("many", TensorProto.INT64, "N", "M"),
            tensor("text", TensorProto.STRING, "N"),
            tensor("flag", TensorProto.BOOL, "N"),
        ],
        outputs=[
            tensor("sum", TensorProto.FLOAT, "N", 1),
            tensor("total", TensorProto.INT64, "N"),
            tensor("said", TensorProto.STRING, "N"),
            tensor("other", TensorProto.BOOL, "N"),
        ],
        weights=[helper.make_tensor("axis", TensorProto.INT64, [1], [1])],
    )
    world.upload("mixed", {"m.onnx": model.SerializeToString()})
    world.import_model("mixed", "ONNX", "mixed/*")

    rows = ordered(
        world,
        "SELECT * EXCEPT (a, b, many, text, flag) FROM ML.PREDICT(MODEL d.mixed, (SELECT n, CAST(n AS STRING) AS a, "
        "1 AS b, GENERATE_ARRAY(1, n) AS many, n AS text, n > 2 AS flag FROM UNNEST([1, 2, 3, 4]) AS n))",
    )

    assert rows == [
        {"sum": [n + 1.0], "total": n * (n + 1) // 2, "said": str(n), "other": n <= 2, "n": n} for n in (1, 2, 3, 4)
    ]
    kinds = {column["name"]: column["type"]["typeKind"] for column in world.model("mixed")["featureColumns"]}
    assert kinds == {"a": "FLOAT64", "b": "FLOAT64", "many": "ARRAY", "text": "STRING", "flag": "BOOL"}


def test_a_model_for_one_row_at_a_time_gets_one_row_at_a_time(world: MlWorld) -> None:
    model = onnx_model(
        helper.make_node("ReduceMax", ["x"], ["peak"], keepdims=1),
        inputs=[tensor("x", TensorProto.FLOAT, 1, 3)],
        outputs=[tensor("peak", TensorProto.FLOAT, 1, 1)],
    )
    world.upload("single", {"m.onnx": model.SerializeToString()})
    world.import_model("single", "ONNX", "single/*")

    rows = ordered(world, "SELECT peak, n FROM ML.PREDICT(MODEL d.single, (SELECT n, [n, 0, -n] AS x FROM d.iris))")

    assert [row["peak"] for row in rows] == [[float(n)] for n in range(150)]


def test_the_zipmap_of_a_classifier_is_refused_in_bigquerys_words(
    world: MlWorld, classifier: LogisticRegression
) -> None:
    world.upload("zipmap", {"m.onnx": converted(classifier, zipmap=True)})

    _, message = world.refusal("CREATE MODEL d.z OPTIONS(MODEL_TYPE='ONNX', MODEL_PATH='gs://bucket/zipmap/*')")

    assert message == "ONNX model output 'output_probability' has unsupported ONNX type: ONNX_TYPE_SEQUENCE."


def identity(**changes: Any) -> onnx.ModelProto:
    kind = changes.pop("kind", TensorProto.FLOAT)
    shape = changes.pop("shape", ("N",))
    model = onnx_model(
        helper.make_node("Identity", ["x"], ["y"]),
        inputs=[tensor("x", kind, *shape)],
        outputs=[tensor("y", kind, *shape)],
        opset=changes.pop("opset", 13),
    )
    for name, value in changes.items():
        setattr(model, name, value)
    return model


REFUSED_ONNX = {
    "a newer opset": (identity(opset=18), "opset 18 of domain 'ai.onnx'; the newest that is supported is 17"),
    "a newer IR": (identity(ir_version=9), "IR version 9; the newest that is supported is 8"),
    "complex numbers": (identity(kind=TensorProto.COMPLEX64), "unsupported ONNX tensor element type: COMPLEX64"),
    "a fixed batch": (identity(shape=(7, 2)), "has a first dimension of 7"),
}


@pytest.mark.parametrize("what", REFUSED_ONNX)
def test_what_onnx_runtime_1_12_does_not_know_is_refused(world: MlWorld, what: str) -> None:
    model, part = REFUSED_ONNX[what]
    world.upload("refused", {"m.onnx": model.SerializeToString()})

    _, message = world.refusal("CREATE MODEL d.r OPTIONS(MODEL_TYPE='ONNX', MODEL_PATH='gs://bucket/refused/*')")

    assert part in message


@pytest.mark.parametrize(
    ("files", "path", "part"),
    [
        ({"a.onnx": b"no model"}, "*", "is not an ONNX model"),
        ({"a.onnx": b""}, "*", "is not an ONNX model"),
        ({"readme.txt": b"text"}, "*", "No .onnx file was found"),
        ({"readme.txt": b"text"}, "readme.txt", "No .onnx file was found"),
        ({"a.onnx": b"1", "b.onnx": b"2"}, "*", "More than one model file"),
    ],
)
def test_files_that_are_no_onnx_model_are_refused(
    world: MlWorld, files: dict[str, bytes], path: str, part: str, request: pytest.FixtureRequest
) -> None:
    prefix = request.node.callspec.id
    world.upload(prefix, files)

    _, message = world.refusal(f"CREATE MODEL d.r OPTIONS(MODEL_TYPE='ONNX', MODEL_PATH='gs://bucket/{prefix}/{path}')")

    assert part in message


def test_input_and_output_clauses_are_refused_for_onnx(world: MlWorld) -> None:
    world.upload("plain", {"m.onnx": identity().SerializeToString()})

    _, message = world.refusal(
        "CREATE MODEL d.r INPUT(x FLOAT64) OUTPUT(y FLOAT64) OPTIONS(MODEL_TYPE='ONNX', MODEL_PATH='gs://bucket/plain/*')"
    )

    assert message == "INPUT and OUTPUT are not supported for MODEL_TYPE 'ONNX'."


def test_a_model_above_the_limit_is_refused(world: MlWorld) -> None:
    limit = importing.FORMATS["XGBOOST"].limit
    world.store.write("models", "huge/m.bst", bytes(limit + 1))

    _, message = world.refusal("CREATE MODEL d.r OPTIONS(MODEL_TYPE='XGBOOST', MODEL_PATH='gs://bucket/huge/*')")

    assert "more than the 250 MB allowed for MODEL_TYPE 'XGBOOST'" in message


# XGBoost


def booster(objective: str, features: np.ndarray, labels: np.ndarray, *, named: bool) -> xgboost.Booster:
    schema: dict[str, Any] = {"feature_names": NAMES, "feature_types": ["float"] * 4} if named else {}
    options = {"objective": objective, "max_depth": 3, "seed": 7}
    if objective == "multi:softprob":
        options["num_class"] = 3
    return xgboost.train(options, xgboost.DMatrix(features, labels, **schema), 8)


def saved(model: xgboost.Booster, folder: Path, suffix: str) -> bytes:
    file = folder / f"model.{suffix}"
    with warnings.catch_warnings():
        # xgboost announces that it will forget this format, which is the one that BigQuery reads.
        warnings.simplefilter("ignore")
        model.save_model(file)
    return file.read_bytes()


def test_a_json_booster_with_its_schema_inside_needs_no_clauses(
    world: MlWorld, iris: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    model = booster("multi:softprob", *iris, named=True)
    world.upload("xgb", {"model.json": saved(model, tmp_path, "json")})
    world.import_model("xgb", "XGBOOST", "xgb/*")

    rows = ordered(world, "SELECT * FROM ML.PREDICT(MODEL d.xgb, TABLE d.iris)")

    assert next(iter(rows[0])) == "predicted_label"
    direct = model.predict(xgboost.DMatrix(iris[0], feature_names=NAMES, feature_types=["float"] * 4))
    np.testing.assert_allclose([row["predicted_label"] for row in rows], direct, rtol=1e-6)


@pytest.mark.parametrize("suffix", ["deprecated", "json"])
def test_a_booster_without_names_takes_them_from_the_clauses(
    world: MlWorld, iris: tuple[np.ndarray, np.ndarray], tmp_path: Path, suffix: str
) -> None:
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


def test_a_linear_booster_predicts_too(world: MlWorld, iris: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
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
def test_boosters_that_bigquery_refuses_are_refused(
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


@pytest.mark.parametrize("what", ["half", "text", "empty"])
def test_a_broken_booster_is_refused_and_breaks_nothing(
    world: MlWorld, iris: tuple[np.ndarray, np.ndarray], tmp_path: Path, what: str
) -> None:
    content = saved(booster("reg:squarederror", *iris, named=False), tmp_path, "deprecated")
    world.upload(f"broken-{what}", {"model.bst": broken_boosters(content)[what]})

    _, message = world.refusal(
        "CREATE MODEL d.r INPUT(a FLOAT64, b FLOAT64, c FLOAT64, e FLOAT64) OUTPUT(y FLOAT64) "
        f"OPTIONS(MODEL_TYPE='XGBOOST', MODEL_PATH='gs://bucket/broken-{what}/*')"
    )

    assert "not an XGBoost model" in message
    assert len(world.rows("SELECT n FROM d.iris")) == 150


def test_a_booster_of_several_outputs_is_refused(
    world: MlWorld, iris: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    features, _ = iris
    model = xgboost.train({"objective": "reg:squarederror"}, xgboost.DMatrix(features, features[:, :2]), 2)
    clauses = "INPUT(a FLOAT64, b FLOAT64, c FLOAT64, e FLOAT64) OUTPUT(y FLOAT64)"
    for suffix, name in (("json", "model.json"), ("deprecated", "model.bst")):
        world.upload(f"several-{suffix}", {name: saved(model, tmp_path, suffix)})

        _, message = world.refusal(
            f"CREATE MODEL d.r {clauses} OPTIONS(MODEL_TYPE='XGBOOST', MODEL_PATH='gs://bucket/several-{suffix}/*')"
        )

        assert message == "The XGBoost model has 2 outputs; models with several outputs are not supported."


def test_json_that_is_no_booster_is_refused(world: MlWorld) -> None:
    world.upload("other-json", {"m.json": json.dumps({"a": 1}).encode()})

    _, message = world.refusal("CREATE MODEL d.r OPTIONS(MODEL_TYPE='XGBOOST', MODEL_PATH='gs://bucket/other-json/*')")

    assert "is not an XGBoost model" in message


# TensorFlow Lite


@pytest.fixture(scope="module")
def lite_content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    class Scores(tf.Module):
        @tf.function(
            input_signature=[
                tf.TensorSpec([None, 4], tf.float32, name="features"),
                tf.TensorSpec([None, 1], tf.float32, name="bias"),
            ]
        )
        def serve(self, features: Any, bias: Any) -> dict[str, Any]:
            scores = tf.nn.softmax(features * [[1.0, -1.0, 0.5, 2.0]] + bias)
            return {"scores": scores, "best": tf.argmax(scores, axis=1)}

    folder = tmp_path_factory.mktemp("lite") / "model"
    module = Scores()
    tf.saved_model.save(module, str(folder), signatures=module.serve)
    content: bytes = tf.lite.TFLiteConverter.from_saved_model(str(folder)).convert()
    return content


def test_a_lite_model_gives_what_its_interpreter_gives(
    world: MlWorld, iris: tuple[np.ndarray, np.ndarray], lite_content: bytes
) -> None:
    import tensorflow as tf

    world.upload("lite", {"m.tflite": lite_content})
    world.import_model("lite", "TENSORFLOW_LITE", "lite/*")

    rows = ordered(
        world,
        "SELECT scores, best, n FROM ML.PREDICT(MODEL d.lite, "
        f"(SELECT [{', '.join(NAMES)}] AS features, CAST(n AS STRING) AS bias, n FROM d.iris))",
    )

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        runner = tf.lite.Interpreter(model_content=lite_content).get_signature_runner("serving_default")
    direct = runner(features=iris[0], bias=np.arange(150, dtype=np.float32).reshape(-1, 1))
    np.testing.assert_allclose([row["scores"] for row in rows], direct["scores"], rtol=1e-5)
    assert [row["best"] for row in rows] == direct["best"].tolist()


def test_bytes_that_are_no_lite_model_are_refused(world: MlWorld) -> None:
    world.upload("no-lite", {"m.tflite": b"nothing of the kind"})

    _, message = world.refusal(
        "CREATE MODEL d.r OPTIONS(MODEL_TYPE='TENSORFLOW_LITE', MODEL_PATH='gs://bucket/no-lite/*')"
    )

    assert message == "The file is not a TensorFlow Lite model."


def test_values_are_cast_to_what_the_model_wants(world: MlWorld) -> None:
    world.upload("castable", {"m.onnx": identity().SerializeToString()})
    world.import_model("castable", "ONNX", "castable/*")

    assert world.rows("SELECT y FROM ML.PREDICT(MODEL d.castable, (SELECT '2.5' AS x))") == [{"y": 2.5}]
    assert "FLOAT64" in world.refusal("SELECT y FROM ML.PREDICT(MODEL d.castable, (SELECT DATE '2024-01-01' AS x))")[1]
