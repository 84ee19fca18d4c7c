"""STRUCTs correspond by position, and the first one names the fields; the expected rows are those of Google's analyser.

https://cloud.google.com/bigquery/docs/reference/standard-sql/conversion_rules#supertypes
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from google.api_core.exceptions import BadRequest

from tests.localcloud.bigquery.world import BigQueryWorld

X, Y, Z = ({"a": 1, "b": "x"}, {"a": 2, "b": "y"}, {"a": 3, "b": "z"})


@pytest.fixture(scope="module")
def table(world: BigQueryWorld) -> Iterator[str]:
    """A table whose columns ``s`` and ``u`` have other names of fields."""
    name = f"{world.dataset()}.pairs"
    world.rows(f"CREATE TABLE {name} (id INT64, s STRUCT<a INT64, b STRING>, u STRUCT<n INT64, m STRING>)")
    world.rows(f"INSERT INTO {name} VALUES (1, (1, 'x'), (1, 'x')), (2, (2, 'y'), (3, 'z')), (3, NULL, (3, 'z'))")
    yield name


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        # Comparisons
        ("SELECT s = u FROM {} ORDER BY id", [True, False, None]),
        ("SELECT id FROM {} WHERE s IS NOT DISTINCT FROM u", [1]),
        ("SELECT id FROM {} WHERE u IN (SELECT s FROM {})", [1]),
        ("SELECT id FROM {} WHERE u IN UNNEST([STRUCT(3 AS p, 'z' AS q)]) ORDER BY id", [2, 3]),
        ("SELECT id FROM {} WHERE (id, u.m) IN (SELECT AS STRUCT id, s.b FROM {})", [1]),
        ("SELECT id FROM {} WHERE ('z', id) IN UNNEST([STRUCT('z' AS c, 2 AS d)])", [2]),
        ("SELECT CASE s WHEN u THEN 'same' ELSE 'other' END FROM {} ORDER BY id", ["same", "other", "other"]),
        ("SELECT p.id FROM {} AS p JOIN {} AS q ON p.s = q.u", [1]),
        ("SELECT (s.a, NULLIF(s.b, 'x')) = (s.a, 'x') FROM {} WHERE id = 1", [None]),
        # Choices
        ("SELECT COALESCE(s, u) FROM {} ORDER BY id", [X, Y, Z]),
        ("SELECT IF(id = 1, s, u) FROM {} ORDER BY id", [X, Z, Z]),
        ("SELECT NULLIF(s, u) FROM {} ORDER BY id", [None, Y, None]),
        ("SELECT [s, u] FROM {} WHERE id < 3 ORDER BY id", [[X, X], [Y, Z]]),
        ("SELECT COALESCE((0, ''), s) FROM {} WHERE id = 1", [{"_field_1": 0, "_field_2": ""}]),
        # Set operations
        ("SELECT s FROM {} WHERE id = 2 UNION ALL SELECT u FROM {} WHERE id = 3", [Y, Z]),
        ("SELECT s FROM {} INTERSECT DISTINCT SELECT u FROM {}", [X]),
        ("SELECT * FROM (SELECT s FROM {} WHERE id = 1) UNION ALL SELECT u FROM {} WHERE id = 2", [X, Z]),
        (
            "SELECT x.a FROM UNNEST(ARRAY(SELECT s FROM {} WHERE id = 1 UNION ALL SELECT u FROM {} WHERE id = 1)) AS x",
            [1, 1],
        ),
        (
            "SELECT STRUCT(1 AS k, STRUCT(2, 'x') AS i) AS v UNION ALL SELECT STRUCT(3 AS k, STRUCT(4 AS a, 'y' AS b) AS i)",
            [{"k": 1, "i": {"_field_1": 2, "_field_2": "x"}}, {"k": 3, "i": {"_field_1": 4, "_field_2": "y"}}],
        ),
        # Tables of values
        ("SELECT v + 1 FROM (SELECT AS VALUE id FROM {}) AS v ORDER BY 1", [2, 3, 4]),
        ("WITH v AS (SELECT AS VALUE s FROM {} WHERE id = 1) SELECT v.a FROM v", [1]),
        (
            "SELECT quarter + 1 FROM (SELECT 1 AS q1, 2 AS q2) UNPIVOT (n FOR quarter IN (q1 AS 1, q2 AS 2)) AS p ORDER BY p.n",
            [2, 3],
        ),
        ("""SELECT INT64(JSON '{"a": {"b": 5}}'.a.b)""", [5]),
        # Casts
        ("SELECT CAST(u AS STRUCT<a INT64, b STRING>) FROM {} ORDER BY id", [X, Z, Z]),
        ("SELECT CAST(STRUCT(1 AS b, 2 AS a) AS STRUCT<a INT64, b INT64>)", [{"a": 1, "b": 2}]),
        ("SELECT CAST((1, 'x') AS STRUCT<INT64, STRING>)", [{"_field_1": 1, "_field_2": "x"}]),
        (
            "SELECT CAST([s] AS ARRAY<STRUCT<FLOAT64, STRING>>) FROM {} WHERE id = 1",
            [[{"_field_1": 1.0, "_field_2": "x"}]],
        ),
    ],
)
def test_fields_correspond_by_position(world: BigQueryWorld, table: str, sql: str, expected: list[object]) -> None:
    assert [row[0] for row in world.rows(sql.replace("{}", table))] == expected


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELECT s < u FROM {}", "Less than is not defined for arguments of type STRUCT<a INT64, b STRING>"),
        ("SELECT s BETWEEN u AND u FROM {}", "BETWEEN is not defined for arguments of type STRUCT<a INT64, b STRING>"),
        ("SELECT MAX(s) FROM {}", "MAX is not defined for arguments of type STRUCT<a INT64, b STRING>"),
        ("SELECT id FROM {} ORDER BY s", "ORDER BY does not support expressions of type STRUCT<a INT64, b STRING>"),
    ],
)
def test_an_order_of_structs_is_refused(world: BigQueryWorld, table: str, sql: str, message: str) -> None:
    with pytest.raises(BadRequest, match=message):
        world.rows(sql.format(table))


def test_a_new_table_has_the_declared_fields_by_position(world: BigQueryWorld, dataset: str, table: str) -> None:
    world.rows(f"CREATE TABLE {dataset}.n (id INT64, v STRUCT<c INT64, d STRING>) AS SELECT * EXCEPT (s) FROM {table}")
    assert world.rows(f"SELECT v FROM {dataset}.n WHERE id = 2") == [({"c": 3, "d": "z"},)]
