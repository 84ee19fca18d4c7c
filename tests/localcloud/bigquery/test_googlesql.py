"""GoogleSQL whose meaning DuckDB does not have, or has otherwise."""

from __future__ import annotations

from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import bigquery

from localcloud.bigquery.base.schema import marked_name, plain_name, unique_names
from localcloud.bigquery.sql.reading.draft import Draft
from localcloud.bigquery.sql.reading.names import unnest_paths
from localcloud.bigquery.sql.reading.statement import read_statement
from localcloud.bigquery.sql.structs.fields import name_fields
from tests.localcloud.bigquery.world import BUCKET, PROJECT, BigQueryWorld


def records(world: BigQueryWorld, sql: str) -> list[dict[str, Any]]:
    """Return the rows of a query, with the names of its columns."""
    return [dict(row.items()) for row in world.client().query_and_wait(sql)]


NAN = "(SELECT CAST('nan' AS FLOAT64) AS x, 1 AS id UNION ALL SELECT 1.5, 2)"
SALES = "(SELECT 'a' AS g, 1 AS k, 5 AS v UNION ALL SELECT 'a', 2, 7 UNION ALL SELECT 'b', 1, 1)"


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("SELECT 1 AS a, 2 AS a, 3 AS A", [{"a": 1, "a_1": 2, "A_2": 3}]),
        ("SELECT * FROM (SELECT 1 AS id), (SELECT 2 AS id)", [{"id": 1, "id_1": 2}]),
        ("SELECT (x) FROM (SELECT 1 AS x)", [{"x": 1}]),
        ("SELECT DISTINCT(x) FROM (SELECT 1 AS x)", [{"x": 1}]),
        (
            f"SELECT * FROM {SALES} PIVOT (SUM(v) AS s, COUNT(*) AS c FOR k IN (1, 2 AS two)) ORDER BY g",
            [
                {"g": "a", "s_1": 5, "c_1": 1, "s_two": 7, "c_two": 1},
                {"g": "b", "s_1": 1, "c_1": 1, "s_two": None, "c_two": 0},
            ],
        ),
        (
            "SELECT * FROM (SELECT 1 AS a, 2 AS b) UNPIVOT (v FOR k IN (a, b)) WHERE v > 1 UNION ALL SELECT 3, 'c' ORDER BY v",
            [{"v": 2, "k": "b"}, {"v": 3, "k": "c"}],
        ),
        (f"SELECT * FROM (SELECT k, v FROM {SALES}) PIVOT (SUM(v) FOR k IN (1, -2))", [{"_1": 6, "minus_2": None}]),
        ("SELECT GENERATE_ARRAY(0, 1, 0.5) AS f, GENERATE_ARRAY(5, 1, -2) AS i", [{"f": [0, 0.5, 1], "i": [5, 3, 1]}]),
        (
            "SELECT x, x * 2 AS y FROM UNNEST([1, 3, 2]) AS x QUALIFY ROW_NUMBER() OVER (ORDER BY y DESC) = 1",
            [{"x": 3, "y": 6}],
        ),
        ("SELECT ARRAY_AGG(DISTINCT x IGNORE NULLS ORDER BY x) AS a FROM UNNEST([2, NULL, 1, 2]) AS x", [{"a": [1, 2]}]),
        ("SELECT DIV(-7, 2) AS d, MOD(-7, 2) AS m, DIV(7, 2) AS e", [{"d": -3, "m": -1, "e": 3}]),
        ("SELECT ARRAY_AGG(STRUCT(t.id, n)) AS a FROM (SELECT 1 AS id, 'x' AS n) AS t", [{"a": [{"id": 1, "n": "x"}]}]),
        ("SELECT TO_JSON_STRING(STRUCT(id, id + 1 AS m)) AS j FROM (SELECT 1 AS id)", [{"j": '{"id":1,"m":2}'}]),
        ("SELECT SUM(id) AS i, MIN(a) AS a FROM UNNEST([STRUCT(1 AS id, 2.0 AS a), (2, 1.0)])", [{"i": 3, "a": 1.0}]),
        ("SELECT JSON_EXTRACT_ARRAY('[1, 2]') AS a", [{"a": ["1", "2"]}]),
        ("SELECT (1, 'x') AS s", [{"s": {"_field_1": 1, "_field_2": "x"}}]),
        ("SELECT [(1, 2), (3, 4)] AS a", [{"a": [{"_field_1": 1, "_field_2": 2}, {"_field_1": 3, "_field_2": 4}]}]),
        ("SELECT (1, 2) IN ((1, 2), (3, 4)) AS b", [{"b": True}]),
        # STRUCTs correspond by position, and the first one has the names.
        ("SELECT NULL s UNION ALL (SELECT STRUCT(1 AS a, STRUCT(2 AS p, 3 AS q) AS b) UNION ALL SELECT STRUCT(4, (5, 6)))",
            [{"s": None}, {"s": {"a": 1, "b": {"p": 2, "q": 3}}}, {"s": {"a": 4, "b": {"p": 5, "q": 6}}}]),
        ("SELECT 'b' AS x UNION ALL SELECT 'A' ORDER BY LOWER(x)", [{"x": "A"}, {"x": "b"}]),
        ("WITH w AS (SELECT 1 AS n) SELECT n FROM w UNION ALL SELECT 5 ORDER BY n * -1 LIMIT 1", [{"n": 5}]),
        ("SELECT * FROM (SELECT STRUCT(1 AS a) AS s UNION ALL SELECT STRUCT(2) ORDER BY s.a DESC LIMIT 1)", [{"s": {"a": 2}}]),
        ("SELECT STRUCT(1 AS a) AS s UNION ALL SELECT t FROM (SELECT STRUCT(2 AS b) AS t)", [{"s": {"a": 1}}, {"s": {"a": 2}}]),
        ("SELECT s FROM (SELECT STRUCT(1 AS a) AS s) INTERSECT DISTINCT SELECT STRUCT(1 AS x)", [{"s": {"a": 1}}]),
        ("SELECT ARRAY(SELECT AS STRUCT 1 a) AS l UNION ALL SELECT [STRUCT(2 AS b)]", [{"l": [{"a": 1}]}, {"l": [{"a": 2}]}]),
        ("SELECT STRUCT(1, 2) AS s UNION ALL SELECT (3, 4)",
            [{"s": {"_field_1": 1, "_field_2": 2}}, {"s": {"_field_1": 3, "_field_2": 4}}]),
        ("SELECT IF(FALSE, STRUCT(1 AS a), STRUCT(2 AS b)) AS i, [STRUCT(1 AS a), STRUCT(2 AS b)] AS l, "
            "CASE WHEN FALSE THEN NULL WHEN FALSE THEN STRUCT(1 AS a) ELSE STRUCT(2 AS b) END c, IFNULL(s, STRUCT(2 AS b)) n "
            "FROM (SELECT STRUCT(3 AS d) AS s)", [{"i": {"a": 2}, "l": [{"a": 1}, {"a": 2}], "c": {"a": 2}, "n": {"d": 3}}]),
        ("SELECT STRUCT(1 AS a, 'u' AS b) = STRUCT(1 AS x, 'u' AS y) AS e, s != STRUCT(2 AS c) AS n, STRUCT(2 AS c) IN (s) i "
            "FROM (SELECT STRUCT(2 AS a) AS s)", [{"e": True, "n": False, "i": True}]),
        ("SELECT (1, x) IN ((1, 2), (2, 3)) AS a, STRUCT(1, x) NOT IN UNNEST([(1, 2)]) AS b, (1, x) IN ((2, 3)) AS c "
            "FROM (SELECT CAST(NULL AS INT64) AS x)", [{"a": None, "b": None, "c": False}]),
        # Names that are there several times, and not ambiguous.
        ("WITH a AS (SELECT 1 AS x), b AS (SELECT 1 AS x, 2 AS y) SELECT x, y FROM (SELECT * FROM a JOIN b USING (x))",
            [{"x": 1, "y": 2}]),
        ("SELECT 3 AS x FROM (SELECT * EXCEPT (y), 1 AS y FROM (SELECT 1 AS x, 2 AS x, 3 AS y)) ORDER BY x, y", [{"x": 3}]),
        # The fields of a value table are columns.
        ("SELECT AS VALUE STRUCT(1 AS a, 2)", [{"a": 1, "f0_": 2}]),
        ("SELECT AS VALUE x + 1 FROM UNNEST([1, 2]) AS x ORDER BY x DESC", [{"f0_": 3}, {"f0_": 2}]),
        ("SELECT AS VALUE ANY_VALUE(t) FROM (SELECT 1 AS id, 2 AS n) AS t GROUP BY id", [{"id": 1, "n": 2}]),
        ("SELECT AS STRUCT 1 AS a, 2 UNION ALL SELECT AS STRUCT 3, 4 AS b", [{"a": 1, "f0_": 2}, {"a": 3, "f0_": 4}]),
        ("SELECT t.a, t, ARRAY(SELECT AS VALUE STRUCT(3 AS c)) AS l FROM (SELECT AS VALUE STRUCT(1 AS a, 2 AS b)) AS t",
            [{"a": 1, "t": {"a": 1, "b": 2}, "l": [{"c": 3}]}]),
        ("WITH w AS (SELECT AS VALUE ARRAY_AGG(t LIMIT 1)[OFFSET(0)] FROM (SELECT 1 id) AS t) SELECT id FROM w", [{"id": 1}]),
        (f"SELECT id FROM {NAN} WHERE x > 0.5 OR x >= 1 OR -1 < x", [{"id": 2}]),
        (f"SELECT COUNT(*) AS n FROM {NAN} WHERE NOT x < 0", [{"n": 2}]),
        (
            "SELECT i, e FROM (SELECT [7, 8] AS x) AS p, p.x AS e WITH OFFSET AS i ORDER BY i",
            [{"i": 0, "e": 7}, {"i": 1, "e": 8}],
        ),
    ],
)  # fmt: skip
def test_the_result_is_bigquerys(world: BigQueryWorld, sql: str, rows: list[dict[str, Any]]) -> None:
    assert records(world, sql) == rows


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELECT 1 / 0", "division by zero: 1 / 0"),
        ("SELECT MOD(1, 0)", r"division by zero: MOD\(1, 0\)"),
        ("SELECT DIV(1, 0)", r"division by zero: DIV\(1, 0\)"),
        ("SELECT 5 % 2", 'Illegal input character "%"'),
        ("SELECT 'abc", r"Unclosed string literal at \[1:8\]"),
        ("SELECT GENERATE_ARRAY(0, 1, 0.0)", "Sequence step cannot be 0"),
    ],
)
def test_the_error_is_bigquerys(world: BigQueryWorld, sql: str, message: str) -> None:
    with pytest.raises(exceptions.BadRequest, match=message):
        world.rows(sql)


