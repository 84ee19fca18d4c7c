"""Statements of Modeldrop use names of their own, which never collide with the columns of a query."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from google.api_core.exceptions import GoogleAPICallError
from google.cloud.bigquery import QueryJobConfig
from onnx import TensorProto, helper

from shared.engine.statements import create_table
from shared.messages.predict_request import PredictRequest
from shared.predictions import statements
from tests.example_requests import NOW, SETTINGS
from tests.localcloud.bigquery.ml.world import PROJECT, MlWorld, ml_world

# The names of helper columns and aliases, here and in the local BigQuery.
NAMES = ("Modeldrop_Repeats", "source", "target", "row_count", "__input", "__input_0", "__predicted", "__generated")
COLUMNS = ", ".join(f"{number} AS `{name}`" for number, name in enumerate(NAMES))


@pytest.fixture(scope="module")
def world() -> Iterator[MlWorld]:
    """BigQuery with a model that returns its input."""
    graph = helper.make_graph(
        [helper.make_node("Identity", ["input"], ["out"])],
        "graph",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [None, 1])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [None, 1])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    with ml_world() as world:
        world.upload("identity", {"model.onnx": model.SerializeToString()})
        world.import_model("identity", "ONNX", "identity/model.onnx")
        yield world


def request(world: MlWorld, query: str, table: str, key: str) -> PredictRequest:
    message: dict[str, Any] = {
        "model": f"{PROJECT}.{world.dataset}.identity",
        "input": {"query": query},
        "output": {"table": f"{PROJECT}.{world.dataset}.{table}", "write": "merge", "key": [key]},
    }
    return PredictRequest.parse(message, SETTINGS, NOW)


def merge(world: MlWorld, wanted: PredictRequest) -> None:
    """Run the steps of a merge."""
    dry = world.client.query(statements.predict(wanted), job_config=QueryJobConfig(dry_run=True))
    columns = [column.to_api_repr() for column in dry.schema]
    world.client.query(create_table(wanted.output, columns)).result()
    world.client.query(statements.merge(wanted, [column["name"] for column in columns])).result()


@pytest.mark.long
def test_columns_with_the_names_of_helpers_are_merged_like_any_other(world: MlWorld) -> None:
    for number in (5, 6):
        merge(world, request(world, f"SELECT 1.0 AS input, {number} AS value, 'a' AS id, {COLUMNS}", "merged", "id"))
    [row] = world.client.list_rows(f"{PROJECT}.{world.dataset}.merged")
    assert (row["value"], row["id"]) == (6, "a")
    assert [row[name] for name in NAMES] == list(range(len(NAMES)))


def test_a_key_with_the_name_of_a_helper_is_a_key_like_any_other(world: MlWorld) -> None:
    for title in ("first", "second"):
        query = f"SELECT 1.0 AS input, 5 AS modeldrop_repeats, '{title}' AS title"
        merge(world, request(world, query, "keyed", "MODELDROP_REPEATS"))
    [row] = world.client.list_rows(f"{PROJECT}.{world.dataset}.keyed")
    assert (row["modeldrop_repeats"], row["title"]) == (5, "second")


def test_repeated_keys_are_refused_beside_a_column_with_the_name_of_the_helper(world: MlWorld) -> None:
    query = "SELECT x AS input, 5 AS modeldrop_repeats, 'a' AS id FROM UNNEST([1.0, 2.0]) AS x"
    with pytest.raises(GoogleAPICallError, match="several rows of the predictions have the same key"):
        merge(world, request(world, query, "repeated", "id"))


def test_a_prediction_keeps_columns_with_the_names_of_helpers(world: MlWorld) -> None:
    # The model takes no integers, so the local BigQuery computes the input in a column of its own.
    [row] = world.rows(f"SELECT * FROM ML.PREDICT(MODEL d.identity, (SELECT 7 AS input, {COLUMNS}))")
    assert [row[name] for name in NAMES] == list(range(len(NAMES)))
