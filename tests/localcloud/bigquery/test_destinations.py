"""Destination tables: dispositions, schemas, transactions, concurrent writes."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from google.api_core import exceptions
from google.cloud import bigquery

from tests.localcloud.bigquery.world import ENDLESS, PROJECT, BigQueryWorld
from tests.waiting import wait_until


def write(world: BigQueryWorld, sql: str, table: str, **options: object) -> bigquery.QueryJob:
    """Write the rows of a query to a table."""
    config = bigquery.QueryJobConfig(destination=f"{PROJECT}.{table}", **options)
    job = world.client().query(sql, job_config=config)
    job.result()
    return job


def test_a_new_table_is_in_the_api_and_in_the_information_schema(world: BigQueryWorld, dataset: str) -> None:
    job = write(world, f"SELECT title, score FROM {dataset}.titles WHERE score < 10", f"{dataset}.out")
    table = world.client().get_table(f"{dataset}.out")
    assert [(field.name, field.field_type) for field in table.schema] == [("title", "STRING"), ("score", "INTEGER")]
    assert table.num_rows == 10
    assert table.num_bytes == 10 * 8 + 10 * (2 + len("title 0"))
    assert table.location == "US"
    assert len(list(world.client().list_rows(f"{dataset}.out"))) == 10
    assert world.rows(f"SELECT MAX(score) FROM {dataset}.out") == [(9,)]
    listed = world.rows(f"SELECT table_name FROM {dataset}.INFORMATION_SCHEMA.TABLES ORDER BY table_name")
    in_region = (
        f"SELECT table_name FROM `region-us`.INFORMATION_SCHEMA.TABLES WHERE table_schema = '{dataset}' ORDER BY 1"
    )
    assert world.rows(in_region) == listed
    with pytest.raises(
        exceptions.MethodNotImplemented, match="OBJECT_PRIVILEGES is not supported by the local BigQuery"
    ):
        world.rows("SELECT * FROM `region-us`.INFORMATION_SCHEMA.OBJECT_PRIVILEGES")
    assert listed == [("out",), ("titles",)]
    columns = world.rows(
        f"SELECT column_name, data_type FROM {dataset}.INFORMATION_SCHEMA.COLUMNS "
        "WHERE table_name = 'out' ORDER BY ordinal_position"
    )
    assert columns == [("title", "STRING"), ("score", "INT64")]
    assert job.query_plan[-1].records_written == 10
    assert job.destination.table_id == "out"
    assert job.result().total_rows == 10


def test_a_table_keeps_values_of_every_type(world: BigQueryWorld, dataset: str) -> None:
    sql = """
        SELECT 1 AS i, 1.5 AS f, TRUE AS b, 'x' AS s, b'abc' AS y, NUMERIC '1.25' AS n, DATE '2024-02-03' AS d,
          TIME '01:02:03' AS t, DATETIME '2024-02-03 01:02:03' AS dt, TIMESTAMP '2024-02-03 01:02:03.5 UTC' AS ts,
          JSON '{"a": 1}' AS j, [1, 2] AS a, STRUCT(1 AS x, 'y' AS z) AS r, [STRUCT(1 AS x)] AS ra,
          CAST(NULL AS STRING) AS nothing"""
    direct = world.rows(sql)
    write(world, sql, f"{dataset}.types")
    assert [tuple(row) for row in world.client().list_rows(f"{dataset}.types")] == direct
    assert world.rows(f"SELECT * FROM {dataset}.types") == direct
    schema = {
        field.name: (field.field_type, field.mode) for field in world.client().get_table(f"{dataset}.types").schema
    }
    assert schema["i"] == ("INTEGER", "NULLABLE")
    assert schema["j"] == ("JSON", "NULLABLE")
    assert schema["a"] == ("INTEGER", "REPEATED")
    assert schema["ra"] == ("RECORD", "REPEATED")
    assert schema["ts"] == ("TIMESTAMP", "NULLABLE")
    assert schema["dt"] == ("DATETIME", "NULLABLE")


def test_a_sum_of_integers_is_written_as_an_integer(world: BigQueryWorld, dataset: str) -> None:
    write(world, f"SELECT SUM(score), COUNT(*) FROM {dataset}.titles", f"{dataset}.sums")
    fields = world.client().get_table(f"{dataset}.sums").schema
    assert [(field.name, field.field_type) for field in fields] == [("f0_", "INTEGER"), ("f1_", "INTEGER")]
    assert world.rows(f"SELECT f0_, f1_ FROM {dataset}.sums") == [(4950, 100)]


def test_write_empty_is_the_default_and_rejects_a_table_with_rows(world: BigQueryWorld, dataset: str) -> None:
    write(world, "SELECT 1 AS x", f"{dataset}.out")
    with pytest.raises(exceptions.Conflict) as failed:
        write(world, "SELECT 2 AS x", f"{dataset}.out")
    assert f"Already Exists: Table {PROJECT}:{dataset}.out" in str(failed.value)
    assert world.rows(f"SELECT x FROM {dataset}.out") == [(1,)]


def test_write_empty_fills_an_empty_table(world: BigQueryWorld, dataset: str) -> None:
    schema = [bigquery.SchemaField("x", "INTEGER")]
    world.client().create_table(bigquery.Table(f"{PROJECT}.{dataset}.out", schema=schema))
    write(world, "SELECT 1 AS x", f"{dataset}.out")
    assert world.rows(f"SELECT x FROM {dataset}.out") == [(1,)]


def test_truncate_replaces_rows_and_schema(world: BigQueryWorld, dataset: str) -> None:
    write(world, "SELECT 1 AS x", f"{dataset}.out")
    write(world, "SELECT 'a' AS name, 2.5 AS y", f"{dataset}.out", write_disposition="WRITE_TRUNCATE")
    assert [field.name for field in world.client().get_table(f"{dataset}.out").schema] == ["name", "y"]
    assert world.rows(f"SELECT * FROM {dataset}.out") == [("a", 2.5)]


def test_truncate_data_replaces_rows_and_keeps_the_schema(world: BigQueryWorld, dataset: str) -> None:
    write(world, "SELECT 1 AS x, 'a' AS name", f"{dataset}.out")
    write(world, "SELECT 2 AS x", f"{dataset}.out", write_disposition="WRITE_TRUNCATE_DATA")
    assert world.rows(f"SELECT x, name FROM {dataset}.out") == [(2, None)]
    with pytest.raises(exceptions.BadRequest, match="Cannot add fields"):
        write(world, "SELECT 3 AS z", f"{dataset}.out", write_disposition="WRITE_TRUNCATE_DATA")
    assert world.rows(f"SELECT x FROM {dataset}.out") == [(2,)]


def test_append_matches_columns_by_name(world: BigQueryWorld, dataset: str) -> None:
    write(world, "SELECT 1 AS x, 'a' AS name", f"{dataset}.out")
    job = write(world, "SELECT 'b' AS name, 2 AS x", f"{dataset}.out", write_disposition="WRITE_APPEND")
    assert world.rows(f"SELECT x, name FROM {dataset}.out ORDER BY x") == [(1, "a"), (2, "b")]
    assert job.query_plan[-1].records_written == 1


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELECT 1 AS x, 2 AS more", r"Cannot add fields \(field: more\)"),
        ("SELECT 'text' AS x", "Field x has changed type from INTEGER to STRING"),
        ("SELECT [1] AS x", "Field x has changed mode from NULLABLE to REPEATED"),
    ],
)
def test_append_rejects_another_schema(world: BigQueryWorld, dataset: str, sql: str, message: str) -> None:
    write(world, "SELECT 1 AS x", f"{dataset}.out")
    with pytest.raises(exceptions.BadRequest, match=message):
        write(world, sql, f"{dataset}.out", write_disposition="WRITE_APPEND")
    assert world.rows(f"SELECT * FROM {dataset}.out") == [(1,)]


def test_append_adds_a_column_if_field_addition_is_allowed(world: BigQueryWorld, dataset: str) -> None:
    write(world, "SELECT 1 AS x", f"{dataset}.out")
    options = {"write_disposition": "WRITE_APPEND", "schema_update_options": ["ALLOW_FIELD_ADDITION"]}
    write(world, "SELECT 2 AS x, 'new' AS more", f"{dataset}.out", **options)
    assert world.rows(f"SELECT x, more FROM {dataset}.out ORDER BY x") == [(1, None), (2, "new")]
    assert [field.name for field in world.client().get_table(f"{dataset}.out").schema] == ["x", "more"]


def test_append_relaxes_a_required_column_if_field_relaxation_is_allowed(world: BigQueryWorld, dataset: str) -> None:
    schema = [bigquery.SchemaField("x", "INTEGER", mode="REQUIRED")]
    world.client().create_table(bigquery.Table(f"{PROJECT}.{dataset}.out", schema=schema))
    with pytest.raises(exceptions.BadRequest, match="has changed mode from REQUIRED to NULLABLE"):
        write(world, "SELECT 1 AS x", f"{dataset}.out", write_disposition="WRITE_APPEND")
    options = {"write_disposition": "WRITE_APPEND", "schema_update_options": ["ALLOW_FIELD_RELAXATION"]}
    write(world, "SELECT 1 AS x", f"{dataset}.out", **options)
    assert world.client().get_table(f"{dataset}.out").schema[0].mode == "NULLABLE"


def test_schema_updates_without_append_are_rejected(world: BigQueryWorld, dataset: str) -> None:
    options = {"write_disposition": "WRITE_TRUNCATE", "schema_update_options": ["ALLOW_FIELD_ADDITION"]}
    with pytest.raises(exceptions.BadRequest, match="only be specified with WRITE_APPEND"):
        write(world, "SELECT 1 AS x", f"{dataset}.out", **options)


def test_create_never_rejects_a_missing_table(world: BigQueryWorld, dataset: str) -> None:
    with pytest.raises(exceptions.NotFound, match=f"Not found: Table {PROJECT}:{dataset}.out"):
        write(world, "SELECT 1 AS x", f"{dataset}.out", create_disposition="CREATE_NEVER")


def test_a_destination_in_a_missing_dataset_is_not_found(world: BigQueryWorld) -> None:
    with pytest.raises(exceptions.NotFound, match=f"Not found: Dataset {PROJECT}:nowhere"):
        write(world, "SELECT 1 AS x", "nowhere.out")


def test_two_columns_of_the_same_name_are_rejected(world: BigQueryWorld, dataset: str) -> None:
    with pytest.raises(exceptions.BadRequest, match="Duplicate column names in the result"):
        write(world, "SELECT 1 AS x, 2 AS x", f"{dataset}.out")


def test_writing_to_a_partition_of_a_new_table_creates_the_table(world: BigQueryWorld, dataset: str) -> None:
    write(world, "SELECT 1 AS x", f"{dataset}.out$20240101")
    assert world.rows(f"SELECT x, FORMAT_DATE('%F', _PARTITIONDATE) FROM {dataset}.out") == [(1, "2024-01-01")]


@pytest.mark.parametrize("disposition", ["WRITE_TRUNCATE", "WRITE_TRUNCATE_DATA", "WRITE_APPEND"])
def test_a_job_that_fails_while_it_writes_does_not_change_its_destination(
    world: BigQueryWorld, dataset: str, disposition: str
) -> None:
    write(world, "SELECT 1 AS x", f"{dataset}.out")
    sql = "SELECT 10 / IF(number = 90000, 0, 1) AS x FROM UNNEST(GENERATE_ARRAY(1, 100000)) AS number"
    sql = f"SELECT CAST(x AS INT64) AS x FROM ({sql})"
    with pytest.raises(exceptions.BadRequest, match="division by zero"):
        write(world, sql, f"{dataset}.out", write_disposition=disposition)
    assert world.rows(f"SELECT x FROM {dataset}.out") == [(1,)]
    assert world.client().get_table(f"{dataset}.out").num_rows == 1


@pytest.mark.parametrize("disposition", ["WRITE_TRUNCATE", "WRITE_TRUNCATE_DATA", "WRITE_APPEND"])
def test_a_cancelled_job_does_not_change_its_destination(world: BigQueryWorld, dataset: str, disposition: str) -> None:
    write(world, "SELECT 1 AS n", f"{dataset}.out")
    config = bigquery.QueryJobConfig(destination=f"{PROJECT}.{dataset}.out", write_disposition=disposition)
    client = world.client()
    job = client.query(ENDLESS, job_config=config)
    wait_until(lambda: client.get_job(job.job_id).state == "RUNNING")
    job.cancel()
    wait_until(lambda: client.get_job(job.job_id).state == "DONE")
    assert world.rows(f"SELECT n FROM {dataset}.out") == [(1,)]


def test_a_failed_job_creates_no_table(world: BigQueryWorld, dataset: str) -> None:
    with pytest.raises(exceptions.BadRequest):
        write(world, f"SELECT 1 / (score - score) AS x FROM {dataset}.titles", f"{dataset}.out")
    with pytest.raises(exceptions.NotFound):
        world.client().get_table(f"{dataset}.out")


@pytest.mark.long
def test_concurrent_writes_to_one_table_are_all_kept(world: BigQueryWorld, dataset: str) -> None:
    write(world, "SELECT -1 AS x", f"{dataset}.out")

    def append(number: int) -> None:
        write(world, f"SELECT {number} AS x", f"{dataset}.out", write_disposition="WRITE_APPEND")

    def insert(number: int) -> None:
        world.rows(f"INSERT INTO {dataset}.out (x) VALUES ({number})")

    def update(number: int) -> None:
        world.rows(f"UPDATE {dataset}.out SET x = x WHERE x = {number}")

    with ThreadPoolExecutor(12) as pool:
        for work in [append, insert, update]:
            list(pool.map(work, range(12)))
        list(pool.map(lambda n: (append, insert, update)[n % 3](100 + n), range(36)))
    rows = world.rows(f"SELECT COUNT(*), COUNT(DISTINCT x) FROM {dataset}.out")
    assert rows == [(1 + 24 + 24, 1 + 12 + 24)]


def test_concurrent_scripts_on_one_table_do_not_conflict(world: BigQueryWorld, dataset: str) -> None:
    world.rows(f"CREATE TABLE {dataset}.counter AS SELECT 0 AS n")
    script = f"BEGIN UPDATE {dataset}.counter SET n = n + 1 WHERE TRUE; END;"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: world.rows(script), range(16)))
    assert world.rows(f"SELECT n FROM {dataset}.counter") == [(16,)]


def test_a_result_without_a_destination_is_in_an_anonymous_table(world: BigQueryWorld, dataset: str) -> None:
    client = world.client()
    job = client.query(f"SELECT title, score FROM {dataset}.titles WHERE score < 3 ORDER BY score")
    job.result()
    table = client.get_table(job.destination)
    assert table.num_rows == 3
    assert next(tuple(row) for row in client.list_rows(table)) == ("title 0", 0)
    name = f"{job.destination.project}.{job.destination.dataset_id}.{job.destination.table_id}"
    assert world.rows(f"SELECT SUM(score) FROM `{name}`") == [(3,)]
    assert job.destination.dataset_id not in [found.dataset_id for found in client.list_datasets()]


def test_a_dataset_of_another_project_can_be_read(world: BigQueryWorld) -> None:
    table = f"bigquery-public-data.news_{uuid.uuid4().hex[:8]}.full"
    rows = [{"title": "one"}, {"title": "two"}]
    world.bigquery.seed_table(table, [{"name": "title", "type": "STRING"}], rows)
    world.bigquery.seed_table(table, [{"name": "other", "type": "STRING"}], [])
    assert world.rows(f"SELECT title FROM `{table}` ORDER BY title") == [("one",), ("two",)]


def test_an_array_with_a_null_is_not_written(world: BigQueryWorld, dataset: str) -> None:
    arrays = ("[1, NULL]", "ARRAY(SELECT IF(score > 1, score, NULL) FROM titles)", "[STRUCT([1] AS x), STRUCT([NULL])]")
    for array in arrays:
        with pytest.raises(exceptions.BadRequest, match="Array cannot have a null element; error in writing field a"):
            world.rows(f"CREATE TABLE {dataset}.nulls AS SELECT {array.replace('titles', f'{dataset}.titles')} AS a")
    world.rows(f"CREATE TABLE {dataset}.nulls AS SELECT [1, 2] AS a UNION ALL SELECT NULL UNION ALL SELECT []")
    assert world.rows(f"SELECT COUNT(*) FROM {dataset}.nulls") == [(3,)]
