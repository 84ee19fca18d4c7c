"""Keeps two writes of one object apart, because Cloud Storage takes about one a second.

A write that comes sooner may be refused with 429, and the client then repeats it after a second or more:
https://docs.cloud.google.com/storage/quotas#objects
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock


class Pace:
    """When this process last wrote each object. Several threads may use it."""

    def __init__(
        self, seconds: float, *, now: Callable[[], float] = time.monotonic, wait: Callable[[float], None] = time.sleep
    ) -> None:
        """Keep writes apart.

        Args:
            seconds: How far apart two writes of one object are at least; 0: any time.
            now: The current time in seconds.
            wait: Waits for a number of seconds.
        """
        self._seconds = seconds
        self._now = now
        self._wait = wait
        self._writes: OrderedDict[str, float] = OrderedDict()
        self._lock = Lock()

    @contextmanager
    def write(self, name: str) -> Iterator[None]:
        """Wait until this process may write the object with this name, which the block then does."""
        if not self._seconds:
            yield
            return
        self._wait_for(name)
        try:
            yield
        finally:
            with self._lock:
                # Cloud Storage may have counted the write as late as this.
                self._writes[name] = max(self._writes.pop(name, 0.0), self._now())

    def _wait_for(self, name: str) -> None:
        with self._lock:
            now = self._now()
            while self._writes and now - next(iter(self._writes.values())) >= self._seconds:
                self._writes.popitem(last=False)
            at = max(now, self._writes.pop(name, now - self._seconds) + self._seconds)
            self._writes[name] = at
        if at > now:
            self._wait(at - now)
