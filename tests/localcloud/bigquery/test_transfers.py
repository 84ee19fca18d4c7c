"""Load, extract and copy jobs, uploads, streaming inserts, and the tables for other local services."""

from __future__ import annotations

import datetime as dt
import gzip
import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import fastavro
import pandas as pd
import pyarrow as pa
import pyarrow.orc
import pyarrow.parquet
import pytest
import requests
from google.api_core import exceptions
from google.cloud import bigquery

from localcloud.bigquery.base.errors import NotFound
from tests.localcloud.bigquery.world import (
    BUCKET,
    PROJECT,
    BigQueryWorld,
    bigquery_world,
)
from tests.waiting import LAST_LIMIT


def load(world: BigQueryWorld, content: bytes, table: str, **options: object) -> bigquery.LoadJob:
    """Load an uploaded file and return the job."""
    config = bigquery.LoadJobConfig(**options)
    job = world.client().load_table_from_file(io.BytesIO(content), f"{PROJECT}.{table}", job_config=config)
    job.result()
    return job


def content_of(world: BigQueryWorld, table: str) -> list[tuple[object, ...]]:
    return [tuple(row) for row in world.client().list_rows(f"{PROJECT}.{table}")]


def test_rows_are_loaded_from_json(world: BigQueryWorld, dataset: str) -> None:
    job = world.client().load_table_from_json([{"a": 1, "b": "x"}, {"a": 2, "b": None}], f"{dataset}.loaded")
    job.result()
    assert job.output_rows == 2
    assert job.input_files == 1
    assert content_of(world, f"{dataset}.loaded") == [(1, "x"), (2, None)]


def test_rows_are_loaded_from_a_dataframe(world: BigQueryWorld, dataset: str) -> None:
    frame = pd.DataFrame(
        {"a": [1, 2], "f": [1.5, 2.5], "s": ["x", "y"], "t": pd.to_datetime(["2024-01-01", "2024-01-02"], utc=True)}
    )
    world.client().load_table_from_dataframe(frame, f"{dataset}.loaded").result()
    schema = {field.name: field.field_type for field in world.client().get_table(f"{dataset}.loaded").schema}
    assert schema == {"a": "INTEGER", "f": "FLOAT", "s": "STRING", "t": "TIMESTAMP"}
    rows = world.client().list_rows(f"{dataset}.loaded").to_dataframe(create_bqstorage_client=False)
    assert rows["s"].tolist() == ["x", "y"]


def test_loaded_rows_have_the_types_of_the_schema(world: BigQueryWorld, dataset: str) -> None:
    line = {"i": "5", "f": 1, "y": "YWJj", "d": "2024-01-02", "ts": "2024-01-02T03:04:05Z", "r": {"x": [1, 2]}, "n": 2}
    schema = [
        bigquery.SchemaField("i", "INTEGER", mode="REQUIRED"),
        bigquery.SchemaField("f", "FLOAT"),
        bigquery.SchemaField("y", "BYTES"),
        bigquery.SchemaField("d", "DATE"),
        bigquery.SchemaField("ts", "TIMESTAMP"),
        bigquery.SchemaField("r", "RECORD", fields=[bigquery.SchemaField("x", "INTEGER", mode="REPEATED")]),
        bigquery.SchemaField("n", "NUMERIC"),
        bigquery.SchemaField("left_out", "STRING"),
    ]
    content = json.dumps(line).encode()
    load(world, content, f"{dataset}.loaded", source_format="NEWLINE_DELIMITED_JSON", schema=schema)
    (row,) = world.client().list_rows(f"{dataset}.loaded")
    assert (row.i, row.f, row.y, row.d.isoformat(), row.r, row.left_out) == (
        5,
        1.0,
        b"abc",
        "2024-01-02",
        {"x": [1, 2]},
        None,
    )
    assert world.client().get_table(f"{dataset}.loaded").schema[0].mode == "REQUIRED"


