"""Waits for what a test expects, so that no test depends on the speed of the machine."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")

LAST_LIMIT = 240.0
"""Seconds after which a wait fails. Only a failing test waits so long; a busy machine needs a part of it."""


def wait_until(probe: Callable[[], Found], limit: float = LAST_LIMIT) -> Found:
    """Call ``probe`` until it returns something true, and return that; fail after ``limit`` seconds."""
    deadline, pause, between = time.monotonic() + limit, threading.Event(), 0.005
    while not (found := probe()):
        assert time.monotonic() < deadline, f"the condition did not become true in {limit} s"
        pause.wait(between)
        between = min(between * 1.5, 0.25)
    return found


def in_time(seconds: float, attempt: Callable[[], Found]) -> Found:
    """Return the result of the first ``attempt`` that takes less than ``seconds``.

    For behaviour within a window of real time, such as a lease: on a busy machine an attempt may miss the window, and
    then it shows nothing.
    """

    def try_once() -> list[Found]:
        begun = time.monotonic()
        result = attempt()
        return [result] if time.monotonic() - begun < seconds else []

    [result] = wait_until(try_once)
    return result
