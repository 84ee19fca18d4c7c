"""Unique creation times, which order the resources of a service."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

from localcloud.base.clock import Clock

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class UniqueMoments:
    """Returns the current time, or a microsecond after the last returned time if that is later."""

    def __init__(self, clock: Clock) -> None:
        """Take the time from ``clock``."""
        self._clock = clock
        self._last = datetime.min.replace(tzinfo=UTC)
        self._lock = threading.Lock()

    def next(self) -> datetime:
        """Return a time later than all times returned before."""
        with self._lock:
            self._last = max(self._clock.now(), self._last + timedelta(microseconds=1))
            return self._last


def rfc3339_micros(moment: datetime) -> str:
    """Return a time in Vertex AI's format: UTC, microseconds, ``Z``."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"


def serial(moment: datetime) -> int:
    """Return a time in microseconds since 1970."""
    return (moment - EPOCH) // timedelta(microseconds=1)
