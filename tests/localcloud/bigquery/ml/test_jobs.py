"""Predictions as jobs: in parallel, cancelled, in transactions, and while models and tables are replaced."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from google.api_core.exceptions import GoogleAPICallError
from google.cloud import bigquery
from onnx import TensorProto, helper

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.ml.models.signature import Feature, Signature
from localcloud.bigquery.ml.runtimes.inference import Predictor
from tests.localcloud.bigquery.ml.world import MlWorld, ml_world
from tests.waiting import LAST_LIMIT


def adding(number: float) -> bytes:
    """Return a model that adds a number."""
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "n"], ["y"])],
        "adding",
        [helper.make_tensor_value_info("x", TensorProto.DOUBLE, ["N"])],
        [helper.make_tensor_value_info("y", TensorProto.DOUBLE, ["N"])],
        [helper.make_tensor("n", TensorProto.DOUBLE, [1], [number])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    content: bytes = model.SerializeToString()
    return content


@pytest.fixture(scope="module")
def world() -> Iterator[MlWorld]:
    with ml_world() as running:
        for number in range(1, 4):
            running.upload(f"add{number}", {"m.onnx": adding(number)})
            running.import_model(f"add{number}", "ONNX", f"add{number}/*")
        running.run("CREATE TABLE d.t AS SELECT CAST(n AS FLOAT64) AS x FROM UNNEST(GENERATE_ARRAY(1, 100000)) AS n")
        yield running


def total(world: MlWorld, model: str, table: str = "d.t") -> float:
    rows = list(
        world.run(f"SELECT SUM(y - x) / COUNT(*) AS added FROM ML.PREDICT(MODEL {model}, TABLE {table})").result()
    )
    return float(rows[0]["added"])


@pytest.mark.matrix
def test_predictions_of_several_models_run_in_parallel(world: MlWorld) -> None:
    models = [f"d.add{1 + number % 3}" for number in range(12)]

    with ThreadPoolExecutor(6) as pool:
        added = list(pool.map(lambda model: total(world, model), models))

    assert added == [1.0 + number % 3 for number in range(12)]


@pytest.mark.long
def test_two_predictions_are_joined_in_one_query(world: MlWorld) -> None:
    rows = world.rows(
        "SELECT COUNT(*) AS n, MIN(b.y - a.y) AS low, MAX(b.y - a.y) AS high FROM ML.PREDICT(MODEL d.add1, TABLE d.t) AS a "
        "JOIN ML.PREDICT(MODEL d.add3, TABLE d.t) AS b ON a.x = b.x"
    )

    assert rows == [{"n": 100000, "low": 2.0, "high": 2.0}]


@pytest.mark.long
def test_a_prediction_is_read_twice_in_one_query(world: MlWorld) -> None:
    rows = world.rows(
        "WITH p AS (SELECT x, y FROM ML.PREDICT(MODEL d.add2, (SELECT x FROM d.t WHERE x <= 5))) "
        "SELECT a.y AS low, b.y AS high FROM p AS a JOIN p AS b ON a.x + 1 = b.x"
    )

    assert sorted((row["low"], row["high"]) for row in rows) == [(3.0, 4.0), (4.0, 5.0), (5.0, 6.0), (6.0, 7.0)]


def test_a_table_is_replaced_with_predictions_over_itself(world: MlWorld) -> None:
    world.run("CREATE OR REPLACE TABLE d.own AS SELECT x FROM d.t WHERE x <= 1000")
    for _ in range(3):
        world.run("CREATE OR REPLACE TABLE d.own AS SELECT y AS x FROM ML.PREDICT(MODEL d.add3, TABLE d.own)")

    assert world.rows("SELECT MIN(x) AS low, MAX(x) AS high FROM d.own") == [{"low": 10.0, "high": 1009.0}]


@pytest.mark.long
def test_a_query_uses_one_version_of_a_model_that_is_replaced(world: MlWorld) -> None:
    world.import_model("moving", "ONNX", "add1/*")
    stop = threading.Event()
    seen: list[float] = []

    def read() -> None:
        while not stop.is_set():
            seen.append(total(world, "d.moving"))

    thread = threading.Thread(target=read)
    thread.start()
    for number in (2, 3, 1, 2):
        world.import_model("moving", "ONNX", f"add{number}/*")
    stop.set()
    thread.join()

    # A query that mixed versions would have an average between these numbers.
    assert seen
    assert set(seen) <= {1.0, 2.0, 3.0}
    assert total(world, "d.moving") == 2.0


def test_a_cancelled_prediction_creates_no_table(world: MlWorld) -> None:
    job = world.client.query(
        world.named(
            "CREATE TABLE d.endless AS SELECT COUNT(*) AS n FROM ML.PREDICT(MODEL d.add1, "
            "(SELECT a.x FROM d.t AS a CROSS JOIN d.t AS b))"
        )
    )
    while job.state != "RUNNING":
        job.reload()
    job.cancel()

    with pytest.raises(GoogleAPICallError):
        job.result(timeout=LAST_LIMIT)
    job.reload()
    assert job.error_result["reason"] == "stopped"
    assert "endless" not in {table.table_id for table in world.client.list_tables(world.dataset)}
    assert total(world, "d.add1") == 1.0


def test_a_prediction_in_a_transaction_reads_its_uncommitted_rows(world: MlWorld) -> None:
    world.import_model("unused", "ONNX", "add1/*")
    world.run("CREATE OR REPLACE TABLE d.some AS SELECT 1.0 AS x; CREATE OR REPLACE TABLE d.seen (y FLOAT64)")
    world.run(
        "BEGIN TRANSACTION; INSERT INTO d.some (x) VALUES (2.0); "
        "INSERT INTO d.seen (y) SELECT y FROM ML.PREDICT(MODEL d.unused, TABLE d.some); COMMIT TRANSACTION;"
    )

    assert sorted(row["y"] for row in world.rows("SELECT y FROM d.seen")) == [2.0, 3.0]


def test_the_statistics_contain_the_bytes_and_tables_read(world: MlWorld) -> None:
    job = world.run("SELECT COUNT(*) AS n FROM ML.PREDICT(MODEL d.add1, (SELECT x FROM d.t))")
    planned = world.client.query(
        world.named("SELECT COUNT(*) AS n FROM ML.PREDICT(MODEL d.add1, (SELECT x FROM d.t))"),
        job_config=bigquery.QueryJobConfig(dry_run=True),
    )

    assert job.total_bytes_processed == planned.total_bytes_processed == 800_000
    assert [table.table_id for table in job.referenced_tables] == ["t"]


class LosingRuntime:
    """A runtime that loses rows."""

    signature = Signature((Feature.as_input("x", "FLOAT64", ()),), (Feature.as_output("y", "FLOAT64", ()),))
    batch = None

    def run(self, feeds: dict[str, Any]) -> dict[str, Any]:
        return {"y": feeds["x"][1:]}


def test_a_model_that_loses_rows_is_an_error() -> None:
    import pyarrow as pa

    with pytest.raises(QueryError, match="returned 2 rows of output y for 3 rows of input"):
        Predictor(LosingRuntime(), "p:d.m").predict({"x": pa.array([1.0, 2.0, 3.0])})


@pytest.mark.long
def test_a_models_file_can_have_any_name(world: MlWorld) -> None:
    world.upload("it's` \u2028", {"a`\u2028b.onnx": adding(5)})
    world.import_model("named", "ONNX", r"it\'s\` \U00002028/a\`\u2028b.onnx")
    assert total(world, "d.named") == 5
