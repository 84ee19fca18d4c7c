"""The time, as something that is handed in: a test moves it on by itself instead of sleeping."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Tells the time and waits for it to pass."""

    def now(self) -> datetime:
        """Return the present moment in UTC."""
        ...

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait until ``event`` is set or ``seconds`` have passed; return whether it was set."""
        ...


class SystemClock:
    """The machine's own time."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def wait(self, event: threading.Event, seconds: float) -> bool:
        return event.wait(seconds)


class ManualClock:
    """A time that passes only when ``advance`` is called."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._now = start
        self._moved = threading.Condition()

    def now(self) -> datetime:
        with self._moved:
            return self._now

    def advance(self, seconds: float) -> None:
        """Move the time on by ``seconds`` and wake whoever waits for it."""
        with self._moved:
            self._now += timedelta(seconds=seconds)
            self._moved.notify_all()

    def wait(self, event: threading.Event, seconds: float) -> bool:
        with self._moved:
            until = self._now + timedelta(seconds=seconds)
            while not event.is_set() and self._now < until:
                # The event is set without this condition being notified, so it is looked at in real time.
                self._moved.wait(0.01)
        return event.is_set()


def rfc3339(moment: datetime) -> str:
    """Return ``moment`` as Google's JSON APIs write it: UTC, milliseconds, ``Z``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def monotonic() -> float:
    """Return seconds of a clock that never goes back, for measuring how long something took."""
    return time.monotonic()
