"""`modeldrop logs` without a local cloud that runs, and `modeldrop exec`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from localcloud.running import StateFile, new_logs, remember_logs
from modeldrop.__main__ import main
from modeldrop.commands.logs import local_lines
from tests.unit.modeldrop.conftest import Run


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The logs of a local cloud that has stopped."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LOCALCLOUD_STATE", raising=False)
    logs = new_logs("20261126-200000-1")
    record = {"severity": "INFO", "message": "predict succeeded", "key": "abc"}
    (logs / "predict.log").write_text(f"old\n{json.dumps(record)}\n")
    (logs / "poll_jobs.log").write_text("Traceback\n")
    remember_logs(logs)
    return logs


def test_logs_of_a_function_are_shown_after_the_local_cloud_has_stopped(folder: Path) -> None:
    done = CliRunner().invoke(main, ["logs", "predict", "-n", "1"])

    assert done.output == "predict  INFO  predict succeeded  key=abc\n"


def test_logs_of_all_functions_are_json_with_the_name_of_the_function(folder: Path) -> None:
    lines = [json.loads(line) for line in CliRunner().invoke(main, ["logs", "--json"]).output.splitlines()]

    assert {"function": "poll_jobs", "message": "Traceback"} in lines
    assert {"function": "predict", "severity": "INFO", "message": "predict succeeded", "key": "abc"} in lines


def test_following_logs_yields_whole_lines_that_are_added(folder: Path) -> None:
    lines = local_lines(folder, ["predict"], 1, follow=True)
    next(lines)
    with (folder / "predict.log").open("a") as log:
        log.write("added\nunfinis")

    assert next(lines) == ("", "predict", "added")


def test_an_unknown_function_is_refused_with_the_names_of_all(folder: Path) -> None:
    done = CliRunner().invoke(main, ["logs", "predcit"])

    assert done.exit_code == 2
    assert "There is no function predcit. Functions: import_model, " in done.output


def test_a_folder_without_logs_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LOCALCLOUD_STATE", raising=False)

    assert "no local cloud was started in this folder" in CliRunner().invoke(main, ["logs"]).output


def test_variables_of_a_stopped_local_cloud_are_refused(
    running: StateFile, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCALCLOUD_ID", "another")

    done = run("status")

    assert done.exit_code == 2
    assert "The variables of this shell are of a local cloud that has stopped" in done.output
