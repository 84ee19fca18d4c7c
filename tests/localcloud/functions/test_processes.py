"""The processes of the functions: their variables and packages, their restart, and their end."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import requests

from declaration.model import Function, HttpTrigger
from localcloud.base.clock import SystemClock
from localcloud.functions.janitor import Janitor
from localcloud.functions.processes import Functions, FunctionStartError, server_variables
from tests.paths import SAMPLE_FUNCTIONS as FUNCTIONS
from tests.waiting import LAST_LIMIT, wait_until


def function(name: str) -> Function:
    return Function(
        service=f"test-{name}", trigger=HttpTrigger(http="POST"), memory="512Mi", timeout_seconds=45, concurrency=1
    )


@pytest.fixture
def janitor() -> Iterator[Janitor]:
    janitor = Janitor()
    yield janitor
    janitor.close()


@pytest.fixture
def supervise(tmp_path: Path, janitor: Janitor) -> Iterator[Callable[..., Functions]]:
    """Creates the processes of functions in a folder of tests/sample_functions, and stops them."""
    supervised: list[Functions] = []

    def make(folder: Path, *names: str) -> Functions:
        chosen = {name: function(name) for name in names}
        supervised.append(Functions(chosen, source=folder, data_dir=tmp_path, clock=SystemClock(), janitor=janitor))
        return supervised[-1]

    yield make
    for functions in supervised:
        functions.stop()


def test_a_function_gets_its_own_variables_and_none_of_the_user(supervise: Callable[..., Functions]) -> None:
    functions = supervise(FUNCTIONS / "echo", "echo")
    functions.start({"MODEL_BUCKET": "models"})
    functions.wait_until_ready()
    answer = requests.post(functions.urls()["echo"], data="hello", timeout=LAST_LIMIT).json()
    assert answer["body"] == "hello"
    environment = answer["environment"]
    assert environment["MODEL_BUCKET"] == "models"
    assert environment["K_SERVICE"] == "test-echo"
    assert environment["CLOUD_RUN_TIMEOUT_SECONDS"] == "45"
    assert environment["THREADS"] == "4"
    assert environment["HOME"] != os.environ.get("HOME")
    assert "PYTEST_CURRENT_TEST" not in environment


IMPORTING = """\
import importlib

import functions_framework

@functions_framework.http
def importing(request):
    name = request.get_data(as_text=True)
    try:
        return str(importlib.import_module(name) is not None)
    except ImportError as error:
        return type(error).__name__
