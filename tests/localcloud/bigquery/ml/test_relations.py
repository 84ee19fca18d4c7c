"""Predictions as relations: in scripts, views, functions and pipes, and where they are not allowed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from google.api_core.exceptions import BadRequest
from google.cloud import bigquery

from localcloud.bigquery.sql.reading.piped_calls import without_piped_calls
from tests.localcloud.bigquery.ml.test_models import identity
from tests.localcloud.bigquery.ml.world import PROJECT, MlWorld, ml_world

DEFINITIONS = (
    "CREATE TABLE d.t AS SELECT x, CAST(x AS INT64) AS id FROM UNNEST([1.0, 2.0, 3.0]) AS x",
    "CREATE VIEW d.predicted AS SELECT id, y FROM ML.PREDICT(MODEL d.m, TABLE d.t)",
    "CREATE TABLE FUNCTION d.above(lo INT64) AS "
    "SELECT id, y FROM ML.PREDICT(MODEL d.m, (SELECT * FROM d.t WHERE id > lo))",
    "CREATE TABLE FUNCTION d.above_one() AS SELECT * FROM d.above(1)",
    "CREATE TABLE FUNCTION d.of_rows(given TABLE<x FLOAT64>, lo INT64) AS "
    "SELECT y FROM ML.PREDICT(MODEL d.m, TABLE given) WHERE y > lo",
    "CREATE FUNCTION d.count_above(lo INT64) AS ((SELECT COUNT(*) FROM d.above(lo)))",
    "CREATE FUNCTION d.count_all() AS ((SELECT COUNT(*) FROM d.predicted))",
    "CREATE FUNCTION d.score(v FLOAT64) AS ((SELECT y FROM ML.PREDICT(MODEL d.m, (SELECT v AS x))))",
)


@pytest.fixture(scope="module")
def world() -> Iterator[MlWorld]:
    """A running BigQuery with the model ``d.m``, which returns its input x as y, and views and functions over it."""
    with ml_world() as running:
        running.upload("identity", {"m.onnx": identity()})
        running.import_model("m", "ONNX", "identity/*")
        for definition in DEFINITIONS:
            running.run(definition)
        yield running


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("DECLARE y FLOAT64 DEFAULT 9; SELECT MAX(y) FROM ML.PREDICT(MODEL d.m, TABLE d.t)", [(3.0,)]),
        ("DECLARE y, lo INT64 DEFAULT 2; WITH p AS (SELECT * FROM ML.PREDICT(MODEL d.m, (SELECT * FROM d.t WHERE id > lo))) "
         "SELECT MIN(y) FROM p", [(3.0,)]),
        ("DECLARE y INT64 DEFAULT 9; SELECT MIN(y) FROM d.above(1)", [(2.0,)]),
        ("DECLARE id INT64 DEFAULT 9; CREATE TEMP TABLE s AS SELECT 1 AS id; SELECT id FROM s", [(1,)]),
        ("SELECT COUNT(*) FROM d.above_one()", [(2,)]),
        ("SELECT y FROM d.of_rows(TABLE d.t, 2)", [(3.0,)]),
        ("SELECT y FROM d.of_rows((SELECT 5 AS x), 2)", [(5.0,)]),
        ("SELECT d.count_above(2), d.count_all(), d.score(7)", [(1, 3, 7.0)]),
        ("CREATE TEMP FUNCTION f(lo INT64) AS ((SELECT MAX(y) FROM ML.PREDICT(MODEL d.m, (SELECT lo + 0.5 AS x)))); "
         "SELECT f(1), f(CAST(f(2) AS INT64))", [(1.5, 3.5)]),
        ("CREATE VIEW d.passing AS SELECT * FROM d.predicted; DROP VIEW d.passing; DROP VIEW IF EXISTS d.passing; SELECT 1",
         [(1,)]),
        ("FOR r IN (SELECT 2.5 AS x) DO SELECT y FROM ML.PREDICT(MODEL d.m, (SELECT r.x)); END FOR", [(2.5,)]),
        ("FOR r IN (SELECT 2.5 AS x, 1 AS z) DO SELECT y, z FROM ML.PREDICT(MODEL d.m, (SELECT r.*)); END FOR", [(2.5, 1)]),
        ("SELECT IS_NAN(y), y > 0 FROM ML.PREDICT(MODEL d.m, (SELECT CAST(x AS FLOAT64) AS x FROM UNNEST(['1', 'nan']) AS x)) "
         "ORDER BY y", [(True, False), (False, True)]),
        ("FROM d.t |> WHERE id < 3 |> CALL ML.PREDICT(MODEL d.m) AS p |> AGGREGATE SUM(y) AS s", [(3.0,)]),
    ],
)  # fmt: skip
def test_a_prediction_is_a_relation_of_its_statement(world: MlWorld, sql: str, rows: list[tuple[Any, ...]]) -> None:
    assert [tuple(row.values()) for row in world.run(sql).result()] == rows


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELECT ML.PREDICT(MODEL d.m, TABLE d.t)", "ML.PREDICT can only be called in a FROM clause at [1:8]"),
        ("SELECT ARRAY_AGG([y]) FROM ML.PREDICT(MODEL d.m, TABLE d.t)", "with element type ARRAY<FLOAT64> because nested"),
        ("SELECT y FROM ML.PREDICT(MODEL d.m, (SELECT x, 1 AS Y FROM d.t))", "Column name y is ambiguous at [1:8]"),
        ("SELECT TO_JSON(p) FROM ML.PREDICT(MODEL d.m, (SELECT x, 1 AS y FROM d.t)) AS p", "The row p, which has two"),
        ("SELECT (SELECT y FROM ML.PREDICT(MODEL d.m, (SELECT t.x))) FROM d.t",
         "Correlated arguments of ML.PREDICT are not supported by the local BigQuery: t is outside of the argument"),
        ("SELECT d.score(x) FROM d.t", "by the local BigQuery: x is outside of the argument"),
        ("SELECT 1 FROM ML.PREDICT(MODEL d.m, TABLE d.t) p TABLESAMPLE SYSTEM (5 PERCENT)", "directly to tables"),
        ("SELECT 1 FROM d.predicted TABLESAMPLE SYSTEM (5 PERCENT)", "directly to tables"),
        ("SELECT 1 FROM ML.PREDICT(MODEL d.m, TABLE d.t) FOR SYSTEM_TIME AS OF CURRENT_TIMESTAMP()", "keyword FOR at ["),
        ("CREATE MATERIALIZED VIEW d.kept AS SELECT id FROM d.predicted", "Materialized view query contains unsupported"),
        ("CREATE OR REPLACE VIEW d.predicted AS SELECT * FROM (SELECT * FROM d.predicted)", "predicted refers to itself"),
        ("CREATE SNAPSHOT TABLE d.snap CLONE d.predicted", "d.predicted is not allowed for this operation because it is"),
        ("BEGIN TRANSACTION; DROP MODEL d.m; ROLLBACK TRANSACTION", "DROP_MODEL is not supported in a transaction"),
        ("SELECT * FROM d.of_rows(TABLE d.t)", "d.of_rows: expected 2, got 1"),
        ("SELECT 1\nFROM ML.PREDICT(MODEL d.m,\n  (SELECT nope AS x))", "Unrecognized name: nope at [3:11]"),
        ("WITH q AS (SELECT 1 AS x)\nSELECT 1 FROM ML.PREDICT(MODEL d.m,\n(SELECT nope FROM q))", "nope at [3:9]"),
    ],
)  # fmt: skip
def test_a_prediction_elsewhere_is_rejected(world: MlWorld, sql: str, message: str) -> None:
    assert world.named(message) in world.refusal(sql)[1]


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("FROM t |> CALL ML.PREDICT(MODEL m)", "FROM ML.PREDICT(MODEL m, (FROM t))"),
        (
            "FROM t |> CALL f(MODEL m, STRUCT(1 AS a)) |> LIMIT 1",
            "FROM f(MODEL m, (FROM t), STRUCT(1 AS a)) |> LIMIT 1",
        ),
        ("CREATE TABLE a AS FROM t |> CALL f() |> CALL g(1, 2)", "CREATE TABLE a AS FROM g((FROM f((FROM t))), 1, 2)"),
        ("WITH a AS (SELECT 1) SELECT * FROM a |> CALL f(1)", "WITH a AS (SELECT 1) FROM f((SELECT * FROM a), 1)"),
        ("CALL p(); SELECT (FROM t |> CALL f())", "CALL p(); SELECT (FROM f((FROM t)))"),
    ],
)
def test_a_piped_call_gets_the_rows_before_it(sql: str, expected: str) -> None:
    assert without_piped_calls(sql) == expected


def test_a_view_keeps_the_default_dataset_of_its_model(world: MlWorld) -> None:
    config = bigquery.QueryJobConfig(default_dataset=f"{PROJECT}.{world.dataset}")
    sql = "CREATE VIEW short AS SELECT y, '(MODEL m)' AS s FROM ML.PREDICT(MODEL m, TABLE t)"
    world.client.query(sql, config).result()

    assert world.rows("SELECT s, COUNT(*) AS n FROM d.short GROUP BY s") == [{"s": "(MODEL m)", "n": 3}]


def test_the_rows_of_a_view_are_not_listed(world: MlWorld) -> None:
    with pytest.raises(BadRequest, match="Cannot list a table of type VIEW"):
        list(world.client.list_rows(world.client.get_table(f"{world.dataset}.predicted")))
