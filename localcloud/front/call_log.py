"""The log of the functions' calls, so that a fault rule can name the n-th call."""

from __future__ import annotations

import threading
from typing import Any


class Calls:
    """The calls of functions to services, in order, since counting began.

    Attributes:
        counting: Whether calls are counted; off at first, because counting slows each call slightly.
    """

    def __init__(self) -> None:
        """Create an empty log; counting is off."""
        self._lock = threading.Lock()
        self._counted: list[tuple[str, str, str]] = []
        self.counting = False

    def begin(self) -> None:
        """Empty the log, and count from now on."""
        with self._lock:
            self._counted = []
            self.counting = True

    def count(self, service: str, method: str, caller: str) -> None:
        """Count one call of ``method`` by the function ``caller``."""
        with self._lock:
            self._counted.append((service, method, caller))

    def describe(self, caller: str | None = None) -> list[dict[str, Any]]:
        """Return the calls of ``caller``, or of all functions; ``n`` is the ``nth`` of a fault rule."""
        with self._lock:
            chosen = [each for each in self._counted if caller in (None, each[2])]
        return [
            {"n": number, "service": service, "method": method, "caller": function}
            for number, (service, method, function) in enumerate(chosen, start=1)
        ]
