"""Functions, tables and statements that DuckDB has and BigQuery does not have."""

from __future__ import annotations

from pathlib import Path

import pytest
from google.api_core import exceptions
from google.cloud import bigquery

from tests.localcloud.bigquery.world import PROJECT, BigQueryWorld

TABLE_FUNCTIONS = [
    "read_text('FILE')",
    "`read_text`('FILE')",
    "READ_BLOB('FILE')",
    "read_csv('FILE')",
    "read_csv_auto('FILE')",
    "read_json('FILE')",
    "read_json_auto('FILE')",
    "read_ndjson_objects('FILE')",
    "read_parquet('FILE')",
    "parquet_metadata('FILE')",
    "parquet_scan('FILE')",
    "sniff_csv('FILE')",
    "glob('FILE')",
    "duckdb_tables()",
    "duckdb_settings()",
    "pragma_database_list()",
    "sqlite_scan('FILE', 't')",
    "arrow_scan(1, 2, 3)",
    "query('SELECT 1')",
    "query_table('d.t')",
    "json_execute_serialized_sql('{}')",
    "st_read('FILE')",
    "range(3)",
    "GENERATE_ARRAY(1, 3)",
    "no_such_function(1)",
]
PLACES = [
    "SELECT * FROM {}",
    "SELECT * FROM UNNEST([1]) AS n, {} AS f",
    "SELECT * FROM UNNEST([1]) AS n CROSS JOIN {} AS f",
    "SELECT (SELECT COUNT(*) FROM {})",
    "WITH c AS (SELECT * FROM {}) SELECT * FROM c",
    "FROM {}",
    "CREATE TABLE DATASET.made AS SELECT * FROM {}",
    "CREATE VIEW DATASET.made AS SELECT * FROM {}",
    "INSERT INTO DATASET.titles (title) SELECT 'x' FROM {}",
    "MERGE DATASET.titles USING {} AS f ON FALSE WHEN NOT MATCHED THEN INSERT (title) VALUES ('x')",
]
ONLY_RUN = [
    "DECLARE n INT64; SET n = (SELECT COUNT(*) FROM {})",
    'EXECUTE IMMEDIATE """SELECT * FROM {}"""',
    "CREATE TEMP FUNCTION f() AS ((SELECT COUNT(*) FROM {})); SELECT f()",
    "CREATE OR REPLACE TABLE FUNCTION DATASET.f() AS SELECT * FROM {}",
]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("files") / "x.csv"
    path.write_text("a,b\n1,2\n")
    return path


def error_message(world: BigQueryWorld, sql: str, *, dry_run: bool = False) -> str:
    """Return the message of a statement that must fail as an invalid query."""
    with pytest.raises(exceptions.BadRequest) as failed:
        world.client().query(sql, job_config=bigquery.QueryJobConfig(dry_run=dry_run)).result()
    assert failed.value.errors[0]["reason"] == "invalidQuery"
    return str(failed.value.errors[0]["message"])


@pytest.mark.parametrize("dry_run", [False, pytest.param(True, marks=pytest.mark.matrix)])
@pytest.mark.parametrize("function", TABLE_FUNCTIONS)
def test_a_table_function_that_only_duckdb_has_is_not_found(
    world: BigQueryWorld, file: Path, function: str, dry_run: bool
) -> None:
    message = error_message(world, f"SELECT * FROM {function.replace('FILE', str(file))}", dry_run=dry_run)
    assert message.startswith(f"Table-valued function not found: {function.partition('(')[0].strip('`')}")


@pytest.mark.parametrize("function", ["read_text('FILE')", "glob('FILE')"])
@pytest.mark.parametrize(
    ("statement", "dry_run"),
    [
        *((statement, False) for statement in (*PLACES, *ONLY_RUN)),
        *(pytest.param(statement, True, marks=pytest.mark.matrix) for statement in PLACES),
    ],
)
def test_a_table_function_that_only_duckdb_has_is_not_found_in_any_place(
    world: BigQueryWorld, dataset: str, file: Path, statement: str, dry_run: bool, function: str
) -> None:
    sql = statement.format(function.replace("FILE", str(file))).replace("DATASET", dataset)
    assert f"Table-valued function not found: {function.partition('(')[0]}" in error_message(
        world, sql, dry_run=dry_run
    )


