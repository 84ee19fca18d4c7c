"""Jobs after a restart with the same directory: ended jobs exist, others do not."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from google.api_core import exceptions

from tests.localcloud.bigquery.world import ENDLESS, PROJECT, BigQueryWorld, bigquery_world
from tests.paths import ROOT
from tests.waiting import LAST_LIMIT, wait_until

Start = Callable[[], AbstractContextManager[BigQueryWorld]]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Return a function that starts a local BigQuery, each time with the same directory."""
    return lambda: bigquery_world(tmp_path / "storage", kept=tmp_path / "kept")


def appending(table: str) -> dict[str, Any]:
    """Return the settings of a query that appends to a table."""
    project, dataset, name = table.split(".")
    destination = {"projectId": project, "datasetId": dataset, "tableId": name}
    return {"destinationTable": destination, "writeDisposition": "WRITE_APPEND"}


def resources(world: BigQueryWorld, *job_ids: str) -> list[dict[str, Any]]:
    """Return the resources of jobs, from jobs.get."""
    return [world.call("GET", f"/jobs/{job_id}").json() for job_id in job_ids]


def listed(world: BigQueryWorld) -> list[str]:
    """Return the ids of the jobs of all users, newest first."""
    jobs = world.call("GET", "/jobs", params={"allUsers": "true"}).json().get("jobs", [])
    return [job["jobReference"]["jobId"] for job in jobs]


def finish(world: BigQueryWorld, *job_ids: str) -> None:
    wait_until(lambda: all(job["status"]["state"] == "DONE" for job in resources(world, *job_ids)))


@pytest.mark.long
def test_ended_jobs_are_unchanged_after_a_restart(start: Start) -> None:
    with start() as world:
        table = f"{PROJECT}.{world.dataset()}.ten"
        settings = {"query": {"query": "SELECT 1 AS n FROM UNNEST(GENERATE_ARRAY(1, 10))", **appending(table)}}
        settings["query"]["useLegacySql"] = False
        reference = {"projectId": PROJECT, "jobId": "append"}
        body = {"jobReference": reference, "configuration": {**settings, "labels": {"kind": "prediction"}}}
        world.call("POST", "/jobs", json=body)
        finish(world, "append")
        world.insert("SELECT nope", job_id="failed")
        world.insert(f"INSERT INTO {table} (n) VALUES (2)", job_id="insert")
        world.insert("SELECT 1 AS x; SELECT 2 AS y", job_id="script")
        finish(world, "failed", "insert", "script")
        before = resources(world, "append", "failed", "insert", "script", "script_job_script_0")
        assert before[0]["configuration"]["labels"] == {"kind": "prediction"}
        order = listed(world)
    with start() as world:
        assert resources(world, "append", "failed", "insert", "script", "script_job_script_0") == before
        assert listed(world) == order == ["script", "insert", "failed", "append"]
        assert [world.insert("SELECT 1", job_id=job_id).status_code for job_id in order] == [409] * 4
        assert len(list(world.client().get_job("append").result())) == 11
        assert world.client().get_job("insert").num_dml_affected_rows == 1
        with pytest.raises(exceptions.BadRequest, match="nope"):
            world.client().get_job("failed").result()


@pytest.mark.long
def test_rows_without_a_destination_are_lost_after_a_restart(start: Start) -> None:
    with start() as world:
        world.insert("SELECT 1 AS x", job_id="select")
        finish(world, "select")
    with start() as world:
        assert world.call("GET", "/jobs/select").json()["status"] == {"state": "DONE"}
        assert world.call("GET", "/queries/select").status_code == 404


@pytest.mark.long
def test_a_repeated_request_id_does_not_run_again_after_a_restart(start: Start) -> None:
    with start() as world:
        world.rows("CREATE SCHEMA numbers; CREATE TABLE numbers.all AS SELECT 1 AS n")
        request = {"query": "INSERT INTO numbers.all (n) VALUES (2)", "useLegacySql": False, "requestId": "once"}
        first = world.call("POST", "/queries", json=request).json()
    with start() as world:
        assert world.call("POST", "/queries", json=request).json() == first
        assert world.rows("SELECT n FROM numbers.all ORDER BY n") == [(1,), (2,)]


@pytest.mark.long
def test_a_deleted_job_does_not_exist_after_a_restart(start: Start) -> None:
    with start() as world:
        world.insert("SELECT 1 AS x", job_id="select")
        finish(world, "select")
        world.client().delete_job_metadata("select", location="US")
    with start() as world:
        assert world.call("GET", "/jobs/select").status_code == 404


