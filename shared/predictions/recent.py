"""What was found a moment ago, for work that comes in crowds: many predictions ask for the same models."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

# How long what was found is used again.
FRESH = timedelta(seconds=2)
# How many keys are remembered at most.
REMEMBERED = 10_000


@dataclass
class _Found(Generic[Value]):
    lock: Lock = field(default_factory=Lock)
    begun: datetime | None = None
    value: Value | None = None


class Recent(Generic[Key, Value]):
    """What was found a moment ago, by key. Threads that want the same at the same time wait for the one that looks."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        """Remember nothing yet; ``now`` returns the current time."""
        self._now = now
        self._lock = Lock()
        self._found: dict[Key, _Found[Value]] = {}

    def get(self, key: Key, look: Callable[[], Value], is_right: Callable[[datetime, Value], bool]) -> Value:
        """Return what was found, if it is fresh and right, or else what ``look`` finds now.

        Args:
            key: What to look for.
            look: Finds it, with calls to services.
            is_right: Whether a value will do that was found by a look which began at some time.
        """
        with self._lock:
            if len(self._found) >= REMEMBERED:
                self._found.clear()
            found = self._found.setdefault(key, _Found())
        with found.lock:
            begun, value = found.begun, found.value
            if begun is not None and value is not None and self._now() - begun < FRESH and is_right(begun, value):
                return value
            begun = self._now()
            value = look()
            found.begun, found.value = begun, value
            return value
