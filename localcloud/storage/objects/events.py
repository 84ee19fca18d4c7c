"""Passes the events of objects to listeners."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable

from localcloud.storage.rules.resources import StorageEvent

Listener = Callable[[StorageEvent], None]

_log = logging.getLogger(__name__)


class EventQueue:
    """Delivers events in the order in which they were added, each once to each listener.

    The store adds an event at the moment of the change, under its lock, and delivers it afterwards, without a lock: a
    listener may itself read and write the store.
    """

    def __init__(self) -> None:
        """Start without listeners."""
        self._listeners: list[Listener] = []
        self._undelivered: deque[StorageEvent] = deque()
        self._delivering = threading.Lock()

    def add_listener(self, listener: Listener) -> None:
        """Call ``listener`` with each later event."""
        self._listeners.append(listener)

    def add(self, event: StorageEvent) -> None:
        """Add ``event``, which the next delivery passes on."""
        self._undelivered.append(event)

    def deliver(self) -> None:
        """Deliver the events that were added; a thread that already does so delivers these too, without a wait here."""
        while self._undelivered and self._delivering.acquire(blocking=False):
            try:
                while self._undelivered:
                    self._deliver_one(self._undelivered.popleft())
            finally:
                self._delivering.release()

    def _deliver_one(self, event: StorageEvent) -> None:
        for listener in tuple(self._listeners):
            try:
                listener(event)
            except Exception:
                _log.exception("listener failed: %s of %s/%s", event.type, event.stored.bucket, event.stored.name)
