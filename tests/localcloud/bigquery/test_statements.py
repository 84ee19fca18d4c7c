"""Query jobs with each kind of statement."""

from __future__ import annotations

import pytest
from google.api_core import exceptions
from google.cloud import bigquery

from tests.localcloud.bigquery.world import PROJECT, BigQueryWorld


def run(world: BigQueryWorld, sql: str, **options: object) -> bigquery.QueryJob:
    """Run a query and return its job."""
    job = world.client().query(sql, job_config=bigquery.QueryJobConfig(**options))
    job.result()
    return job


def test_columns_without_a_name_have_the_names_of_bigquery(world: BigQueryWorld) -> None:
    rows = list(world.client().query_and_wait("SELECT 1, 'x' AS named, 2 + 3, COUNT(*) FROM UNNEST([1])"))
    assert list(rows[0].keys()) == ["f0_", "named", "f1_", "f2_"]


def test_named_and_positional_parameters(world: BigQueryWorld, dataset: str) -> None:
    named = [
        bigquery.ScalarQueryParameter("least", "INT64", 97),
        bigquery.ArrayQueryParameter("titles", "STRING", ["title 98", "title 1"]),
    ]
    sql = f"SELECT score FROM {dataset}.titles WHERE score > @least AND title IN UNNEST(@titles)"
    assert [tuple(row) for row in run(world, sql, query_parameters=named).result()] == [(98,)]
    positional = [bigquery.ScalarQueryParameter(None, "INT64", 5), bigquery.ScalarQueryParameter(None, "STRING", "a")]
    assert [tuple(row) for row in run(world, "SELECT ? * 2, ?", query_parameters=positional).result()] == [(10, "a")]


def test_parameters_in_a_query_with_a_destination(world: BigQueryWorld, dataset: str) -> None:
    parameters = [bigquery.ScalarQueryParameter("most", "INT64", 4)]
    sql = f"SELECT score FROM {dataset}.titles WHERE score < @most"
    run(world, sql, query_parameters=parameters, destination=f"{PROJECT}.{dataset}.few")
    assert world.rows(f"SELECT COUNT(*) FROM {dataset}.few") == [(4,)]


def test_names_without_a_dataset_are_in_the_default_dataset(world: BigQueryWorld, dataset: str) -> None:
    sql = "WITH high AS (SELECT * FROM titles WHERE score >= 98) SELECT COUNT(*) FROM high JOIN titles USING (score)"
    job = run(world, sql, default_dataset=f"{PROJECT}.{dataset}")
    assert [tuple(row) for row in job.result()] == [(2,)]
    run(
        world,
        "CREATE TABLE made AS SELECT 1 AS x; INSERT INTO made (x) VALUES (2);",
        default_dataset=f"{PROJECT}.{dataset}",
    )
    assert world.rows(f"SELECT SUM(x) FROM {dataset}.made") == [(3,)]


def test_create_table_as_reports_operation_and_target(world: BigQueryWorld, dataset: str) -> None:
    sql = f"CREATE TABLE {dataset}.made AS SELECT title, score FROM {dataset}.titles"
    job = run(world, sql)
    assert job.statement_type == "CREATE_TABLE_AS_SELECT"
    assert job.ddl_operation_performed == "CREATE"
    assert job.ddl_target_table.table_id == "made"
    assert world.client().get_table(f"{dataset}.made").num_rows == 100
    assert run(world, sql.replace("CREATE TABLE", "CREATE OR REPLACE TABLE")).ddl_operation_performed == "REPLACE"
    assert run(world, sql.replace("CREATE TABLE", "CREATE TABLE IF NOT EXISTS")).ddl_operation_performed == "SKIP"
    with pytest.raises(exceptions.Conflict, match=f"Already Exists: Table {PROJECT}:{dataset}.made"):
        run(world, sql)


def test_create_table_as_keeps_description_and_partitioning(world: BigQueryWorld, dataset: str) -> None:
    run(
        world,
        f"CREATE TABLE {dataset}.made PARTITION BY day OPTIONS(description='a table by day') AS "
        "SELECT DATE '2024-01-01' AS day, 1 AS x",
    )
    table = world.client().get_table(f"{dataset}.made")
    assert table.description == "a table by day"
    assert table.time_partitioning.field == "day"
    assert [field.field_type for field in table.schema] == ["DATE", "INTEGER"]


