"""A model file as the readers of the formats see it: a name, a size, and ranges of bytes."""

from __future__ import annotations

from typing import Protocol


class ModelFile(Protocol):
    """One file of a model, in a bucket or on a disk. It does not change while it is read."""

    @property
    def name(self) -> str:
        """The name within the model's folder, for errors."""

    @property
    def size(self) -> int:
        """The number of bytes."""

    def read(self, start: int, stop: int) -> bytes:
        """Return the bytes from ``start`` up to ``stop``, which is at most ``size``."""
