"""Keeps one call of the poller going within its minute, so that what happens in it does not wait for the next call.

Cloud Scheduler calls once a minute, and when a function wakes the poller (``shared/engine/waking.py``). While something is
open, the poller lists the index and the running jobs again every few seconds. It opens an item again only if that has come
further or is due. Without open work a call is one list call.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.engine.services import Services
from shared.errors import TryLater, short_reason
from shared.log import log
from shared.poller.due import Look
from shared.poller.ticks import Tick, tick

# The last tick of a call begins before this, so that the call ends before the next one begins.
LAST_TICK = timedelta(seconds=56)
# A call that began within a minute, because a function woke the poller, ends this long after the minute. Cloud Scheduler may
# delay the call of the next minute until then.
HANDOVER = timedelta(seconds=5)
MINUTE = timedelta(minutes=1)
# Two ticks begin at least this far apart.
LEAST_PAUSE = timedelta(seconds=1)


@dataclass(frozen=True)
class Minute:
    """The result of one call of the poller."""

    pending: int
    """The number of open items in the last tick."""
    handled: int
    """How often an item was opened."""
    left: int
    """The number of items that the last tick left because the time was over."""
    ticks: int
    """The number of ticks."""
    oldest_seconds: int = 0
    """The age of the oldest open work in the last tick; 0 if nothing is open."""
    handed_out: int = 0
    """How often an item was handed out to another instance."""


def poll(services: Services, *, started: datetime | None = None, wait: Callable[[float], None] = time.sleep) -> Minute:
    """Continue open work, and look again every ``POLL_AGAIN_SECONDS`` while something is open, until the next call begins.

    Args:
        services: The services of this process.
        started: When the call began; None: now.
        wait: Waits for a number of seconds.

    Raises:
        TryLater: The ledger did not answer the first tick.
    """
    settings, started = services.settings, started or services.now()
    until = started + timedelta(seconds=settings.poll_budget_seconds)
    next_minute = started.replace(second=0, microsecond=0) + MINUTE
    end = min(started + LAST_TICK, next_minute + HANDOVER, until)
    opened: set[Look] = set()
    last = tick(services, until=until, opened=opened)
    handled, handed_out, ticks = last.handled, last.handed_out, 1
    while pause := _pause(last, services, end=(end - services.now())):
        wait(pause)
        try:
            last = tick(services, until=until, opened=opened)
        except TryLater as error:
            log("WARNING", "left for the next call", reason=short_reason(error))
            break
        handled, handed_out, ticks = handled + last.handled, handed_out + last.handed_out, ticks + 1
    age = services.now() - last.oldest if last.oldest else timedelta()
    return Minute(last.pending, handled, last.left, ticks, int(age.total_seconds()), handed_out)


def _pause(last: Tick, services: Services, *, end: timedelta) -> float:
    """Return the seconds until the next tick, or 0 if there is none in this call; ``end``: how long the call goes on."""
    again = timedelta(seconds=services.settings.poll_again_seconds)
    if last.due is None or not again or end < LEAST_PAUSE:
        return 0.0
    # Work that is due later than in a few seconds is there all the same: new work may come before.
    pause = max(min(again, last.due - services.now()), LEAST_PAUSE) if last.due > services.now() else again
    return min(pause, end).total_seconds()
