"""Reports work that takes too long, once for each step and reason. It is watched all the same."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from shared.engine.handler import Handler
from shared.engine.services import Services
from shared.errors import Problem
from shared.events.outgoing import stuck_event
from shared.log import log
from shared.work import Item


def deadline_of(item: Item, handler: Handler, services: Services) -> datetime | None:
    """Return when an open item must be reported as stuck; None if it was, at its step or for its reason to wait."""
    if _place(item) in item.reported:
        return None
    step = item.current
    since = step.sent if step and step.sent else item.created
    return since + timedelta(seconds=handler.deadline_seconds(item, services))


def report_late(item: Item, handler: Handler, services: Services) -> Item:
    """Report an open item that is past its deadline; return it as it is now."""
    deadline = deadline_of(item, handler, services)
    if item.final or deadline is None or deadline > services.now():
        return item
    place = _place(item)
    waited = (services.now() - item.created).total_seconds()
    problem = Problem("deadline", f"{item.kind.value} has been at {place} for {waited:.0f} s")
    return report_stuck(item, problem, place, services)


def report_stuck(
    item: Item, problem: Problem, about: str, services: Services, *, deadline: datetime | None = None
) -> Item:
    """Publish once that an item is stuck; return it as it is now.

    No claim is needed: two calls that report it at the same time publish the same event id.

    Args:
        item: An open item.
        problem: Why it counts as stuck.
        about: The step, or the reason to wait; it is reported once for each.
        services: The services of this process.
        deadline: When to report it again, for its step; None: never.
    """
    if about in item.reported:
        return item
    services.events.publish(stuck_event(item, services.now(), problem, about))
    log("WARNING", "stuck", **item.log_fields(), about=about, code=problem.code)
    item = services.ledger.write(replace(item, reported=(*item.reported, about)))
    return services.ledger.index(item, deadline=deadline)


def _place(item: Item) -> str:
    step = item.current
    return item.waits_for or (step.name if step else "end")
