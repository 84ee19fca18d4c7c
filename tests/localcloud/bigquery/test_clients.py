"""Google's clients with the local BigQuery: bq, the Storage API, BigQuery DataFrames, the table methods of Python's client."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from tests.localcloud.bigquery.world import (
    BUCKET,
    PROJECT,
    BigQueryWorld,
)
from tests.waiting import LAST_LIMIT


class Bq:
    """The command line tool with the address of a local BigQuery."""

    def __init__(self, world: BigQueryWorld, folder: Path) -> None:
        self._base = ["bq", "--quiet", "--oauth_access_token=local", f"--project_id={PROJECT}", "--api", world.url]
        self._environment = {**os.environ, "CLOUDSDK_CONFIG": str(folder / "gcloud"), "HOME": str(folder)}

    def __call__(self, *arguments: str) -> str:
        done = subprocess.run(
            [*self._base, *arguments],
            capture_output=True,
            text=True,
            env=self._environment,
            timeout=LAST_LIMIT,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture
def bq(world: BigQueryWorld, tmp_path: Path) -> Bq | None:
    """The command bq, or None where the Google Cloud SDK is not installed.

    `test_the_discovery_document_has_the_local_address` then checks what bq reads first.
    """
    return Bq(world, tmp_path) if shutil.which("bq") else None


@pytest.mark.matrix
def test_bq_creates_and_queries_a_table(world: BigQueryWorld, bq: Bq | None) -> None:
    if bq is None:
        return
    bq("mk", "--dataset", "--location=EU", "made_by_bq")
    options = ("query", "--nouse_legacy_sql", "--format=json", "--location=EU")
    bq(*options, "--destination_table=made_by_bq.written", "SELECT 'y' AS b")
    assert world.rows("SELECT b FROM made_by_bq.written") == [("y",)]
    world.client().delete_dataset("made_by_bq", delete_contents=True)


@pytest.mark.matrix
def test_bq_loads_shows_and_deletes_tables(world: BigQueryWorld, bq: Bq | None, tmp_path: Path) -> None:
    if bq is None:
        return
    bq("mk", "--dataset", "--location=EU", "made_by_bq")
    file = tmp_path / "rows.json"
    file.write_text('{"a": 1, "b": "x"}\n{"a": 2, "b": "y"}\n')
    bq("load", "--source_format=NEWLINE_DELIMITED_JSON", "--autodetect", "made_by_bq.loaded", str(file))
    shown = json.loads(bq("show", "--format=json", "made_by_bq.loaded"))
    assert (shown["numRows"], shown["location"]) == ("2", "EU")
    options = ("query", "--nouse_legacy_sql", "--format=json", "--location=EU")
    assert json.loads(bq(*options, "SELECT SUM(a) AS total FROM made_by_bq.loaded")) == [{"total": "3"}]
    assert "SUCCESS" in bq("ls", "-j", "-n", "5")
    bq("rm", "-f", "-r", "-d", "made_by_bq")
    assert "made_by_bq" not in bq("ls")


def test_the_discovery_document_has_the_local_address(world: BigQueryWorld) -> None:
    for path in ("/$discovery/rest?version=v2", "/discovery/v1/apis/bigquery/v2/rest"):
        document = requests.get(f"{world.url}{path}", timeout=LAST_LIMIT).json()
        assert document["rootUrl"] == f"{world.url}/"
        assert document["baseUrl"] == f"{world.url}/bigquery/v2/"
        assert "jobs" in document["resources"]


def test_the_storage_read_api_reads_tables_and_results(world: BigQueryWorld, dataset: str) -> None:
    reader = world.read_client()
    client = world.client()
    table = client.list_rows(f"{PROJECT}.{dataset}.titles").to_arrow(bqstorage_client=reader)
    assert sorted(table.column("score").to_pylist()) == list(range(100))
    small = client.query(f"SELECT title, score * 2 AS twice FROM {dataset}.titles").result()
    assert sum(small.to_arrow(bqstorage_client=reader).column("twice").to_pylist()) == 9900
    sql = "SELECT number, [number] AS several FROM UNNEST(GENERATE_ARRAY(1, 50000)) AS number"
    large = client.query(sql).result().to_dataframe(bqstorage_client=reader)
    assert (len(large), int(large["number"].sum())) == (50000, 1_250_025_000)
    with pytest.raises(exceptions.NotFound):
        schema = client.get_table(f"{dataset}.titles").schema
        client.list_rows(f"{PROJECT}.{dataset}.nothing", selected_fields=schema).to_arrow(bqstorage_client=reader)


def test_the_storage_read_api_has_the_arrow_types_of_bigquery(world: BigQueryWorld, dataset: str) -> None:
    world.rows(
        f"""CREATE TABLE {dataset}.kinds AS SELECT ST_GEOGPOINT(1, 2) AS g, BIGNUMERIC '2.5' AS n, JSON '[1]' AS j,
        RANGE(DATE '2020-01-01', DATE '2021-01-01') AS r"""
    )
    rows = world.client().list_rows(world.client().get_table(f"{dataset}.kinds"))
    table = rows.to_arrow(bqstorage_client=world.read_client())
    assert table.column("g").to_pylist() == ["POINT(1 2)"]
    kinds = {field.name: (str(field.type), field.metadata) for field in table.schema}
    assert kinds["n"] == ("decimal256(76, 38)", None)
    assert kinds["j"] == ("string", {b"ARROW:extension:name": b"google:sqlType:json"})


def test_rows_over_rest_equal_the_rows_of_the_client(world: BigQueryWorld) -> None:
    sql = """
        SELECT n AS i, n / 4 AS f, MOD(n, 2) = 0 AS b, IF(n = 3, NULL, CAST(n AS STRING)) AS s,
          TIMESTAMP_SECONDS(1700000000 + n) AS ts, CAST(n AS NUMERIC) AS x, [n, n + 1] AS a, STRUCT(n AS y) AS r
        FROM UNNEST(GENERATE_ARRAY(1, 5)) AS n ORDER BY n"""
    rows = world.client().query(sql).result()
    over_rest = world.client().query(sql).to_arrow(create_bqstorage_client=False).to_pylist()
    assert [dict(row) for row in rows] == over_rest
    assert over_rest[2]["s"] is None
    assert over_rest[0]["ts"] == datetime(2023, 11, 14, 22, 13, 21, tzinfo=UTC)


def test_timestamps_are_in_seconds_unless_a_request_wants_microseconds(world: BigQueryWorld) -> None:
    body = {"query": "SELECT TIMESTAMP '2023-11-14 22:13:20.5 UTC' AS ts", "useLegacySql": False}
    plain = world.call("POST", "/queries", json=body).json()
    exact = world.call("POST", "/queries", json=body | {"formatOptions": {"useInt64Timestamp": True}}).json()
    assert plain["rows"][0]["f"][0]["v"] == "1.7000000005E9"
    assert exact["rows"][0]["f"][0]["v"] == "1700000000500000"


def test_listed_rows_have_the_format_of_the_rows_of_a_query(world: BigQueryWorld, dataset: str) -> None:
    world.rows(f"CREATE TABLE {dataset}.moments AS SELECT TIMESTAMP '2023-11-14 22:13:20.5 UTC' AS ts, 1 AS n")
    path = f"/datasets/{dataset}/tables/moments/data"
    assert world.call("GET", path).json()["rows"] == [{"f": [{"v": "1.7000000005E9"}, {"v": "1"}]}]
    exact = world.call("GET", f"{path}?formatOptions.useInt64Timestamp=true&selectedFields=ts").json()
    assert exact["rows"] == [{"f": [{"v": "1700000000500000"}]}]
    assert world.call("GET", f"{path}?selectedFields=ts,x").json()["error"]["message"] == "No such field: x"


@pytest.mark.parametrize(
    ("paths", "cells"),
    [
        ("r.b.d,n", [{"v": "1"}, {"v": {"f": [{"v": [{"v": {"f": [{"v": "q"}]}}]}]}}]),
        ("R.A", [{"v": {"f": [{"v": "1"}]}}]),
        ("r.a,r", [{"v": {"f": [{"v": "1"}, {"v": [{"v": {"f": [{"v": "2"}, {"v": "q"}]}}]}]}}]),
    ],
)
def test_listed_rows_have_the_selected_fields_within_their_parents(
    world: BigQueryWorld, dataset: str, paths: str, cells: list[object]
) -> None:
    world.rows(f"CREATE TABLE {dataset}.nested AS SELECT 1 AS n, STRUCT(1 AS a, [STRUCT(2 AS c, 'q' AS d)] AS b) AS r")
    path = f"/datasets/{dataset}/tables/nested/data?selectedFields"
    assert world.call("GET", f"{path}={paths}").json()["rows"] == [{"f": cells}]
    assert world.call("GET", f"{path}=n,r.b.x").json()["error"]["message"] == "No such field: r.b.x"


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("ST_GEOGPOINT(1, 2)", "POINT(1 2)"),
        ("""JSON '{"b": 1, "a": 2}'""", '{"a":2,"b":1}'),
        ("RANGE(DATE '2020-01-01', NULL)", "[2020-01-01, UNBOUNDED)"),
        ("TIMESTAMP '2023-11-14 22:13:20 UTC'", "1.7E9"),
        ("CAST('nan' AS FLOAT64)", "NaN"),
    ],
)
def test_values_in_arrays_and_structs_have_the_format_of_other_values(
    world: BigQueryWorld, value: str, cell: str
) -> None:
    query = f"SELECT {value}, [{value}], STRUCT({value} AS x), [STRUCT({value} AS x, 1 AS n)]"
    body = {"query": query, "useLegacySql": False}
    cells = [each["v"] for each in world.call("POST", "/queries", json=body).json()["rows"][0]["f"]]
    record = {"f": [{"v": cell}, {"v": "1"}]}
    assert cells == [cell, [{"v": cell}], {"f": [{"v": cell}]}, [{"v": record}]]


def test_a_view_can_be_created_changed_and_deleted(world: BigQueryWorld, dataset: str) -> None:
    client = world.client()
    view = bigquery.Table(f"{PROJECT}.{dataset}.high")
    view.view_query = f"SELECT title FROM {dataset}.titles WHERE score > 97"
    view.labels = {"kind": "view"}
    client.create_table(view)
    found = client.get_table(f"{dataset}.high")
    assert (found.table_type, found.labels, [field.name for field in found.schema]) == (
        "VIEW",
        {"kind": "view"},
        ["title"],
    )
    assert len(world.rows(f"SELECT * FROM {dataset}.high")) == 2
    found.view_query = f"SELECT title, score FROM {dataset}.titles WHERE score > 98"
    client.update_table(found, ["view_query"])
    assert world.rows(f"SELECT * FROM {dataset}.high") == [("title 99", 99)]
    client.delete_table(f"{dataset}.high")
    with pytest.raises(exceptions.NotFound):
        world.rows(f"SELECT * FROM {dataset}.high")


def test_a_new_column_keeps_the_rows_of_a_table(world: BigQueryWorld, dataset: str) -> None:
    client = world.client()
    table = client.get_table(f"{dataset}.titles")
    table.schema = [*table.schema, bigquery.SchemaField("extra", "FLOAT")]
    table.description = "grown"
    client.update_table(table, ["schema", "description"])
    assert world.rows(f"SELECT COUNT(*), COUNT(extra) FROM {dataset}.titles") == [(100, 0)]
    table = client.get_table(f"{dataset}.titles")
    assert table.description == "grown"
    table.schema = table.schema[:1]
    with pytest.raises(exceptions.BadRequest, match="Field score is missing in new schema"):
        client.update_table(table, ["schema"])


def test_a_patch_removes_what_is_null_and_notices_other_changes(world: BigQueryWorld, dataset: str) -> None:
    client = world.client()
    table = client.get_table(f"{dataset}.titles")
    table.labels, table.expires = {"a": "1", "b": "2"}, datetime(2100, 1, 1, tzinfo=UTC)
    table = client.update_table(table, ["labels", "expires"])
    old = client.get_table(table)
    table.labels, table.expires = {"a": None}, None
    table = client.update_table(table, ["labels", "expires"])
    assert (table.labels, table.expires) == ({"b": "2"}, None)
    with pytest.raises(exceptions.PreconditionFailed):
        client.update_table(old, ["description"])


def test_a_list_has_the_layout_and_the_labels_of_tables(world: BigQueryWorld, dataset: str) -> None:
    options = "friendly_name = 'Days', labels = [('team', 'news')]"
    world.rows(f"CREATE TABLE {dataset}.days (d DATE, n INT64) PARTITION BY d CLUSTER BY n OPTIONS ({options})")
    [listed] = [table for table in world.client().list_tables(dataset) if table.table_id == "days"]
    found = (listed.time_partitioning.field, listed.clustering_fields, listed.labels, listed.friendly_name)
    assert found == ("d", ["n"], {"team": "news"}, "Days")


def test_a_patch_of_a_dataset_keeps_other_labels(world: BigQueryWorld, dataset: str) -> None:
    for labels in ({"a": "1", "b": "2"}, {"a": None, "c": "3"}):
        answer = world.call("PATCH", f"/datasets/{dataset}", json={"labels": labels, "access": None})
        assert answer.status_code == 200
    assert world.client().get_dataset(dataset).labels == {"b": "2", "c": "3"}


def test_bq_sends_null_for_what_it_does_not_change(world: BigQueryWorld, dataset: str) -> None:
    path = f"/datasets/{dataset}/tables/titles"
    assert world.call("PATCH", path, json={"description": "d", "schema": None}).json()["description"] == "d"
    assert len(world.client().get_table(f"{dataset}.titles").schema) == 2


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ({"name": "a!b", "type": "INT64"}, 'Invalid field name "a!b"'),
        ({"name": "a", "type": "NUMBER"}, "Invalid value for type: NUMBER"),
        ({"name": "a", "type": "INT64", "mode": "OPTIONAL"}, "Invalid value for mode: OPTIONAL"),
        ({"name": "a", "type": "RECORD"}, "Field a is type RECORD but has no schema"),
        ({"name": "q", "type": "INT64", "mode": "REQUIRED"}, "Cannot add required fields to an existing schema"),
    ],
)
def test_fields_that_no_table_can_have_are_refused(
    world: BigQueryWorld, dataset: str, field: dict[str, str], message: str
) -> None:
    known = [{"name": "title", "type": "STRING"}, {"name": "score", "type": "INTEGER"}]
    path = f"/datasets/{dataset}/tables/titles"
    answer = world.call("PATCH", path, json={"schema": {"fields": [*known, field]}})
    assert (answer.status_code, message in answer.json()["error"]["message"]) == (400, True)


def test_a_materialized_view_is_created_and_described(world: BigQueryWorld, dataset: str) -> None:
    view = bigquery.Table(f"{PROJECT}.{dataset}.best")
    view.mview_query = f"SELECT score, COUNT(*) AS n FROM {dataset}.titles GROUP BY score"
    assert world.client().create_table(view).table_type == "MATERIALIZED_VIEW"
    assert world.client().get_table(view.reference).mview_query == view.mview_query
    assert world.rows(f"SELECT COUNT(*) FROM {dataset}.best") == [(100,)]


def test_each_row_that_does_not_fit_has_its_own_error(world: BigQueryWorld, dataset: str) -> None:
    client = world.client()
    rows = [{"title": "good", "score": 1}, {"title": "bad", "score": "x"}, {"title": "odd", "nope": 1}]
    errors = client.insert_rows_json(f"{PROJECT}.{dataset}.titles", rows)
    assert [(error["index"], error["errors"][0]["reason"]) for error in errors] == [
        (0, "stopped"),
        (1, "invalid"),
        (2, "invalid"),
    ]
    assert client.get_table(f"{dataset}.titles").num_rows == 100
    errors = client.insert_rows_json(
        f"{PROJECT}.{dataset}.titles", rows, skip_invalid_rows=True, ignore_unknown_values=True
    )
    assert [error["index"] for error in errors] == [1]
    assert client.get_table(f"{dataset}.titles").num_rows == 102


def test_a_dataset_with_tables_is_deleted_only_with_its_contents(world: BigQueryWorld, dataset: str) -> None:
    client = world.client()
    with pytest.raises(exceptions.BadRequest, match="is still in use"):
        client.delete_dataset(dataset)
    client.delete_dataset(dataset, delete_contents=True)
    with pytest.raises(exceptions.NotFound):
        client.get_dataset(dataset)
    with pytest.raises(exceptions.NotFound):
        list(client.list_tables(dataset))
    with pytest.raises(exceptions.NotFound):
        client.create_table(bigquery.Table(f"{PROJECT}.{dataset}.late", schema=[bigquery.SchemaField("x", "STRING")]))


def test_datasets_keep_their_location_and_labels(world: BigQueryWorld) -> None:
    client = world.client()
    created = bigquery.Dataset(f"{PROJECT}.placed")
    created.location = "asia-south1"
    created.labels = {"team": "news"}
    client.create_dataset(created)
    assert client.get_dataset("placed").location == "asia-south1"
    assert client.create_dataset("unplaced").location == "US"
    assert [found.dataset_id for found in client.list_datasets(filter="labels.team:news")] == ["placed"]
    with pytest.raises(exceptions.Conflict, match=f"Already Exists: Dataset {PROJECT}:placed"):
        client.create_dataset(created)


def test_a_compressed_request_is_accepted(world: BigQueryWorld) -> None:

    body = gzip.compress(json.dumps({"query": "SELECT 7", "useLegacySql": False}).encode())
    headers = {"content-encoding": "gzip", "content-type": "application/json"}
    assert world.call("POST", "/queries", data=body, headers=headers).json()["rows"] == [{"f": [{"v": "7"}]}]
    assert world.call("POST", "/queries", data=b"no gzip", headers=headers).status_code == 400


def test_an_unknown_path_is_not_found(world: BigQueryWorld) -> None:
    answer = world.call("GET", "/nothing")
    assert answer.status_code == 404
    assert answer.json()["error"]["errors"][0]["reason"] == "notFound"


def test_exported_objects_can_be_loaded_immediately(world: BigQueryWorld, dataset: str) -> None:
    uri = f"gs://{BUCKET}/{dataset}/round-*.parquet"
    world.rows(f"EXPORT DATA OPTIONS(uri='{uri}', format='PARQUET') AS SELECT title FROM {dataset}.titles")
    config = bigquery.LoadJobConfig(source_format="PARQUET")
    world.client().load_table_from_uri(uri, f"{dataset}.back", job_config=config).result()
    assert world.client().get_table(f"{dataset}.back").num_rows == 100


def test_lists_have_pages(world: BigQueryWorld, dataset: str) -> None:
    client = world.client()
    for number in range(5):
        client.create_table(
            bigquery.Table(f"{PROJECT}.{dataset}.t{number}", schema=[bigquery.SchemaField("x", "STRING")])
        )
    pages = [[table.table_id for table in page] for page in client.list_tables(dataset, page_size=2).pages]
    assert [len(page) for page in pages] == [2, 2, 2]
    assert sorted(name for page in pages for name in page) == ["t0", "t1", "t2", "t3", "t4", "titles"]
    first = client.list_datasets(page_size=1)
    assert len(list(next(first.pages))) == 1
    assert first.next_page_token


def test_jobs_of_a_session_share_temporary_tables(world: BigQueryWorld, dataset: str) -> None:
    client = world.client()
    opened = client.query("SELECT 1", job_config=bigquery.QueryJobConfig(create_session=True))
    opened.result()
    session = [bigquery.ConnectionProperty("session_id", opened.session_info.session_id)]
    config = bigquery.QueryJobConfig(connection_properties=session)
    client.query(f"CREATE TEMP TABLE few AS SELECT * FROM {dataset}.titles WHERE score < 3", job_config=config).result()
    assert next(iter(client.query("SELECT COUNT(*) FROM few", job_config=config).result()))[0] == 3
    temporary = client.query("CREATE TEMP TABLE `_SESSION`.`kept` (x INT64)", job_config=config)
    temporary.result()
    client.query("INSERT INTO _SESSION.kept (x) VALUES (5)", job_config=config).result()
    assert [tuple(row) for row in client.list_rows(client.get_table(temporary.destination))] == [(5,)]
    with pytest.raises(exceptions.BadRequest, match='Table "few" must be qualified'):
        client.query("SELECT * FROM few").result()
    client.query(f"CALL BQ.ABORT_SESSION('{session[0].value}')", job_config=config).result()
    with pytest.raises(exceptions.BadRequest, match="Invalid input session id"):
        client.query("SELECT 1", job_config=config).result()


@pytest.mark.long
def test_bigquery_dataframes_reads_queries_and_tables(world: BigQueryWorld, dataset: str) -> None:
    import bigframes  # slow to import, and every process of `make test` imports this file

    endpoints = {"bqclient": world.url, "bqstoragereadclient": f"127.0.0.1:{world.bigquery.storage_api_port}"}
    options = bigframes.BigQueryOptions(
        project=PROJECT, location="US", credentials=AnonymousCredentials(), client_endpoints_override=endpoints
    )
    session = bigframes.connect(options)
    frame = session.read_gbq(f"SELECT title, score FROM {dataset}.titles WHERE score < 5")
    assert sorted(frame.to_pandas()["score"].tolist()) == [0, 1, 2, 3, 4]
    assert session.read_gbq(f"{PROJECT}.{dataset}.titles")["score"].sum() == 4950


@pytest.mark.matrix
def test_bq_creates_shows_lists_and_deletes_connections(world: BigQueryWorld, bq: Bq | None) -> None:
    if bq is None:
        return
    bq("mk", "--connection", "--location=US", "--connection_type=CLOUD_RESOURCE", "by_bq")
    assert "bqcx-" in bq("show", "--connection", f"{PROJECT}.us.by_bq")
    assert "by_bq" in bq("ls", "--connection", "--location=US")
    bq("rm", "-f", "--connection", f"{PROJECT}.us.by_bq")
    assert "by_bq" not in bq("ls", "--connection", "--location=US")


@pytest.mark.matrix
def test_bq_creates_lists_and_deletes_reservations(world: BigQueryWorld, bq: Bq | None) -> None:
    if bq is None:
        return
    bq("mk", "--reservation", "--location=US", "--slots=100", "--edition=ENTERPRISE", "by-bq")
    assert "by-bq" in bq("ls", "--reservation", "--location=US")
    bq("rm", "-f", "--reservation", "--location=US", "by-bq")
    assert "by-bq" not in bq("ls", "--reservation", "--location=US")


@pytest.mark.matrix
def test_bq_assigns_a_project_to_a_reservation(world: BigQueryWorld, bq: Bq | None) -> None:
    if bq is None:
        return
    bq("mk", "--reservation", "--location=US", "--slots=100", "--edition=ENTERPRISE", "by-bq")
    assigned = ("--reservation_assignment", "--location=US")
    project = ("--assignee_type=PROJECT", f"--assignee_id={PROJECT}")
    bq("mk", *assigned, f"--reservation_id={PROJECT}:US.by-bq", "--job_type=QUERY", *project)
    [assignment] = json.loads(bq("ls", "--format=json", *assigned, f"{PROJECT}:US.by-bq"))
    assert assignment["assignee"] == f"projects/{PROJECT}"
    bq("rm", "-f", *assigned, f"{PROJECT}:US.by-bq.{assignment['name'].rpartition('/')[2]}")
    bq("rm", "-f", "--reservation", "--location=US", "by-bq")
    assert "by-bq" not in bq("ls", "--reservation", "--location=US")


def test_a_table_without_clustering_fields_is_not_clustered_any_more(world: BigQueryWorld, dataset: str) -> None:
    world.rows(f"CREATE TABLE {dataset}.clustered (n INT64, f FLOAT64) CLUSTER BY n")
    table = world.client().get_table(f"{dataset}.clustered")
    table.clustering_fields = ["f"]
    with pytest.raises(exceptions.BadRequest, match="Field f has type FLOAT64, which is not supported for clustering"):
        world.client().update_table(table, ["clustering_fields"])
    table.clustering_fields = None
    world.client().update_table(table, ["clustering_fields"])
    assert world.client().get_table(f"{dataset}.clustered").clustering_fields is None


def test_a_dataset_with_a_dash_is_refused(world: BigQueryWorld) -> None:
    refused = world.call("POST", "/datasets", json={"datasetReference": {"datasetId": "a-b"}})
    assert refused.json()["error"]["message"].startswith('Invalid dataset ID "a-b"')
    assert "a-b" not in [each.dataset_id for each in world.client().list_datasets()]


def test_positions_of_rows_are_checked(world: BigQueryWorld, dataset: str) -> None:
    path = f"/datasets/{dataset}/tables/titles/data"
    first = world.call("GET", f"{path}?maxResults=99").json()
    last = world.call("GET", f"{path}?pageToken={first['pageToken']}").json()
    assert (len(last["rows"]), "pageToken" in last) == (1, False)
    for parameter in ("startIndex=-1", "startIndex=x", "pageToken=x"):
        assert world.call("GET", f"{path}?{parameter}").status_code == 400


@pytest.mark.parametrize("name", ["two words", "a-b c", "表"])
def test_tables_have_names_with_spaces_and_in_any_script(world: BigQueryWorld, dataset: str, name: str) -> None:
    body = {"tableReference": {"tableId": name}, "schema": {"fields": [{"name": "n", "type": "INTEGER"}]}}
    assert world.call("POST", f"/datasets/{dataset}/tables", json=body).status_code == 200
    world.rows(f"INSERT INTO `{dataset}.{name}` VALUES (1)")
    world.rows(f"CREATE TABLE {dataset}.`{name} 2` AS SELECT n + 1 AS n FROM {dataset}.`{name}`")
    assert world.rows(f"SELECT n FROM {dataset}.`{name} 2`") == [(2,)]
    with pytest.raises(exceptions.NotFound, match=f"{dataset}.{name} 3 was not found"):
        world.rows(f"SELECT n FROM {dataset}.`{name} 3`")


@pytest.mark.parametrize("name", ["a.b", "a$b", 'a"b', "a/b"])
def test_a_table_with_an_invalid_name_is_refused(world: BigQueryWorld, dataset: str, name: str) -> None:
    body = {"tableReference": {"tableId": name}, "schema": {"fields": [{"name": "n", "type": "INTEGER"}]}}
    refused = world.call("POST", f"/datasets/{dataset}/tables", json=body).json()["error"]
    assert refused["message"].startswith(f'Invalid table ID "{name}"')
