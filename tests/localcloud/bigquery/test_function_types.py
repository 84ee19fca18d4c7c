"""Functions in SQL take values of the types of their parameters, and return values of their declared type.

https://cloud.google.com/bigquery/docs/user-defined-functions#sql-udf-structure
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from google.api_core.exceptions import BadRequest

from tests.localcloud.bigquery.world import BigQueryWorld, bigquery_world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BigQueryWorld]:
    with bigquery_world(tmp_path_factory.mktemp("storage")) as running:
        running.client().create_dataset("d")
        yield running


@pytest.mark.parametrize(
    ("definition", "call", "kind", "value"),
    [
        ("f(x FLOAT64) AS (x)", "f(1)", "FLOAT", 1.0),
        ("f(x INT64) RETURNS FLOAT64 AS (x)", "f(1)", "FLOAT", 1.0),
        ("f(x NUMERIC) AS (x * 2)", "f(1)", "NUMERIC", Decimal(2)),
        ("f(x DATE) AS (EXTRACT(YEAR FROM x))", "f('2026-01-01')", "INTEGER", 2026),
        ("f(x ARRAY<FLOAT64>) AS (x[0])", "f([1, 2])", "FLOAT", 1.0),
        ("f(x INT64, y ANY TYPE) AS (IF(x IS NULL, y, y))", "f(NULL, 'a')", "STRING", "a"),
        ("f(x STRUCT<a INT64, b STRING>) AS (CONCAT(x.b, x.a))", "f((1, 'q'))", "STRING", "q1"),
        ("f(x STRUCT<a INT64, b STRING>) AS (x.b)", "f(STRUCT(1 AS b, 'q' AS a))", "STRING", "q"),
        (
            "f(x ARRAY<STRUCT<k STRING, v INT64>>) AS ((SELECT SUM(v) FROM UNNEST(x)))",
            "f([('a', 1), ('b', 2)])",
            "INTEGER",
            3,
        ),
        ("f(x INT64) RETURNS STRUCT<a INT64, b FLOAT64> AS ((x, x))", "f(1).b", "FLOAT", 1.0),
    ],
)
@pytest.mark.parametrize("temporary", [True, False])
def test_values_are_coerced(
    world: BigQueryWorld, definition: str, call: str, kind: str, value: Any, temporary: bool
) -> None:
    if temporary:
        result = world.client().query_and_wait(f"CREATE TEMP FUNCTION {definition}; SELECT {call} AS v")
    else:
        world.rows(f"CREATE OR REPLACE FUNCTION d.{definition}")
        result = world.client().query_and_wait(f"SELECT d.{call} AS v")
    [field] = result.schema
    assert (field.field_type, [tuple(row) for row in result]) == (kind, [(value,)])


@pytest.mark.parametrize(
    ("definition", "call", "message"),
    [
        ("f(x INT64) AS (x)", "f('5')", r"function f for argument types: STRING\. Supported signature: f\(INT64\)"),
        ("f(x INT64) AS (x)", "f(1.5)", r"function f for argument types: FLOAT64\. Supported signature: f\(INT64\)"),
        (
            "f(x STRING, y DATE) AS (x)",
            "f(5, '2026-01-01')",
            r"types: INT64, STRING\. Supported signature: f\(STRING, DATE\)",
        ),
        (
            "f(x INT64) RETURNS STRING AS (x)",
            "f(1)",
            "Function declared to return STRING but the function body produces",
        ),
    ],
)
def test_values_of_other_types_are_refused(world: BigQueryWorld, definition: str, call: str, message: str) -> None:
    with pytest.raises(BadRequest, match=message):
        world.rows(f"CREATE TEMP FUNCTION {definition}; SELECT {call}")
    with pytest.raises(BadRequest, match=message):
        world.rows(f"CREATE TEMP FUNCTION {definition}; SELECT {call} FROM UNNEST([1, 2])")


@pytest.mark.parametrize(
    ("arguments", "types"),
    [("'5', 'a'", "STRING, STRING"), ("1.5, 'a'", "FLOAT64, STRING"), ("1, CURRENT_DATE()", "INT64, DATE")],
)
def test_table_functions_take_no_values_of_other_types(world: BigQueryWorld, arguments: str, types: str) -> None:
    world.rows("CREATE OR REPLACE TABLE FUNCTION d.pair(x INT64, y STRING) AS SELECT x, y")
    assert world.rows("SELECT * FROM d.pair(1, UPPER('a'))") == [(1, "A")]
    message = (
        rf"table-valued function d\.pair for argument types: {types}\. Supported signature: d\.pair\(INT64, STRING\)"
    )
    with pytest.raises(BadRequest, match=message):
        world.rows(f"SELECT * FROM d.pair({arguments})")


@pytest.mark.parametrize(
    "sql",
    [
        "DECLARE x STRING DEFAULT '5'; SELECT * FROM d.pair(x, 'a')",
        "EXECUTE IMMEDIATE 'SELECT * FROM d.pair(@x, @y)' USING '5' AS x, 'a' AS y",
    ],
)
def test_table_functions_take_no_parameters_and_variables_of_other_types(world: BigQueryWorld, sql: str) -> None:
    world.rows("CREATE OR REPLACE TABLE FUNCTION d.pair(x INT64, y STRING) AS SELECT x, y")
    with pytest.raises(BadRequest, match=r"table-valued function d\.pair for argument types: STRING, STRING"):
        world.rows(sql)
    assert world.rows(sql.replace("STRING", "INT64").replace("'5'", "5")) == [(5, "a")]


def test_types_are_those_of_rest(world: BigQueryWorld) -> None:
    world.rows("CREATE OR REPLACE FUNCTION d.typed(a ANY TYPE, b ARRAY<DECIMAL>, c RANGE<DATE>) RETURNS INTEGER AS (1)")
    routine = world.call("GET", "/datasets/d/routines/typed").json()
    assert [(each["argumentKind"], each.get("dataType")) for each in routine["arguments"]] == [
        ("ANY_TYPE", None),
        ("FIXED_TYPE", {"typeKind": "ARRAY", "arrayElementType": {"typeKind": "NUMERIC"}}),
        ("FIXED_TYPE", {"typeKind": "RANGE", "rangeElementType": {"typeKind": "DATE"}}),
    ]
    assert routine["returnType"] == {"typeKind": "INT64"}
