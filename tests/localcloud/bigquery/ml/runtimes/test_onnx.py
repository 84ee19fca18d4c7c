"""ONNX models: the rows of a table compared with onnxruntime, and the files and options that are rejected.

scikit-learn is imported in the functions, because every process of `make test` imports this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from tests.localcloud.bigquery.ml.runtimes.iris import NAMES, ordered
from tests.localcloud.bigquery.ml.world import MlWorld
from tests.model_files import read_columns

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression


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
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=1000).fit(*iris)


def converted(classifier: LogisticRegression, *, zipmap: bool, opset: int = 15) -> bytes:
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType

    content: bytes = convert_sklearn(
        classifier,
        initial_types=[("input", FloatTensorType([None, 4]))],
        target_opset={"": opset, "ai.onnx.ml": 2},
        options={"zipmap": zipmap},
    ).SerializeToString()
    return content


@pytest.mark.long
def test_a_sklearn_classifier_predicts_like_onnxruntime(
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
    assert world.columns("sklearn") == read_columns("ONNX", content)


@pytest.mark.long
def test_a_model_accepts_scalars_vectors_strings_and_open_sizes(world: MlWorld) -> None:
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
    assert world.columns("mixed") == read_columns("ONNX", model.SerializeToString())


@pytest.mark.long
def test_a_model_with_a_batch_of_one_predicts_row_by_row(world: MlWorld) -> None:
    model = onnx_model(
        helper.make_node("ReduceMax", ["x"], ["peak"], keepdims=1),
        inputs=[tensor("x", TensorProto.FLOAT, 1, 3)],
        outputs=[tensor("peak", TensorProto.FLOAT, 1, 1)],
    )
    world.upload("single", {"m.onnx": model.SerializeToString()})
    world.import_model("single", "ONNX", "single/*")

    rows = ordered(world, "SELECT peak, n FROM ML.PREDICT(MODEL d.single, (SELECT n, [n, 0, -n] AS x FROM d.iris))")

    assert [row["peak"] for row in rows] == [[float(n)] for n in range(150)]


@pytest.mark.long
def test_a_zipmap_output_is_rejected_in_bigquerys_words(world: MlWorld, classifier: LogisticRegression) -> None:
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


UNSUPPORTED = {
    "a newer opset": (identity(opset=18), "opset 18 of domain 'ai.onnx'; the newest that is supported is 17"),
    "a newer IR": (identity(ir_version=9), "IR version 9; the newest that is supported is 8"),
    "complex numbers": (identity(kind=TensorProto.COMPLEX64), "unsupported ONNX tensor element type: COMPLEX64"),
    "a fixed batch": (identity(shape=(7, 2)), "has a first dimension of 7"),
}


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_a_model_that_onnx_runtime_1_12_does_not_support_is_rejected(world: MlWorld, name: str) -> None:
    model, part = UNSUPPORTED[name]
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
def test_files_without_an_onnx_model_are_rejected(
    world: MlWorld, files: dict[str, bytes], path: str, part: str, request: pytest.FixtureRequest
) -> None:
    prefix = request.node.callspec.id
    world.upload(prefix, files)

    _, message = world.refusal(f"CREATE MODEL d.r OPTIONS(MODEL_TYPE='ONNX', MODEL_PATH='gs://bucket/{prefix}/{path}')")

    assert part in message


def test_input_and_output_clauses_are_rejected(world: MlWorld) -> None:
    world.upload("plain", {"m.onnx": identity().SerializeToString()})

    _, message = world.refusal(
        "CREATE MODEL d.r INPUT(x FLOAT64) OUTPUT(y FLOAT64) OPTIONS(MODEL_TYPE='ONNX', MODEL_PATH='gs://bucket/plain/*')"
    )

    assert message == "INPUT and OUTPUT are not supported for MODEL_TYPE 'ONNX'."


@pytest.mark.long
def test_values_are_cast_to_the_models_type(world: MlWorld) -> None:
    world.upload("castable", {"m.onnx": identity().SerializeToString()})
    world.import_model("castable", "ONNX", "castable/*")

    assert world.rows("SELECT y FROM ML.PREDICT(MODEL d.castable, (SELECT '2.5' AS x))") == [{"y": 2.5}]
    assert "FLOAT64" in world.refusal("SELECT y FROM ML.PREDICT(MODEL d.castable, (SELECT DATE '2024-01-01' AS x))")[1]
