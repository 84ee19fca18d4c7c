"""Which local cloud a command means, when several run, one has stopped, or none runs."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from localcloud.__main__ import _port_or_default, main
from localcloud.running import (
    NotOneRunning,
    StateFile,
    choose,
    latest_logs,
    new_logs,
    remember_logs,
    running,
    shown_logs,
)

HOLD = """
import sys
from localcloud.running import StateFile
from pathlib import Path
url = f"http://127.0.0.1:{sys.argv[2]}"
state = StateFile({"LOCALCLOUD_ID": sys.argv[1], "LOCALCLOUD_URL": url}, Path("logs-of-" + sys.argv[1]))
print("ready", flush=True)
sys.stdin.read()
"""

Hold = Callable[[str, int], subprocess.Popen[str]]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which no local cloud was started."""
    monkeypatch.chdir(tmp_path)
    for name in ("LOCALCLOUD_STATE", "LOCALCLOUD_ID", "LOCALCLOUD_URL", "LOCALCLOUD_FILE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def hold() -> Iterator[Hold]:
    """Runs processes that hold the state files of local clouds."""
    processes: list[subprocess.Popen[str]] = []
    root = Path(__file__).parents[2]

    def run(cloud_id: str, port: int) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, cloud_id, str(port)],
            env={**os.environ, "PYTHONPATH": str(root)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    yield run
    for process in processes:
        process.kill()
        process.communicate()


def test_the_only_local_cloud_is_meant(hold: Hold) -> None:
    process = hold("a", 1111)

    assert (choose().id, choose().pid, choose().port) == ("a", process.pid, 1111)


def test_of_several_local_clouds_one_must_be_chosen(hold: Hold) -> None:
    hold("a", 1111)
    hold("b", 2222)

    with pytest.raises(NotOneRunning, match=r"2 local clouds run\. .*:1111.*:2222.* Choose one with --port"):
        choose()
    assert choose(2222).id == "b"


def test_the_variables_of_the_shell_choose_a_local_cloud(hold: Hold, monkeypatch: pytest.MonkeyPatch) -> None:
    hold("a", 1111)
    hold("b", 2222)
    monkeypatch.setenv("LOCALCLOUD_ID", "b")

    assert choose().port == 2222


def test_the_variables_of_the_shell_choose_a_local_cloud_of_another_folder(
    hold: Hold, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = hold("a", 1111)
    for name, value in choose().environment.items():
        monkeypatch.setenv(name, value)
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")

    assert [cloud.id for cloud in running()] == ["a"]
    assert choose().pid == process.pid
    assert shown_logs() == folder / "logs-of-a"
    process.kill()
    process.wait()
    with pytest.raises(NotOneRunning, match="No local cloud is running"):
        choose()


def test_a_new_local_cloud_at_the_same_port_is_not_that_of_old_variables(
    hold: Hold, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = hold("old", 1111)
    for name, value in choose().environment.items():
        monkeypatch.setenv(name, value)
    process.kill()
    process.wait()
    hold("new", 1111)

    with pytest.raises(NotOneRunning, match="of a local cloud that has stopped"):
        choose()


def test_variables_of_a_stopped_local_cloud_do_not_stop_another(
    hold: Hold, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    process = hold("new", 8080)
    monkeypatch.setenv("LOCALCLOUD_ID", "old")
    monkeypatch.setenv("LOCALCLOUD_URL", "http://127.0.0.1:8080")

    assert main(["stop"]) == 1
    assert "of a local cloud that has stopped" in capsys.readouterr().err
    assert process.poll() is None
    assert choose(of_this_shell=False).id == "new"


def test_the_file_of_a_killed_local_cloud_does_not_count(hold: Hold, folder: Path) -> None:
    process = hold("a", 1111)
    process.send_signal(signal.SIGKILL)
    process.wait()

    assert (folder / ".localcloud" / "1111.json").exists()
    assert running() == []


def test_a_second_local_cloud_does_not_take_the_file_of_the_first(hold: Hold) -> None:
    hold("a", 1111)

    with pytest.raises(OSError, match="another local cloud runs with the state file"):
        StateFile({"LOCALCLOUD_ID": "b", "LOCALCLOUD_URL": "http://127.0.0.1:1111"})
    assert choose().id == "a"


def test_without_a_local_cloud_the_error_says_how_to_start_one() -> None:
    with pytest.raises(NotOneRunning, match="Start one with `modeldrop start`"):
        choose()


def test_a_taken_default_port_is_replaced_by_a_free_one() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        assert _port_or_default(None, port) == 0
        assert _port_or_default(port, 1) == port
    assert _port_or_default(None, port) == port


def test_logs_are_kept_of_the_last_local_clouds() -> None:
    for number in range(7):
        logs = new_logs(f"2026-{number}")
        (logs / "predict.log").write_text(str(number))
        remember_logs(logs)

    assert sorted(each.name for each in latest_logs().parent.iterdir()) == [
        *(f"2026-{n}" for n in range(2, 7)),
        "latest",
    ]
    assert (latest_logs() / "predict.log").read_text() == "6"
