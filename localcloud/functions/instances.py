"""The instances of a function: how many requests they take at the same time, and what happens to further ones."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

LONGEST_WAIT = 10.0
"""How long a request waits for an instance: https://cloud.google.com/run/docs/about-instance-autoscaling"""


class NoInstanceError(Exception):
    """No instance became free in time."""


class Instances:
    """The places for requests of all instances of a function.

    One process does the work of all of them. On Google Cloud each has a process, and memory, of its own.
    """

    def __init__(self, places: int | None, wait_seconds: float = LONGEST_WAIT) -> None:
        """Take ``places`` requests at the same time; None: any number."""
        self._free = None if places is None else asyncio.Semaphore(places)
        self._wait_seconds = wait_seconds

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Hold a place; requests that wait for one get it in order.

        Raises:
            NoInstanceError: None became free in time.
        """
        if self._free is None:
            yield
            return
        try:
            await asyncio.wait_for(self._free.acquire(), self._wait_seconds)
        except TimeoutError:
            raise NoInstanceError from None
        try:
            yield
        finally:
            self._free.release()