def test_csv_is_loaded_with_and_without_a_header(world: BigQueryWorld, dataset: str) -> None:
    content = b'a,b\n1,"x, y"\n2,\n'
    load(world, content, f"{dataset}.found", source_format="CSV", skip_leading_rows=1, autodetect=True)
    assert content_of(world, f"{dataset}.found") == [(1, "x, y"), (2, None)]
    schema = [bigquery.SchemaField("n", "INTEGER"), bigquery.SchemaField("s", "STRING")]
    load(world, b"7|z\n", f"{dataset}.given", source_format="CSV", field_delimiter="|", schema=schema)
    assert content_of(world, f"{dataset}.given") == [(7, "z")]


def test_parquet_and_avro_are_loaded_from_a_bucket(world: BigQueryWorld, dataset: str) -> None:
    for number in range(3):
        buffer = io.BytesIO()
        pa.parquet.write_table(pa.table({"n": [number, number + 10], "tags": [["a"], ["b", "c"]]}), buffer)
        world.storage.store.write(BUCKET, f"{dataset}/part-{number}.parquet", buffer.getvalue())
    config = bigquery.LoadJobConfig(source_format="PARQUET")
    uri = f"gs://{BUCKET}/{dataset}/part-*.parquet"
    job = world.client().load_table_from_uri(uri, f"{dataset}.loaded", job_config=config)
    job.result()
    assert (job.output_rows, job.input_files) == (6, 3)
    assert world.rows(f"SELECT SUM(n), COUNT(DISTINCT tag) FROM {dataset}.loaded, UNNEST(tags) AS tag") == [(69, 3)]
    to_avro = bigquery.ExtractJobConfig(destination_format="AVRO")
    world.client().extract_table(f"{dataset}.loaded", f"gs://{BUCKET}/{dataset}/all.avro", job_config=to_avro).result()
    config = bigquery.LoadJobConfig(source_format="AVRO")
    uri = f"gs://{BUCKET}/{dataset}/all.avro"
    world.client().load_table_from_uri(uri, f"{dataset}.again", job_config=config).result()
    assert world.rows(f"SELECT COUNT(*), SUM(n) FROM {dataset}.again") == [(6, 36)]


def test_a_compressed_file_is_loaded(world: BigQueryWorld, dataset: str) -> None:
    world.storage.store.write(BUCKET, f"{dataset}/rows.json.gz", gzip.compress(b'{"a": 1}\n{"a": 2}\n'))
    config = bigquery.LoadJobConfig(source_format="NEWLINE_DELIMITED_JSON", autodetect=True)
    uri = f"gs://{BUCKET}/{dataset}/rows.json.gz"
    world.client().load_table_from_uri(uri, f"{dataset}.loaded", job_config=config).result()
    assert content_of(world, f"{dataset}.loaded") == [(1,), (2,)]
    load(world, gzip.compress(b'{"a": 3}\n'), f"{dataset}.loaded", source_format="NEWLINE_DELIMITED_JSON")
    assert world.rows(f"SELECT SUM(a) FROM {dataset}.loaded") == [(6,)]


def test_a_load_appends_by_default(world: BigQueryWorld, dataset: str) -> None:
    options = {"source_format": "NEWLINE_DELIMITED_JSON"}
    load(world, b'{"a": 1}', f"{dataset}.loaded", autodetect=True, **options)
    load(world, b'{"a": 2}', f"{dataset}.loaded", **options)
    assert content_of(world, f"{dataset}.loaded") == [(1,), (2,)]
    load(world, b'{"a": 3}', f"{dataset}.loaded", autodetect=True, write_disposition="WRITE_TRUNCATE", **options)
    assert content_of(world, f"{dataset}.loaded") == [(3,)]
    with pytest.raises(exceptions.Conflict, match="Already Exists"):
        load(world, b'{"a": 4}', f"{dataset}.loaded", write_disposition="WRITE_EMPTY", **options)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": "no number"}', "Error while reading data"),
        (b'{"a": 1, "more": 2}', "No such field: more"),
        (b"{no json", "Error while reading data"),
        (b'{"b": 1}', "a"),
    ],
)
def test_a_file_that_does_not_fit_does_not_change_the_table(
    world: BigQueryWorld, dataset: str, content: bytes, message: str
) -> None:
    schema = [bigquery.SchemaField("a", "INTEGER", mode="REQUIRED")]
    load(world, b'{"a": 1}', f"{dataset}.loaded", source_format="NEWLINE_DELIMITED_JSON", schema=schema)
    with pytest.raises(exceptions.BadRequest, match=message):
        load(world, b'{"a": 5}\n' + content, f"{dataset}.loaded", source_format="NEWLINE_DELIMITED_JSON", schema=schema)
    assert content_of(world, f"{dataset}.loaded") == [(1,)]


