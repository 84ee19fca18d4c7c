"""Counts the functions' calls, so that a test can order something for exactly the n-th."""

from __future__ import annotations

import threading
from typing import Any


class Calls:
    """The calls of functions to services in their order, since counting began."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counted: list[tuple[str, str, str]] = []
        self.counting = False

    def begin(self) -> None:
        """Forget what was counted and count from now on. Until then nothing is, because it costs a little."""
        with self._lock:
            self._counted = []
            self.counting = True

    def count(self, service: str, method: str, caller: str) -> None:
        """Count one call of ``method`` by the function ``caller``."""
        with self._lock:
            self._counted.append((service, method, caller))

    def describe(self, caller: str | None = None) -> list[dict[str, Any]]:
        """Return the calls, of ``caller`` or of all functions; ``n`` is what a rule about them has as ``nth``."""
        with self._lock:
            chosen = [each for each in self._counted if caller in (None, each[2])]
        return [
            {"n": number, "service": service, "method": method, "caller": function}
            for number, (service, method, function) in enumerate(chosen, start=1)
        ]
