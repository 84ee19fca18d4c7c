"""Looks for what was lost: drops and wrong objects without events, and open work without an index object.

It reads no files of drops, which might end the process: it only watches a drop, and the next tick examines it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial

from shared.drops import watches
from shared.drops.drop import DropPath
from shared.drops.files import drop_files
from shared.drops.importing import NO_DATASET
from shared.drops.intake import import_into_new_dataset
from shared.engine.decoding import Undecodable, decode
from shared.engine.index import Pending
from shared.engine.ledger import FINAL, PROBLEM, STATE, StoredItem
from shared.engine.objects import ListedObject
from shared.engine.refused import listed_rejections
from shared.engine.services import Services
from shared.engine.stuck import ADVICE, report_object, report_object_once
from shared.errors import Unreadable
from shared.log import log
from shared.poller.ignored_folders import IgnoredFolders
from shared.poller.pieces import Piece, do_in_threads
from shared.work import Kind

RECONCILED = "ledger/reconciled.json"


@dataclass(frozen=True)
class Reconciliation:
    """The record of the reconciliation."""

    done: datetime | None = None
    """When the last one that reached its end began."""
    begun: datetime | None = None
    """When the one that is under way began; None if there is none."""


@dataclass(frozen=True)
class Survey:
    """What the ledger holds."""

    watched: dict[str, datetime]
    """When each watch was last written, by the key of the drop."""
    unindexed: list[StoredItem]
    """The items that may be open and have no index object."""
    old: list[ListedObject]
    """The final items and the rejections that were kept long enough."""
    strange: list[ListedObject]
    """The objects that do not have the name of an item, and were not reported."""
    without_dataset: list[str] = field(default_factory=list)
    """The keys of the imports that have failed because their dataset did not exist."""


def reconcile(services: Services) -> int | None:
    """Once every ``RECONCILE_SECONDS``, watch drops that have changed unnoticed, and clean the ledger up.

    A drop is unnoticed if its events were lost, or if it was uploaded before deployment. So is an object that belongs to no
    drop, which is reported. A drop whose dataset did not exist is watched again when the dataset exists. A later call does
    what a crash or the end of the time leaves.

    Returns:
        The number of drops that were unnoticed; None if it is not time yet.
    """
    ledger, settings, now = services.ledger, services.settings, services.now()
    record, generation = _read_record(services)
    if not _is_time(record, now, services):
        return None
    # Only the call that writes this first continues; an overlapping tick loses the race.
    mark = ledger.objects.write(RECONCILED, _as_json(replace(record, begun=now)), generation=generation)
    survey = _survey(services)
    until = now + timedelta(seconds=settings.poll_budget_seconds / 2)
    ignored = IgnoredFolders(services)
    unnoticed: list[Piece] = []
    for place, name, newest in drop_files(services).contents():
        if not isinstance(place, DropPath):
            ignored.note(place, name, newest)
        elif place.key not in survey.watched or survey.watched[place.key] < newest:
            fields = {"key": place.key, "kind": Kind.DROP.value, "path": place.uri(settings.model_bucket)}
            unnoticed.append(Piece(partial(_watch, place, services), fields))
    watched = do_in_threads(unnoticed, services, until=until, threads=settings.poll_threads)
    mending = [Piece(partial(_restore_index, each, services), {"key": each.listed.name}) for each in survey.unindexed]
    mending += [Piece(partial(_report_strange, each, services), {"key": each.name}) for each in survey.strange]
    mending += ignored.reports()
    mending += [
        Piece(partial(import_into_new_dataset, key, services), {"key": key, "kind": Kind.IMPORT.value})
        for key in survey.without_dataset
    ]
    mended = do_in_threads(mending, services, until=until, threads=settings.poll_threads)
    for each in [*survey.old, *ignored.expired()]:
        ledger.objects.remove(each.name, each.generation)
    if watched == len(unnoticed) and mended == len(mending):
        record = replace(record, done=now)
    ledger.objects.write(RECONCILED, _as_json(replace(record, begun=None)), generation=mark.generation)
    return watched


def _is_time(record: Reconciliation, now: datetime, services: Services) -> bool:
    interval = timedelta(seconds=services.settings.reconcile_seconds)
    longest = min(timedelta(seconds=services.settings.poll_budget_seconds), interval)
    # A time in the future was not written by a reconciliation.
    recently_done = record.done is not None and timedelta() <= now - record.done < interval
    under_way = record.begun is not None and timedelta() <= now - record.begun < longest
    return not recently_done and not under_way


def _read_record(services: Services) -> tuple[Reconciliation, int]:
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


def _as_json(record: Reconciliation) -> dict[str, str | None]:
    return {
        "done": record.done.isoformat() if record.done else None,
        "begun": record.begun.isoformat() if record.begun else None,
    }


def _survey(services: Services) -> Survey:
    """List the index objects, and then the items. So open work that was not among the index objects lacks one."""
    ledger, settings, now = services.ledger, services.settings, services.now()
    indexed = {(each.kind, each.key) if isinstance(each, Pending) else each.work for each in ledger.index_objects()}
    # A call may be finishing an item that was written within the last lease.
    newest = now - timedelta(seconds=settings.lease_seconds)
    expired = now - timedelta(days=settings.ledger_retention_days)
    found = Survey({}, [], [], [])
    found.old.extend(each for each in listed_rejections(ledger.objects) if each.written < expired)
    for each in ledger.items():
        listed = each.listed
        if each.work is None:
            if not listed.reported:
                found.strange.append(listed)
            continue
        kind, key = each.work
        if kind is Kind.DROP:
            found.watched[key] = listed.written
        if listed.metadata.get(STATE) != FINAL:
            if listed.written < newest and each.work not in indexed and not listed.reported:
                found.unindexed.append(each)
        elif listed.written < expired and kind is not Kind.DROP:
            # Watches stay: without its watch, a drop that is still in the bucket would be imported again.
            found.old.append(listed)
        elif kind is Kind.IMPORT and listed.metadata.get(PROBLEM) == NO_DATASET:
            found.without_dataset.append(key)
    return found


def _watch(path: DropPath, services: Services) -> None:
    watches.open_watch(path, watches.read_watch(path, services), services)


def _restore_index(stored: StoredItem, services: Services) -> None:
    """Write the index object of an open item that has none. This is a safety net; it should find none."""
    assert stored.work is not None
    kind, key = stored.work
    ledger, listed = services.ledger, stored.listed
    try:
        item = ledger.read(kind, key)
    except Unreadable as error:
        if kind is not Kind.DROP or not watches.replace_unreadable(key, error, services):
            report_object_once(listed, error.reason, ADVICE, services, work=stored.work)
        return
    if item is None:
        return
    if item.final:
        # Somebody wrote the object without its metadata.
        ledger.objects.change_metadata(listed.name, {STATE: FINAL}, generation=listed.generation)
        return
    ledger.index(item)
    log("ERROR", "open work had no index object", **item.log_fields())


def _report_strange(listed: ListedObject, services: Services) -> None:
    report_object_once(listed, "its name is not the name of an item", "Modeldrop ignores it; delete it", services)
