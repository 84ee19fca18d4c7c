"""Logs: each record is one line of JSON."""

from __future__ import annotations

import json

import pytest

from shared import trace
from shared.log import log, log_bug
from tests.conftest import variables

SECRET = "".join(["Rumpel", "stiltskin"])


def test_a_record_is_one_line_of_json_with_its_keys(capsys: pytest.CaptureFixture[str]) -> None:
    log("WARNING", "left for\nthe next tick", key="k1", rows=7, code=None)
    written = capsys.readouterr()
    assert written.out == ""
    assert written.err.count("\n") == 1
    assert json.loads(written.err) == {
        "severity": "WARNING",
        "message": "left for\nthe next tick",
        "key": "k1",
        "rows": 7,
        "logging.googleapis.com/labels": {"modeldrop_key": "k1"},
    }


def test_a_record_names_its_trace_so_that_cloud_logging_shows_it_there(capsys: pytest.CaptureFixture[str]) -> None:
    context = trace.parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
    with variables({"GOOGLE_CLOUD_PROJECT": "films"}), trace.within(context):
        log("INFO", "imported")
    log("INFO", "after")
    first, after = map(json.loads, capsys.readouterr().err.splitlines())
    assert first["logging.googleapis.com/trace"] == "projects/films/traces/4bf92f3577b34da6a3ce929d0e0e4736"
    assert first["logging.googleapis.com/spanId"] == "00f067aa0ba902b7"
    assert first["logging.googleapis.com/trace_sampled"] is True
    assert not any("trace" in name for name in after)


def test_a_bug_is_reported_with_its_stack_trace_and_without_its_text(capsys: pytest.CaptureFixture[str]) -> None:
    def break_down() -> None:
        raise ValueError(SECRET)

    with variables({"K_SERVICE": "modeldrop-poll-jobs", "K_REVISION": "r-7"}):
        try:
            break_down()
        except ValueError as error:
            log_bug(error, key="k1", kind="predict")
    written = capsys.readouterr().err
    record = json.loads(written)
    assert record["severity"] == "ERROR"
    assert record["@type"] == "type.googleapis.com/google.devtools.clouderrorreporting.v1beta1.ReportedErrorEvent"
    assert record["serviceContext"] == {"service": "modeldrop-poll-jobs", "version": "r-7"}
    assert record["logging.googleapis.com/labels"] == {"modeldrop_key": "k1", "modeldrop_kind": "predict"}
    lines = record["stack_trace"].splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert "in break_down" in record["stack_trace"]
    assert lines[-1].startswith("ValueError: ")
    assert SECRET not in written
