"""External tables over files: their rows are those of the objects at the time of the query.

https://cloud.google.com/bigquery/docs/external-data-cloud-storage
"""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.api_core import exceptions
from google.cloud import bigquery

from tests.localcloud.bigquery.world import BUCKET, PROJECT, BigQueryWorld, bigquery_world

PEOPLE = b"id,name\n1,Ada\n2,Bob\n"


def put(world: BigQueryWorld, name: str, content: bytes) -> str:
    """Write an object, and return its URI."""
    world.storage.store.write(BUCKET, name, content)
    return f"gs://{BUCKET}/{name}"


def parquet() -> bytes:
    content = io.BytesIO()
    pq.write_table(pa.table({"id": [1, 2], "name": ["Ada", "Bob"]}), content)
    return content.getvalue()


@pytest.mark.parametrize(
    ("columns", "options", "content"),
    [
        ("", "format = 'CSV'", PEOPLE),
        ("(id INT64, name STRING)", "format = 'CSV', skip_leading_rows = 1, description = 'people'", PEOPLE),
        ("", "format = 'JSON'", b'{"id": 1, "name": "Ada"}\n{"id": 2, "name": "Bob"}\n'),
        ("", "format = 'PARQUET'", parquet()),
    ],
)
@pytest.mark.parametrize("script", [False, True])
def test_a_table_has_the_rows_of_its_files(
    world: BigQueryWorld, dataset: str, columns: str, options: str, content: bytes, script: bool
) -> None:
    uri = put(world, f"{dataset}/people", content)
    statement = f"CREATE EXTERNAL TABLE {dataset}.people {columns} OPTIONS ({options}, uris = ['{uri}'])"
    world.rows(f"BEGIN {statement}; END" if script else statement)
    assert world.rows(f"SELECT id, name FROM {dataset}.people ORDER BY id") == [(1, "Ada"), (2, "Bob")]
    table = world.client().get_table(f"{dataset}.people")
    assert (table.table_type, table.external_data_configuration.source_uris) == ("EXTERNAL", [uri])


def test_a_query_reads_the_files_of_its_time(world: BigQueryWorld, dataset: str) -> None:
    put(world, f"{dataset}/a.csv", PEOPLE)
    uris = f"gs://{BUCKET}/{dataset}/*.csv"
    world.rows(f"CREATE EXTERNAL TABLE {dataset}.people OPTIONS (format = 'CSV', uris = ['{uris}'])")
    world.rows(f"CREATE VIEW {dataset}.counted AS SELECT COUNT(*) AS n FROM {dataset}.people")
    put(world, f"{dataset}/b.csv", b"id,name\n3,Eve\n")
    assert world.rows(f"SELECT n FROM {dataset}.counted") == [(3,)]
    put(world, f"{dataset}/b.csv", b"id,name\n4,Eve\n5,Jo\n")
    assert world.rows(f"SELECT MAX(id) FROM {dataset}.people") == [(5,)]


def test_a_table_of_the_rest_api_and_one_of_a_job(world: BigQueryWorld, dataset: str) -> None:
    client = world.client()
    external = bigquery.ExternalConfig("CSV")
    external.source_uris = [put(world, f"{dataset}/people.csv", PEOPLE)]
    external.csv_options.skip_leading_rows = 1
    external.schema = [bigquery.SchemaField("id", "INTEGER"), bigquery.SchemaField("name", "STRING")]
    table = bigquery.Table(f"{PROJECT}.{dataset}.people")
    table.external_data_configuration = external
    client.create_table(table)
    assert world.rows(f"SELECT name FROM {dataset}.people WHERE id = 2") == [("Bob",)]
    config = bigquery.QueryJobConfig(table_definitions={"people": external})
    assert [tuple(row) for row in client.query("SELECT id FROM people WHERE name = 'Ada'", job_config=config)] == [(1,)]
    with pytest.raises(exceptions.GoogleAPICallError, match="people"):
        world.rows("SELECT id FROM people")


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("INSERT {d}.people (id) VALUES (3)", "because it is currently an EXTERNAL table"),
        ("CREATE EXTERNAL TABLE {d}.people OPTIONS (format = 'CSV', uris = ['{u}'])", "Already Exists: Table"),
        ("CREATE OR REPLACE EXTERNAL TABLE {d}.titles OPTIONS (format = 'CSV', uris = ['{u}'])", "currently a TABLE"),
        ("CREATE EXTERNAL TABLE {d}.x OPTIONS (format = 'CSV', uris = ['gs://transfers/no.csv'])", "Not found: URI"),
        ("CREATE EXTERNAL TABLE {d}.x OPTIONS (format = 'CSV', uris = ['{u}'], no_such = 1)", "the option no_such is not supp"),
        ("CREATE EXTERNAL TABLE {d}_no.x (id INT64) OPTIONS (format = 'CSV', uris = ['{u}'])", "Not found: Dataset"),
        ("SELECT _FILE_NAME FROM {d}.people", "Unrecognized name: _FILE_NAME"),
    ],
)  # fmt: skip
def test_a_wrong_use_is_refused(world: BigQueryWorld, dataset: str, statement: str, message: str) -> None:
    uri = put(world, f"{dataset}/people.csv", PEOPLE)
    world.rows(f"CREATE EXTERNAL TABLE {dataset}.people OPTIONS (format = 'CSV', uris = ['{uri}'])")
    with pytest.raises(exceptions.GoogleAPICallError, match=message):
        world.rows(statement.format(d=dataset, u=uri))
    assert world.rows(f"SELECT COUNT(*) FROM {dataset}.people") == [(2,)]


def test_a_dropped_table_leaves_its_files(world: BigQueryWorld, dataset: str) -> None:
    uri = put(world, f"{dataset}/people.csv", PEOPLE)
    world.rows(f"CREATE EXTERNAL TABLE {dataset}.people OPTIONS (format = 'CSV', uris = ['{uri}'])")
    world.rows(f"DROP EXTERNAL TABLE {dataset}.people")
    world.rows(f"CREATE TABLE {dataset}.people AS SELECT 7 AS id")
    assert world.rows(f"SELECT id FROM {dataset}.people") == [(7,)]
    assert world.storage.store.read(BUCKET, f"{dataset}/people.csv") == PEOPLE


def test_a_table_is_kept_over_a_restart(tmp_path: Path) -> None:
    with bigquery_world(tmp_path / "storage", kept=tmp_path / "kept") as world:
        world.client().create_dataset("kept")
        uri = put(world, "people.csv", PEOPLE)
        world.rows(f"CREATE EXTERNAL TABLE kept.people OPTIONS (format = 'CSV', uris = ['{uri}'])")
    with bigquery_world(tmp_path / "storage", kept=tmp_path / "kept") as world:
        put(world, "people.csv", b"id,name\n9,Zoe\n")
        assert world.rows("SELECT id FROM kept.people") == [(9,)]
