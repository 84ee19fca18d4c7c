"""Pieces of work: what is returned and logged of each."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from shared import trace
from shared.engine.services import Services
from shared.errors import LostRace, TryLater
from shared.poller.pieces import Piece, do_in_threads, guarded
from shared.trace import TraceContext
from tests.example_requests import SETTINGS


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
    assert "in break_down" in record["stack_trace"]
    assert "Rumpelstiltskin" not in str(record).replace('raise ValueError("Rumpelstiltskin")', "")


def test_the_threads_of_a_tick_know_its_trace() -> None:
    context = TraceContext("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", sampled=True)
    seen: list[TraceContext | None] = []
    piece = Piece(lambda: seen.append(trace.current()), {})
    services = Services(SETTINGS)
    with trace.within(context):
        assert do_in_threads([piece] * 3, services, until=services.now() + timedelta(hours=1), threads=2) == 3
    assert seen == [context] * 3
