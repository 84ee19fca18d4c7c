"""Query parameters keep their types and names, and script variables are found wherever a statement uses them."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import bigquery
from google.cloud.bigquery import dbapi

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.base.intervals import interval_words
from localcloud.bigquery.sql.values.parameters import Parameters, Value, big_number
from localcloud.bigquery.sql.values.variables import replace_variables
from tests.localcloud.bigquery.world import BigQueryWorld

Scalar = bigquery.ScalarQueryParameter


def run(world: BigQueryWorld, sql: str, *parameters: Any) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Return the types of a query's columns and its rows."""
    config = bigquery.QueryJobConfig(query_parameters=list(parameters))
    result = world.client().query(sql, job_config=config).result()
    return [field.field_type for field in result.schema], [tuple(row) for row in result]


@pytest.mark.parametrize(
    ("kind", "given", "type_name", "value"),
    [
        ("BYTES", b"\xff\x00x", "BYTES", b"\xff\x00x"),
        ("JSON", {"a": [1]}, "JSON", {"a": [1]}),
        ("NUMERIC", Decimal("1.5"), "NUMERIC", Decimal("1.5")),
        ("BIGNUMERIC", Decimal("1.5"), "BIGNUMERIC", Decimal("1.5")),
        ("BIGNUMERIC", None, "BIGNUMERIC", None),
        ("GEOGRAPHY", "POINT(1 2)", "GEOGRAPHY", "POINT(1 2)"),
        ("TIME", dt.time(1, 2, 3), "TIME", dt.time(1, 2, 3)),
        ("DATETIME", dt.datetime(2020, 1, 1), "DATETIME", dt.datetime(2020, 1, 1)),
        ("TIMESTAMP", dt.datetime(2020, 1, 1, tzinfo=dt.UTC), "TIMESTAMP", dt.datetime(2020, 1, 1, tzinfo=dt.UTC)),
        ("FLOAT64", 2.0, "FLOAT", 2.0),
        ("STRING", "@x ? $1", "STRING", "@x ? $1"),
    ],
)
def test_a_parameter_has_its_declared_type(
    world: BigQueryWorld, kind: str, given: Any, type_name: str, value: Any
) -> None:
    types, rows = run(world, "SELECT @p", Scalar("p", kind, given))
    assert types == [type_name]
    assert rows == [(value,)]


def test_a_calculation_with_a_parameter_that_is_null_has_its_type(world: BigQueryWorld) -> None:
    sql = "SELECT @p + 1, ABS(@p), ROUND(@p, 2)"
    assert run(world, sql, Scalar("p", "NUMERIC", None)) == (["NUMERIC"] * 3, [(None, None, None)])


def test_arrays_structs_and_ranges_keep_the_types_of_their_elements(world: BigQueryWorld) -> None:
    sql = "SELECT @days, @bytes, @s.a, (SELECT SUM(x.n) FROM UNNEST(@list) AS x), @r"
    types, rows = run(
        world,
        sql,
        bigquery.ArrayQueryParameter("days", "DATE", []),
        bigquery.ArrayQueryParameter("bytes", "BYTES", [b"x"]),
        bigquery.StructQueryParameter("s", Scalar("a", "NUMERIC", Decimal(1))),
        bigquery.ArrayQueryParameter("list", "RECORD", [bigquery.StructQueryParameter(None, Scalar("n", "INT64", 4))]),
        bigquery.RangeQueryParameter("DATE", start=dt.date(2020, 1, 1), name="r"),
    )
    assert types == ["DATE", "BYTES", "NUMERIC", "INTEGER", "RANGE"]
    assert rows[0][:4] == ([], [b"x"], Decimal(1), 4)
    assert rows[0][4]["start"] == dt.date(2020, 1, 1)


@pytest.mark.parametrize("query", ["SELECT * FROM UNNEST(@rows)", "SELECT a, b FROM UNNEST(@rows)"])
def test_the_fields_of_an_array_of_structs_are_columns(world: BigQueryWorld, query: str) -> None:
    row = bigquery.StructQueryParameter(None, Scalar("a", "INT64", 4), Scalar("b", "STRING", "x"))
    assert run(world, query, bigquery.ArrayQueryParameter("rows", "RECORD", [row]))[1] == [(4, "x")]


def test_names_of_parameters_ignore_case_and_may_be_quoted(world: BigQueryWorld) -> None:
    sql = "SELECT @ABC, @`select`, @`a b`, '@abc', \"@abc\" -- @nothing ?"
    values = [Scalar("abc", "INT64", 1), Scalar("select", "INT64", 2), Scalar("a b", "INT64", 3)]
    assert run(world, sql, *values)[1] == [(1, 2, 3, "@abc", "@abc")]


