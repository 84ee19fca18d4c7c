"""Removes what the trial created, whatever happened before."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from google.api_core.exceptions import NotFound


class Removal:
    """What is to be removed; each thing is named before it is created."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._removals: list[tuple[str, Callable[[], object]]] = []

    def add(self, name: str, remove: Callable[[], object]) -> None:
        """Add a thing, and what removes it."""
        self._removals.append((name, remove))

    def run(self) -> Iterator[str]:
        """Remove everything, the last first; yield a line for each thing that could not be removed."""
        while self._removals:
            name, remove = self._removals.pop()
            try:
                remove()
            except NotFound:
                continue
            # The other things must be removed after any error.
            except Exception as error:
                yield f"{name}: {error}"
