"""Moments that order resources: no two of a service are the same."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

from localcloud.base.clock import Clock

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class UniqueMoments:
    """Hands out the present moment, a microsecond later if it was handed out before."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last = datetime.min.replace(tzinfo=UTC)
        self._lock = threading.Lock()

    def next(self) -> datetime:
        """Return a moment later than every one before."""
        with self._lock:
            self._last = max(self._clock.now(), self._last + timedelta(microseconds=1))
            return self._last


def rfc3339_micros(moment: datetime) -> str:
    """Return a moment as Vertex AI writes it: UTC, microseconds, ``Z``."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"


def serial(moment: datetime) -> int:
    """Return a moment as a number: microseconds since 1970."""
    return (moment - EPOCH) // timedelta(microseconds=1)
