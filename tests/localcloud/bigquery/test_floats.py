"""NaN in comparisons, orders and aggregates, numbers that overflow, the type of NUMERICs, and intervals as text."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
from google.api_core.exceptions import BadRequest

from tests.localcloud.bigquery.world import BigQueryWorld, bigquery_world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BigQueryWorld]:
    with bigquery_world(tmp_path_factory.mktemp("storage")) as running:
        running.client().create_dataset("floats")
        running.rows("CREATE TABLE floats.f (id INT64, x FLOAT64)")
        running.rows(
            "INSERT INTO floats.f VALUES (1, 1.5), (2, CAST('nan' AS FLOAT64)), (3, NULL), (4, CAST('-inf' AS FLOAT64)), "
            "(5, CAST('inf' AS FLOAT64)), (6, -2.0), (7, CAST('nan' AS FLOAT64))"
        )
        yield running


@pytest.mark.parametrize(
    ("order", "ids"),
    [
        ("x, id", [3, 2, 7, 4, 6, 1, 5]),
        ("x DESC, id", [5, 1, 6, 4, 2, 7, 3]),
        ("x NULLS LAST, id", [2, 7, 4, 6, 1, 5, 3]),
        ("x DESC NULLS FIRST, id", [3, 5, 1, 6, 4, 2, 7]),
        ("2, 1", [3, 2, 7, 4, 6, 1, 5]),
        ("-y, id", [3, 2, 7, 5, 1, 6, 4]),
        ("[x][OFFSET(0)], id", [3, 2, 7, 4, 6, 1, 5]),
    ],
)
def test_nan_is_sorted_before_the_numbers(world: BigQueryWorld, order: str, ids: list[int]) -> None:
    assert [row[0] for row in world.rows(f"SELECT id, x, x AS y FROM floats.f ORDER BY {order}")] == ids


def test_nan_is_sorted_so_in_aggregates_and_windows(world: BigQueryWorld) -> None:
    assert world.rows("SELECT ARRAY_AGG(id ORDER BY x, id) FROM floats.f") == [([3, 2, 7, 4, 6, 1, 5],)]
    ranked = "SELECT id FROM (SELECT id, ROW_NUMBER() OVER (ORDER BY x DESC, id) AS r FROM floats.f) WHERE r IN (1, 5)"
    assert sorted(world.rows(ranked)) == [(2,), (5,)]
    assert world.rows("SELECT x FROM UNNEST([1.0, CAST('nan' AS FLOAT64), -1.0]) AS x ORDER BY x LIMIT 1 OFFSET 1") == [
        (-1.0,)
    ]


@pytest.mark.parametrize(
    ("condition", "count"),
    [
        ("a.x = b.x", 4),
        ("a.x != b.x", 32),
        ("a.x > b.x", 6),
        ("a.x >= b.x", 10),
        ("a.x < 100", 3),
        ("a.id = 2 AND a.x IN (1.0, CAST('nan' AS FLOAT64))", 0),
    ],
)
def test_no_comparison_with_nan_is_true_but_of_being_different(
    world: BigQueryWorld, condition: str, count: int
) -> None:
    other = ", floats.f AS b" if "b.x" in condition else ""
    assert world.rows(f"SELECT COUNT(*) FROM floats.f AS a{other} WHERE {condition}") == [(count,)]


def test_a_join_does_not_match_nan(world: BigQueryWorld) -> None:
    assert world.rows("SELECT COUNT(*) FROM floats.f AS a JOIN floats.f AS b ON a.x = b.x") == [(4,)]
    outer = "SELECT COUNT(*), COUNT(b.id) FROM floats.f AS a LEFT JOIN floats.f AS b ON a.x = b.x"
    assert world.rows(outer) == [(7, 4)]


def test_the_least_value_is_nan_if_one_is(world: BigQueryWorld) -> None:
    row = world.rows("SELECT MIN(x), MAX(x), LEAST(MAX(x), 0) FROM floats.f WHERE id IN (1, 2)")[0]
    assert all(math.isnan(value) for value in row)
    assert world.rows("SELECT MIN(x), MAX(x), LEAST(MIN(x), 0) FROM floats.f WHERE id IN (1, 6)") == [(-2.0, 1.5, -2.0)]
    windows = world.rows(
        "SELECT MIN(x) OVER (PARTITION BY id IN (1, 6)) AS least FROM floats.f WHERE id IN (1, 6, 7) ORDER BY id"
    )
    assert windows[:2] == [(-2.0,), (-2.0,)]
    assert math.isnan(windows[2][0])


def test_nans_are_one_group(world: BigQueryWorld) -> None:
    assert world.rows("SELECT COUNT(*) FROM (SELECT x FROM floats.f GROUP BY x)") == [(6,)]
    assert world.rows("SELECT COUNT(*) FROM (SELECT DISTINCT x FROM floats.f)") == [(6,)]


@pytest.mark.parametrize(
    ("interval", "text"),
    [
        ("INTERVAL 1 DAY", "0-0 1 0:0:0"),
        ("INTERVAL '1-2 3 4:5:6.789' YEAR TO SECOND", "1-2 3 4:5:6.789"),
        ("MAKE_INTERVAL(hour => -2, month => 14)", "1-2 0 -2:0:0"),
        ("MAKE_INTERVAL(month => -1)", "-0-1 0 0:0:0"),
        ("INTERVAL 1500001 MICROSECOND", "0-0 0 0:0:1.500001"),
    ],
)
def test_an_interval_becomes_a_text(world: BigQueryWorld, interval: str, text: str) -> None:
    assert world.rows(f"SELECT CAST({interval} AS STRING), CAST(i AS STRING) FROM (SELECT {interval} AS i)") == [
        (text, text)
    ]


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("1e308 * 10", "double overflow: 1e+308 * 10"),
        ("-(big + big) / 2", "double overflow"),
        ("big / 1e-300", "double overflow: 1e+308 / 1e-300"),
        ("SUM(big)", "double overflow"),
        ("SUM(big) OVER ()", "double overflow"),
        ("SUM(9223372036854775807)", "int64 overflow"),
        ("-(-9223372036854775808)", "int64 overflow"),
        ("9223372036854775808", "Invalid integer literal: 9223372036854775808"),
    ],
)
def test_a_number_that_overflows_is_an_error(world: BigQueryWorld, expression: str, message: str) -> None:
    with pytest.raises(BadRequest) as refused:
        world.rows(f"SELECT {expression} FROM UNNEST([1e308, 1e308]) AS big")
    assert message in refused.value.message


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("AVG(big)", 1e308),
        ("SUM(big / 4)", 5e307),
        ("SUM(DISTINCT big)", 1e308),
        ("MAX(CAST('inf' AS FLOAT64) * big)", math.inf),
        ("SUM(CAST('inf' AS FLOAT64))", math.inf),
        ("MIN(-9223372036854775808)", -(2**63)),
        ("SUM(big * NULL)", None),
    ],
)
def test_a_number_that_does_not_overflow_is_kept(world: BigQueryWorld, expression: str, value: Any) -> None:
    assert world.rows(f"SELECT {expression} FROM UNNEST([1e308, 1e308]) AS big") == [(value,)]


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("n * n", "0.000000003"),
        ("n * n * 1000", "0.000003"),
        ("n * 1.5", "-0.000075"),
        ("n + 0.5", "0.49995"),
        ("SUM(n * 3)", "-0.00015"),
        ("n * (1 - n)", "-0.000050003"),
    ],
)
def test_what_is_computed_with_a_numeric_is_one(world: BigQueryWorld, expression: str, value: str) -> None:
    result = world.client().query_and_wait(f"SELECT {expression} AS r FROM (SELECT NUMERIC '-0.00005' AS n)")
    assert result.schema[0].field_type == "NUMERIC"
    assert [f"{row.r.normalize():f}" for row in result] == [value]
