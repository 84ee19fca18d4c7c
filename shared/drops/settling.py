"""Waits until new drops have settled, in the call that notices them.

While nothing is open, the next call of the poller may be a minute away, and a drop settles sooner. So one call of each
process waits for all drops that the process notices, and examines each when it may have settled. It ends when the poller
must have begun to look at them. A wait that is killed, or does not take place, does no harm: the poller examines every
watched drop.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import cache
from threading import Lock

from shared.drops import watches
from shared.drops.drop import DropPath
from shared.drops.intake import examine_drop
from shared.engine.services import Services
from shared.errors import ModeldropError, short_reason
from shared.log import log

# Another thread of the process may add a drop that settles sooner.
LONGEST_PAUSE = timedelta(seconds=1)


class Settling:
    """The drops that a process waits for. Several threads may use it; one of them waits, so that the others serve events."""

    def __init__(self, wait: Callable[[float], None] = time.sleep) -> None:
        """Wait for no drop; ``wait`` waits for a number of seconds."""
        self._wait = wait
        self._due: dict[DropPath, datetime] = {}
        self._is_waiting = False
        self._lock = Lock()

    def wait_for(self, path: DropPath, due: datetime, services: Services) -> None:
        """Examine a drop when it is due, and again while it changes, for ``SETTLE_WAIT_SECONDS`` at most.

        If another thread waits already, that thread waits for this drop too, and this call returns at once.

        Args:
            path: A drop that is watched.
            due: When to examine it.
            services: The services of this process.
        """
        longest = timedelta(seconds=services.settings.settle_wait_seconds)
        until = services.now() + longest
        if not longest or due > until:
            return
        with self._lock:
            self._due[path] = due
            if self._is_waiting:
                return
            self._is_waiting = True
        try:
            while (following := self._next(until)) is not None:
                path, due = following
                if (pause := due - services.now()) > timedelta():
                    self._wait(min(pause, LONGEST_PAUSE).total_seconds())
                else:
                    self._look(path, services)
        except BaseException:
            with self._lock:
                self._end()
            raise

    def _next(self, until: datetime) -> tuple[DropPath, datetime] | None:
        """Return the drop that is due first; end the wait if there is none before ``until``."""
        with self._lock:
            following = min(self._due.items(), key=lambda each: each[1], default=None)
            if following is None or following[1] > until:
                self._end()
                return None
            return following

    def _end(self) -> None:
        self._due.clear()
        self._is_waiting = False

    def _look(self, path: DropPath, services: Services) -> None:
        """Examine a drop unless another call did, and note when it is due again."""
        again = None
        try:
            watch = watches.read_watch(path, services)
            if watch is not None and not watch.final:
                later = watch.not_before if watch.not_before and watch.not_before > services.now() else None
                again = later or examine_drop(path, watch, services)
                if again is not None and watches.stuck_problem(watch, services):
                    # Since this call examines the drop, the poller does not.
                    self._report(path, services)
        except ModeldropError as error:
            log("WARNING", "left to the poller", key=path.key, reason=short_reason(error))
        with self._lock:
            if again is None:
                self._due.pop(path, None)
            else:
                self._due[path] = again

    @staticmethod
    def _report(path: DropPath, services: Services) -> None:
        watch = watches.read_watch(path, services)
        if watch is not None and not watch.final:
            watches.report_incomplete(watch, services)


@cache
def settling() -> Settling:
    """Return the drops that this process waits for."""
    return Settling()
