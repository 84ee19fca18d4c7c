"""Looks for what was lost: drops and wrong objects without events. ``sweep.py`` goes through the ledger after that.

It reads no files of drops, which might end the process: it only watches a drop, and the next tick examines it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from shared.drops import watches
from shared.drops.contents.files import drop_files
from shared.drops.drop import DropPath
from shared.engine.ledger.decoding import Undecodable, decode
from shared.engine.services import Services
from shared.engine.stuck import report_object
from shared.errors import Unreadable
from shared.poller.ignored_folders import IgnoredFolders
from shared.poller.pieces import Piece, do_in_threads
from shared.work import Kind

RECONCILED = "ledger/reconciled.json"

# The part of the poller's time that a reconciliation may take before the first tick.
SHARE = 4


@dataclass(frozen=True)
class Reconciliation:
    """The record of the reconciliation, and of the sweep that follows it."""

    done: datetime | None = None
    """When the last one that reached its end began."""
    begun: datetime | None = None
    """When the reconciliation or sweep that is under way began; None if there is none."""
    after: str | None = None
    """The name of the last object of the ledger that the sweep has examined, empty before the first; None if it is done."""


def reconcile(services: Services) -> int | None:
    """Once every ``RECONCILE_SECONDS``, watch drops that have changed unnoticed, and begin a sweep of the ledger.

    A drop is unnoticed if its events were lost, or if it was uploaded before deployment. So is an object that belongs to no
    drop, which is reported. A later call does what a crash or the end of the time leaves.

    Returns:
        The number of drops that were unnoticed; None if it is not time yet.
    """
    ledger, settings, now = services.ledger, services.settings, services.now()
    record, generation = read_record(services)
    if not _is_time(record, now, services):
        return None
    # Only the call that writes this first continues; an overlapping tick loses the race.
    generation = write_record(replace(record, begun=now), generation, services)
    watched = {each.work[1]: each.listed.written for each in ledger.items(Kind.DROP) if each.work is not None}
    until = now + timedelta(seconds=settings.poll_budget_seconds / SHARE)
    ignored = IgnoredFolders(services)
    unnoticed: list[Piece] = []
    for place, name, newest in drop_files(services).contents():
        if not isinstance(place, DropPath):
            ignored.note(place, name, newest)
        elif place.key not in watched or watched[place.key] < newest:
            fields = {"key": place.key, "kind": Kind.DROP.value, "path": place.uri(settings.model_bucket)}
            unnoticed.append(Piece(partial(_watch, place, services), fields))
    found = do_in_threads(unnoticed, services, until=until, threads=settings.poll_threads)
    others = ignored.reports()
    others += [
        Piece(partial(ledger.objects.remove, each.name, each.generation), {"key": each.name})
        for each in ignored.expired()
    ]
    did = do_in_threads(others, services, until=until, threads=settings.poll_threads)
    if found == len(unnoticed) and did == len(others):
        record = replace(record, done=now)
    write_record(replace(record, begun=None, after=record.after or ""), generation, services)
    return found


def is_under_way(record: Reconciliation, now: datetime, services: Services) -> bool:
    """Return whether another call reconciles or sweeps."""
    settings = services.settings
    longest = timedelta(seconds=min(settings.poll_budget_seconds, settings.reconcile_seconds))
    return record.begun is not None and timedelta() <= now - record.begun < longest


def read_record(services: Services) -> tuple[Reconciliation, int]:
    """Return the record with its generation. A record that cannot be read is reported, and replaced by an empty one."""
    objects = services.ledger.objects
    try:
        stored = objects.read(RECONCILED)
        if stored is None:
            return Reconciliation(), 0
        try:
            return decode(Reconciliation, stored.value), stored.generation
        except Undecodable as error:
            raise Unreadable(RECONCILED, stored.generation, str(error)) from None
    except Unreadable as error:
        report_object(error, "Modeldrop replaces it, and looks for lost work now", services)
        return Reconciliation(), error.generation


def write_record(record: Reconciliation, generation: int, services: Services) -> int:
    """Replace the record that has this generation, and return the new one's; raise ``LostRace`` if another call did."""
    value = {
        "done": record.done.isoformat() if record.done else None,
        "begun": record.begun.isoformat() if record.begun else None,
        "after": record.after,
    }
    return services.ledger.objects.write(RECONCILED, value, generation=generation).generation


def _is_time(record: Reconciliation, now: datetime, services: Services) -> bool:
    interval = timedelta(seconds=services.settings.reconcile_seconds)
    # A time in the future was not written by a reconciliation.
    recently_done = record.done is not None and timedelta() <= now - record.done < interval
    return not recently_done and not is_under_way(record, now, services)


def _watch(path: DropPath, services: Services) -> None:
    watches.open_watch(path, watches.read_watch(path, services), services)
