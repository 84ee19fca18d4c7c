"""The clauses of a query: set operations, windows, joins and stars, in the forms that GoogleSQL has.

https://cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
from google.api_core.exceptions import BadRequest, ClientError, NotFound
from google.cloud import bigquery

from tests.localcloud.bigquery.world import PROJECT, BigQueryWorld, bigquery_world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BigQueryWorld]:
    with bigquery_world(tmp_path_factory.mktemp("storage")) as running:
        running.client().create_dataset("d")
        running.rows("CREATE TABLE d.t AS SELECT 1 AS a, 'x' AS b, 1.5 AS f, DATE '2024-01-01' AS day UNION ALL "
                     "SELECT 3, 'y', 2.5, DATE '2024-01-02'")  # fmt: skip
        running.rows("CREATE TABLE d.places AS SELECT ST_GEOGPOINT(1, 2) AS g")
        running.rows("CREATE TABLE d.u AS SELECT 'y' AS b, 3 AS a, 7 AS c")
        yield running


@pytest.mark.parametrize(
    ("sql", "names", "rows"),
    [
        ("SELECT 1 AS a, 10 AS b UNION ALL BY NAME SELECT 20 AS b, 2 AS a", "a b", [(1, 10), (2, 20)]),
        ("SELECT 1 AS a, 10 AS b INNER UNION ALL BY NAME (SELECT 20 AS b, 2 AS c)", "b", [(10,), (20,)]),
        ("SELECT 1 AS a, 10 AS b FULL OUTER UNION ALL BY NAME SELECT 20 AS b, 2 AS c", "a b c", [(1, 10, None), (None, 20, 2)]),
        ("SELECT 1 AS a, 10 AS b LEFT UNION ALL CORRESPONDING SELECT 20 AS b, 2 AS c", "a b", [(1, 10), (None, 20)]),
        ("SELECT 1 AS a, 10 AS b OUTER UNION ALL BY NAME ON (b) SELECT 20 AS b, 2 AS c", "b", [(10,), (20,)]),
        ("SELECT a, b FROM d.t INTERSECT DISTINCT BY NAME SELECT * EXCEPT (c) FROM d.u", "a b", [(3, "y")]),
        ("SELECT day FROM d.t UNION DISTINCT (SELECT '2024-01-02' UNION ALL SELECT '2024-01-01') ORDER BY day", "day",
         [(date(2024, 1, 1),), (date(2024, 1, 2),)]),
        ("SELECT DATE '2024-01-01' IN (SELECT '2024-01-01' AS x UNION ALL SELECT day FROM d.t) AS x", "x", [(True,)]),
        ("WITH RECURSIVE r AS ((SELECT 1 AS n UNION ALL SELECT 9) UNION ALL SELECT q.* REPLACE (n + 1 AS n) FROM r AS q "
         "WHERE n < 2) SELECT * FROM r ORDER BY n", "n", [(1,), (2,), (9,)]),
        ("SELECT * EXCEPT (f, day), a + 1 FROM d.t WHERE a = 1", "a b f0_", [(1, "x", 2)]),
        ("WITH w AS (SELECT a, 2 FROM d.t) SELECT w.*, 3 FROM w WHERE a = 1", "a f0_ f1_", [(1, 2, 3)]),
        ("SELECT * EXCEPT (f, day) FROM d.t JOIN d.u USING (b, a)", "b a c", [("y", 3, 7)]),
        ("SELECT * REPLACE (a + 1 AS a) FROM (SELECT c, a FROM d.u) JOIN (SELECT 3 AS a) USING (a)", "a c", [(4, 7)]),
        ("SELECT SUM(a) OVER w AS s FROM d.t WINDOW v AS (ORDER BY a ROWS 1 PRECEDING), w AS (v) ORDER BY s",
         "s", [(1,), (4,)]),
        ("SELECT LEAD(a, 1, -1) OVER (ORDER BY a) AS n FROM d.t ORDER BY n", "n", [(-1,), (3,)]),
        ("SELECT DATE_TRUNC(day, MONTH) AS day, COUNT(*) AS n FROM d.t GROUP BY day", "day n", [(date(2024, 1, 1), 2)]),
        ("SELECT LEFT(b, 0) AS b, SUM(a) AS a FROM d.t GROUP BY ROLLUP (b) ORDER BY b", "b a", [(None, 4), ("", 4)]),
        ("SELECT LENGTH(b) AS b FROM d.t GROUP BY b HAVING b = 1", "b", [(1,)]),
        ("SELECT -a AS a FROM d.t ORDER BY a + 0", "a", [(-3,), (-1,)]),
        ("SELECT WITH(n AS a + 1, m AS n * n, STRUCT(n, m).m + n) AS r FROM d.t ORDER BY r", "r", [(6,), (20,)]),
        ("SELECT WITH(l AS [a, 9], m AS 2, (SELECT MAX(a * m) FROM UNNEST(l) AS a)) AS r FROM d.t", "r", [(18,), (18,)]),
        ("SELECT b LIKE ANY ((SELECT 'z'), 'x') AS x, b LIKE ALL ((SELECT '_'), '%') AS y FROM d.t ORDER BY a", "x y",
         [(True, True), (False, True)]),
        ("SELECT * FROM (SELECT a, b, f FROM d.t) PIVOT (SUM(a) FOR UPPER(b) IN ('X', 'Y' AS z)) ORDER BY f", "f X z",
         [(1.5, 1, None), (2.5, None, 3)]),
        ("SELECT `NET`.`HOST`('http://a.b/c') AS h, safe.`SUBSTR`('abc', 1, -1) AS s", "h s", [("a.b", None)]),
        ("WITH a AS (SELECT 1 AS a, 2 AS b) SELECT a.a FROM a WHERE a.b = 2 ORDER BY a", "a", [(1,)]),
        ("SELECT LENGTH(b) AS f, COUNT(*) AS n FROM d.t GROUP BY f", "f n", [(1, 2)]),
        ("SELECT DATE_TRUNC(day, MONTH) AS day, COUNT(*) AS n FROM d.t GROUP BY DATE_TRUNC(day, MONTH) ORDER BY day", "day n",
         [(date(2024, 1, 1), 2)]),
        ("SELECT t.a, COUNT(*) AS n FROM d.t JOIN d.u USING (b) GROUP BY a", "a n", [(3, 1)]),
        ("SELECT a, ARRAY_AGG(b) AS b FROM d.t GROUP BY a ORDER BY ARRAY_LENGTH(b), a LIMIT 1", "a b", [(1, ["x"])]),
        ("SELECT * EXCEPT (a, B) FROM (SELECT t.*, u.* FROM d.t JOIN d.u ON t.a = u.a)", "f day c",
         [(2.5, date(2024, 1, 2), 7)]),
    ],
)  # fmt: skip
def test_a_clause_returns_these_columns_and_rows(
    world: BigQueryWorld, sql: str, names: str, rows: list[tuple[Any, ...]]
) -> None:
    result = world.client().query_and_wait(sql)
    assert [field.name for field in result.schema] == names.split()
    assert [tuple(row.values()) for row in result] == rows


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELECT a FROM d.t UNION ALL BY NAME SELECT a, b FROM d.t", "query 1 has [a] and query 2 has [a, b]"),
        ("SELECT 1, 2 AS a UNION ALL BY NAME SELECT 1, 2 AS a", "Anonymous columns are not allowed in set operations"),
        ("SELECT 1 AS a, 2 AS b UNION ALL BY NAME ON (a) SELECT 1 AS a", "Query 1 must share the same set of column names"),
        ("SELECT 1 AS a UNION ALL SELECT 2 EXCEPT DISTINCT SELECT 2", "Different set operations cannot be used"),
        ("SELECT 1 AS a UNION ALL SELECT 'x'", "Column 1 in UNION ALL has incompatible types: INT64, STRING"),
        ("CREATE TABLE d.x AS SELECT *, 1 FROM d.u", "CREATE TABLE columns must be named, but column 4 has no name"),
        ("CREATE VIEW d.x AS SELECT *, a FROM d.u", "CREATE VIEW has columns with duplicate name a"),
        ("SELECT a FROM d.t GROUP BY 2", "GROUP BY is out of SELECT column number range: 2"),
        ("SELECT SUM(a) OVER w FROM d.t WINDOW v AS (ORDER BY a)", "Unrecognized window alias w"),
        ("SELECT SUM(a) OVER (ORDER BY a ROWS 1 FOLLOWING) FROM d.t", "be OFFSET FOLLOWING because the implicit ending"),
        ("SELECT SUM(a) OVER (ORDER BY a ROWS BETWEEN CURRENT ROW AND 1 PRECEDING) FROM d.t", "cannot be CURRENT ROW when"),
        ("SELECT SUM(a) OVER (ORDER BY a ROWS BETWEEN 1 FOLLOWING AND CURRENT ROW) FROM d.t", "Ending window framing"),
        ("SELECT SUM(a) OVER (ROWS BETWEEN CURRENT ROW AND UNBOUNDED PRECEDING) FROM d.t", "cannot be UNBOUNDED PRECEDING"),
        ("SELECT SUM(a) OVER (ROWS UNBOUNDED FOLLOWING) FROM d.t", "cannot be UNBOUNDED FOLLOWING"),
        ("SELECT a FROM d.t JOIN d.u USING (c)", "Column c in USING clause not found on left side of join"),
        ("SELECT * REPLACE (1 AS z) FROM d.t", "Column z in SELECT * REPLACE list does not exist"),
        ("SELECT * EXCEPT (a) FROM (SELECT a FROM d.t)", "SELECT * expands to zero columns after applying EXCEPT"),
        ("SELECT a FROM d.t WHERE RANK() OVER (ORDER BY a) = 1", "Analytic function not allowed in WHERE clause"),
        ("SELECT EXTRACT(FOO FROM day) FROM d.t", "A valid date part name is required but found FOO"),
        ("SELECT STRUCT(a AS x).y FROM d.t", "Field name y does not exist in STRUCT"),
        ("SELECT a FROM d.t ORDER BY SUM(a)", "The ORDER BY clause only allows aggregation if GROUP BY or"),
        ("SELECT a FROM d.t GROUP BY a HAVING f > 1", "HAVING clause expression references column f which is neither grouped"),
        ("SELECT MAX(COUNT(*)) FROM d.t GROUP BY a", "Aggregations of aggregations are not allowed"),
        ("SELECT a FROM d.t QUALIFY a > 1", "The QUALIFY clause requires analytic function to be present"),
        ("SELECT [a][1.5] FROM d.t", "Array position in [] must be coercible to INT64 type, but has type FLOAT64"),
        ("SELECT ARRAY<STRUCT<x INT64>>[(a), (2)] FROM d.t", "Invalid cast from INT64 to STRUCT(x INT64)"),
        ("SELECT WITH(x AS 1, x AS 2, x)", "Column name x is ambiguous at [1:21]"),
        ("SELECT WITH(x AS 1)", 'Syntax error: Expected "," but got ")" at [1:19]'),
        ("SELECT WITH(1, 2)", "Expected keyword AS after the name of a variable of WITH at [1:13]"),
        ("SELECT b LIKE ALL (SELECT 'x') FROM d.t", "did you mean LIKE ALL (pattern1, pattern2, ...)?"),
        ("SELECT * FROM UNNEST([1], [2])", "The UNNEST operator supports exactly one argument"),
        ("SELECT a, f AS a FROM d.t ORDER BY a", "Column name a is ambiguous at [1:36]"),
        ("SELECT a AS x, f AS x FROM d.t QUALIFY RANK() OVER (ORDER BY x) = 1", "Column name x is ambiguous at [1:62]"),
        ("SELECT a AS x, f AS x FROM d.t GROUP BY x", "Name x in GROUP BY clause is ambiguous; it may refer to multiple"),
        ("SELECT MAX(f) AS x FROM d.t GROUP BY x", "Column x contains an aggregation function, which is not allowed in"),
        ("SELECT MAX(f) AS f FROM d.t GROUP BY a ORDER BY MAX(f)", "Aggregations of aggregations are not allowed at [1:53]"),
        ("SELECT * REPLACE (1 AS a) FROM d.t JOIN d.u ON TRUE", "Column a in SELECT * REPLACE list is ambiguous"),
        ("SELECT RANK() OVER () FROM d.t", "Window ORDER BY is required for analytic function rank"),
        ("SELECT 1 WHERE FALSE", "Query without FROM clause cannot have a WHERE clause"),
        ("SELECT (SELECT DISTINCT 1) FROM d.t", "Query without FROM clause cannot use SELECT DISTINCT"),
        ("SELECT COUNT(*)", "Aggregate function not allowed in SELECT without FROM clause"),
        ("SELECT LAST_VALUE(a) OVER w FROM d.t WINDOW w AS (PARTITION BY b)", "is required for analytic function last_value"),
        ("SELECT ROW_NUMBER() OVER (ORDER BY a ROWS 1 PRECEDING) FROM d.t", "not allowed for analytic function row_number"),
        ("SELECT PERCENTILE_CONT(a, 0.5) OVER (ORDER BY a) FROM d.t", "ORDER BY is not allowed for analytic function"),
        ("SELECT APPROX_QUANTILES(a, 2) OVER () FROM d.t", "APPROX_QUANTILES does not support an OVER clause"),
        ("SELECT COUNT(DISTINCT a) OVER (ORDER BY a) FROM d.t", "Window ORDER BY is not allowed if DISTINCT is specified"),
        ("SELECT ARRAY_AGG(a ORDER BY a) OVER () FROM d.t", "ORDER BY in arguments is not supported on analytic functions"),
        ("SELECT LAG(a, 1, a) OVER (ORDER BY a) FROM d.t", "third argument (the default expression) to LAG must be constant"),
        ("SELECT LEAD(a, NULL) OVER (ORDER BY a) FROM d.t", "Argument 2 to LEAD must be non-NULL"),
        ("SELECT NTILE(a) OVER (ORDER BY a) FROM d.t", "The argument to NTILE must be a literal or query parameter"),
        ("SELECT SUM(a) OVER (ORDER BY a GROUPS 1 PRECEDING) FROM d.t", "got keyword GROUPS"),
        ("SELECT SUM(a) OVER (ORDER BY a ROWS a PRECEDING) FROM d.t", "framing expression must be a literal or parameter"),
        ("SELECT SUM(a) OVER (ORDER BY day RANGE INTERVAL 1 DAY PRECEDING) FROM d.t", "not an INTERVAL"),
        ("SELECT SUM(a) OVER (ORDER BY day RANGE 1 PRECEDING) FROM d.t", "key must be numeric in a RANGE-based window"),
        ("SELECT SUM(a) OVER (ORDER BY b RANGE 1 PRECEDING) FROM d.t", "but has type STRING"),
        ("SELECT SUM(a) OVER (PARTITION BY f) FROM d.t", "Partitioning by expressions of type FLOAT64 is not allowed"),
        ("SELECT SUM(a) OVER (w ORDER BY b) FROM d.t WINDOW w AS (ORDER BY a)", "it cannot have an inline ORDER BY"),
        ("SELECT SUM(a) OVER w FROM d.t WINDOW w AS (v), v AS (ORDER BY a)", "Unrecognized window alias v"),
        ("SELECT a AS x FROM d.t WHERE x = 1", "Unrecognized name: x at [1:30]"),
        ("SELECT 1 AS x, x + 1 AS y", "Unrecognized name: x at [1:16]"),
        ("SELECT a AS x, (SELECT MAX(c) FROM d.u WHERE c > x) AS y FROM d.t", "Unrecognized name: x"),
        ("SELECT 1 WHERE TRUE", "Query without FROM clause cannot have a WHERE clause"),
        ("SELECT DISTINCT a FROM d.t ORDER BY f", "references column f which is not visible after SELECT DISTINCT"),
        ("SELECT DISTINCT ON (a) a FROM d.t", "Syntax error: Unexpected keyword ON"),
        ("SELECT 1 AS x FROM d.t HAVING COUNT(*) > 1", "The HAVING clause only allows aggregation if GROUP BY"),
        ("SELECT a FROM d.t ORDER BY ALL", "Syntax error: Unexpected keyword ALL"),
        ("SELECT a FROM d.t LIMIT 1.5", "LIMIT ... OFFSET ... expects INT64, got FLOAT64"),
        ("SELECT a FROM d.t LIMIT NULL", "LIMIT and OFFSET must not be null"),
        ("SELECT a FROM d.t OFFSET 1", "OFFSET needs a LIMIT before it"),
        ("SELECT a FROM d.t FETCH FIRST 1 ROWS ONLY", "got keyword FETCH"),
        ("SELECT 1 FROM d.t JOIN d.u", "INNER JOIN must have an immediately following ON or USING clause"),
        ("SELECT 1 FROM d.t LEFT JOIN d.u", "LEFT JOIN must have an immediately following ON or USING clause"),
        ("SELECT 1 FROM d.t NATURAL JOIN d.u", "Natural join not supported"),
        ("SELECT * FROM (VALUES (1, 2)) AS v", "Unexpected keyword VALUES"),
        ("WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT MAX(n) + 1 FROM r WHERE n < 4) SELECT n FROM r", "aggregate"),
        ("WITH RECURSIVE r AS (SELECT n FROM r) SELECT n FROM r", "only allowed in the last query of a UNION"),
        ("WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n FROM r JOIN r AS s USING (n)) SELECT n FROM r", "Multiple"),
        ("WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT 2 WHERE EXISTS (SELECT 1 FROM r)) SELECT n FROM r", ""),
        ("SELECT * FROM d.t TABLESAMPLE RESERVOIR (1 ROWS)", "TABLESAMPLE supports only SYSTEM (n PERCENT)"),
        ("SELECT * FROM d.t TABLESAMPLE SYSTEM (1 ROWS)", "TABLESAMPLE supports only SYSTEM (n PERCENT)"),
        ("SELECT * FROM d.t PIVOT (SUM(a), MAX(f) AS m FOR b IN ('x'))", "PIVOT expression must specify an alias unless"),
        ("SELECT DISTINCT JSON '1' AS j, a FROM d.t", "A column of type JSON cannot be used in SELECT DISTINCT"),
        ("SELECT g AS h FROM d.places GROUP BY h", "Grouping by expressions of type GEOGRAPHY is not allowed"),
        ("SELECT j, MAX(a) FROM (SELECT JSON '1' AS j, a FROM d.t) GROUP BY ROLLUP (j)", "expressions of type JSON"),
        ("SELECT j, MAX(a) FROM (SELECT JSON '1' AS j, a FROM d.t) GROUP BY ALL", "expressions of type JSON"),
        ("SELECT COUNT(DISTINCT j) FROM (SELECT JSON '1' AS j)", "DISTINCT cannot be used with arguments of type JSON"),
        ("SELECT RANK() OVER (PARTITION BY TO_JSON(a) ORDER BY a) FROM d.t", "Partitioning by expressions of type JSON"),
        ("SELECT day IN (SELECT b FROM d.u) FROM d.t", "Cannot execute IN subquery with uncomparable types DATE and STRING"),
        ("WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + a FROM r JOIN d.u ON c > n - n) SELECT MAX(n) FROM r",
         "A recursive CTE has reached the maximum number of iterations: 500"),
        ("SELECT COUNT(DISTINCT a, b) FROM d.t", "No matching signature for aggregate function COUNT"),
    ],
)  # fmt: skip
def test_a_clause_that_googlesql_does_not_have_is_refused(world: BigQueryWorld, sql: str, message: str) -> None:
    with pytest.raises(BadRequest) as caught:
        world.rows(sql)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("sql", "place"),
    [
        ("SELECT CAST((SELECT CAST(1 AS INT64)) AS {})", "[1:42]"),
        ("SELECT STRUCT<INT64, b {}>(1, 2)", "[1:24]"),
        ("CREATE TABLE d.x (a INT64, s STRUCT<b ARRAY<{}>>, PRIMARY KEY (a) NOT ENFORCED)", "[1:45]"),
        ("CREATE TABLE d.x (a INT64 DEFAULT 1,\n  b {})", "[2:5]"),
        ("ALTER TABLE d.t ADD COLUMN IF NOT EXISTS x {}", "[1:44]"),
        ("ALTER TABLE d.t ALTER COLUMN a SET DATA TYPE {}", "[1:46]"),
        ("CREATE TEMP FUNCTION f(a ANY TYPE, b {}) AS (a); SELECT f(1, 2)", "[1:38]"),
        ("CREATE FUNCTION d.f(a STRING) RETURNS {} AS (a)", "[1:39]"),
        ("CREATE PROCEDURE d.p(IN a INT64, OUT b {}) BEGIN SELECT 1; END", "[1:40]"),
        ("DECLARE a, b {}; SELECT a", "[1:14]"),
        ("EXECUTE IMMEDIATE 'SELECT CAST(1 AS {})'", "[1:18]"),
    ],
)
@pytest.mark.parametrize("name", ["TEXT", "FOO"])
def test_a_type_that_bigquery_does_not_have_is_not_found(world: BigQueryWorld, sql: str, place: str, name: str) -> None:
    with pytest.raises(BadRequest) as caught:
        world.rows(sql.format(name))
    assert f"Type not found: {name} at {place}" in str(caught.value)


def test_names_like_types_are_names(world: BigQueryWorld) -> None:
    sql = """DECLARE text, foo INT64 DEFAULT 1;
        CREATE TEMP TABLE types (text STRUCT<text INT64, foo ARRAY<STRING>>, foo DATE OPTIONS (description = 'a FOO, b FOO'));
        SELECT STRUCT<text INT64>(text) AS data, CAST(foo < 3 AS STRING) AS type"""
    assert world.rows(sql) == [({"text": 1}, "true")]


def test_a_merge_into_a_table_that_does_not_exist_names_it(world: BigQueryWorld) -> None:
    with pytest.raises(NotFound, match=f"Not found: Table {PROJECT}:d.none was not found in location US"):
        world.rows("MERGE d.none AS n USING d.t ON n.a = t.a WHEN MATCHED THEN DELETE")


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("CREATE TABLE FUNCTION d.f() AS SELECT * FROM d.nope", "d.nope"),
        ("CREATE TABLE FUNCTION d.f(x INT64) AS SELECT nope FROM d.t WHERE a > x", "Unrecognized name: nope"),
        ("CREATE TABLE FUNCTION d.f() AS SELECT * FROM ML.PREDICT(MODEL d.nope, (SELECT 1 AS a))", "d.nope"),
        ("CREATE FUNCTION d.f(x INT64) AS ((SELECT MAX(nope) FROM d.t WHERE a > x))", "Unrecognized name: nope"),
    ],
)
def test_a_function_whose_body_is_wrong_is_not_created(world: BigQueryWorld, sql: str, message: str) -> None:
    with pytest.raises(ClientError) as caught:
        world.rows(sql)
    assert message in str(caught.value)
    assert [routine.routine_id for routine in world.client().list_routines("d")] == []


def test_a_table_function_keeps_the_dataset_of_its_tables(world: BigQueryWorld) -> None:
    config = bigquery.QueryJobConfig(default_dataset=f"{PROJECT}.d")
    world.client().query_and_wait(
        "CREATE TABLE FUNCTION above(x INT64) AS SELECT a FROM t WHERE a > x", job_config=config
    )
    assert world.rows("SELECT a FROM d.above(2)") == [(3,)]
    world.rows("DROP TABLE FUNCTION d.above")


@pytest.mark.parametrize(
    "sql", ["EXECUTE IMMEDIATE 'SELECT ?' USING 1, 2", "BEGIN EXECUTE IMMEDIATE 'SELECT 1' USING 1; END"]
)
def test_values_without_a_place_are_refused(world: BigQueryWorld, sql: str) -> None:
    with pytest.raises(BadRequest, match="Too many positional query parameters"):
        world.rows(sql)


def test_a_dynamic_statement_has_pipe_operators(world: BigQueryWorld) -> None:
    assert world.rows("EXECUTE IMMEDIATE 'FROM d.t |> WHERE a > ? |> SELECT b' USING 2") == [("y",)]