def test_a_missing_file_is_not_found(world: BigQueryWorld, dataset: str) -> None:
    for name in ("missing.json", "none-*.json"):
        with pytest.raises(exceptions.NotFound, match="Not found"):
            world.client().load_table_from_uri(f"gs://{BUCKET}/{name}", f"{dataset}.loaded").result()


def test_a_resumable_upload_continues_after_a_broken_connection(world: BigQueryWorld, dataset: str) -> None:
    """The client asks for the received range and sends the rest."""
    configuration = {
        "load": {
            "destinationTable": {"projectId": PROJECT, "datasetId": dataset, "tableId": "pieces"},
            "sourceFormat": "NEWLINE_DELIMITED_JSON",
            "autodetect": True,
        }
    }
    content = b"".join(b'{"n": %d}\n' % number for number in range(100_000))
    started = requests.post(
        f"{world.url}/upload/bigquery/v2/projects/{PROJECT}/jobs?uploadType=resumable",
        json={"configuration": configuration},
        timeout=LAST_LIMIT,
    )
    session = started.headers["Location"]
    half = 262_144 * 2
    first = requests.put(
        session,
        data=content[:half],
        headers={"Content-Range": f"bytes 0-{half - 1}/{len(content)}"},
        timeout=LAST_LIMIT,
    )
    assert (first.status_code, first.headers["Range"]) == (308, f"bytes=0-{half - 1}")
    status = requests.put(session, headers={"Content-Range": f"bytes */{len(content)}"}, timeout=LAST_LIMIT)
    assert (status.status_code, status.headers["Range"]) == (308, f"bytes=0-{half - 1}")
    span = f"bytes {half}-{len(content) - 1}/{len(content)}"
    last = requests.put(session, data=content[half:], headers={"Content-Range": span}, timeout=LAST_LIMIT)
    job = world.client().get_job(last.json()["jobReference"]["jobId"])
    job.result()
    assert job.output_rows == 100_000
    assert world.rows(f"SELECT SUM(n) FROM {dataset}.pieces") == [(4_999_950_000,)]


def test_insert_all_adds_rows(world: BigQueryWorld, dataset: str) -> None:
    assert world.client().insert_rows_json(f"{PROJECT}.{dataset}.titles", [{"title": "new", "score": 7}]) == []
    assert world.rows(f"SELECT COUNT(*) FROM {dataset}.titles WHERE title = 'new'") == [(1,)]
    assert world.client().get_table(f"{dataset}.titles").num_rows == 101


def test_extract_jobs_and_export_data_write_objects(world: BigQueryWorld, dataset: str) -> None:
    client = world.client()
    config = bigquery.ExtractJobConfig(destination_format="NEWLINE_DELIMITED_JSON")
    uri = f"gs://{BUCKET}/{dataset}/out-*.json"
    client.extract_table(f"{dataset}.titles", uri, job_config=config).result()
    lines = world.storage.store.read(BUCKET, f"{dataset}/out-000000000000.json").splitlines()
    assert len(lines) == 100
    assert json.loads(lines[0]).keys() == {"title", "score"}
    client.extract_table(f"{dataset}.titles", f"gs://{BUCKET}/{dataset}/out.csv").result()
    assert world.storage.store.read(BUCKET, f"{dataset}/out.csv").startswith(b"title,score\n")
    sql = f"EXPORT DATA OPTIONS(uri='gs://{BUCKET}/{dataset}/sql-*.csv', format='CSV') AS SELECT 1 AS x"
    job = client.query(sql)
    job.result()
    assert job.statement_type == "EXPORT_DATA"
    assert world.storage.store.read(BUCKET, f"{dataset}/sql-000000000000.csv") == b"x\n1\n"


