"""SQL reaches only what BigQuery has: no path is a table, and no function, type or schema of DuckDB has a name."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.api_core import exceptions
from google.cloud import bigquery

from tests.localcloud.bigquery.world import PROJECT, BigQueryWorld, bigquery_world

SECRET = "the content of a file"

# A DuckDB function of each kind: of files, settings, the catalog, SQL as a value, and plain ones.
FOREIGN_CALLS = [
    "read_text('FILE')",
    "`read_csv`('FILE')",
    "glob('FILE')",
    "sniff_csv('FILE')",
    "st_read('FILE')",
    "duckdb_settings()",
    "pragma_table_info('t')",
    "query('SELECT 1')",
    "query_table('t')",
    "sql_auto_complete('SELECT')",
    "summary('t')",
    "main.read_csv('FILE')",
    "system.main.read_parquet('FILE')",
    "enable_logging('x')",
    "list_sum([1])",
    "pg_typeof(1)",
    "current_setting('threads')",
    "getenv('HOME')",
]
PLACES = [
    "SELECT * FROM {}",
    "SELECT * FROM {} TABLESAMPLE SYSTEM (10 PERCENT)",
    "SELECT * FROM DATASET.titles TABLESAMPLE SYSTEM (10 PERCENT), {}",
    "SELECT * FROM DATASET.titles AS t TABLESAMPLE SYSTEM (10 PERCENT) CROSS JOIN {} AS f",
    "SELECT * FROM DATASET.titles LEFT JOIN {} AS f ON TRUE",
    "SELECT * FROM UNNEST({})",
    "SELECT * FROM UNNEST([1]) AS n, UNNEST((SELECT ARRAY_AGG(f) FROM {} AS f))",
    "SELECT {}",
    "SELECT title FROM DATASET.titles WHERE EXISTS (SELECT 1 FROM {})",
    "SELECT title FROM DATASET.titles ORDER BY {}",
    "SELECT COUNT(*) OVER (PARTITION BY {}) FROM DATASET.titles",
    "SELECT AVG({}) FROM DATASET.titles",
    "FROM {} |> SELECT *",
    "FROM DATASET.titles |> WHERE {} |> SELECT title",
    "SELECT * FROM (SELECT 1 AS x) PIVOT (MAX({}) FOR x IN (1))",
    "WITH c AS (SELECT {}) SELECT * FROM c",
    "SELECT 1 UNION ALL SELECT {}",
]

# Names that are paths, alone or after DuckDB has put the project and the dataset together.
PATHS = [
    "`FOLDER/a`.b.csv",
    "`FOLDER/a.b.csv`",
    "`FOLDER/*`.b.csv",
    "`FOLDER`.`a`.csv",
    "`FOLDER/a.csv`",
    "`file://FOLDER/a.csv`",
    "DATASET.`FOLDER/a.csv`",
    "DATASET.`../../FOLDER/a.csv`",
    "`local-project`.DATASET.`FOLDER/b.json`",
    "`FOLDER/*.b.csv`",
    "`FOLDER/a.b.csv$20240101`",
    "`https://127.0.0.1:1/a`.b.csv",
    "`s3://bucket/a`.b.csv",
    '`a"`.`b`.`c`',
]
READS = [
    "SELECT * FROM {}",
    "SELECT (SELECT MAX(k) FROM {})",
    "WITH c AS (SELECT * FROM {}) SELECT * FROM c",
    "SELECT * FROM {} FOR SYSTEM_TIME AS OF TIMESTAMP '2026-01-01'",
    "CREATE OR REPLACE TABLE DATASET.copied AS SELECT * FROM {}",
    "CREATE OR REPLACE VIEW DATASET.around AS SELECT * FROM {}",
    "CREATE OR REPLACE TABLE FUNCTION DATASET.around() AS SELECT * FROM {}",
    "INSERT INTO {} (k) VALUES ('x')",
    "DELETE FROM {} WHERE TRUE",
    "MERGE DATASET.titles USING {} AS f ON FALSE WHEN NOT MATCHED THEN INSERT (title) VALUES (f.k)",
    "CREATE TABLE {} (k STRING)",
    "CREATE TABLE DATASET.cloned CLONE {}",
    "DECLARE x STRING DEFAULT (SELECT MAX(k) FROM {})",
    'EXECUTE IMMEDIATE """SELECT * FROM {}"""',
]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BigQueryWorld]:
    with bigquery_world(tmp_path_factory.mktemp("storage")) as running:
        yield running


@pytest.fixture(scope="module")
def dataset(world: BigQueryWorld) -> str:
    return world.dataset()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with files under the names to which DuckDB completes a table's name."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "a__b.csv").write_text(f"k\n{SECRET}\n")
    (folder / "a.csv").write_text(f"k\n{SECRET}\n")
    (folder / "b.json").write_text(f'{{"k": "{SECRET}"}}\n')
    return folder


def outcome(world: BigQueryWorld, sql: str, *, dry_run: bool = False) -> str:
    """Return the rows of a query, or its error, as one text."""
    config = bigquery.QueryJobConfig(dry_run=dry_run)
    try:
        return str([tuple(row) for row in world.client().query(sql, job_config=config, job_retry=None).result()])
    except exceptions.GoogleAPICallError as error:
        return f"{error.errors[0]['reason']}: {error.errors[0]['message']}"


@pytest.mark.parametrize(("statement", "table"), [*((s, PATHS[0]) for s in READS), *((READS[0], p) for p in PATHS[1:])])
def test_a_table_name_that_is_a_path_reads_no_file(
    world: BigQueryWorld, dataset: str, folder: Path, statement: str, table: str
) -> None:
    before = {path: path.read_bytes() for path in folder.iterdir()}
    sql = statement.format(table).replace("FOLDER", str(folder)).replace("DATASET", dataset)
    found = outcome(world, sql)
    assert SECRET not in found
    assert found.startswith(("invalid: ", "invalidQuery: ", "notFound: ")) or "TABLE FUNCTION" in statement, found
    assert SECRET not in outcome(world, f"SELECT * FROM {dataset}.around")
    assert SECRET not in outcome(world, f"SELECT * FROM {dataset}.around()")
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.matrix
def test_no_statement_reads_a_file_by_any_path(world: BigQueryWorld, dataset: str, folder: Path) -> None:
    for statement, table in itertools.product(READS, PATHS):
        test_a_table_name_that_is_a_path_reads_no_file(world, dataset, folder, statement, table)


def test_a_table_name_that_is_a_path_is_an_invalid_project(world: BigQueryWorld) -> None:
    assert outcome(world, "SELECT * FROM `/tmp/a`.b.csv").startswith("invalid: Invalid project ID '/tmp/a'.")
    assert outcome(world, "SELECT * FROM d.`/tmp/a`").startswith('invalid: Invalid table ID "/tmp/a".')


@pytest.mark.parametrize("table", ["../a", 'a" AS SELECT 1 --', "a/b", "", "a\0b", "x" * 1025])
def test_a_destination_whose_id_is_not_valid_is_rejected(world: BigQueryWorld, dataset: str, table: str) -> None:
    reference = {"projectId": PROJECT, "datasetId": dataset, "tableId": table}
    for configuration in (
        {"query": {"query": "SELECT 1 AS x", "useLegacySql": False, "destinationTable": reference}},
        {"load": {"sourceUris": ["gs://transfers/a.csv"], "destinationTable": reference}},
    ):
        created = world.call("POST", "/jobs", json={"configuration": configuration})
        body = created.json()
        failure = body.get("error") or _wait(world, body)["status"]["errorResult"]
        assert "table ID" in failure["message"] or "destination table" in failure["message"], failure


def _wait(world: BigQueryWorld, body: dict[str, dict[str, str]]) -> dict[str, dict[str, dict[str, str]]]:
    job = world.client().get_job(body["jobReference"]["jobId"], location=body["jobReference"]["location"])
    job.exception()
    answer: dict[str, dict[str, dict[str, str]]] = world.call("GET", f"/jobs/{job.job_id}").json()
    return answer


@pytest.mark.parametrize("call", FOREIGN_CALLS)
def test_a_function_that_bigquery_does_not_have_is_not_found_in_any_place(
    world: BigQueryWorld, dataset: str, folder: Path, call: str
) -> None:
    wrong = []
    for place in PLACES:
        sql = place.replace("{}", call).replace("FILE", str(folder / "a.csv")).replace("DATASET", dataset)
        found = outcome(world, sql, dry_run=True)
        if SECRET in found or "not found" not in found:
            wrong.append((sql, found))
    assert not wrong


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT ('threads').current_setting()",
        "SELECT (1).pg_typeof()",
        "SELECT title FROM DATASET.titles WHERE (title).regexp_full_match('x')",
        "SELECT [1].list_sum()",
        "SELECT SAFE.current_setting('threads')",
        "CREATE FUNCTION DATASET.f() AS (current_setting('threads'))",
        "CREATE TEMP FUNCTION f() AS (current_setting('threads')); SELECT f()",
        "CREATE PROCEDURE DATASET.f() BEGIN SELECT current_setting('threads'); END",
        "DECLARE x STRING DEFAULT current_setting('threads')",
        "BEGIN SELECT current_setting('threads'); EXCEPTION WHEN ERROR THEN SELECT 1; END",
        "EXECUTE IMMEDIATE \"SELECT current_setting('threads')\"",
        "ASSERT current_setting('threads') = '2'",
        "EXPORT DATA OPTIONS (uri = 'gs://transfers/x', format = 'CSV') AS SELECT current_setting('threads')",
        "SELECT bqemu_sha512('x')",
        "SELECT _element([1], 0)",
    ],
)
def test_a_function_of_duckdb_is_not_found_in_scripts_and_routines(
    world: BigQueryWorld, dataset: str, sql: str
) -> None:
    found = outcome(world, sql.replace("DATASET", dataset))
    assert found.startswith("invalidQuery: Function not found: "), found


def test_a_routine_of_the_api_cannot_use_functions_of_duckdb(world: BigQueryWorld, dataset: str) -> None:
    body = {
        "routineReference": {"projectId": PROJECT, "datasetId": dataset, "routineId": "by_api"},
        "routineType": "SCALAR_FUNCTION",
        "language": "SQL",
        "definitionBody": "current_setting('threads')",
    }
    created = world.call("POST", f"/datasets/{dataset}/routines", json=body)
    assert "Function not found: current_setting" in created.text
    assert "not found" in outcome(world, f"SELECT {dataset}.by_api()")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT CAST(1 AS HUGEINT)",
        "SELECT SAFE_CAST('x' AS UUID)",
        "SELECT CAST('x' AS VARCHAR)",
        "CREATE TABLE DATASET.typed (x HUGEINT)",
        "DECLARE x UUID",
    ],
)
def test_a_type_that_bigquery_does_not_have_is_not_found(world: BigQueryWorld, dataset: str, sql: str) -> None:
    assert outcome(world, sql.replace("DATASET", dataset)).startswith("invalidQuery: Type not found: ")


@pytest.mark.parametrize(
    "table",
    [
        "_bqemulator_catalog.tables",
        "`_bqemulator_catalog.tables`",
        "`memory`._bqemulator_catalog.tables",
        "_bqemulator_snapshots.x",
        "_localcloud.changed_by",
    ],
)
def test_the_schemas_behind_the_datasets_are_not_found(world: BigQueryWorld, table: str) -> None:
    assert "not found" in outcome(world, f"SELECT * FROM {table}").lower()


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT UPPER('a'), `UPPER`('a'), SAFE.SUBSTR('a', 1), FARM_FINGERPRINT('a'), IF(TRUE, 1, 2), ('a').UPPER()",
        "SELECT CAST('a' AS STRING(10)), SAFE_CAST('1' AS NUMERIC(10, 2)), STRUCT<x INT64, y ARRAY<STRING>>(1, ['a'])",
        "SELECT COUNT(*) FROM UNNEST(GENERATE_ARRAY(1, 3)) AS n WHERE n IN (1, 2) GROUP BY ROLLUP (n)",
        "SELECT * FROM (SELECT 1 AS x, 'a' AS y) PIVOT (COUNT(*) FOR y IN ('a', 'b'))",
        "WITH a AS (SELECT 1 AS x) SELECT a.x FROM a JOIN a AS b USING (x) WINDOW w AS (ORDER BY x)",
        "CREATE TEMP FUNCTION twice(x INT64) AS (x * 2); EXECUTE IMMEDIATE 'SELECT twice(2)'",
        "CREATE OR REPLACE FUNCTION DATASET.glob(x INT64) AS (x + 1); SELECT DATASET.glob(1)",
        "SELECT `local-project.DATASET.glob`(1), `local-project`.DATASET.glob(1)",
        "CREATE OR REPLACE TABLE FUNCTION DATASET.numbers(n INT64) AS SELECT n AS n; SELECT * FROM DATASET.numbers(3)",
        "INSERT DATASET.titles (title) VALUES ('x')",
        "BEGIN (SELECT 1); END",
    ],
)
def test_what_bigquery_has_is_accepted(world: BigQueryWorld, dataset: str, sql: str) -> None:
    assert outcome(world, sql.replace("DATASET", dataset)).startswith("[")