def test_a_table_of_two_columns_with_the_same_name_is_refused(world: BigQueryWorld, dataset: str) -> None:
    with pytest.raises(exceptions.BadRequest, match="CREATE TABLE has columns with duplicate name id"):
        world.rows(f"CREATE TABLE {dataset}.twice AS SELECT * FROM (SELECT 1 AS id), (SELECT 2 AS id)")


def test_lists_of_columns_give_the_names(world: BigQueryWorld, dataset: str) -> None:
    world.rows(f"CREATE VIEW {dataset}.named (a, b) AS SELECT 1, 2")
    world.rows(f"CREATE TABLE {dataset}.listed (id FLOAT64) AS SELECT * FROM UNNEST([1, 2]) AS x")
    assert records(world, f"SELECT * FROM {dataset}.named") == [{"a": 1, "b": 2}]
    assert records(world, f"SELECT SUM(id) AS s FROM {dataset}.listed") == [{"s": 3.0}]
    with pytest.raises(exceptions.BadRequest, match="does not match the number of columns"):
        world.rows(f"CREATE VIEW {dataset}.wrong (a) AS SELECT 1, 2")


def test_a_renamed_table_keeps_its_rows(world: BigQueryWorld, dataset: str) -> None:
    world.rows(f"CREATE TABLE {dataset}.before AS SELECT 1 AS id")
    world.rows(f"ALTER TABLE {dataset}.before RENAME TO after")
    assert world.rows(f"SELECT id FROM {dataset}.after") == [(1,)]
    assert {table.table_id for table in world.client().list_tables(dataset)} & {"before", "after"} == {"after"}
    world.rows(f"CREATE TABLE {dataset}.before AS SELECT 2 AS id")
    with pytest.raises(exceptions.Conflict, match="Already Exists"):
        world.rows(f"ALTER TABLE {dataset}.before RENAME TO after")