@pytest.mark.parametrize(
    ("file_format", "content"),
    [
        ("CSV", b"2020-01-01 00:00:00.123 UTC,2020-01-01T01:02:03,1.1,YWI=,POINT(1 2),1-2 3 4:5:6.5\n,,,,,\n"),
        (
            "NEWLINE_DELIMITED_JSON",
            b'{"t":"2020-01-01 00:00:00.123 UTC","d":"2020-01-01T01:02:03","n":"1.1","y":"YWI=","g":"POINT(1 2)",'
            b'"i":"1-2 3 4:5:6.5"}\n{}\n',
        ),
    ],
)
def test_exported_texts_are_those_of_bigquery(
    world: BigQueryWorld, dataset: str, file_format: str, content: bytes
) -> None:
    world.rows(
        f"""CREATE TABLE {dataset}.kinds AS SELECT TIMESTAMP '2020-01-01 00:00:00.123 UTC' AS t,
        DATETIME '2020-01-01 01:02:03' AS d, NUMERIC '1.1' AS n, b'ab' AS y, ST_GEOGPOINT(1, 2) AS g,
        INTERVAL '1-2 3 4:5:6.5' YEAR TO SECOND AS i
        UNION ALL SELECT NULL, NULL, NULL, NULL, NULL, NULL"""
    )
    config = bigquery.ExtractJobConfig(destination_format=file_format, print_header=False)
    world.client().extract_table(f"{dataset}.kinds", f"gs://{BUCKET}/{dataset}/kinds", job_config=config).result()
    assert world.storage.store.read(BUCKET, f"{dataset}/kinds") == content


def test_exported_records_have_integers_as_texts_and_no_nulls(world: BigQueryWorld, dataset: str) -> None:
    world.rows(f"CREATE TABLE {dataset}.nested AS SELECT [1, 2] AS a, STRUCT(NULL AS x, [STRUCT(3 AS q)] AS r) AS s")
    config = bigquery.ExtractJobConfig(destination_format="NEWLINE_DELIMITED_JSON")
    world.client().extract_table(f"{dataset}.nested", f"gs://{BUCKET}/{dataset}/nested", job_config=config).result()
    assert world.storage.store.read(BUCKET, f"{dataset}/nested") == b'{"a":["1","2"],"s":{"r":[{"q":"3"}]}}\n'


@pytest.mark.parametrize("compression", ["NONE", "DEFLATE", "SNAPPY"])
def test_avro_files_are_compressed_as_the_job_says(world: BigQueryWorld, dataset: str, compression: str) -> None:
    config = bigquery.ExtractJobConfig(destination_format="AVRO", compression=compression)
    uri = f"gs://{BUCKET}/{dataset}/titles.avro"
    world.client().extract_table(f"{dataset}.titles", uri, job_config=config).result()
    codec = {"NONE": b"null"}.get(compression, compression.lower().encode())
    assert codec in world.storage.store.read(BUCKET, f"{dataset}/titles.avro")[:400]
    again = bigquery.LoadJobConfig(source_format="AVRO")
    world.client().load_table_from_uri(uri, f"{dataset}.again", job_config=again).result()
    assert world.rows(f"SELECT COUNT(*), SUM(score) FROM {dataset}.again") == [(100, 4950)]


@pytest.mark.parametrize(
    ("table", "uri", "options", "message"),
    [
        ("titles", "a-*-*.csv", {}, r"Only one '\*' is allowed"),
        ("titles", "a.csv", {"compression": "SNAPPY"}, "Compression type SNAPPY is not supported for format CSV"),
        ("seen", "a.csv", {}, "is not allowed for this operation because it is currently a VIEW"),
    ],
)
def test_extract_jobs_that_bigquery_refuses_are_refused(
    world: BigQueryWorld, dataset: str, table: str, uri: str, options: dict[str, Any], message: str
) -> None:
    world.rows(f"CREATE VIEW {dataset}.seen AS SELECT 1 AS a")
    config = bigquery.ExtractJobConfig(**options)
    with pytest.raises(exceptions.BadRequest, match=message):
        world.client().extract_table(f"{dataset}.{table}", f"gs://{BUCKET}/{uri}", job_config=config).result()