@pytest.mark.parametrize("dry_run", [False, pytest.param(True, marks=pytest.mark.matrix)])
@pytest.mark.parametrize(
    "call",
    [
        "getenv('HOME')",
        "SAFE.getenv('HOME')",
        "`current_setting`('threads')",
        "CURRENT_DATABASE()",
        "read_text('/x')",
        "current_schemas(TRUE)",
        "current_query()",
        "pg_get_viewdef(1)",
        "nextval('x')",
        "json_serialize_sql('x')",
    ],
)
def test_a_scalar_function_that_only_duckdb_has_is_not_found(world: BigQueryWorld, call: str, dry_run: bool) -> None:
    name = call.removeprefix("SAFE.").partition("(")[0].strip("`")
    assert error_message(world, f"SELECT {call}", dry_run=dry_run).startswith(f"Function not found: {name}")


@pytest.mark.parametrize("name", ["duckdb_tables", "sqlite_master", "pragma_database_list", "pg_tables"])
def test_a_system_table_of_duckdb_must_be_qualified(world: BigQueryWorld, name: str) -> None:
    assert (
        error_message(world, f"SELECT * FROM {name}")
        == f'Table "{name}" must be qualified with a dataset (e.g. dataset.table).'
    )


def test_a_variable_of_the_program_is_not_a_table(world: BigQueryWorld) -> None:
    with pytest.raises(exceptions.BadRequest, match='Table "sql" must be qualified with a dataset'):
        world.rows("SELECT * FROM sql")


@pytest.mark.parametrize(
    "statement",
    [
        "COPY (SELECT 1) TO 'FILE'",
        "PRAGMA database_list",
        "VACUUM",
        "CHECKPOINT",
        "USE memory",
        "ATTACH 'FILE'",
        "INSTALL httpfs",
        "LOAD 'FILE'",
        "SHOW TABLES",
        "DESCRIBE SELECT 1",
        "EXPLAIN SELECT 1",
        "SUMMARIZE SELECT 1",
    ],
)
@pytest.mark.parametrize("before", ["", "SELECT 1; "])
def test_a_statement_that_only_duckdb_has_is_rejected(
    world: BigQueryWorld, tmp_path: Path, statement: str, before: str
) -> None:
    file = tmp_path / "written"
    message = error_message(world, before + statement.replace("FILE", str(file)))
    assert message.startswith(("Syntax error: ", "Statement not supported: "))
    assert not file.exists()


def test_a_view_created_by_the_api_cannot_use_functions_of_duckdb(
    world: BigQueryWorld, dataset: str, file: Path
) -> None:
    view = bigquery.Table(f"{PROJECT}.{dataset}.around")
    view.view_query = f"SELECT * FROM read_text('{file}')"
    with pytest.raises(exceptions.BadRequest, match="Table-valued function not found: read_text"):
        world.client().create_table(view)


def test_a_from_clause_accepts_tables_and_functions_of_bigquery(world: BigQueryWorld, dataset: str) -> None:
    world.rows(f"CREATE TABLE FUNCTION {dataset}.below(n INT64) AS SELECT score FROM {dataset}.titles WHERE score < n")
    assert len(world.rows(f"SELECT * FROM {dataset}.below(3)")) == 3
    assert world.rows("SELECT x, n FROM UNNEST(['a']) AS x WITH OFFSET AS n") == [("a", 0)]
    assert world.rows(
        "WITH query AS (SELECT 1 AS n), pg_type AS (SELECT 2 AS n) SELECT query.n, t.n AS m FROM query, pg_type AS t"
    ) == [(1, 2)]
    world.rows(f"CREATE TABLE {dataset}.glob (n INT64)")
    world.rows(f"INSERT INTO {dataset}.glob (n) VALUES (1)")
    assert world.rows(f"SELECT n FROM {dataset}.glob") == [(1,)]
    assert world.rows("SELECT REPEAT('a', 2), RANGE(DATE '2024-01-01', NULL) IS NULL") == [("aa", False)]