def test_definitions_return_the_schema_and_the_operation(world: BigQueryWorld, dataset: str) -> None:
    client = world.client()
    created = client.query(f"CREATE TABLE {dataset}.described AS SELECT 1 AS id, 'x' AS n")
    assert [field.name for field in created.result().schema] == ["id", "n"]
    for statement, operation in (("CREATE FUNCTION", "CREATE"), ("CREATE OR REPLACE FUNCTION", "REPLACE")):
        job = client.query(f"{statement} {dataset}.plus(x INT64) AS (x + 1)")
        job.result()
        assert (job.statement_type, job.ddl_operation_performed) == ("CREATE_FUNCTION", operation)
        assert job.ddl_target_routine.routine_id == "plus"
    procedure = client.query(f"CREATE PROCEDURE {dataset}.nothing() BEGIN SELECT 1; END")
    procedure.result()
    assert procedure.statement_type == "SCRIPT"


def test_dry_runs_return_the_schema_of_the_table(world: BigQueryWorld, dataset: str) -> None:
    def schema(sql: str) -> list[tuple[str, str]]:
        job = world.client().query(sql, job_config=bigquery.QueryJobConfig(dry_run=True))
        return [(field.name, field.field_type) for field in job.schema]

    assert schema(f"CREATE TABLE {dataset}.dry (id INT64, n STRING)") == [("id", "INTEGER"), ("n", "STRING")]
    assert schema(f"INSERT INTO {dataset}.titles (title) VALUES ('x')") == [("title", "STRING"), ("score", "INTEGER")]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"clustering_fields": ["nope"]}, "clustering cannot be found in the schema. Invalid field: nope"),
        ({"clustering_fields": ["j"]}, "Field j has type JSON, which is not supported for clustering"),
        ({"clustering_fields": list("abcde")}, "at most 4 fields, and not by 5"),
        (
            {"time_partitioning": bigquery.TimePartitioning(field="d", type_="HOUR")},
            "can only be of type TIMESTAMP or DATETIME",
        ),
        ({"time_partitioning": bigquery.TimePartitioning(field="nope")}, "partitioning cannot be found in the schema"),
    ],
)
def test_a_layout_by_a_missing_column_or_one_of_another_type_is_refused(
    world: BigQueryWorld, dataset: str, options: dict[str, Any], message: str
) -> None:
    config = bigquery.QueryJobConfig(destination=f"{PROJECT}.{dataset}.layout", **options)
    with pytest.raises(exceptions.BadRequest, match=message):
        world.client().query("SELECT 1 AS id, JSON '1' AS j, DATE '2020-01-01' AS d", job_config=config).result()