@pytest.mark.parametrize(
    ("use_logical_types", "expected"),
    [(False, (1577836800000000, "1.25")), (True, ("2020-01-01T00:00:00+00:00", "1.25"))],
)
def test_logical_types_of_avro_are_used_if_the_job_says_so(
    world: BigQueryWorld, dataset: str, use_logical_types: bool, expected: tuple[Any, Any]
) -> None:
    kinds = {"t": {"type": "long", "logicalType": "timestamp-micros"}}
    kinds["n"] = {"type": "bytes", "logicalType": "decimal", "precision": 5, "scale": 2}
    schema = {"type": "record", "name": "row", "fields": [{"name": name, "type": kind} for name, kind in kinds.items()]}
    content = io.BytesIO()
    fastavro.writer(content, schema, [{"t": dt.datetime(2020, 1, 1, tzinfo=dt.UTC), "n": Decimal("1.25")}])
    options = {"source_format": "AVRO", "use_avro_logical_types": use_logical_types}
    load(world, content.getvalue(), f"{dataset}.loaded", **options)
    [(moment, number)] = content_of(world, f"{dataset}.loaded")
    assert (moment.isoformat() if isinstance(moment, dt.datetime) else moment, str(number)) == expected


def test_maps_and_orc_files_are_loaded(world: BigQueryWorld, dataset: str) -> None:
    rows = pa.table({"m": pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64()))})
    content = io.BytesIO()
    pa.parquet.write_table(rows, content)
    load(world, content.getvalue(), f"{dataset}.maps", source_format="PARQUET")
    assert content_of(world, f"{dataset}.maps") == [({"key_value": [{"key": "k", "value": 1}]},)]
    content = io.BytesIO()
    pa.orc.write_table(pa.table({"a": [1], "s": ["x"]}), content)
    load(world, content.getvalue(), f"{dataset}.orc", source_format="ORC")
    assert content_of(world, f"{dataset}.orc") == [(1, "x")]


def test_copies_have_the_description_and_snapshots_their_base(world: BigQueryWorld, dataset: str) -> None:
    client = world.client()
    world.rows(f"ALTER TABLE {dataset}.titles SET OPTIONS (description = 'd', labels = [('k', 'v')])")
    client.copy_table(f"{dataset}.titles", f"{dataset}.copy").result()
    copy = client.get_table(f"{dataset}.copy")
    assert (copy.description, copy.labels) == ("d", {"k": "v"})
    config = bigquery.CopyJobConfig(operation_type="SNAPSHOT", destination_expiration_time="2100-01-01T00:00:00Z")
    client.copy_table(f"{dataset}.titles", f"{dataset}.kept", job_config=config).result()
    kept = client.get_table(f"{dataset}.kept")
    assert (kept.snapshot_definition.base_table_reference.table_id, kept.expires.year) == ("titles", 2100)
    world.rows(f"CREATE TABLE {dataset}.other AS SELECT TRUE AS score")
    with pytest.raises(exceptions.BadRequest, match="Field score has changed type"):
        client.copy_table([f"{dataset}.titles", f"{dataset}.other"], f"{dataset}.both").result()


def test_copy_jobs_create_and_append_tables(world: BigQueryWorld, dataset: str) -> None:
    client = world.client()
    client.copy_table(f"{PROJECT}.{dataset}.titles", f"{PROJECT}.{dataset}.copy").result()
    assert client.get_table(f"{dataset}.copy").num_rows == 100
    with pytest.raises(exceptions.Conflict):
        client.copy_table(f"{PROJECT}.{dataset}.titles", f"{PROJECT}.{dataset}.copy").result()
    config = bigquery.CopyJobConfig(write_disposition="WRITE_APPEND")
    sources = [f"{PROJECT}.{dataset}.titles", f"{PROJECT}.{dataset}.copy"]
    client.copy_table(sources, f"{PROJECT}.{dataset}.copy", job_config=config).result()
    assert client.get_table(f"{dataset}.copy").num_rows == 300


