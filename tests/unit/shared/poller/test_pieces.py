"""Pieces of work: what is returned and logged of each."""

from __future__ import annotations

import json

import pytest

from shared.errors import LostRace, TryLater
from shared.poller.pieces import guarded


def test_the_result_of_guarded_work_is_returned() -> None:
    assert guarded(lambda: 7, key="key") == 7


def test_a_lost_race_is_not_logged(capsys: pytest.CaptureFixture[str]) -> None:
    def lose() -> None:
        raise LostRace("changed")

    guarded(lose, key="key")
    assert capsys.readouterr().err == ""


def test_work_that_must_be_tried_later_is_left_for_the_next_tick(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise TryLater("BigQuery: 503")

    guarded(fail, key="key", model="p.d.m")
    record = json.loads(capsys.readouterr().err)
    assert (record["severity"], record["message"]) == ("WARNING", "left for the next tick")
    assert (record["key"], record["model"], record["reason"]) == ("key", "p.d.m", "BigQuery: 503")


def test_a_bug_is_logged_with_its_place_but_without_its_text(capsys: pytest.CaptureFixture[str]) -> None:
    def break_down() -> None:
        raise ValueError("Rumpelstiltskin")

    guarded(break_down, key="key")
    record = json.loads(capsys.readouterr().err)
    assert record["severity"] == "ERROR"
    assert record["message"].startswith("a bug: ValueError in break_down, line ")
    assert "Rumpelstiltskin" not in str(record)
