"""Logs: each record is one line of JSON."""

from __future__ import annotations

import json

import pytest

from shared.log import log


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
    }