def test_a_query_that_adds_columns_is_refused_in_its_own_words(world: BigQueryWorld, dataset: str) -> None:
    world.rows(f"CREATE TABLE {dataset}.narrow (id INT64)")
    config = bigquery.QueryJobConfig(destination=f"{PROJECT}.{dataset}.narrow", write_disposition="WRITE_APPEND")
    with pytest.raises(exceptions.BadRequest, match=r"Invalid schema update. Cannot add fields \(field: shape\)"):
        world.client().query("SELECT 1 AS id, 'x' AS shape", job_config=config).result()


def test_a_table_of_an_unknown_project_may_not_be_read(world: BigQueryWorld) -> None:
    with pytest.raises(exceptions.Forbidden, match=r"Access Denied: Table nobody:d\.t: User"):
        world.rows("SELECT * FROM `nobody.d.t`")


def test_row_access_policies_know_the_caller_that_a_request_names(world: BigQueryWorld, dataset: str) -> None:
    def ids(*groups: str) -> list[str]:
        headers = {"X-Bqemu-Caller": "user:a@example.com", "X-Bqemu-Groups": ",".join(groups)}
        body = {"query": f"SELECT id FROM {dataset}.guarded ORDER BY id", "useLegacySql": False}
        rows = world.call("POST", "/queries", json=body, headers=headers).json().get("rows", [])
        return [row["f"][0]["v"] for row in rows]

    create = f"CREATE TABLE {dataset}.guarded AS SELECT 1 AS id UNION ALL SELECT 2"
    world.rows(create)
    for name, member, row in (("one", "user:a@example.com", 1), ("two", "group:g@example.com", 2)):
        world.rows(
            f"CREATE ROW ACCESS POLICY {name} ON {dataset}.guarded GRANT TO ('{member}') FILTER USING (id = {row})"
        )
    assert ids() == ["1"]
    assert ids("g@example.com") == ["1", "2"]
    assert world.rows(f"SELECT id FROM {dataset}.guarded") == []
    world.rows(f"DROP TABLE {dataset}.guarded")
    world.rows(create)
    assert world.rows(f"SELECT COUNT(*) FROM {dataset}.guarded") == [(2,)]