@pytest.mark.long
def test_a_job_that_runs_at_the_stop_does_not_exist_after_a_restart(start: Start) -> None:
    with start() as world:
        table = f"{PROJECT}.{world.dataset()}.counts"
        world.rows(f"CREATE TABLE {table} AS SELECT 1 AS n")
        world.insert(ENDLESS, job_id="endless", **appending(table))
        wait_until(lambda: resources(world, "endless")[0]["status"]["state"] == "RUNNING")
    with start() as world:
        assert world.call("GET", "/jobs/endless").status_code == 404
        assert world.rows(f"SELECT n FROM {table}") == [(1,)]
        assert world.insert("SELECT 2 AS n", job_id="endless", **appending(table)).status_code == 200
        finish(world, "endless")
        assert world.rows(f"SELECT n FROM {table} ORDER BY n") == [(1,), (2,)]


KILLED = """
import os, signal, sys, threading
from pathlib import Path
from localcloud.base.clock import SystemClock
from tests.localcloud.bigquery.world import bigquery_world
from tests.waiting import wait_until

class DeadlyClock(SystemClock):
    left = 0

    def now(self):
        if self.left and threading.current_thread().name.startswith("bigquery-job"):
            self.left -= 1
            if not self.left:
                os.kill(os.getpid(), signal.SIGKILL)
        return super().now()

home, clock = Path(sys.argv[1]), DeadlyClock()
with bigquery_world(home / "storage", kept=home / "kept", clock=clock) as world:
    world.rows("CREATE SCHEMA numbers; CREATE TABLE numbers.all AS SELECT 1 AS n")
    clock.left = int(sys.argv[2])
    world.insert(sys.argv[3], job_id="once", **eval(sys.argv[4]))
    wait_until(lambda: world.call("GET", "/jobs/once").json()["status"]["state"] == "DONE")
"""
ADDED = "SELECT 2 AS n FROM UNNEST(GENERATE_ARRAY(1, 10))"
APPENDING = (ADDED, appending(f"{PROJECT}.numbers.all"))
INTO_EMPTY = (ADDED, appending(f"{PROJECT}.numbers.new") | {"writeDisposition": "WRITE_EMPTY"})
INSERTING: tuple[str, dict[str, Any]] = (f"INSERT INTO numbers.all {ADDED}", {})
# A job reads the clock when it starts, again before it commits, and then for its statistics. A script reads it once more.
BEFORE, AFTER = 2, 3


def kill(home: Path, moment: int, sql: str, options: dict[str, Any]) -> None:
    """Run the job ``once`` in a process that is killed when the job reads the clock for the ``moment``-th time."""
    command = [sys.executable, "-c", KILLED, str(home), str(moment), sql, repr(options)]
    done = subprocess.run(command, cwd=ROOT, timeout=LAST_LIMIT, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.parametrize(
    ("job", "moment"),
    [
        pytest.param(APPENDING, BEFORE, id="append, before", marks=pytest.mark.matrix),
        pytest.param(APPENDING, AFTER, id="append, after", marks=pytest.mark.matrix),
        pytest.param(INTO_EMPTY, AFTER, id="into an empty table, after", marks=pytest.mark.matrix),
        pytest.param(INSERTING, BEFORE, id="INSERT, before", marks=pytest.mark.matrix),
        pytest.param(INSERTING, AFTER, id="INSERT, after", marks=pytest.mark.matrix),
    ],
)
@pytest.mark.long
def test_a_job_of_a_killed_process_is_done_or_does_not_exist_after_a_restart(
    start: Start, tmp_path: Path, job: tuple[str, dict[str, Any]], moment: int
) -> None:
    sql, options = job
    kill(tmp_path, moment, sql, options)
    table = options["destinationTable"]["tableId"] if options else "all"
    with start() as world:
        again = world.insert(sql, job_id="once", **options)
        assert again.status_code == (409 if moment == AFTER else 200)
        finish(world, "once")
        [resource] = resources(world, "once")
        assert "errorResult" not in resource["status"]
        assert resource["statistics"]["query"]["queryPlan"][0]["recordsWritten"] == "10"
        assert world.rows(f"SELECT COUNT(*) FROM numbers.{table} WHERE n = 2") == [(10,)]
        assert world.client().get_job("once").destination.table_id == table
    with start() as world:
        assert resources(world, "once") == [resource]


@pytest.mark.matrix
def test_a_script_of_a_killed_process_is_stopped_after_a_restart(start: Start, tmp_path: Path) -> None:
    kill(tmp_path, AFTER + 1, f"INSERT INTO numbers.all {ADDED}; INSERT INTO numbers.all {ADDED}", {})
    with start() as world:
        [resource] = resources(world, "once")
        assert resource["status"]["errorResult"]["reason"] == "stopped"
        assert world.rows("SELECT COUNT(*) FROM numbers.all WHERE n = 2") == [(10,)]
