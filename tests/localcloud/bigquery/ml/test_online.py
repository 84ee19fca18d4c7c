"""Predictions for JSON instances, as an endpoint makes them."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from onnx import TensorProto, helper

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.ml.models.catalog import Model
from localcloud.bigquery.ml.models.statements import ModelReference
from localcloud.bigquery.ml.predicting.online import predict_instances
from localcloud.bigquery.ml.workers.pool import ModelWorkers


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Model, ModelWorkers]]:
    """A model with a 2 x 2 image, a whole number and a text, which it returns as they are."""
    files = tmp_path_factory.mktemp("model")
    kinds: list[tuple[str, int, list[Any]]] = [
        ("image", TensorProto.FLOAT, ["N", 2, 2]),
        ("count", TensorProto.INT64, ["N", 1]),
        ("title", TensorProto.STRING, ["N", 1]),
    ]
    graph = helper.make_graph(
        [helper.make_node("Identity", [name], [f"{name}_out"]) for name, _, _ in kinds],
        "copies",
        [helper.make_tensor_value_info(*kind) for kind in kinds],
        [helper.make_tensor_value_info(f"{name}_out", kind, shape) for name, kind, shape in kinds],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    (files / "model.onnx").write_bytes(model.SerializeToString())
    workers = ModelWorkers()
    signature = workers.load("v", "ONNX", files, None, "m", threading.Event())
    yield Model(ModelReference("p", "d", "m"), "v", "ONNX", {}, Path(files), signature), workers
    workers.close()


@pytest.mark.long
def test_outputs_have_the_shape_that_they_have_in_the_model(loaded: tuple[Model, ModelWorkers]) -> None:
    encoded = {"b64": base64.b64encode("größer".encode()).decode()}
    instances = [
        {"image": [[1, 2], [3, 4.5]], "count": [7], "title": "a"},
        {"image": [1, 2, 3, 1e39], "count": 8, "title": encoded},
    ]

    first, second = predict_instances(loaded[0], instances, loaded[1])

    assert first == {"image_out": [[1.0, 2.0], [3.0, 4.5]], "count_out": [7], "title_out": ["a"]}
    # JSON has no number for an infinite value.
    assert second == {"image_out": [[1.0, 2.0], [3.0, "Infinity"]], "count_out": [8], "title_out": ["größer"]}
    assert predict_instances(loaded[0], [], loaded[1]) == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"count": None}, "the input count must be INT64, but a value is null"),
        ({"count": True}, "the input count must be INT64, but a value is bool"),
        ({"count": 1.5}, "the input count must be INT64, but a value is float"),
        ({"count": 10**30}, "Invalid values of the input count"),
        ({"count": [1, 2]}, "the input count must be one value, not 2"),
        ({"image": [1, 2, 3]}, "must have 4 elements for the model's shape [2, 2], not 3"),
        ({"title": {"b64": "/"}}, "the input title must be the base64 of UTF-8 text"),
        ({"other": 1}, "the model has no input other. It has the inputs image, count, title"),
    ],
)
def test_an_instance_that_the_model_does_not_accept_is_named(
    loaded: tuple[Model, ModelWorkers], change: dict[str, Any], problem: str
) -> None:
    good = {"image": [1, 2, 3, 4], "count": 1, "title": "a"}
    with pytest.raises(QueryError) as refused:
        predict_instances(loaded[0], [good, good | change], loaded[1])

    assert problem in refused.value.message
    assert problem.startswith("Invalid") or "Invalid instance at index 1" in refused.value.message


@pytest.mark.parametrize(
    ("instance", "problem"),
    [({"count": 1, "title": "a"}, "the input image is missing"), ([1, 2], "it must be an object with the inputs")],
)
def test_an_instance_without_an_input_is_rejected(
    loaded: tuple[Model, ModelWorkers], instance: Any, problem: str
) -> None:
    with pytest.raises(QueryError, match=problem):
        predict_instances(loaded[0], [instance], loaded[1])