def test_named_parameters_of_the_database_api_work(world: BigQueryWorld) -> None:
    cursor = dbapi.connect(world.client()).cursor()
    cursor.execute('SELECT %(n)s, %(a "very" weird `name`)s', {"n": 1, 'a "very" weird `name`': True})
    assert [tuple(row) for row in cursor.fetchall()] == [(1, True)]


def test_a_parameter_that_is_not_given_is_named_with_its_place(world: BigQueryWorld) -> None:
    with pytest.raises(exceptions.BadRequest, match=r"Query parameter 'x' not found at \[1:8\]"):
        run(world, "SELECT @x", Scalar("y", "INT64", 1))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([("a", "INT64", "1.5")], "Bad int64 value: 1.5"),
        ([("a", "INT64", "1"), ("A", "INT64", "2")], "Duplicate query parameter name: a"),
    ],
)
def test_parameters_that_would_be_changed_are_refused(
    world: BigQueryWorld, given: list[tuple[str, str, str]], message: str
) -> None:
    parameters = [bigquery.ScalarQueryParameter(*each) for each in given]
    with pytest.raises(exceptions.BadRequest, match=message):
        world.rows("SELECT @a", job_config=bigquery.QueryJobConfig(query_parameters=parameters))


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELECT * FROM @x", "Query parameters cannot be used in place of table names at [1:15]"),
        ("SELECT * FROM d.@x", 'Syntax error: Unexpected "@" at [1:17]'),
        ("CREATE OR REPLACE FUNCTION d.f(a INT64) AS (a + @x)", "cannot be used inside SQL function bodies at [1:49]"),
        ("SELECT 1; CREATE VIEW d.v AS SELECT @x AS x", "cannot be used in the query of a view at [1:37]"),
    ],
)
def test_a_parameter_in_a_place_for_names_is_refused(world: BigQueryWorld, sql: str, message: str) -> None:
    with pytest.raises(exceptions.BadRequest) as caught:
        run(world, sql, Scalar("x", "INT64", 1))
    assert message in str(caught.value)


def test_a_parameter_follows_from_in_a_function(world: BigQueryWorld) -> None:
    sql = "SELECT EXTRACT(WEEK(MONDAY) FROM @x), DATE '2020-01-01' IS DISTINCT FROM @x, WITH(a AS @x, a)"
    day = dt.date(2020, 1, 1)
    assert run(world, sql, Scalar("x", "DATE", day))[1] == [(0, False, day)]


def test_positional_parameters_are_bound_where_they_stand() -> None:
    parameters = Parameters.of([(None, Value(1)), (None, Value("a", "VARCHAR"))])
    assert parameters.named_in("SELECT '?', ?, f(?)") == "SELECT '?', @_p0, f(@_p1)"
    assert parameters.bind("SELECT '$_p0', f($_p1), $_p1, $other") == (
        "SELECT '$_p0', f((CAST($1 AS VARCHAR))), (CAST($1 AS VARCHAR)), $other",
        ["a"],
    )
    with pytest.raises(QueryError, match=r"number 3 is not defined \(2 provided\)"):
        parameters.named_in("SELECT ?, ?, ?")


def test_a_bignumeric_value_that_the_engine_can_not_hold_is_refused_by_name() -> None:
    assert big_number("1.5").type == "DECIMAL(38, 10)"
    assert big_number("9" * 20 + ".5").type == "DECIMAL(38, 10)"
    with pytest.raises(QueryError, match="not supported by the local BigQuery"):
        big_number("9" * 38)


@pytest.mark.parametrize("text", ["1-2 3 4:5:6.5", "P1Y2M3DT4H5M6.5S"])
def test_intervals_are_read_in_both_forms(text: str) -> None:
    assert interval_words(text) == "1 years 2 months 3 days 4 hours 5 minutes 6.5 seconds"


# Variables


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT lo", "SELECT @_v0 AS `lo`"),
        ("SELECT f(LO) + lo AS lo", "SELECT f(@_v0) + @_v0 AS lo"),
        ("SELECT 1 FROM d.t WHERE id >= lo", "SELECT 1 FROM d.t WHERE id >= @_v0"),
        ("SELECT 1 FROM d.has_lo WHERE id >= lo", "SELECT 1 FROM d.has_lo WHERE id >= lo"),
        ("SELECT lo FROM (SELECT 1 AS lo)", "SELECT lo FROM (SELECT 1 AS lo)"),
        ("SELECT id AS lo FROM d.t ORDER BY lo", "SELECT id AS lo FROM d.t ORDER BY lo"),
        ("WITH lo AS (SELECT 1 AS x) SELECT lo.x FROM lo", "WITH lo AS (SELECT 1 AS x) SELECT lo.x FROM lo"),
        ("UPDATE d.t SET lo = lo WHERE TRUE", "UPDATE d.t SET lo = @_v0 WHERE TRUE"),
        ("INSERT INTO d.has_lo (lo) VALUES (lo)", "INSERT INTO d.has_lo (lo) VALUES (@_v0)"),
        ("SELECT 'lo', x FROM UNNEST([lo]) AS x", "SELECT 'lo', x FROM UNNEST([@_v0]) AS x"),
        ("SELECT lo FROM UNNEST([1]) AS lo", "SELECT lo FROM UNNEST([1]) AS lo"),
    ],
)
def test_a_variable_is_replaced_unless_a_column_has_its_name(sql: str, expected: str) -> None:
    columns = {"has_lo": {"id", "lo"}, "t": {"id"}}
    replaced, used = replace_variables(sql, {"lo": "lo"}, lambda table: columns[table.name])
    assert replaced == expected
    assert used == ({"_v0": "lo"} if "@_v0" in expected else {})


