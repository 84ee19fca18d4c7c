"""`python -m localcloud` as a user runs it: start, services, functions, restart and stop."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
from google.cloud import bigquery, pubsub_v1, storage

from tests.conftest import variables
from tests.paths import SAMPLE_FUNCTIONS
from tests.waiting import LAST_LIMIT, wait_until

SMALL = SAMPLE_FUNCTIONS / "small"
PROJECT = "start-project"
FREE_PORTS = ("--port", "0", "--pubsub-port", "0", "--bigquery-port", "0")
BATCHES = f"/v1/projects/{PROJECT}/locations/us-central1/batchPredictionJobs"
BATCH = {
    "displayName": "kept",
    "model": "publishers/google/models/gemini-2.5-flash",
    "inputConfig": {"instancesFormat": "jsonl", "gcsSource": {"uris": ["gs://nowhere/in.jsonl"]}},
    "outputConfig": {"predictionsFormat": "jsonl", "gcsDestination": {"outputUriPrefix": "gs://nowhere/out"}},
}


class Started:
    """A local cloud in a separate process, with the functions of tests/sample_functions/small."""

    def __init__(self, folder: Path, *arguments: str, **settings: str) -> None:
        self.folder = folder
        self.env_file = folder / "env"
        self.env_file.unlink(missing_ok=True)
        self.state = {"LOCALCLOUD_STATE": str(folder / "state.json")}
        where = ["--env-file", str(self.env_file), "--source", str(SMALL)]
        start = ["start", "--project", PROJECT, *FREE_PORTS, *where, *arguments]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "localcloud", *start],
            env={**os.environ, **self.state, **settings},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def is_up(self) -> bool:
        """Return whether the variables are written; fail if the process has ended."""
        assert self.process.poll() is None, self.process.communicate()[0]
        return self.env_file.exists()

    def environment(self) -> dict[str, str]:
        lines = self.env_file.read_text().splitlines()
        assert all(line.startswith("export ") for line in lines)
        pairs = [shlex.split(line.removeprefix("export "))[0].partition("=") for line in lines]
        return {name: value for name, _, value in pairs}

    def command(self, name: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "localcloud", name]
        return subprocess.run(
            command, env={**os.environ, **self.state}, capture_output=True, text=True, timeout=LAST_LIMIT
        )

    def function_processes(self) -> list[psutil.Process]:
        described = requests.get(self.environment()["LOCALCLOUD_URL"], timeout=LAST_LIMIT).json()
        leaders = [psutil.Process(function["pid"]) for function in described["functions"].values()]
        return leaders + [worker for leader in leaders for worker in leader.children(recursive=True)]

    def kept(self, folder: str) -> list[Any]:
        """Return the JSON objects that the functions wrote to ``folder``."""
        with variables(self.environment()):
            client = storage.Client()
            blobs = client.list_blobs(f"{PROJECT}-kept", prefix=f"{folder}/")
            return [json.loads(blob.download_as_bytes()) for blob in blobs]


def have_ended(processes: list[psutil.Process]) -> bool:
    return not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in processes)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Started]]:
    """Starts local clouds and waits for them; those that still run at the end are killed."""
    created_clouds: list[Started] = []

    def make(*arguments: str, wait: bool = True, **settings: str) -> Started:
        started = Started(tmp_path_factory.mktemp("start"), *arguments, **settings)
        created_clouds.append(started)
        if wait:
            wait_until(started.is_up)
        return started

    yield make
    for started in created_clouds:
        if started.process.poll() is None:
            started.process.kill()
        started.process.communicate()


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def started(start: Callable[..., Started], data_dir: Path) -> Started:
    return start("--data-dir", str(data_dir), "--set", "FAREWELL=bye", GREETING="good day")


def test_the_variables_have_the_addresses_of_all_services(started: Started) -> None:
    environment = started.environment()
    assert environment["GOOGLE_CLOUD_PROJECT"] == PROJECT
    assert environment["WATCHED_BUCKET"] == f"{PROJECT}-watched"
    assert environment["WATCHED_TOPIC"] == f"projects/{PROJECT}/topics/watched"
    http = environment["LOCALCLOUD_URL"]
    assert http == environment["STORAGE_EMULATOR_HOST"] == environment["VERTEX_ENDPOINT"]
    assert environment["PUBSUB_EMULATOR_HOST"].startswith("127.0.0.1:")
    for service in ("STORAGE", "PUBSUB", "AIPLATFORM", "CLOUDSCHEDULER"):
        assert environment[f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{service}"] == f"{http}/"
    key = json.loads(Path(environment["GOOGLE_APPLICATION_CREDENTIALS"]).read_text())
    assert key["client_email"] == f"small-runtime@{PROJECT}.iam.gserviceaccount.com"
    assert key["token_uri"] == f"{http}/token"
    described = requests.get(http, timeout=LAST_LIMIT).json()
    assert described["state"] == "running"
    assert described["services"]["bigquery"] == environment["BIGQUERY_EMULATOR_HOST"]
    assert described["functions"]["keep_call"]["url"] == environment["KEEP_CALL_URL"]
    # Google's client for Node.js leaves out the version of the JSON API.
    bucket = requests.get(f"{http}/b/{PROJECT}-watched", timeout=LAST_LIMIT).json()
    assert bucket["kind"] == "storage#bucket"


def test_env_prints_the_same_variables(started: Started) -> None:
    assert started.command("env").stdout == started.env_file.read_text()


def test_an_upload_calls_the_function_of_the_bucket(started: Started) -> None:
    with variables(started.environment()):
        storage.Client().bucket(f"{PROJECT}-watched").blob("a folder/ä.txt").upload_from_string("x")
    [event] = wait_until(lambda: started.kept("objects"))
    assert event["type"] == "google.cloud.storage.object.v1.finalized"
    assert event["data"]["name"] == "a folder/ä.txt"
    assert event["data"]["size"] == "1"


def test_a_message_calls_the_function_of_the_topic(started: Started) -> None:
    with variables(started.environment()):
        pubsub_v1.PublisherClient().publish(f"projects/{PROJECT}/topics/watched", b"hello", key="value").result(
            LAST_LIMIT
        )
    [event] = wait_until(lambda: started.kept("messages"))
    assert event["type"] == "google.cloud.pubsub.topic.v1.messagePublished"
    assert event["data"]["message"]["attributes"] == {"key": "value"}


def test_a_schedule_can_be_run_by_a_request(started: Started) -> None:
    http = started.environment()["LOCALCLOUD_URL"]
    job = f"{http}/v1/projects/{PROJECT}/locations/us-central1/jobs/call"
    assert requests.get(job, timeout=LAST_LIMIT).json()["schedule"] == "0 0 1 1 *"
    requests.post(f"{job}:run", json={}, timeout=LAST_LIMIT).raise_for_status()
    [call] = wait_until(lambda: started.kept("calls"))
    assert call == {"body": {"from": "the schedule"}, "greeting": "good day", "farewell": "bye"}


@pytest.mark.parametrize(
    ("command", "output"),
    [
        ("gcloud storage ls", f"gs://{PROJECT}-watched/"),
        pytest.param("bq ls --project_id bigquery-public-data", "hacker_news", marks=pytest.mark.matrix),
    ],
)
@pytest.mark.long
def test_the_cloud_sdk_uses_the_local_cloud_if_it_is_installed(started: Started, command: str, output: str) -> None:
    program, *arguments = command.split()
    if (path := shutil.which(program)) is not None:
        with variables(started.environment()):
            done = subprocess.run([path, *arguments], capture_output=True, text=True, timeout=LAST_LIMIT)
        assert done.returncode == 0, done.stderr
        assert output in done.stdout


def test_a_path_without_a_service_is_not_found(started: Started) -> None:
    answer = requests.get(f"{started.environment()['LOCALCLOUD_URL']}/nowhere", timeout=LAST_LIMIT)
    assert answer.status_code == 404
    assert answer.json()["error"]["status"] == "NOT_FOUND"


@dataclass(frozen=True)
class Stopped:
    """What a local cloud had before it was stopped."""

    started: Started
    environment: dict[str, str]
    job_id: str
    batch: dict[str, Any]
    processes: list[psutil.Process]


@pytest.fixture(scope="module")
def stopped(started: Started) -> Stopped:
    """The local cloud of the tests above, stopped after it got a table, a held message and a batch."""
    environment = started.environment()
    with variables(environment):
        job = bigquery.Client().query("CREATE SCHEMA kept; CREATE TABLE kept.numbers AS SELECT 7 AS n")
        job.result()
        pubsub_v1.PublisherClient().publish(f"projects/{PROJECT}/topics/dead", b"held").result(LAST_LIMIT)
        storage.Client().bucket(f"{PROJECT}-watched").blob("kept.txt").upload_from_string("x")
    requests.post(environment["KEEP_CALL_URL"], json={}, timeout=LAST_LIMIT).raise_for_status()
    batch = requests.post(f"{environment['LOCALCLOUD_URL']}{BATCHES}", json=BATCH, timeout=LAST_LIMIT).json()
    processes = started.function_processes()
    assert started.command("stop").returncode == 0
    assert started.process.wait(timeout=LAST_LIMIT) == 0
    return Stopped(started, environment, job.job_id, batch, processes)


def test_a_stopped_local_cloud_leaves_no_process_and_no_variables(stopped: Stopped) -> None:
    assert have_ended(stopped.processes)
    assert not stopped.started.env_file.exists()
    assert stopped.started.command("env").returncode == 1


def test_the_logs_of_the_functions_outlive_the_local_cloud(stopped: Stopped) -> None:
    assert "called" in (stopped.started.folder / "logs" / "latest" / "keep_call.log").read_text()


@pytest.mark.long
def test_data_and_jobs_are_kept_after_a_restart(
    stopped: Stopped, start: Callable[..., Started], data_dir: Path
) -> None:
    again = start("--data-dir", str(data_dir), "--no-functions")
    with variables(again.environment()):
        [row] = bigquery.Client().query("SELECT n FROM kept.numbers").result()
        assert row["n"] == 7
        assert bigquery.Client().get_job(stopped.job_id).state == "DONE"
        assert storage.Client().bucket(f"{PROJECT}-watched").blob("kept.txt").download_as_bytes() == b"x"
        with pubsub_v1.SubscriberClient() as subscriber:
            hold = subscriber.subscription_path(PROJECT, "dead-hold")
            [received] = subscriber.pull(subscription=hold, max_messages=1, timeout=LAST_LIMIT).received_messages
            assert received.message.data == b"held"
    [batch] = requests.get(f"{again.environment()['LOCALCLOUD_URL']}{BATCHES}", timeout=LAST_LIMIT).json()[
        "batchPredictionJobs"
    ]
    assert (batch["name"], batch["createTime"]) == (stopped.batch["name"], stopped.batch["createTime"])
    again.process.send_signal(signal.SIGINT)
    assert again.process.wait(timeout=LAST_LIMIT) == 0


@pytest.mark.long
def test_a_killed_local_cloud_leaves_no_process_and_no_folder(start: Callable[..., Started]) -> None:
    started = start()
    folder = Path(started.environment()["GOOGLE_APPLICATION_CREDENTIALS"]).parent
    processes = started.function_processes()
    assert folder.exists()
    started.process.kill()
    wait_until(lambda: have_ended(processes) and not folder.exists())


@pytest.mark.long
def test_it_does_not_start_on_a_port_that_is_in_use(start: Callable[..., Started]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        refused = start("--no-functions", "--port", str(taken.getsockname()[1]), wait=False)
        output = refused.process.communicate(timeout=LAST_LIMIT)[0]
    assert refused.process.returncode == 1
    assert "The local cloud did not start" in output
    assert not refused.env_file.exists()


@pytest.mark.long
def test_it_does_not_start_with_a_wrong_declaration(start: Callable[..., Started], tmp_path: Path) -> None:
    wrong = (SMALL / "deploy" / "functions.yaml").read_text().replace("topic: watched", "topic: wacthed")
    (tmp_path / "wrong.yaml").write_text(wrong)
    refused = start("--declaration", str(tmp_path / "wrong.yaml"), wait=False)
    output = refused.process.communicate(timeout=LAST_LIMIT)[0]
    assert refused.process.returncode == 1
    assert (
        "wrong.yaml, line 31: functions.keep_message.trigger.topic names wacthed, which is not a declared topic"
        in output
    )


@pytest.mark.matrix
def test_two_local_clouds_run_side_by_side(start: Callable[..., Started]) -> None:
    with ThreadPoolExecutor() as threads:
        first, second = threads.map(lambda _: start("--no-functions"), range(2))
    assert first.environment()["LOCALCLOUD_URL"] != second.environment()["LOCALCLOUD_URL"]
    assert "KEEP_CALL_URL" not in first.environment()
    for started in (first, second):
        assert started.command("stop").returncode == 0