@pytest.mark.parametrize("shape", ["{}", "BEGIN {}; END"])
def test_row_access_policies_are_created_replaced_and_dropped(world: BigQueryWorld, dataset: str, shape: str) -> None:
    table = f"{dataset}.kept"
    world.rows(f"CREATE TABLE {table} AS SELECT 1 AS id UNION ALL SELECT 2")

    def ids(change: str) -> list[int]:
        world.client().query_and_wait(shape.format(change))
        return [row.id for row in world.client().query_and_wait(f"SELECT id FROM {table} ORDER BY id")]

    everybody = f"ON {table} GRANT TO ('user:a@example.com', 'allAuthenticatedUsers') FILTER USING (id = %s)"
    assert ids(f"CREATE ROW ACCESS POLICY one {everybody % 1}") == [1]
    assert ids(f"CREATE ROW ACCESS POLICY IF NOT EXISTS one {everybody % 2}") == [1]
    assert ids(f"CREATE OR REPLACE ROW ACCESS POLICY one {everybody % 2}") == [2]
    assert ids(f"ALTER TABLE {table} ADD COLUMN n INT64") == [2]
    assert ids(f"CREATE ROW ACCESS POLICY two ON {table} FILTER USING (id IN (1, 3))") == [1, 2]
    assert ids(f"DROP ROW ACCESS POLICY IF EXISTS none ON {table}") == [1, 2]
    assert ids(f"DROP ROW ACCESS POLICY one ON {table}") == [1]
    assert ids(f"DROP ALL ROW ACCESS POLICIES ON {table}") == [1, 2]
    for wrong, message in (
        (f"DROP ROW ACCESS POLICY one ON {table}", "Not found: Row access policy one"),
        (f"CREATE ROW ACCESS POLICY one ON {table} FILTER USING (missing = 1)", "Unrecognized name: missing"),
        (f"CREATE ROW ACCESS POLICY one ON {dataset}.nowhere FILTER USING (TRUE)", "Not found: Table"),
        (f"CREATE ROW ACCESS POLICY one ON {table} GRANT TO ('somebody') FILTER USING (TRUE)", "somebody"),
    ):
        with pytest.raises(exceptions.GoogleAPICallError, match=message):
            ids(wrong)


