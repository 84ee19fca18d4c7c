"""Tells listeners what happens to objects."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable

from localcloud.storage.resources import StorageEvent

Listener = Callable[[StorageEvent], None]

_log = logging.getLogger(__name__)


class Announcer:
    """Passes events on in the order in which they were noted, each once to each listener.

    Noting and telling are apart, so that an event is noted in the instant of the change, under the store's lock, and
    told after it, without a lock: a listener may itself read and write the store.
    """

    def __init__(self) -> None:
        self._listeners: list[Listener] = []
        self._untold: deque[StorageEvent] = deque()
        self._telling = threading.Lock()

    def add(self, listener: Listener) -> None:
        self._listeners.append(listener)

    def note(self, event: StorageEvent) -> None:
        """Take note of ``event``."""
        self._untold.append(event)

    def tell(self) -> None:
        """Tell what was noted. If another thread is at it, that one tells this too, and nobody waits."""
        while self._untold and self._telling.acquire(blocking=False):
            try:
                while self._untold:
                    self._tell_one(self._untold.popleft())
            finally:
                self._telling.release()

    def _tell_one(self, event: StorageEvent) -> None:
        for listener in tuple(self._listeners):
            try:
                listener(event)
            except Exception:
                _log.exception("A listener failed on %s of %s/%s", event.type, event.stored.bucket, event.stored.name)
