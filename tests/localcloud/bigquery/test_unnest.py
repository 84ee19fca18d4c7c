"""UNNEST: fields of elements are columns, and offsets start at 0.

https://cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax#unnest_operator
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.localcloud.bigquery.world import BigQueryWorld, bigquery_world

PAIRS = "[STRUCT(1 AS a, 'x' AS b), STRUCT(2, 'y')]"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BigQueryWorld]:
    with bigquery_world(tmp_path_factory.mktemp("storage")) as running:
        running.client().create_dataset("d")
        running.rows(
            "CREATE TABLE d.t (id INT64, params ARRAY<STRUCT<key STRING, value STRUCT<s STRING, i INT64>>>, tags ARRAY<STRING>)"
        )
        running.rows(
            "INSERT INTO d.t VALUES (1, [('page', ('home', NULL)), ('n', (NULL, 7))], ['p', 'q']), (2, [], [])"
        )
        yield running


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        # Fields
        ("SELECT (SELECT value.s FROM UNNEST(params) WHERE key = 'page') AS v FROM d.t WHERE id = 1", [{"v": "home"}]),
        ("SELECT id, key, value.i FROM d.t, UNNEST(params) AS p WHERE p.key = 'n'", [{"id": 1, "key": "n", "i": 7}]),
        (
            "SELECT * EXCEPT (params, tags) FROM d.t AS u, UNNEST(u.params) WHERE key = 'n'",
            [{"id": 1, "key": "n", "value": {"s": None, "i": 7}}],
        ),
        ("WITH c AS (SELECT * FROM d.t) SELECT key FROM c, UNNEST(c.params) WHERE value.s IS NULL", [{"key": "n"}]),
        (f"WITH c AS (SELECT {PAIRS} AS pairs) SELECT b FROM c, UNNEST(pairs) WHERE a = 2", [{"b": "y"}]),
        ("SELECT COUNT(*) AS n FROM d.t, UNNEST(params) AS p WHERE p IS NULL", [{"n": 0}]),
        ("SELECT a FROM (SELECT 1 AS id, ARRAY_AGG(STRUCT(id AS a) ORDER BY id) AS s FROM d.t), UNNEST(s) LIMIT 1", [{"a": 1}]),
        ("WITH c AS (SELECT ARRAY_AGG(STRUCT(id AS a)) AS s FROM d.t) SELECT MAX(a) AS m FROM c, UNNEST(s)", [{"m": 2}]),
        ("SELECT n FROM UNNEST(ARRAY(SELECT AS STRUCT id AS n, tags FROM d.t)) WHERE n > 1", [{"n": 2}]),
        ("SELECT value.i FROM UNNEST(ARRAY(SELECT p FROM d.t, UNNEST(params) AS p)) WHERE key = 'n'", [{"i": 7}]),
        (f"SELECT b FROM UNNEST(ARRAY_CONCAT({PAIRS}, {PAIRS})) WHERE a = 2", [{"b": "y"}, {"b": "y"}]),
        (f"SELECT b FROM UNNEST(IF(TRUE, {PAIRS}, NULL)) WHERE a = 2", [{"b": "y"}]),
        ("SELECT key FROM UNNEST((SELECT ANY_VALUE(params) FROM d.t WHERE id = 1)) WHERE value.i = 7", [{"key": "n"}]),
        ("SELECT key FROM (SELECT ARRAY_AGG(t) AS l FROM d.t), UNNEST(l), UNNEST(params) WHERE value.i = 7", [{"key": "n"}]),
        ("SELECT * FROM UNNEST([(1, 'x'), (2, 'y')])", [{"f0_": 1, "f1_": "x"}, {"f0_": 2, "f1_": "y"}]),
        ("SELECT * FROM UNNEST([(1, 'x')]) AS t WITH OFFSET", [{"f0_": 1, "f1_": "x", "offset": 0}]),
        # Arrays of the query around a subquery
        ("SELECT (SELECT COUNT(*) FROM t.tags) AS n FROM d.t ORDER BY id", [{"n": 2}, {"n": 0}]),
        ("SELECT id FROM d.t AS q WHERE EXISTS (SELECT 1 FROM q.params AS p WHERE p.value.i = 7)", [{"id": 1}]),
        ("SELECT ARRAY(SELECT x FROM t.tags x WITH OFFSET o ORDER BY o DESC) AS l FROM d.t WHERE id = 1", [{"l": ["q", "p"]}]),
        ("WITH w AS (SELECT [1, 2] AS a) SELECT (SELECT SUM(x) FROM w.a AS x) AS s FROM w", [{"s": 3}]),
        ("SELECT (SELECT SUM(x) FROM w.s.a AS x) AS n FROM (SELECT STRUCT([1, 2] AS a) AS s) AS w", [{"n": 3}]),
        # Offsets
        ("SELECT * FROM UNNEST(['p', 'q']) AS x WITH OFFSET ORDER BY x", [{"x": "p", "offset": 0}, {"x": "q", "offset": 1}]),
        ("SELECT * FROM UNNEST(['p']) WITH OFFSET AS o", [{"f0_": "p", "o": 0}]),
        (f"SELECT * FROM UNNEST({PAIRS}) WITH OFFSET WHERE offset > 0", [{"a": 2, "b": "y", "offset": 1}]),
        (f"SELECT s.a, s, o FROM UNNEST({PAIRS}) AS s WITH OFFSET o WHERE o = 0", [{"a": 1, "s": {"a": 1, "b": "x"}, "o": 0}]),
        ("SELECT x.o FROM (SELECT o FROM d.t, t.tags AS tag WITH OFFSET o WHERE tag = 'q') AS x", [{"o": 1}]),
        ("SELECT id, o FROM d.t LEFT JOIN UNNEST(tags) AS tag WITH OFFSET o WHERE tag IS NULL", [{"id": 2, "o": None}]),
        (
            "SELECT id, tag FROM d.t LEFT JOIN UNNEST(tags) AS tag WITH OFFSET o ON o = 1 ORDER BY id",
            [{"id": 1, "tag": "q"}, {"id": 2, "tag": None}],
        ),
        (
            "SELECT ARRAY(SELECT AS STRUCT key, o FROM UNNEST(params) WITH OFFSET o ORDER BY o DESC) l FROM d.t WHERE id = 1",
            [{"l": [{"key": "n", "o": 1}, {"key": "page", "o": 0}]}],
        ),
        (
            "CREATE TEMP FUNCTION place(l ARRAY<STRING>) AS ((SELECT o FROM UNNEST(l) AS x WITH OFFSET o WHERE x = 'q')); "
            "SELECT place(['p', 'q']) AS o",
            [{"o": 1}],
        ),
        (
            "CREATE OR REPLACE VIEW d.v AS SELECT tag, o FROM d.t, t.tags AS tag WITH OFFSET o; SELECT * FROM d.v ORDER BY o",
            [{"tag": "p", "o": 0}, {"tag": "q", "o": 1}],
        ),
        # Changes
        (
            "CREATE OR REPLACE TABLE d.u AS SELECT * FROM d.t; DELETE d.u WHERE EXISTS (SELECT 1 FROM UNNEST(params) "
            "WITH OFFSET o WHERE key = 'n' AND o = 1); SELECT id FROM d.u",
            [{"id": 2}],
        ),
    ],
)  # fmt: skip
def test_elements_are_rows(world: BigQueryWorld, sql: str, expected: list[dict[str, Any]]) -> None:
    assert [dict(row) for row in world.client().query_and_wait(sql)] == expected


def test_a_change_reads_arrays_of_its_table_in_subqueries(world: BigQueryWorld) -> None:
    world.rows("CREATE OR REPLACE TABLE d.changed AS SELECT 1 AS id, ['a'] AS tags UNION ALL SELECT 2, []")
    world.rows("UPDATE d.changed SET tags = ARRAY(SELECT UPPER(x) FROM changed.tags AS x) WHERE TRUE")
    world.rows("DELETE FROM d.changed AS t WHERE NOT EXISTS (SELECT 1 FROM t.tags)")
    assert world.rows("SELECT id, tags FROM d.changed") == [(1, ["A"])]