def test_a_table_with_columns_is_created_and_dropped(world: BigQueryWorld, dataset: str) -> None:
    run(world, f"CREATE TABLE {dataset}.made (a INT64 NOT NULL, b ARRAY<STRING>, c STRUCT<x FLOAT64, y DATE>)")
    schema = {
        field.name: (field.field_type, field.mode) for field in world.client().get_table(f"{dataset}.made").schema
    }
    assert schema == {"a": ("INTEGER", "REQUIRED"), "b": ("STRING", "REPEATED"), "c": ("RECORD", "NULLABLE")}
    job = run(world, f"DROP TABLE {dataset}.made")
    assert (job.statement_type, job.ddl_operation_performed) == ("DROP_TABLE", "DROP")
    with pytest.raises(exceptions.NotFound):
        world.client().get_table(f"{dataset}.made")


def test_alter_table_changes_the_catalog(world: BigQueryWorld, dataset: str) -> None:
    run(world, f"ALTER TABLE {dataset}.titles ADD COLUMN extra FLOAT64")
    assert [field.name for field in world.client().get_table(f"{dataset}.titles").schema] == ["title", "score", "extra"]


def test_dml_reports_the_number_of_changed_rows(world: BigQueryWorld, dataset: str) -> None:
    insert = run(world, f"INSERT INTO {dataset}.titles (title, score) VALUES ('a', 1000), ('b', 1001)")
    assert insert.num_dml_affected_rows == 2
    assert insert.dml_stats.inserted_row_count == 2
    assert run(world, f"UPDATE {dataset}.titles SET score = 0 WHERE score >= 1000").num_dml_affected_rows == 2
    delete = run(world, f"DELETE FROM {dataset}.titles WHERE score = 0")
    assert delete.num_dml_affected_rows == 3
    assert delete.statement_type == "DELETE"
    assert world.client().get_table(f"{dataset}.titles").num_rows == 99


def test_system_variables_have_the_values_of_the_job(world: BigQueryWorld) -> None:
    variables = "@@project_id, @@dataset_id, @@DATASET_PROJECT_ID, @@time_zone, '@@project_id'"
    sql = f"SELECT {variables}, @@session.user = SESSION_USER()"
    assert world.rows(sql) == [(PROJECT, None, PROJECT, "UTC", "@@project_id", True)]
    assert world.rows(f"DECLARE p STRING DEFAULT @@project_id; {sql}, p")[0][-1] == PROJECT


def test_a_table_that_exists_is_not_created_and_the_schema_is_that_of_the_statement(
    world: BigQueryWorld, dataset: str
) -> None:
    world.rows(f"CREATE OR REPLACE TABLE {dataset}.there (n INT64)")
    job = run(world, f"CREATE TABLE IF NOT EXISTS {dataset}.there (n INT64, Name STRING(9), tags ARRAY<STRING>)")
    schema = [(field.name, field.field_type, field.mode) for field in job.result().schema]
    assert schema == [("n", "INTEGER", "NULLABLE"), ("Name", "STRING", "NULLABLE"), ("tags", "STRING", "REPEATED")]
    assert job.ddl_operation_performed == "SKIP"
    assert [field.name for field in world.client().get_table(f"{dataset}.there").schema] == ["n"]


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE {0} WHERE n < 3",
        "-- without FROM\nDELETE `{0}` AS x WHERE x.n IN (1, 2)",
        "DECLARE least INT64 DEFAULT 3; DELETE {0} t WHERE t.n < least",
        "BEGIN TRANSACTION; DELETE {0} WHERE n < 3; COMMIT TRANSACTION",
    ],
)
def test_a_delete_needs_no_from(world: BigQueryWorld, dataset: str, sql: str) -> None:
    table = f"{dataset}.numbers"
    world.rows(f"CREATE OR REPLACE TABLE {table} AS SELECT n FROM UNNEST([1, 2, 3]) AS n")
    world.rows(sql.format(table))
    assert world.rows(f"SELECT n FROM {table}") == [(3,)]


