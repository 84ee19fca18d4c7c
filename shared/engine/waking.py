"""What keeps the poller awake within a minute, and how a function wakes it.

While work is open that may soon have something to do, a call of the poller looks again every few seconds until its minute is
over. Without such work the call ends at once, and work that a function then starts would wait for the next minute. So the
function that starts the first work on an idle project runs the poller's job of Cloud Scheduler. A wake that fails, or a
function that is killed before it, costs nothing but time: the next minute's call continues the work.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from threading import Lock

from shared.clock import Clock
from shared.cloud.scheduler import ScheduledJob
from shared.engine.ledger.index import Pending
from shared.engine.ledger.ledger import Ledger
from shared.errors import ModeldropError, short_reason
from shared.log import log
from shared.work import Item, Kind

# Work without a job that is older, such as a drop that stays incomplete, is looked at once in a call of the poller.
SOON = timedelta(minutes=10)
# The longest delay between two looks at work that was set aside.
LONGEST_DELAY = timedelta(hours=1)
# How much open work is listed to find out whether the poller is awake. If all of it lets the poller sleep, it is woken.
MOST_LISTED = 100


def set_aside(pending: Pending, now: datetime) -> bool:
    """Return whether the next look at this work is not due yet, because earlier looks failed."""
    # A time further away was not written by a look.
    return pending.next_look is not None and now < pending.next_look <= now + LONGEST_DELAY


def due_soon(pending: Pending, now: datetime, *, again: bool) -> datetime | None:
    """Return when to look at open work again; None if the next call of the poller is soon enough.

    Args:
        pending: Work that was listed.
        now: The current time.
        again: Whether it was opened in this tick, so that it may have a new state.
    """
    if pending.looks or set_aside(pending, now):
        return None
    if pending.submitted or again:
        return now
    if now - pending.created > SOON:
        return None
    # Work that waits for nothing is about to be submitted by the call that holds it.
    return pending.due if pending.waits_for else now


class Waker:
    """Wakes the poller. Several threads may use it."""

    def __init__(self, ledger: Ledger, job: ScheduledJob | None, *, clock: Clock, seconds: float) -> None:
        """Create the waker of a process.

        Args:
            ledger: The ledger, which lists open work.
            job: The job that calls the poller; None: the poller is never woken.
            clock: The current time.
            seconds: How often the poller looks again while it is awake. The process looks no more often whether it is: after
                each look at open work the poller stays awake for this long, so it sees work that is started in between.
        """
        self._ledger = ledger
        self._job = job
        self._clock = clock
        self._pause = timedelta(seconds=seconds)
        self._looked: datetime | None = None
        self._lock = Lock()

    def wake_for(self, item: Item) -> None:
        """Run the poller now if ``item``, which this call has started, is the first open work.

        This costs one list call, and one call that runs the job. An error is logged and changes nothing.
        """
        if self._job is None or item.ended or not self._pause:
            return
        now = self._clock()
        with self._lock:
            if self._looked is not None and now - self._looked < self._pause:
                return
            self._looked = now
        try:
            if self._is_awake(item, now):
                return
            self._job.run()
        except ModeldropError as error:
            log("WARNING", "the poller was not woken", **item.log_fields(), reason=short_reason(error))
        else:
            log("INFO", "woke the poller", **item.log_fields())

    def _is_awake(self, item: Item, now: datetime) -> bool:
        """Return whether other work keeps the poller awake.

        This minute's call of the poller has seen all work that is older than the minute. Of the work that was started
        since then, the first one woke the poller; the watch of a drop did not, because the call that began it waits.
        """
        minute = now.replace(second=0, microsecond=0)
        return any(
            self._keeps_awake(each, minute, now)
            for each in self._ledger.pending(most=MOST_LISTED)
            if each.created < minute or (each.kind is not Kind.DROP and each.created < item.created)
        )

    def _keeps_awake(self, pending: Pending, minute: datetime, now: datetime) -> bool:
        """Return whether the poller, which has seen this work, looks once more.

        It does so as long as a job runs, until work is due, and once after a look. A look that changes nothing is the last.
        """
        due = due_soon(pending, now, again=False)
        if due is None or pending.submitted:
            return due is not None
        return now < max(pending.created, minute, pending.due or minute) + self._pause