def test_other_services_write_and_read_tables(world: BigQueryWorld, dataset: str) -> None:
    tables = world.bigquery.tables
    schema = [
        {"name": "id", "type": "INTEGER", "mode": "REQUIRED"},
        {"name": "text", "type": "STRING", "mode": "NULLABLE"},
        {"name": "tags", "type": "STRING", "mode": "REPEATED"},
        {"name": "response", "type": "JSON", "mode": "NULLABLE"},
    ]
    rows = [
        {"id": 1, "text": "a", "tags": ["x", "y"], "response": '{"k": [1]}'},
        {"id": 2, "text": None, "tags": [], "response": None},
    ]
    name = f"{PROJECT}.{dataset}.written"
    assert tables.write(name, schema, iter(rows)) == 2
    assert tables.schema(name) == schema
    assert list(tables.read(name)) == rows
    assert world.rows(f"SELECT id, JSON_VALUE(response, '$.k[0]') FROM {dataset}.written ORDER BY id") == [
        (1, "1"),
        (2, None),
    ]
    assert tables.write(name, schema[:1], iter([{"id": 3}])) == 1
    assert list(tables.read(name)) == [{"id": 3}]
    assert tables.location(f"{PROJECT}.{dataset}") == "US"
    for missing in (lambda: tables.schema(f"{name}x"), lambda: tables.location(f"{PROJECT}.nowhere")):
        with pytest.raises(NotFound):
            missing()
    with pytest.raises(NotFound):
        list(tables.read(f"{name}x"))


def test_a_reader_sees_the_rows_from_its_start(world: BigQueryWorld, dataset: str) -> None:
    name = f"{PROJECT}.{dataset}.titles"
    reader = world.bigquery.tables.read(name)
    first = next(reader)
    world.rows(f"DELETE FROM {dataset}.titles WHERE TRUE")
    assert first["title"].startswith("title")
    assert len(list(reader)) == 99


@pytest.mark.long
def test_datasets_tables_and_views_exist_after_a_restart(tmp_path: Path) -> None:
    with bigquery_world(tmp_path / "first", kept=tmp_path / "kept") as world:
        dataset = world.dataset(location="asia-south1")
        world.rows(f"CREATE TABLE {dataset}.made AS SELECT [1, 2] AS a, 'x' AS b")
        world.rows(f"CREATE VIEW {dataset}.seen AS SELECT b FROM {dataset}.made")
    with bigquery_world(tmp_path / "second", kept=tmp_path / "kept") as world:
        assert world.client().get_dataset(dataset).location == "asia-south1"
        assert world.rows(f"SELECT a, b FROM {dataset}.made") == [([1, 2], "x")]
        assert world.rows(f"SELECT b FROM {dataset}.seen") == [("x",)]
        assert world.client().get_table(f"{dataset}.titles").num_rows == 100
        world.rows(f"INSERT INTO {dataset}.made (b) VALUES ('y')")
        assert world.client().get_table(f"{dataset}.made").num_rows == 2


def rows_of(world: BigQueryWorld, sql: str) -> list[dict[str, object]]:
    return [dict(row) for row in world.client().query(sql).result()]