def test_operations_other_than_queries_need_access_to_all_rows(world: BigQueryWorld, dataset: str) -> None:
    client, table = world.client(), f"{PROJECT}.{dataset}.partly"
    world.rows(f"CREATE TABLE {dataset}.partly AS SELECT 1 AS id UNION ALL SELECT 2")
    grant = f"CREATE ROW ACCESS POLICY %s ON {dataset}.partly GRANT TO ('allAuthenticatedUsers') FILTER USING (%s)"
    world.rows(grant % ("some", "id = 1"))
    assert world.rows(f"SELECT id FROM {dataset}.partly") == [(1,)]
    with pytest.raises(exceptions.Forbidden, match="row access policies"):
        list(client.list_rows(table))
    with pytest.raises(exceptions.Forbidden, match="row access policies"):
        client.copy_table(table, f"{table}_copy").result()
    with pytest.raises(exceptions.GoogleAPICallError, match="row access policies"):
        client.extract_table(table, f"gs://{BUCKET}/partly.csv").result()
    world.rows(grant % ("all_rows", "TRUE"))
    assert sorted(row.id for row in client.list_rows(table)) == [1, 2]


def test_merge_inserts_whole_rows(world: BigQueryWorld, dataset: str) -> None:
    world.rows(f"CREATE TABLE {dataset}.merged (id INT64, n STRING)")
    source = "(SELECT 1 AS id, 'x' AS n)"
    merge = f"MERGE {dataset}.merged AS t USING {source} AS s ON t.id = s.id WHEN NOT MATCHED THEN INSERT ROW"
    world.rows(merge)
    world.rows(merge)
    assert world.rows(f"SELECT * FROM {dataset}.merged") == [(1, "x")]


# Texts


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT STRUCT(a.b, c AS d, 1)", "SELECT STRUCT(a.b AS `b`, c AS d, 1 AS `_field_3`)"),
        ("SELECT STRUCT(1, 2)", "SELECT STRUCT(1, 2)"),
        ("SELECT STRUCT(a) = STRUCT(b)", "SELECT STRUCT(a) = STRUCT(b)"),
        ("INSERT INTO t SELECT STRUCT(a, b)", "INSERT INTO t SELECT STRUCT(a, b)"),
        ("SELECT STRUCT(a) UNION ALL SELECT STRUCT(b)", "SELECT STRUCT(a AS `a`) UNION ALL SELECT STRUCT(b AS `b`)"),
        ("SELECT [STRUCT(1 AS a), STRUCT(b), (2)]", "SELECT [STRUCT(1 AS a), STRUCT(b AS `a`), STRUCT(2 AS `a`)]"),
        ("SELECT 'STRUCT(a)'", "SELECT 'STRUCT(a)'"),
    ],
)
def test_fields_have_the_names_of_their_columns(sql: str, expected: str) -> None:
    draft = Draft(sql)
    name_fields(draft)
    assert draft.text == expected


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("FROM t, t.a WITH OFFSET", "FROM t, UNNEST(t.a) WITH OFFSET"),
        ("FROM t JOIN t.a.b AS e WITH OFFSET AS i", "FROM t JOIN UNNEST(t.a.b) AS e WITH OFFSET AS i"),
        ("FROM t, UNNEST(t.a) e WITH OFFSET", "FROM t, UNNEST(t.a) e WITH OFFSET"),
    ],
)
def test_arrays_with_offsets_need_no_unnest(sql: str, expected: str) -> None:
    assert unnest_paths(f"SELECT 1 {sql}") == f"SELECT 1 {expected}"


def test_the_names_of_a_result_are_unique() -> None:
    assert unique_names(["id", "id_1", "ID", "id"]) == ["id", "id_1", "ID_2", "id_3"]
    marked = marked_name("label", ["Label"])
    assert marked != "label"
    assert plain_name(marked) == "label"
    assert unique_names(["label", marked]) == ["label", "label_1"]


@pytest.mark.parametrize(
    ("sql", "tables"),
    [
        ("WITH t AS (SELECT * FROM t) SELECT * FROM t, u", {25: "t", 45: "u"}),
        ("WITH a AS (SELECT * FROM b), b AS (SELECT * FROM a) SELECT * FROM b", {25: "b"}),
        ("WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n FROM t) SELECT * FROM t", {}),
        ("SELECT * FROM (WITH t AS (SELECT 1) SELECT * FROM t), t", {54: "t"}),
    ],
)
def test_a_name_is_that_of_a_table_where_no_common_table_is_in_scope(sql: str, tables: dict[int, str]) -> None:
    assert {name.start: name.name for name in read_statement(sql, project="p").unqualified} == tables
