"""Clocks that services receive as an argument, so that a test can advance the time instead of sleeping."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """The current time, and a way to wait for it to pass."""

    def now(self) -> datetime:
        """Return the current time in UTC."""
        ...

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait until ``event`` is set or ``seconds`` have passed; return whether it was set."""
        ...


class SystemClock:
    """The clock of the machine."""

    def now(self) -> datetime:
        """Return the current time in UTC."""
        return datetime.now(UTC)

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait until ``event`` is set or ``seconds`` have passed; return whether it was set."""
        return event.wait(seconds)


class ManualClock:
    """A clock that moves only when ``advance`` is called."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        """Stop the clock at ``start``."""
        self._now = start
        self._moved = threading.Condition()

    def now(self) -> datetime:
        """Return the time to which the clock was advanced, in UTC."""
        with self._moved:
            return self._now

    def advance(self, seconds: float) -> None:
        """Advance the clock by ``seconds`` and wake the threads that wait for it."""
        with self._moved:
            self._now += timedelta(seconds=seconds)
            self._moved.notify_all()

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait until ``event`` is set or the clock is ``seconds`` further; return whether the event was set."""
        with self._moved:
            until = self._now + timedelta(seconds=seconds)
            while not event.is_set() and self._now < until:
                # Setting the event does not notify this condition, so poll it in real time.
                self._moved.wait(0.01)
        return event.is_set()


def rfc3339(moment: datetime) -> str:
    """Return ``moment`` as Google's JSON APIs write it: UTC, milliseconds, ``Z``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def monotonic() -> float:
    """Return the seconds of a clock that never goes back, to measure durations."""
    return time.monotonic()
