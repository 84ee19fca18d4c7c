"""Jobs of the local BigQuery: their ids, states, ends, lists and quotas."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import bigquery

from localcloud.base.clock import SystemClock
from tests.localcloud.bigquery.world import ENDLESS, PROJECT, BigQueryWorld, bigquery_world
from tests.waiting import wait_until


@pytest.fixture
def endless(world: BigQueryWorld) -> Iterator[bigquery.QueryJob]:
    """A job that runs until it is stopped."""
    job = world.client().query(ENDLESS)
    wait_until(lambda: _state(world, job) == "RUNNING")
    yield job
    job.cancel()
    wait_until(lambda: _state(world, job) == "DONE")


def _state(world: BigQueryWorld, job: bigquery.QueryJob) -> str:
    return world.client().get_job(job.job_id, location=job.location).state


def test_insert_returns_before_the_query_ends(world: BigQueryWorld) -> None:
    answer = world.insert(ENDLESS).json()
    assert answer["status"]["state"] in ("PENDING", "RUNNING")
    world.client().cancel_job(answer["jobReference"]["jobId"])


def test_other_calls_do_not_wait_for_a_running_job(world: BigQueryWorld, endless: bigquery.QueryJob) -> None:
    assert world.rows("SELECT 1 + 1") == [(2,)]
    list(world.client().list_datasets())
    assert _state(world, endless) == "RUNNING"


@pytest.mark.long
def test_many_jobs_run_at_the_same_time(world: BigQueryWorld) -> None:
    dataset = world.dataset()
    client = world.client()
    endless = [client.query(ENDLESS) for _ in range(3)]
    wait_until(lambda: all(_state(world, job) == "RUNNING" for job in endless))
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: world.rows(f"SELECT score FROM {dataset}.titles WHERE score = {n}"), range(16)))
    assert found == [[(n,)] for n in range(16)]
    for job in endless:
        job.cancel()
    wait_until(lambda: all(_state(world, job) == "DONE" for job in endless))


def test_a_used_id_is_rejected_and_the_first_job_does_not_change(world: BigQueryWorld) -> None:
    job_id = f"once-{uuid.uuid4().hex}"
    first = world.insert("SELECT 1 AS first", job_id=job_id)
    second = world.insert("SELECT 2 AS second", job_id=job_id)
    assert first.status_code == 200
    assert second.status_code == 409
    error = second.json()["error"]
    assert error["errors"][0]["reason"] == "duplicate"
    assert error["message"] == f"Already Exists: Job {PROJECT}:US.{job_id}"
    assert world.client().get_job(job_id).query == "SELECT 1 AS first"


def test_the_id_of_a_failed_job_is_taken(world: BigQueryWorld) -> None:
    job_id = f"burned-{uuid.uuid4().hex}"
    world.insert("SELECT * FROM nowhere.nothing", job_id=job_id)
    wait_until(lambda: world.client().get_job(job_id).state == "DONE")
    assert world.insert("SELECT 1", job_id=job_id).status_code == 409


def test_two_locations_can_have_jobs_with_the_same_id(world: BigQueryWorld) -> None:
    job_id = f"both-{uuid.uuid4().hex}"
    assert world.insert("SELECT 1", job_id=job_id, location="US").status_code == 200
    assert world.insert("SELECT 2", job_id=job_id, location="europe-west1").status_code == 200
    assert world.client().get_job(job_id, location="europe-west1").query == "SELECT 2"
    assert world.client().get_job(job_id).query == "SELECT 1"


def test_a_job_runs_in_the_location_of_its_datasets(world: BigQueryWorld) -> None:
    dataset = world.dataset(location="asia-south1")
    job = world.client().query(f"SELECT COUNT(*) FROM {dataset}.titles")
    job.result()
    assert job.location == "asia-south1"
    for elsewhere in ("US", None):
        with pytest.raises(exceptions.NotFound, match="Not found: Job"):
            world.client().get_job(job.job_id, location=elsewhere)


def test_a_dataset_in_another_location_is_not_found(world: BigQueryWorld) -> None:
    dataset = world.dataset(location="EU")
    with pytest.raises(exceptions.NotFound, match=f"Dataset {PROJECT}:{dataset} was not found in location US"):
        world.client().query(f"SELECT 1 FROM {dataset}.titles", location="US").result()


def test_a_job_runs_in_the_location_of_its_destination(world: BigQueryWorld) -> None:
    dataset = world.dataset(location="us-central1")
    answer = world.insert(
        "SELECT 1 AS x", destinationTable={"projectId": PROJECT, "datasetId": dataset, "tableId": "one"}
    ).json()
    assert answer["jobReference"]["location"] == "us-central1"


def test_cancel_ends_a_running_job(world: BigQueryWorld, endless: bigquery.QueryJob) -> None:
    assert endless.cancel()
    wait_until(lambda: _state(world, endless) == "DONE")
    endless.reload()
    assert endless.error_result is not None
    assert endless.error_result["reason"] == "stopped"
    with pytest.raises(exceptions.GoogleAPICallError, match="cancelled"):
        endless.result()


def test_cancelling_a_finished_job_changes_nothing(world: BigQueryWorld) -> None:
    job = world.client().query("SELECT 1")
    job.result()
    job.cancel()
    job.reload()
    assert job.state == "DONE"
    assert job.error_result is None


class CancellingClock(SystemClock):
    """A clock that cancels the job ``late`` when the job reads the time for the n-th time."""

    def __init__(self, looks: int) -> None:
        self._left = looks
        self.world: BigQueryWorld | None = None

    def now(self) -> datetime:
        if self.world is not None and threading.current_thread().name.startswith("bigquery-job"):
            self._left -= 1
            if not self._left:
                self.world.call("POST", "/jobs/late/cancel")
        return super().now()


@pytest.mark.parametrize(("looks", "cancelled"), [(2, True), (3, False)], ids=["before", "after"])
def test_a_job_is_cancelled_only_before_its_commit(tmp_path: Path, looks: int, cancelled: bool) -> None:
    clock = CancellingClock(looks)
    with bigquery_world(tmp_path, clock=clock) as world:
        dataset = world.dataset()
        table = {"projectId": PROJECT, "datasetId": dataset, "tableId": "titles"}
        clock.world = world
        world.insert("SELECT 'new' AS title", job_id="late", destinationTable=table, writeDisposition="WRITE_APPEND")
        wait_until(lambda: world.call("GET", "/jobs/late").json()["status"]["state"] == "DONE")
        status = world.call("GET", "/jobs/late").json()["status"]
        assert ("errorResult" in status) is cancelled
        assert world.rows(f"SELECT COUNT(*) FROM {dataset}.titles") == [(100 if cancelled else 101,)]


def test_a_job_ends_after_its_timeout(world: BigQueryWorld) -> None:
    job = world.client().query(ENDLESS, job_config=bigquery.QueryJobConfig(job_timeout_ms=200))
    wait_until(lambda: _state(world, job) == "DONE")
    job.reload()
    assert job.error_result is not None
    assert job.error_result["reason"] == "timeout"


def test_a_failed_job_has_an_error_result(world: BigQueryWorld) -> None:
    job = world.client().query("SELECT nope FROM UNNEST([1]) AS x")
    with pytest.raises(exceptions.BadRequest, match=r"Unrecognized name: nope at \[1:8\]"):
        job.result()
    found = world.client().get_job(job.job_id)
    assert found.state == "DONE"
    assert found.error_result == found.errors[0]
    assert found.error_result["reason"] == "invalidQuery"


def test_a_job_has_its_user_labels_times_and_statistics(world: BigQueryWorld) -> None:
    dataset = world.dataset()
    config = bigquery.QueryJobConfig(labels={"team": "news"}, priority="BATCH")
    job = world.client().query(f"SELECT title FROM {dataset}.titles", job_config=config)
    job.result()
    found = world.client().get_job(job.job_id)
    assert found.labels == {"team": "news"}
    assert found.priority == "BATCH"
    assert found.user_email == f"local-sa@{PROJECT}.iam.gserviceaccount.com"
    assert found.statement_type == "SELECT"
    assert found.created <= found.started <= found.ended
    assert [table.table_id for table in found.referenced_tables] == ["titles"]
    assert found.total_bytes_processed > 0
    assert found.destination.dataset_id.startswith("_")


def test_invalid_labels_are_rejected(world: BigQueryWorld) -> None:
    for labels in ({"Team": "news"}, {"team": "News"}, {"1st": "x"}, {f"l{n}": "x" for n in range(65)}):
        answer = world.call("POST", "/jobs", json={"configuration": {"labels": labels, "query": {"query": "SELECT 1"}}})
        assert answer.status_code == 400, labels


def test_an_invalid_job_id_is_rejected(world: BigQueryWorld) -> None:
    assert world.insert("SELECT 1", job_id="no spaces").status_code == 400
    assert world.insert("SELECT 1", job_id="x" * 1025).status_code == 400
    assert world.insert("SELECT 1", job_id="x" * 1000 + uuid.uuid4().hex[:24]).status_code == 200


def test_a_dry_run_returns_schema_bytes_and_tables_and_creates_no_job(world: BigQueryWorld) -> None:
    dataset = world.dataset()
    config = bigquery.QueryJobConfig(dry_run=True)
    job = world.client().query(f"SELECT title, score * 2 AS twice FROM {dataset}.titles", job_config=config)
    assert [(field.name, field.field_type) for field in job.schema] == [("title", "STRING"), ("twice", "INTEGER")]
    assert job.statement_type == "SELECT"
    assert job.total_bytes_processed == 100 * 8 + 100 * 2 + sum(len(f"title {n}") for n in range(100))
    assert [str(table) for table in job.referenced_tables] == [f"{PROJECT}.{dataset}.titles"]
    with pytest.raises(exceptions.NotFound):
        world.client().get_job(job.job_id)


def test_a_dry_run_does_not_run_the_statement(world: BigQueryWorld) -> None:
    dataset = world.dataset()
    config = bigquery.QueryJobConfig(dry_run=True)
    world.client().query(ENDLESS, job_config=config)
    world.client().query(f"CREATE TABLE {dataset}.made AS SELECT 1 AS x", job_config=config)
    world.client().query(f"DELETE FROM {dataset}.titles WHERE TRUE", job_config=config)
    assert world.rows(f"SELECT COUNT(*) FROM {dataset}.titles") == [(100,)]
    assert [table.table_id for table in world.client().list_tables(dataset)] == ["titles"]


@pytest.mark.parametrize(
    ("sql", "kind", "message"),
    [
        ("SELECT nope FROM {d}.titles", exceptions.BadRequest, r"Unrecognized name: nope at \[1:8\]"),
        ("SELECT * FROM {d}.nothing", exceptions.NotFound, r"Not found: Table local-project:\S+.nothing"),
        ("SELECT * FROM no_such.table", exceptions.NotFound, "Not found: Dataset local-project:no_such"),
        ("SELECT NO_SUCH(1)", exceptions.BadRequest, "Function not found: NO_SUCH"),
        ("SELECT FROM WHERE", exceptions.BadRequest, "Syntax error"),
        ("INSERT INTO {d}.titles (nope) VALUES (1)", exceptions.BadRequest, "nope"),
    ],
)
def test_a_dry_run_reports_errors(world: BigQueryWorld, sql: str, kind: type[Exception], message: str) -> None:
    sql = sql.replace("{d}", world.dataset())
    with pytest.raises(kind, match=message):
        world.client().query(sql, job_config=bigquery.QueryJobConfig(dry_run=True))


def test_jobs_are_listed_newest_first_in_pages_and_by_state(world: BigQueryWorld, endless: bigquery.QueryJob) -> None:
    client = world.client()
    ids = [client.query(f"SELECT {n}").job_id for n in range(5)]
    wait_until(lambda: all(client.get_job(job_id).state == "DONE" for job_id in ids))
    listed = [job.job_id for job in client.list_jobs(max_results=5)]
    assert listed == ids[::-1]
    pages = client.list_jobs(page_size=2)
    first = [job.job_id for job in next(pages.pages)]
    assert first == ids[:-3:-1]
    assert pages.next_page_token
    assert endless.job_id in [job.job_id for job in client.list_jobs(state_filter="running")]
    assert endless.job_id not in [job.job_id for job in client.list_jobs(state_filter="done")]


def test_a_list_has_status_and_user_only_in_the_full_projection(world: BigQueryWorld) -> None:
    world.rows("SELECT 1")
    full = world.call("GET", "/jobs?maxResults=1&projection=full").json()["jobs"][0]
    minimal = world.call("GET", "/jobs?maxResults=1").json()["jobs"][0]
    assert full["status"]["state"] == full["state"]
    assert "configuration" in full
    assert "user_email" in full
    assert minimal["state"] in ("PENDING", "RUNNING", "DONE")
    assert not {"status", "configuration", "user_email"} & minimal.keys()


def test_jobs_are_listed_by_creation_time(world: BigQueryWorld) -> None:
    client = world.client()
    before, after = client.query("SELECT 1"), None
    before.result()
    moment = before.created
    wait_until(lambda: time.time() > moment.timestamp() + 0.01)
    after = client.query("SELECT 2")
    after.result()
    since = [job.job_id for job in client.list_jobs(min_creation_time=after.created)]
    until = [job.job_id for job in client.list_jobs(max_creation_time=before.created)]
    assert after.job_id in since
    assert before.job_id not in since
    assert before.job_id in until
    assert after.job_id not in until


@pytest.mark.long
def test_hundreds_of_jobs_are_listed_in_few_calls(world: BigQueryWorld) -> None:
    """A poller reads a page of jobs per call."""
    label = {"labels": {"kind": "flood"}}
    job_ids = set()
    for _ in range(250):
        body = {"configuration": {**label, "query": {"query": "SELECT 1", "useLegacySql": False}}}
        job_ids.add(world.bigquery._jobs.insert(PROJECT, body, "someone@example.com").key.id)
    found, token, calls = set(), "", 0
    while True:
        page = world.call("GET", f"/jobs?allUsers=true&projection=full&maxResults=200&pageToken={token}")
        body = page.json()
        found |= {job["jobReference"]["jobId"] for job in body["jobs"]}
        calls += 1
        token = body.get("nextPageToken")
        if not token:
            break
    assert job_ids <= found
    assert calls <= 4
    own = [job.user_email for job in world.client().list_jobs(max_results=20)]
    assert "someone@example.com" not in own


def test_a_deleted_job_is_not_found(world: BigQueryWorld) -> None:
    job = world.client().query("SELECT 1")
    job.result()
    world.client().delete_job_metadata(job.job_id, location="US")
    with pytest.raises(exceptions.NotFound):
        world.client().get_job(job.job_id)


def test_results_have_pages(world: BigQueryWorld) -> None:
    sql = "SELECT number FROM UNNEST(GENERATE_ARRAY(1, 1000)) AS number ORDER BY number"
    rows = world.client().query(sql).result(page_size=300)
    pages = [[row.number for row in page] for page in rows.pages]
    assert [len(page) for page in pages] == [300, 300, 300, 100]
    assert [number for page in pages for number in page] == list(range(1, 1001))


@pytest.mark.long
def test_a_large_result_has_pages_and_a_table(world: BigQueryWorld) -> None:
    sql = "SELECT number, CAST(number AS STRING) AS text FROM UNNEST(GENERATE_ARRAY(1, 60000)) AS number"
    job = world.client().query(sql)
    numbers = [row.number for row in job.result()]
    assert sorted(numbers) == list(range(1, 60001))
    assert world.client().get_table(job.destination).num_rows == 60000


def test_a_query_that_is_not_done_returns_an_incomplete_job(world: BigQueryWorld) -> None:
    answer = world.call("POST", "/queries", json={"query": ENDLESS, "useLegacySql": False, "timeoutMs": 50}).json()
    assert answer["jobComplete"] is False
    assert "rows" not in answer
    world.client().cancel_job(answer["jobReference"]["jobId"])


def test_the_same_request_id_returns_the_same_job(world: BigQueryWorld) -> None:
    body = {"query": "SELECT 1", "useLegacySql": False, "requestId": uuid.uuid4().hex}
    first = world.call("POST", "/queries", json=body).json()["jobReference"]["jobId"]
    again = world.call("POST", "/queries", json=body).json()["jobReference"]["jobId"]
    other = world.call("POST", "/queries", json=body | {"query": "SELECT 2"}).json()["jobReference"]["jobId"]
    assert first == again != other


def test_a_query_over_its_maximum_bytes_billed_fails(world: BigQueryWorld) -> None:
    dataset = world.dataset()
    sql = f"SELECT * FROM {dataset}.titles"
    with pytest.raises(exceptions.GoogleAPICallError) as failed:
        world.client().query(sql, job_config=bigquery.QueryJobConfig(maximum_bytes_billed=1_000_000)).result()
    expected = "Query exceeded limit for bytes billed: 1000000. 10485760 or higher required."
    assert expected in str(failed.value)
    config = bigquery.QueryJobConfig(maximum_bytes_billed=10_485_760)
    assert world.client().query(sql, job_config=config).result().total_rows == 100


@pytest.mark.matrix
def test_concurrent_large_queries_have_enough_memory(world: BigQueryWorld) -> None:
    dataset = world.dataset()
    world.rows(
        f"CREATE TABLE {dataset}.heavy AS "
        "SELECT CONCAT(REPEAT('long text ', 20), CAST(n AS STRING)) AS text FROM UNNEST(GENERATE_ARRAY(1, 200000)) AS n"
    )
    sql = f"SELECT COUNT(*) FROM (SELECT text, COUNT(*) AS n FROM {dataset}.heavy GROUP BY text)"
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda _: world.rows(sql), range(8))) == [[(200000,)]] * 8


@pytest.mark.long
def test_jobs_over_a_quota_are_rejected_while_quotas_are_on(world: BigQueryWorld, endless: bigquery.QueryJob) -> None:
    dataset = world.dataset()
    target = {"projectId": PROJECT, "datasetId": dataset, "tableId": "daily"}
    try:
        world.bigquery.limit(queued_interactive=1)
        rejected = world.insert("SELECT 1")
        assert rejected.status_code == 403
        assert rejected.json()["error"]["errors"][0]["reason"] == "quotaExceeded"
        assert world.insert("SELECT 1", priority="BATCH").status_code == 200
        world.bigquery.limit(table_modifications_per_day=2)
        answers = [
            world.insert("SELECT 1 AS x", destinationTable=target, writeDisposition="WRITE_APPEND") for _ in range(3)
        ]
        assert [answer.status_code for answer in answers] == [200, 200, 403]
    finally:
        world.bigquery.limit()
    assert world.insert("SELECT 1", destinationTable=target, writeDisposition="WRITE_APPEND").status_code == 200


def test_legacy_sql_is_the_default_in_rest(world: BigQueryWorld) -> None:
    answer = world.call("POST", "/jobs", json={"configuration": {"query": {"query": "CREATE MODEL d.m OPTIONS()"}}})
    job_id = answer.json()["jobReference"]["jobId"]
    wait_until(lambda: world.client().get_job(job_id).state == "DONE")
    error = world.client().get_job(job_id).error_result
    assert error is not None
    assert error["reason"] == "invalidQuery"
    assert "standard SQL" in error["message"]
    dataset = world.dataset()
    sql = f"SELECT COUNT(*) AS n FROM [{PROJECT}:{dataset}.titles]"
    assert world.rows(sql, job_config=bigquery.QueryJobConfig(use_legacy_sql=True)) == [(100,)]


def test_legacy_sql_reads_tables_without_a_project(world: BigQueryWorld, dataset: str) -> None:
    config = bigquery.QueryJobConfig(use_legacy_sql=True)
    sql = f"SELECT COUNT(*) AS n, MIN('[a.b]') AS s FROM [{dataset}.titles]"
    assert [tuple(row) for row in world.client().query_and_wait(sql, job_config=config)] == [(100, "[a.b]")]


def test_an_invalid_body_is_rejected(world: BigQueryWorld) -> None:
    for body in ("{", "[]", "{}", '{"configuration": {}}', '{"configuration": {"query": {"query": " "}}}'):
        answer = world.call("POST", "/jobs", data=body, headers={"content-type": "application/json"})
        assert answer.status_code == 400, body
        assert answer.json()["error"]["code"] == 400


@pytest.mark.parametrize(
    ("method", "path", "body", "message"),
    [
        ("GET", "/jobs?stateFilter=ended", None, "Invalid value for stateFilter: ended"),
        ("GET", "/jobs?maxResults=-1", None, "Invalid value for maxResults: -1"),
        ("POST", "/queries", {"query": "SELECT 1", "maxResults": "x"}, "Invalid value for maxResults: x"),
        ("POST", "/queries", {"query": "SELECT 1", "useLegacySql": "maybe"}, "Invalid value for useLegacySql: maybe"),
        ("POST", "/queries", {"query": "SELECT 1", "jobCreationMode": "NONE"}, "Invalid value for jobCreationMode: NONE"),
        ("POST", "/jobs", {"jobReference": {"projectId": "other"}, "configuration": {"query": {"query": "SELECT 1"}}}, "other"),
        ("POST", "/jobs", {"configuration": {"query": {"query": "SELECT 1", "priority": "LOW"}}}, "Use one of INTERACTIVE"),
        ("POST", "/queries", {"query": "SELECT 1", "connectionProperties": [{"key": "k", "value": "v"}]}, "property k with"),
    ],
)  # fmt: skip
def test_values_that_no_call_has_are_refused(
    world: BigQueryWorld, method: str, path: str, body: dict[str, Any] | None, message: str
) -> None:
    answer = world.call(method, path, json=body)
    assert (answer.status_code, message in answer.json()["error"]["message"]) == (400, True)


def test_a_query_without_a_job_has_an_id_of_its_own(world: BigQueryWorld) -> None:
    client = world.client()
    client.default_job_creation_mode = "JOB_CREATION_OPTIONAL"
    rows = client.query_and_wait("SELECT 1 AS x")
    assert ([row.x for row in rows], rows.job_id, bool(rows.query_id)) == ([1], None, True)
    numbers = client.query_and_wait("SELECT x FROM UNNEST(GENERATE_ARRAY(1, 9)) AS x", page_size=4)
    assert (sum(row.x for row in numbers), bool(numbers.job_id)) == (45, True)


def test_a_label_of_a_query_is_a_label_of_its_job(world: BigQueryWorld) -> None:
    config = bigquery.QueryJobConfig(connection_properties=[bigquery.ConnectionProperty("query_label", "team:news")])
    assert world.client().query("SELECT 1", job_config=config).labels == {"team": "news"}


@pytest.mark.parametrize("sql", ["SELECT [1, NULL] AS a", "SELECT STRUCT([1, NULL] AS x) AS a"])
def test_a_result_has_no_arrays_with_null(world: BigQueryWorld, sql: str) -> None:
    with pytest.raises(exceptions.BadRequest, match="Array cannot have a null element; error in writing field a"):
        world.rows(sql)
