"""Background work that goes on after an error, such as a full disk: the error is reported once, in words."""

from __future__ import annotations

import errno
import logging
import sqlite3
import threading
from collections.abc import Callable

PAUSE_SECONDS = 1.0
"""How long work that failed waits before it is tried again."""

NO_ROOM = "the disk is full"
_NO_ROOM_CODES = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NO_ROOM_WORDS = ("disk is full", "no space left on device", "disk quota exceeded", "file too large")


def in_words(error: BaseException) -> str:
    """Return what is wrong in a few words: that the disk is full, or the type and the message of ``error``."""
    no_room = isinstance(error, OSError) and error.errno in _NO_ROOM_CODES
    if no_room or any(words in str(error).lower() for words in _NO_ROOM_WORDS):
        return NO_ROOM
    if isinstance(error, sqlite3.OperationalError) and "disk I/O error" in str(error):
        return "the disk cannot be written"
    return f"{type(error).__name__}: {error}"


class Trouble:
    """The errors of one piece of work: each is logged when it appears, and its end once the work succeeds."""

    def __init__(self, log: logging.Logger, work: str, *, after: str = "it is tried again") -> None:
        """Report errors.

        Args:
            log: Where to report.
            work: The work, such as ``the journal of Pub/Sub``.
            after: What follows from an error.
        """
        self._log = log
        self._work = work
        self._after = after
        self._reported: str | None = None

    def report(self, error: BaseException) -> None:
        """Log ``error``, unless it is the one that was logged last."""
        words = in_words(error)
        if words != self._reported:
            self._reported = words
            foreseen = isinstance(error, OSError | sqlite3.Error)
            self._log.error("%s failed: %s; %s", self._work, words, self._after, exc_info=None if foreseen else error)

    def is_over(self) -> None:
        """Log that the work succeeds again, if an error was logged."""
        if self._reported is not None:
            self._reported = None
            self._log.info("%s works again", self._work)


def repeat(
    work: Callable[[], None], *, trouble: Trouble, stopped: threading.Event, pause_seconds: float = PAUSE_SECONDS
) -> None:
    """Call ``work`` again and again until ``stopped`` is set; report an error, wait a little and continue.

    Args:
        work: Does one round; it returns when there is nothing to do, or when ``stopped`` is set.
        trouble: Reports the errors.
        stopped: Ends the repetition.
        pause_seconds: How long to wait after an error.
    """
    while not stopped.is_set():
        try:
            work()
        except Exception as error:  # no error may end the thread
            trouble.report(error)
            stopped.wait(pause_seconds)
        else:
            trouble.is_over()