"""
LEAST = "functions-framework==3.10.2  # with its events\ngoogle-cloud-storage==3.17.1\n"


@pytest.mark.parametrize(
    ("requirements", "absent"),
    [
        pytest.param(LEAST, {"pandas", "yaml", "hypothesis"}, marks=pytest.mark.matrix),
        (f"# More.\n\n{LEAST}PyYAML==6.0.3\npandas>=2; python_version < '4'\n", {"hypothesis"}),
        pytest.param(None, set[str](), marks=pytest.mark.matrix),
    ],
)
@pytest.mark.long
def test_a_function_has_the_packages_that_it_is_deployed_with(
    supervise: Callable[..., Functions], tmp_path: Path, requirements: str | None, absent: set[str]
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "main.py").write_text(IMPORTING)
    if requirements is not None:
        (source / "requirements.txt").write_text(requirements)
    functions = supervise(source, "importing")
    functions.start({})
    functions.wait_until_ready()
    url = functions.urls()["importing"]
    imported = {
        name: requests.post(url, data=name, timeout=LAST_LIMIT).text
        for name in (
            "pandas",
            "numpy",
            "yaml",
            "hypothesis",
            "flask",
            "google.cloud.storage",
            "google.cloud.bigquery_storage",
        )
    }
    absent = absent | ({"numpy"} if "pandas" in absent else set())
    absent |= {"google.cloud.bigquery_storage"} if requirements is not None else set()
    assert imported == {name: "ModuleNotFoundError" if name in absent else "True" for name in imported}


@pytest.mark.long
def test_a_module_of_the_function_itself_can_always_be_imported(
    supervise: Callable[..., Functions], tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "main.py").write_text(IMPORTING)
    (source / "requirements.txt").write_text(LEAST)
    (source / "rich.py").write_text("")
    functions = supervise(source, "importing")
    functions.start({})
    functions.wait_until_ready()
    assert requests.post(functions.urls()["importing"], data="rich", timeout=LAST_LIMIT).text == "True"


@pytest.mark.parametrize(
    ("concurrency", "maximum_instances", "threads"),
    [(1, 1, "1"), (1, 10, "4"), (2, 1, "2"), (32, 20, "32"), (1, None, "4")],
)
def test_one_process_has_threads_for_all_instances(
    concurrency: int, maximum_instances: int | None, threads: str
) -> None:
    declared = function("echo").model_copy(update={"concurrency": concurrency, "maximum_instances": maximum_instances})

    assert server_variables(declared) == {"WORKERS": "1", "THREADS": threads}


def test_a_function_is_one_gunicorn_master_with_one_worker(supervise: Callable[..., Functions]) -> None:
    functions = supervise(FUNCTIONS / "echo", "echo")
    functions.start({})
    functions.wait_until_ready()
    workers = psutil.Process(functions.pids()["echo"]).children(recursive=True)
    assert [worker.pid for worker in workers] == [
        requests.post(functions.urls()["echo"], timeout=LAST_LIMIT).json()["pid"]
    ]


@pytest.mark.long
def test_functions_run_at_the_same_time_and_log_to_separate_files(
    supervise: Callable[..., Functions], tmp_path: Path
) -> None:
    functions = supervise(FUNCTIONS / "echo", "echo", "crash")
    functions.start({})
    functions.wait_until_ready()
    assert len(set(functions.urls().values())) == 2
    old = functions.urls()["echo"].replace("/echo", "/another")
    assert requests.post(old, timeout=LAST_LIMIT).status_code == 404
    requests.post(f"{functions.urls()['echo']}/somewhere", timeout=LAST_LIMIT).raise_for_status()
    wait_until(lambda: "request for /somewhere" in (tmp_path / "logs" / "echo.log").read_text())
    assert "somewhere" not in (tmp_path / "logs" / "crash.log").read_text()


@pytest.mark.long
def test_a_function_that_crashes_is_restarted_at_the_same_address(supervise: Callable[..., Functions]) -> None:
    functions = supervise(FUNCTIONS / "echo", "echo", "crash")
    functions.start({})
    functions.wait_until_ready()
    crashing, echo = functions.pids()["crash"], functions.pids()["echo"]
    with pytest.raises(requests.ConnectionError):
        requests.post(functions.urls()["crash"], timeout=LAST_LIMIT)
    wait_until(lambda: functions.pids().get("crash") not in (None, crashing))
    functions.wait_until_ready()
    assert requests.head(f"{functions.urls()['crash']}/robots.txt", timeout=LAST_LIMIT).status_code == 404
    assert functions.pids()["echo"] == echo


def test_a_killed_function_is_not_ready_until_its_restart(supervise: Callable[..., Functions]) -> None:
    functions = supervise(FUNCTIONS / "echo", "echo")
    functions.start({})
    functions.wait_until_ready()
    before = requests.post(functions.urls()["echo"], timeout=LAST_LIMIT).json()["pid"]
    functions.kill("echo")
    functions.wait_until_ready()
    assert requests.post(functions.urls()["echo"], timeout=LAST_LIMIT).json()["pid"] != before


@pytest.mark.long
def test_a_function_that_cannot_start_shows_its_last_log_lines(
    supervise: Callable[..., Functions], tmp_path: Path
) -> None:
    source = tmp_path / "broken"
    source.mkdir()
    (source / "main.py").write_text("raise RuntimeError('the setting MODEL_BUCKET is missing')\n")
    functions = supervise(source, "echo")
    functions.start({})
    with pytest.raises(FunctionStartError, match="the setting MODEL_BUCKET is missing"):
        functions.wait_until_ready()


def test_stopping_leaves_no_process(supervise: Callable[..., Functions]) -> None:
    functions = supervise(FUNCTIONS / "echo", "echo", "crash")
    functions.start({})
    functions.wait_until_ready()
    leaders = [psutil.Process(pid) for pid in functions.pids().values()]
    everybody = leaders + [worker for leader in leaders for worker in leader.children(recursive=True)]
    functions.stop()
    wait_until(lambda: not any(process.is_running() and process.status() != "zombie" for process in everybody))


def test_the_janitor_cleans_up_after_a_local_cloud_that_was_killed(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    folder.mkdir()
    script = """
import signal, subprocess, sys, os
from pathlib import Path
from localcloud.functions.janitor import Janitor
janitor = Janitor()
sleeper = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"], start_new_session=True)
finished = subprocess.Popen([sys.executable, "-c", ""], start_new_session=True)
janitor.started(sleeper.pid)
janitor.started(finished.pid)
finished.wait()
janitor.ended(finished.pid)
janitor.remove(Path(sys.argv[1]))
print(sleeper.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder)], capture_output=True, text=True, timeout=LAST_LIMIT
    )
    assert done.returncode < 0
    sleeper = int(done.stdout)
    wait_until(lambda: not psutil.pid_exists(sleeper) or psutil.Process(sleeper).status() == "zombie")
    wait_until(lambda: not folder.exists())
