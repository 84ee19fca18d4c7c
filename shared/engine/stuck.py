"""Reports work that takes too long, once for each step and reason, and objects of the ledger that cannot be read.

The work is watched all the same.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from shared.engine.handler import Handler
from shared.engine.ledger.objects import REPORTED, ListedObject
from shared.engine.services import Services
from shared.errors import Problem, Unreadable, short_reason
from shared.events.outgoing import BadObject, bad_object_event, stuck_event
from shared.keys import hash_of
from shared.log import log
from shared.work import Item, Kind

# The code of the problem of an object that cannot be read.
UNREADABLE = "unreadable_object"
# The kind, in events, of objects that belong to no work.
LEDGER = "ledger"
# What a person can do about an item that cannot be read.
ADVICE = (
    "If a newer version of Modeldrop wrote it, deploy that version again. Otherwise delete the object, and send the request "
    "again"
)


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


def report_object(
    error: Unreadable, consequence: str, services: Services, *, work: tuple[Kind, str] | None = None
) -> None:
    """Publish that an object of the ledger cannot be read. Each generation of an object has one event id.

    Args:
        error: Which object it is, and what is wrong with it.
        consequence: What Modeldrop does about it, and what a person can do.
        services: The services of this process.
        work: The kind and the key of the work that the object belongs to, if its name says so.
    """
    kind, key = (work[0].value, work[1]) if work else (LEDGER, hash_of("object", error.name))
    bad = BadObject(kind, key, services.now(), services.ledger.objects.uri(error.name), error.request_id)
    report_bad_object(bad, Problem(UNREADABLE, f"{error}. {consequence}"), f"object-{error.generation}", services)


def report_bad_object(bad: BadObject, problem: Problem, about: str, services: Services) -> None:
    """Publish and log that work is stuck because of an object of the ledger; ``about`` is part of the event's id."""
    services.events.publish(bad_object_event(bad, services.now(), problem, about))
    reason = short_reason(problem.message)
    log("ERROR", "stuck", key=bad.key, kind=bad.kind, model=bad.model, object=bad.uri, code=problem.code, reason=reason)


def report_object_once(
    listed: ListedObject, reason: str, consequence: str, services: Services, *, work: tuple[Kind, str] | None = None
) -> None:
    """Publish that a listed object cannot be read, unless its metadata says that this was published before."""
    if listed.reported:
        return
    report_object(Unreadable(listed.name, listed.generation, reason), consequence, services, work=work)
    services.ledger.objects.change_metadata(
        listed.name, {REPORTED: services.now().isoformat()}, generation=listed.generation
    )


def _place(item: Item) -> str:
    step = item.current
    return item.waits_for or (step.name if step else "end")
