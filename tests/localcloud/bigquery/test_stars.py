"""``expression.*`` selects the fields of a STRUCT.

https://cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax#select_expression_star
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from google.api_core.exceptions import MethodNotImplemented

from tests.localcloud.bigquery.world import BigQueryWorld, bigquery_world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BigQueryWorld]:
    with bigquery_world(tmp_path_factory.mktemp("storage")) as running:
        running.client().create_dataset("d")
        running.rows(
            "CREATE TABLE d.t (id INT64, s STRUCT<a INT64, b STRUCT<c STRING, e INT64>>, l ARRAY<STRUCT<k STRING>>)"
        )
        running.rows("INSERT INTO d.t VALUES (1, (1, ('x', 7)), [STRUCT('q')]), (2, (2, ('y', 8)), [])")
        yield running


@pytest.mark.parametrize(
    ("sql", "names", "rows"),
    [
        ("SELECT s.b.* FROM d.t WHERE id = 1", "c e", [("x", 7)]),
        ("SELECT t.s.b.*, id FROM d.t AS t WHERE id = 1", "c e id", [("x", 7, 1)]),
        ("SELECT s.* EXCEPT (b), s.b.* REPLACE (0 AS e) FROM d.t WHERE id = 1", "a c e", [(1, "x", 0)]),
        ("SELECT l[SAFE_OFFSET(0)].* FROM d.t ORDER BY id", "k", [("q",), (None,)]),
        ("SELECT ARRAY_AGG(t ORDER BY id DESC LIMIT 1)[OFFSET(0)].* EXCEPT (s, l) FROM d.t AS t", "id", [(2,)]),
        ("SELECT ANY_VALUE(t HAVING MAX id).s.b.* FROM d.t AS t", "c e", [("y", 8)]),
        ("SELECT (SELECT AS STRUCT 1 AS a, 'z' AS b).*, STRUCT(2 AS c).*", "a b c", [(1, "z", 2)]),
        ("WITH w AS (SELECT s.b.* FROM d.t) SELECT MAX(e) AS m FROM w", "m", [(8,)]),
    ],
)
def test_a_star_selects_the_fields_of_an_expression(
    world: BigQueryWorld, sql: str, names: str, rows: list[tuple[object, ...]]
) -> None:
    result = world.client().query_and_wait(sql)
    assert [field.name for field in result.schema] == names.split()
    assert [tuple(row) for row in result] == rows


@pytest.mark.parametrize(
    ("sql", "value"),
    [
        ("""SELECT JSON_QUERY(JSON '{"a": 1}', '$').*""", r"JSON_QUERY\(.*\)"),
        ("CREATE TEMP FUNCTION f(x INT64) AS (x); SELECT f(1).*", r"f\(1\)"),
    ],
)
def test_fields_that_are_not_known_are_refused_by_name(world: BigQueryWorld, sql: str, value: str) -> None:
    with pytest.raises(MethodNotImplemented, match=rf"does not know the fields of {value}\.\*; name them"):
        world.rows(sql)
