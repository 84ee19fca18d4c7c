"""Pieces of work that the poller does in threads. An error in one of them does not hold up the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from shared.engine.services import Services
from shared.errors import LostRace, ModeldropError, short_reason
from shared.log import log, log_bug

Result = TypeVar("Result")


@dataclass(frozen=True)
class Piece:
    """A piece of work that is done in a thread."""

    do: Callable[[], object]
    log_fields: Mapping[str, str | None]


def guarded(work: Callable[[], Result], **log_fields: str | None) -> Result | None:
    """Return the result of ``work``; log any error, with ``log_fields``, so that it does not hold up other work."""
    try:
        return work()
    except LostRace:
        return None
    except ModeldropError as error:
        log("WARNING", "left for the next tick", **log_fields, reason=short_reason(error))
    except Exception as error:
        log_bug(error, **log_fields)
    return None


def do_in_threads(work: Sequence[Piece], services: Services, *, until: datetime, threads: int) -> int:
    """Do each piece of work that begins before ``until``; return how many did."""
    begun: list[Piece] = []
    # A thread of the pool does not know the trace of this call.
    context = copy_context()

    def do(piece: Piece) -> None:
        if services.now() < until:
            begun.append(piece)
            guarded(piece.do, **piece.log_fields)

    # The order is kept, so that imports that wait for their turn get it in the order in which they came.
    with ThreadPoolExecutor(max_workers=threads) as pool:
        list(pool.map(lambda piece: context.copy().run(do, piece), work))
    return len(begun)