@pytest.mark.parametrize("tail", [";", "; -- the end", " /* the end */ ;\n# again"])
def test_what_follows_a_statement_changes_nothing(world: BigQueryWorld, dataset: str, tail: str) -> None:
    run(world, f"CREATE TABLE {dataset}.n (id INT64) AS SELECT * FROM UNNEST([1, 2]) AS id{tail}")
    assert run(world, f"INSERT INTO {dataset}.n (id) SELECT 3{tail}").num_dml_affected_rows == 1
    run(world, f"SELECT 4 AS id{tail}", destination=f"{PROJECT}.{dataset}.n", write_disposition="WRITE_APPEND")
    assert world.rows(f"SELECT id FROM {dataset}.n ORDER BY id{tail}") == [(1,), (2,), (3,), (4,)]


def test_merge_updates_and_inserts_rows(world: BigQueryWorld, dataset: str) -> None:
    job = run(
        world,
        f"MERGE {dataset}.titles AS target "
        "USING (SELECT 'title 1' AS title, -1 AS score UNION ALL SELECT 'new', 7) AS source "
        "ON target.title = source.title "
        "WHEN MATCHED THEN UPDATE SET score = source.score "
        "WHEN NOT MATCHED THEN INSERT (title, score) VALUES (source.title, source.score)",
    )
    assert job.num_dml_affected_rows == 2
    rows = world.rows(f"SELECT title, score FROM {dataset}.titles WHERE title IN ('title 1', 'new') ORDER BY title")
    assert rows == [("new", 7), ("title 1", -1)]


def test_a_script_returns_the_rows_of_its_last_statement(world: BigQueryWorld, dataset: str) -> None:
    job = run(
        world,
        f"""
        DECLARE wanted INT64 DEFAULT 95;
        CREATE TEMP TABLE high AS SELECT title, score FROM {dataset}.titles WHERE score > wanted;
        CREATE TABLE {dataset}.kept AS SELECT SUM(score) AS total FROM high;
        SELECT COUNT(*) AS n FROM high;
        """,
    )
    assert job.statement_type == "SCRIPT"
    assert [tuple(row) for row in job.result()] == [(4,)]
    assert world.client().get_table(f"{dataset}.kept").schema[0].field_type == "INTEGER"
    with pytest.raises(exceptions.BadRequest, match='Table "high" must be qualified'):
        world.rows("SELECT * FROM high")


def test_a_view_has_its_query_and_reads_its_table(world: BigQueryWorld, dataset: str) -> None:
    job = run(world, f"CREATE VIEW {dataset}.high AS SELECT title FROM {dataset}.titles WHERE score > 97")
    assert (job.statement_type, job.ddl_operation_performed) == ("CREATE_VIEW", "CREATE")
    view = world.client().get_table(f"{dataset}.high")
    assert view.table_type == "VIEW"
    assert "WHERE score > 97" in view.view_query
    assert world.rows(f"SELECT * FROM {dataset}.high ORDER BY title") == [("title 98",), ("title 99",)]


def test_functions_and_procedures_can_be_called(world: BigQueryWorld, dataset: str) -> None:
    run(world, f"CREATE FUNCTION {dataset}.twice(x INT64) RETURNS INT64 AS (x * 2)")
    assert world.rows(f"SELECT {dataset}.twice(21)") == [(42,)]
    run(world, f"CREATE PROCEDURE {dataset}.add_one() BEGIN INSERT INTO {dataset}.titles (title) VALUES ('x'); END")
    run(world, f"CALL {dataset}.add_one()")
    assert world.client().get_table(f"{dataset}.titles").num_rows == 101


def test_a_schema_is_created_and_dropped_by_sql(world: BigQueryWorld) -> None:
    run(world, "CREATE SCHEMA made_by_sql")
    run(world, "CREATE TABLE made_by_sql.t AS SELECT 1 AS x")
    assert world.client().get_dataset("made_by_sql").location == "US"
    with pytest.raises(exceptions.BadRequest, match="still in use"):
        run(world, "DROP SCHEMA made_by_sql")
    run(world, "DROP SCHEMA made_by_sql CASCADE")
    with pytest.raises(exceptions.NotFound):
        world.client().get_dataset("made_by_sql")