class TestLoadData:
    def test_overwrite_replaces_the_table_and_into_appends(self, world: BigQueryWorld, dataset: str) -> None:
        world.storage.store.write(BUCKET, "labels/classifier.csv", b"1,lion\n2,frog\n")
        statement = (
            f"LOAD DATA {{}} {dataset}.classifier (ID INT64, Classification STRING) "
            f"FROM FILES (format = 'CSV', uris = ['gs://{BUCKET}/labels/*.csv'])"
        )
        for kind, rows in (("OVERWRITE", 2), ("INTO", 4), ("OVERWRITE", 2)):
            job = world.client().query(statement.format(kind))
            job.result()
            assert job.statement_type == "LOAD_DATA"
            assert len(rows_of(world, f"SELECT * FROM {dataset}.classifier")) == rows
        [row] = rows_of(world, f"SELECT * FROM {dataset}.classifier WHERE ID = 2")
        assert row == {"ID": 2, "Classification": "frog"}
        loaded = job._properties["statistics"]["query"]["loadQueryStatistics"]
        assert (loaded["inputFiles"], loaded["outputRows"]) == ("1", "2")

    def test_the_columns_of_the_files_are_detected(self, world: BigQueryWorld, dataset: str) -> None:
        world.storage.store.write(BUCKET, "films/a.jsonl", b'{"title": "Jaws", "tags": ["shark"]}\n')
        world.client().query(
            f"load data into `{dataset}.films` from files(uris=['gs://{BUCKET}/films/*'], format='JSON')"
        ).result()
        assert rows_of(world, f"SELECT * FROM {dataset}.films") == [{"title": "Jaws", "tags": ["shark"]}]

    @pytest.mark.parametrize("kind", ["INTO", "OVERWRITE"])
    def test_a_new_table_has_the_partitions_and_options(self, world: BigQueryWorld, dataset: str, kind: str) -> None:
        world.storage.store.write(BUCKET, "days/a.csv", b"1,2024-01-01\n2,2024-01-02\n")
        world.rows(
            f"LOAD DATA {kind} {dataset}.days (n INT64, d DATE) PARTITION BY DATE_TRUNC(d, MONTH) CLUSTER BY n "
            f"OPTIONS (description = 'days') FROM FILES (format = 'CSV', uris = ['gs://{BUCKET}/days/*'])"
        )
        table = world.call("GET", f"/datasets/{dataset}/tables/days").json()
        assert table["timePartitioning"] == {"type": "MONTH", "field": "d"}
        assert (table["clustering"], table["description"]) == ({"fields": ["n"]}, "days")

    @pytest.mark.parametrize(
        ("rest", "problem"),
        [
            ("t FROM FILES (format = 'CSV')", "Option uris must be an array"),
            ("t FROM FILES (format = 'XML', uris = ['gs://x/y'])", "Option format must be one of"),
            (
                "t FROM FILES (format = 'CSV', uris = ['gs://x/y'], reference_file_schema_uri = 'gs://x/s')",
                "the option reference_file_schema_uri",
            ),
            ("t FROM FILES (format = 'CSV', uris = ['gs://x/y'], skip_leading_rows = '1')", "skip_leading_rows"),
            ("t PARTITION BY d + 1 FROM FILES (format = 'CSV', uris = ['gs://x/y'])", "Syntax error in PARTITION BY d"),
            (
                "t PARTITION BY DATE_ADD(d) FROM FILES (format = 'CSV', uris = ['gs://x/y'])",
                "Syntax error in PARTITION BY DATE_ADD",
            ),
            (
                "t OPTIONS (nonsense = 1) FROM FILES (format = 'CSV', uris = ['gs://transfers/*'])",
                "Unknown option: nonsense",
            ),
            ("t FROM FILES (format = 'CSV', uris = ['gs://x/y']) WITH PARTITION COLUMNS", "WITH PARTITION COLUMNS"),
            ("t FROM FILES (format = 'CSV', uris = ['gs://no-such-bucket/y'])", "Not found"),
            ("t (a NOTYPE) FROM FILES (format = 'CSV', uris = ['gs://x/y'])", "NOTYPE"),
        ],
    )
    def test_what_is_not_supported_is_named(self, world: BigQueryWorld, dataset: str, rest: str, problem: str) -> None:
        with pytest.raises(exceptions.GoogleAPICallError, match=problem):
            world.client().query(f"LOAD DATA INTO {dataset}.{rest}").result()


def test_a_dry_run_of_load_data_loads_nothing(world: BigQueryWorld, dataset: str) -> None:
    sql = f"LOAD DATA INTO {dataset}.dry (a INT64) FROM FILES (format = 'CSV', uris = ['gs://{BUCKET}/none'])"
    job = world.client().query(sql, job_config=bigquery.QueryJobConfig(dry_run=True))
    assert job.statement_type == "LOAD_DATA"
    with pytest.raises(exceptions.NotFound):
        world.client().get_table(f"{dataset}.dry")
