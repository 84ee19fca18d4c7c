"""Counts looks at open work, so that work that ends the process again and again does not hold up all other work.

A look at an item that ends well writes or removes its index object, or changes nothing. A look that ended with the process
leaves a trace that costs nothing: a claim that has expired, or a watch that is long overdue. Only if there is such a trace,
the next look is counted before it begins, in the metadata of the index object: one write more, and none for all other work.

    the looks that did not end    what the poller does
    0                             looks in a thread, at the same time as at other work
    1 and more                    looks after all other work, at one item at a time
    `STUCK_LOOKS` and more        publishes once that the work is stuck, and looks after a growing delay

A look that ends with an error of the program counts too. An outage does not count.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from shared.engine.ledger.index import LOOKS, LOOKS_REPORTED, NEXT_LOOK, Pending
from shared.engine.services import Services
from shared.engine.stuck import report_bad_object
from shared.engine.waking import LONGEST_DELAY
from shared.errors import LostRace, Problem, Unreadable
from shared.events.outgoing import BadObject, stuck_event
from shared.log import log
from shared.work import Item, Job, Kind, System

# The name under which the looks at an item are reported.
LOOK = "look"


def is_overdue(pending: Pending, services: Services) -> bool:
    """Return whether a watch should have been looked at so long ago that a look probably did not end.

    Other work is claimed before it continues, so its claim shows the same.
    """
    since = pending.due or pending.written
    return pending.kind is Kind.DROP and services.now() - since > timedelta(seconds=services.settings.lease_seconds / 2)


def has_expired_claim(item: Item, now: datetime) -> bool:
    """Return whether the call that claimed ``item`` last did not end."""
    return item.claim is not None and item.claim.until <= now


def begin(pending: Pending, services: Services) -> Pending | None:
    """Count a look before it begins, after at least one that did not end.

    Returns:
        The index object as it is now. None if the work has had too many of these looks, so that it was reported now and is
        looked at after a delay.

    Raises:
        LostRace: Another call looks at the work, or has continued it.
    """
    most = services.settings.stuck_looks
    failed = max(pending.looks, 1)
    if failed >= most and not pending.looks_reported:
        problem = Problem(
            "look_not_ended",
            f"{failed} attempts to continue this work did not end: the process was killed each time, perhaps because the "
            "work takes more memory or time than the function has. Modeldrop tries again less and less often. Delete what "
            "the work is about, such as the files of a drop, or give the function more memory",
        )
        _report(pending, problem, services)
        _count(pending, failed, services, reported=True)
        return None
    return _count(pending, failed + 1, services, reported=False)


def end(pending: Pending, services: Services) -> None:
    """Clear the count of work after a look that ended well."""
    if pending.looks:
        # If the look wrote the index object again, the count is gone already.
        with suppress(LostRace):
            services.ledger.change_index(pending, {LOOKS: None, NEXT_LOOK: None, LOOKS_REPORTED: None})


def fail(pending: Pending, problem: Problem, services: Services, *, error: Unreadable | None = None) -> None:
    """Count a look that ended with an error, and report work that has had too many of these, once.

    Args:
        pending: The index object, as ``begin`` returned it or as it was listed.
        problem: What the event says of the error.
        services: The services of this process.
        error: The object that cannot be read. It is reported at once, since another look will not read it either.
    """
    most = services.settings.stuck_looks
    failed = max(pending.looks, 1 if error is None else most)
    if report := failed >= most and not pending.looks_reported:
        _report(pending, problem, services, error)
    if report or failed != pending.looks:
        with suppress(LostRace):
            _count(pending, failed, services, reported=report)


def _count(pending: Pending, looks: int, services: Services, *, reported: bool) -> Pending:
    changes: dict[str, str | None] = {LOOKS: str(looks)}
    beyond = looks - services.settings.stuck_looks
    if beyond >= 0:
        delay = min(timedelta(seconds=services.settings.lease_seconds * 2 ** min(beyond, 20)), LONGEST_DELAY)
        changes[NEXT_LOOK] = (services.now() + delay).isoformat()
    if reported:
        changes[LOOKS_REPORTED] = services.now().isoformat()
    metageneration = services.ledger.change_index(pending, changes)
    reported = reported or pending.looks_reported
    return replace(pending, looks=looks, looks_reported=reported, metageneration=metageneration)


def _report(pending: Pending, problem: Problem, services: Services, error: Unreadable | None = None) -> None:
    try:
        item = services.ledger.read(pending.kind, pending.key)
    except Unreadable:
        item = None
    if item is not None and error is None:
        services.events.publish(stuck_event(item, services.now(), problem, LOOK))
        log("ERROR", "stuck", **item.log_fields(), about=LOOK, code=problem.code)
        return
    bad = bad_object(pending)
    if error is not None:
        bad = replace(bad, uri=services.ledger.objects.uri(error.name), request_id=error.request_id)
    report_bad_object(bad, problem, f"object-{error.generation}" if error else LOOK, services)


def bad_object(pending: Pending) -> BadObject:
    """Return what the index object says of work whose item cannot be read or is missing."""
    job = None
    if pending.job_id and pending.system in set(System):
        job = Job(System(pending.system), pending.job_id, pending.location)
    return BadObject(pending.kind.value, pending.key, pending.created, job=job, model=pending.model or None)