@pytest.mark.parametrize(
    ("script", "rows"),
    [
        ("DECLARE n INT64; EXECUTE IMMEDIATE 'SELECT @a + @b' INTO n USING 2 AS a, 3 AS b; SELECT n", [(5,)]),
        ("DECLARE n INT64; EXECUTE IMMEDIATE 'SELECT ? - ?' INTO n USING 2, 3; SELECT n", [(-1,)]),
        ("DECLARE a, B INT64; SET (a, b) = (SELECT AS STRUCT 1, 2); SELECT A, b", [(1, 2)]),
        ("DECLARE a, b INT64; SET (a, b) = (1, 2); SELECT a, b", [(1, 2)]),
        ("DECLARE f FLOAT64 DEFAULT 5; SELECT f / 2", [(2.5,)]),
        ("DECLARE s STRUCT<a INT64, b STRING> DEFAULT (1, 'x'); SELECT b, a FROM (SELECT s.a, s.b)", [("x", 1)]),
        ("DECLARE s STRUCT<a INT64, b STRING> DEFAULT (1, 'x'); SELECT b FROM (SELECT s.* EXCEPT (a))", [("x",)]),
        ("CREATE TEMP TABLE t (a INT64, b ARRAY<INT64>); FOR r IN (SELECT 1 AS a, [2] AS b) DO INSERT t SELECT r.*; END FOR; "
         "SELECT b, a FROM t", [([2], 1)]),
        ("DECLARE n NUMERIC; CREATE TEMP TABLE t AS SELECT n * 2 AS x; INSERT t VALUES (1.25); SELECT MAX(x) FROM t",
         [(Decimal("1.25"),)]),
        ("DECLARE d DATE DEFAULT '2026-01-31'; DECLARE n INT64 DEFAULT 1; SELECT d + n, n + d, d - n * 2",
         [(dt.date(2026, 2, 1), dt.date(2026, 2, 1), dt.date(2026, 1, 29))]),
        ("DECLARE j JSON DEFAULT JSON '{\"a\": 1}'; SELECT JSON_VALUE(j, '$.a')", [("1",)]),
        ("DECLARE d ARRAY<DATE>; SELECT ARRAY_LENGTH(d) IS NULL", [(True,)]),
        ("CREATE TEMP FUNCTION second(v ANY TYPE) AS (v[OFFSET(1)]); SELECT second([1, 2])", [(2,)]),
        ("DECLARE x INT64 DEFAULT 1; BEGIN DECLARE x INT64 DEFAULT 2; SELECT x; END", [(2,)]),
        ("DECLARE t STRING DEFAULT ''; FOR r IN (SELECT 'a' AS s UNION ALL SELECT 'b' ORDER BY s) DO "
         "SET t = CONCAT(t, r.s); END FOR; SELECT t", [("ab",)]),
    ],
)  # fmt: skip
def test_scripts_find_their_variables(world: BigQueryWorld, script: str, rows: list[tuple[Any, ...]]) -> None:
    assert world.rows(script) == rows


def test_a_script_has_the_parameters_of_its_job(world: BigQueryWorld) -> None:
    assert run(world, "DECLARE x INT64 DEFAULT @p; SELECT x + @p", Scalar("p", "INT64", 4))[1] == [(8,)]


def test_dynamic_statements_define_tables_for_later_ones(world: BigQueryWorld, dataset: str) -> None:
    world.rows(f"EXECUTE IMMEDIATE 'CREATE TABLE {dataset}.dynamic (id INT64)'")
    world.rows(f"EXECUTE IMMEDIATE 'INSERT INTO {dataset}.dynamic VALUES (@id)' USING 7 AS id")
    assert world.client().get_table(f"{dataset}.dynamic").schema[0].name == "id"
    assert world.rows(f"SELECT id FROM {dataset}.dynamic") == [(7,)]
