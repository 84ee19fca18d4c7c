"""Pipe syntax: the examples of Google's page, and what its operators do to each other's rows.

https://cloud.google.com/bigquery/docs/reference/standard-sql/pipe-syntax
"""

from __future__ import annotations

from typing import Any

import pytest
from google.api_core.exceptions import BadRequest

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.sql.pipes.queries import without_pipes
from tests.localcloud.bigquery.world import BigQueryWorld

SALES = (
    "FROM (SELECT 'apples' AS item, 2 AS sales, 'fruit' AS category UNION ALL SELECT 'carrots', 8, 'vegetable' UNION ALL "
    "SELECT 'apples', 7, 'fruit' UNION ALL SELECT 'bananas', 5, 'fruit') AS sale "
)


@pytest.mark.parametrize(
    ("operators", "names", "rows"),
    [
        ("|> SELECT DISTINCT category |> ORDER BY category", "category", [("fruit",), ("vegetable",)]),
        ("|> LIMIT 2 |> AGGREGATE COUNT(*) AS n", "n", [(2,)]),
        ("|> AGGREGATE SUM(sales) AS s GROUP AND ORDER BY category, item DESC", "category item s",
         [("fruit", "bananas", 5), ("fruit", "apples", 9), ("vegetable", "carrots", 8)]),
        ("|> AGGREGATE SUM(sales) AS s ASC GROUP BY item, category DESC", "item category s",
         [("carrots", "vegetable", 8), ("bananas", "fruit", 5), ("apples", "fruit", 9)]),
        ("|> AGGREGATE COUNT(*), MAX(sales) GROUP BY UPPER(category) AS c DESC", "c f0_ f1_",
         [("VEGETABLE", 1, 8), ("FRUIT", 3, 7)]),
        ("|> AGGREGATE SUM(sales) AS s GROUP BY ROLLUP (category) |> ORDER BY s", "category s",
         [("vegetable", 8), ("fruit", 14), (None, 22)]),
        ("|> WHERE item = 'carrots' |> SET sales = sale.sales * 2 |> RENAME sales AS s |> SELECT *, sale.sales AS old",
         "item s category old", [("carrots", 16, "vegetable", 8)]),
        ("|> EXTEND SUM(sales) OVER () AS total, sales + 1 |> DROP category, item |> WHERE sales = 8", "sales total f0_",
         [(8, 22, 9)]),
        ("|> WHERE sales > 5 |> JOIN (SELECT 'apples' AS item, 1 AS id) AS ids USING (item)", "item sales category id",
         [("apples", 7, "fruit", 1)]),
        ("|> AGGREGATE SUM(sales) AS n |> AS s |> CROSS JOIN UNNEST([1, 2]) AS x |> SELECT s.n * x AS y |> ORDER BY y", "y",
         [(22,), (44,)]),
        ("|> SELECT sales |> UNION ALL (SELECT 1), (SELECT 2) |> AGGREGATE COUNT(*) AS n", "n", [(6,)]),
        ("|> SELECT item |> EXCEPT DISTINCT (FROM UNNEST(['apples', 'carrots']) AS item |> SELECT item)", "item",
         [("bananas",)]),
        ("|> DROP item |> PIVOT (SUM(sales) FOR category IN ('fruit', 'vegetable' AS v))", "fruit v", [(14, 8)]),
        ("|> WITH ids AS (SELECT 'carrots' AS item) |> JOIN ids USING (item) |> SELECT item, sales", "item sales",
         [("carrots", 8)]),
        ("|> EXTEND RANK() OVER w AS r WINDOW w AS (PARTITION BY category ORDER BY sales DESC) |> WHERE r = 2 |> SELECT sales",
         "sales", [(5,)]),
    ],
)  # fmt: skip
def test_an_operator_changes_the_rows_before_it(
    world: BigQueryWorld, operators: str, names: str, rows: list[tuple[Any, ...]]
) -> None:
    result = world.client().query_and_wait(SALES + operators)
    assert [field.name for field in result.schema] == names.split()
    assert [tuple(row.values()) for row in result] == rows


@pytest.mark.parametrize(
    ("operators", "message"),
    [
        ("|> SELECT SUM(sales)", "Aggregate function SUM not allowed in pipe SELECT"),
        ("|> AGGREGATE item", "item"),
        ("|> AGGREGATE COUNT(*) GROUP BY 1", "GROUP BY ordinal not allowed in pipe AGGREGATE"),
        ("|> RENAME nope AS x", "nope"),
        ("|> SELECT item |> ORDER BY sales", "Unrecognized name: sales"),
        ("|> SELECT item |> WHERE sale.sales > 1", "sale"),
        (
            "|> WHERE TRUE |> TABLESAMPLE SYSTEM (5 PERCENT)",
            "TABLESAMPLE SYSTEM can only be applied directly to tables",
        ),
        ("|> FORK (|> WHERE TRUE)", 'Unexpected "|>"'),
        ("\n|> EXTEND 1 AS x\n|> WHERE nope > 1", "Unrecognized name: nope at [3:10]"),
        ("|> NOPE", 'Unexpected identifier "NOPE"'),
    ],
)
def test_a_wrong_operator_is_refused(world: BigQueryWorld, operators: str, message: str) -> None:
    with pytest.raises(BadRequest) as caught:
        world.rows(SALES + operators)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT 1 AS a |> WHERE a > 0", "SELECT * FROM (SELECT 1 AS a) WHERE (a > 0)"),
        ("WITH a AS (FROM t |> LIMIT 1) FROM a |> LIMIT 2", "WITH a AS (SELECT * FROM t LIMIT 1) SELECT * FROM a LIMIT 2"),
        ("CREATE TABLE d.x AS FROM t, u |> JOIN v ON t.a = v.a",
         "CREATE TABLE d.x AS SELECT * FROM t CROSS JOIN u JOIN v ON t.a = v.a"),
        ("SET x = (FROM t |> AGGREGATE MAX(a)); SELECT x", "SET x = (SELECT MAX(a) FROM t HAVING TRUE); SELECT x"),
        ("INSERT INTO t (a) FROM u -- all\n|> SELECT a", "INSERT INTO t (a) SELECT a FROM u"),
    ],
)  # fmt: skip
def test_a_query_with_operators_becomes_a_select(sql: str, expected: str) -> None:
    assert without_pipes(sql) == expected


def test_a_star_cannot_rename_columns_itself() -> None:
    with pytest.raises(QueryError, match="got keyword RENAME"):
        without_pipes("SELECT * RENAME (a AS b) FROM t")
