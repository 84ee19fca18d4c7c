"""Ends the process of the local cloud in time, also if one of its threads can't be stopped."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

LONGEST_STOP_SECONDS = 8.0


@contextmanager
def ended_in_time(seconds: float = LONGEST_STOP_SECONDS) -> Iterator[None]:
    """End the process with exit code 1 if the ``with`` block takes longer than ``seconds``.

    DuckDB cannot interrupt the computation of a single value, and its thread would keep the process alive. Nothing is lost:
    the local cloud stores everything so that it can be killed.
    """
    timer = threading.Timer(seconds, _end, (seconds,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _end(seconds: float) -> None:
    sys.stderr.write(f"A query did not stop within {seconds:g} s; the local cloud ends without it.\n")
    sys.stderr.flush()
    os._exit(1)
