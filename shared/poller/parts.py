"""Hands open work out to further instances, when a tick finds more than one instance should continue.

A prediction that has ended takes CPU time, which one process has only so much of. So the poller keeps the oldest predictions
and publishes the others in parts. Each part is a message to the function ``poll_part``, of which several instances run. It
continues the work of its part as the poller would, and nothing is lost with a part: what it does not end is open, and the
next call of the poller finds it. If two calls continue the same work, one of them writes its outcome.

Only predictions are handed out. They come in thousands, need no order, and are not claimed before their outcome is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any

from shared.engine.ledger.decoding import Undecodable, decode
from shared.engine.ledger.index import Pending, is_key
from shared.engine.services import Services
from shared.errors import Rejected, TryLater, short_reason
from shared.log import log
from shared.work import Kind

# The poller keeps this many parts of the work for itself, and hands out the rest only if it is at least one part.
KEPT_PARTS = 1
# How many parts one tick hands out at most. The rest waits for a later call of the poller.
MOST_PARTS = 200
# How many of them are published at the same time.
_THREADS = 8
# A part that waits longer for an instance is dropped, because the next call of the poller hands its work out again.
PART_SECONDS = timedelta(seconds=60)

WORK = "work"


def hand_out(due: Sequence[Pending], services: Services) -> list[Pending]:
    """Publish parts of the work that is due, if there is too much of it for one instance.

    Args:
        due: The work that is due, what waits longest first.
        services: The services of this process.

    Returns:
        The work that this instance continues, in the same order.
    """
    settings = services.settings
    size = settings.poll_part_items
    # Work whose looks did not end is continued alone (``looks.py``).
    several = [each for each in due if each.kind is Kind.PREDICT and not each.looks]
    others = several[KEPT_PARTS * size :]
    if not settings.work_topic or len(others) < size:
        return list(due)
    parts = [others[start : start + size] for start in range(0, min(len(others), size * MOST_PARTS), size)]
    context = copy_context()
    with ThreadPoolExecutor(_THREADS) as pool:
        published = list(pool.map(lambda part: context.copy().run(_publish, part, services), parts))
    handed_out = {
        each.key for part, is_published in zip(parts, published, strict=True) if is_published for each in part
    }
    log("INFO", "handed out predictions", count=len(handed_out), parts=sum(published))
    return [each for each in due if each.key not in handed_out]


def _publish(part: Sequence[Pending], services: Services) -> bool:
    try:
        services.requests.publish(services.settings.work_topic, {WORK: [_to_json(each) for each in part]})
    except TryLater as error:
        log("WARNING", "a part of the work was not handed out", reason=short_reason(error))
        return False
    return True


def parse_part(message: Mapping[str, Any]) -> list[Pending]:
    """Return the work that a message hands out.

    Raises:
        Rejected: The poller did not publish the message.
    """
    work = message.get(WORK)
    if set(message) != {WORK} or not isinstance(work, list):
        raise Rejected("the poller alone publishes parts of its work", field=WORK, code="invalid_part")
    try:
        pending = [decode(Pending, each, f"{WORK}[{index}]") for index, each in enumerate(work)]
    except Undecodable as error:
        raise Rejected(f"the part cannot be read: {error}", field=WORK, code="invalid_part") from error
    for index, each in enumerate(pending):
        if each.kind is not Kind.PREDICT or not is_key(each.key):
            raise Rejected("only predictions are handed out", field=f"{WORK}[{index}]", code="invalid_part")
    return pending


def is_late(published: datetime, now: datetime) -> bool:
    """Return whether a part was published so long ago that its work was handed out again."""
    return now - published > PART_SECONDS


def _to_json(pending: Pending) -> dict[str, Any]:
    """Return an index object as JSON, without the fields that have their default values."""
    value = {each.name: getattr(pending, each.name) for each in fields(pending)}
    defaults = {each.name: each.default for each in fields(pending)}
    return {
        name: each.isoformat() if isinstance(each, datetime) else each
        for name, each in value.items()
        if each != defaults[name]
    }