def test_set_operations_and_ctes_have_the_type_select(world: BigQueryWorld, dataset: str) -> None:
    job = run(world, "(SELECT 1 AS x) UNION ALL SELECT 2 ORDER BY x", destination=f"{PROJECT}.{dataset}.both")
    assert job.statement_type == "SELECT"
    assert world.rows(f"SELECT x FROM {dataset}.both ORDER BY x") == [(1,), (2,)]
    job = run(world, "WITH a AS (SELECT 1 AS x) SELECT x + 1 AS y FROM a")
    assert job.statement_type == "SELECT"
    assert [tuple(row) for row in job.result()] == [(2,)]


@pytest.mark.parametrize(
    ("sql", "kind", "message"),
    [
        ("SELEC 1", exceptions.BadRequest, "Syntax error"),
        ("SELECT 'open", exceptions.BadRequest, "Syntax error: Unclosed string literal"),
        ("SELECT * FROM {d}.missing", exceptions.NotFound, r"Not found: Table local-project:\S+.missing was not found"),
        ("SELECT * FROM unqualified", exceptions.BadRequest, "must be qualified with a dataset"),
        ("SELECT 1 / 0", exceptions.BadRequest, "division by zero"),
        ("DROP TABLE {d}.missing", exceptions.NotFound, "Not found"),
        ("INSERT INTO {d}.missing (x) VALUES (1)", exceptions.NotFound, "Not found: Table"),
    ],
)
def test_a_failed_statement_has_the_exception_and_message_of_bigquery(
    world: BigQueryWorld, dataset: str, sql: str, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        run(world, sql.replace("{d}", dataset))


def test_session_user_is_the_caller(world: BigQueryWorld) -> None:
    assert world.rows("SELECT SESSION_USER()") == [(f"local-sa@{PROJECT}.iam.gserviceaccount.com",)]


def test_a_star_leaves_out_the_suffix_of_tables_with_a_wildcard(world: BigQueryWorld, dataset: str) -> None:
    for day in ("01", "02"):
        run(world, f"CREATE TABLE {dataset}.day_{day} AS SELECT {day} AS n")
    rows = world.client().query_and_wait(f"SELECT * FROM `{dataset}.day_*` WHERE _TABLE_SUFFIX > '01'")
    assert [dict(row) for row in rows] == [{"n": 2}]
    rows = world.client().query_and_wait(f"SELECT d.*, _TABLE_SUFFIX AS s FROM `{dataset}.day_*` AS d ORDER BY n")
    assert [dict(row) for row in rows] == [{"n": 1, "s": "01"}, {"n": 2, "s": "02"}]


def test_time_travel_reads_the_rows_of_a_time_in_a_variable(world: BigQueryWorld, dataset: str) -> None:
    table = f"{dataset}.titles"
    run(world, f"UPDATE {table} SET score = 1 WHERE TRUE")
    run(world, f"CREATE SNAPSHOT TABLE {dataset}.saved CLONE {table}")
    script = (
        f"DECLARE before TIMESTAMP DEFAULT CURRENT_TIMESTAMP(); DELETE {table} WHERE TRUE; "
        f"SELECT (SELECT COUNT(*) FROM {table}), (SELECT SUM(score) FROM {table} FOR SYSTEM_TIME AS OF before)"
    )
    assert world.rows(script) == [(0, 100)]


def test_time_travel_does_not_return_overwritten_rows(world: BigQueryWorld, dataset: str) -> None:
    run(world, f"INSERT INTO {dataset}.titles (title, score) VALUES ('a', 1000)")
    run(world, "SELECT 1 AS x", destination=f"{PROJECT}.{dataset}.titles", write_disposition="WRITE_TRUNCATE")
    assert world.rows(f"SELECT x FROM {dataset}.titles FOR SYSTEM_TIME AS OF CURRENT_TIMESTAMP()") == [(1,)]
