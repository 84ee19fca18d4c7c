"""The pace of writes: two of the same object are kept apart, and others are not."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from shared.engine.ledger.pace import Pace


class Time:
    """A clock that passes when somebody waits."""

    def __init__(self) -> None:
        self.now = 100.0

    def wait(self, seconds: float) -> None:
        self.now += seconds


def write(pace: Pace) -> None:
    """Write the object ``a``."""
    with pace.write("a"):
        pass


@pytest.mark.parametrize(
    ("writes", "times"),
    [
        (["a"], [100.0]),
        (["a", "b", "c"], [100.0, 100.0, 100.0]),
        (["a", "a"], [100.0, 101.0]),
        (["a", "b", "a", "b", "a"], [100.0, 100.0, 101.0, 101.0, 102.0]),
    ],
)
def test_writes_of_one_object_are_a_second_apart(writes: list[str], times: list[float]) -> None:
    time = Time()
    pace = Pace(1.0, now=lambda: time.now, wait=time.wait)
    written = []
    for name in writes:
        with pace.write(name):
            written.append(time.now)
    assert written == times


def test_a_write_that_comes_later_does_not_wait() -> None:
    time = Time()
    pace = Pace(1.0, now=lambda: time.now, wait=time.wait)
    write(pace)
    time.now += 0.75
    write(pace)
    assert time.now == 101.0
    time.now += 5.0
    write(pace)
    assert time.now == 106.0


def test_a_second_begins_when_a_write_has_ended() -> None:
    time = Time()
    pace = Pace(1.0, now=lambda: time.now, wait=time.wait)
    with pace.write("a"):
        time.now += 0.5
    write(pace)
    assert time.now == 101.5


def test_writes_of_several_threads_get_a_second_each() -> None:
    waits: list[float] = []
    pace = Pace(1.0, now=lambda: 100.0, wait=waits.append)
    with ExitStack() as writes:
        for _ in range(4):
            writes.enter_context(pace.write("a"))
    assert waits == [1.0, 2.0, 3.0]


def test_there_is_no_pace_without_seconds() -> None:
    waits: list[float] = []
    pace = Pace(0.0, now=lambda: 100.0, wait=waits.append)
    write(pace)
    write(pace)
    assert waits == []
