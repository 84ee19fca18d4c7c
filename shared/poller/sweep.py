"""Goes through all objects of the ledger, a page at a time: forgets old work, and finds open work without an index object.

A sweep follows each reconciliation. It runs after the ticks of a call and takes the time that they leave. What it does not
reach, the next call continues: a year of finished work must not hold up the work that is open.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from itertools import islice

from shared.drops import watches
from shared.drops.imports.importing import NO_DATASET
from shared.drops.intake import import_into_new_dataset
from shared.engine.ledger.index import Pending
from shared.engine.ledger.ledger import ENDED, FINAL, ITEMS, PROBLEM, STATE, StoredItem, work_of
from shared.engine.ledger.objects import ListedObject
from shared.engine.ledger.refused import FOLDER as REJECTED
from shared.engine.services import Services
from shared.engine.stuck import ADVICE, report_object_once
from shared.errors import Unreadable
from shared.log import log
from shared.poller.pieces import Piece, do_in_threads
from shared.poller.reconciliation import is_under_way, read_record, write_record
from shared.work import Kind

# The folders that a sweep examines, in the order of their names.
FOLDERS = (ITEMS, REJECTED)
# As many objects as one call lists.
PAGE = 1000


def sweep(services: Services, until: datetime) -> int:
    """Continue the sweep that a reconciliation has begun, until it is done or the time is over.

    Items and rejections older than ``LEDGER_RETENTION_DAYS`` are deleted. Open items get the index object that they lack.
    A drop whose dataset did not exist is watched again when the dataset exists.

    Returns:
        The number of objects that were examined.
    """
    ledger, now = services.ledger, services.now()
    record, generation = read_record(services)
    if record.after is None or now >= until or is_under_way(record, now, services):
        return 0
    generation = write_record(replace(record, begun=now), generation, services)
    # Index objects are listed before items, so open work that is not among them lacks its own.
    indexed = {(each.kind, each.key) if isinstance(each, Pending) else each.work for each in ledger.index_objects()}
    examined = 0
    after: str | None = record.after
    objects = _objects_after(record.after, services)
    while after is not None:
        page = list(islice(objects, PAGE))
        pieces = [piece for each in page if (piece := _piece(each, indexed, now, services)) is not None]
        if do_in_threads(pieces, services, until=until, threads=services.settings.poll_threads) < len(pieces):
            break
        examined += len(page)
        after = page[-1].name if len(page) == PAGE else None
        if services.now() >= until:
            break
    write_record(replace(record, begun=None, after=after), generation, services)
    return examined


def _objects_after(name: str, services: Services) -> Iterator[ListedObject]:
    for folder in FOLDERS:
        if name < folder or name.startswith(folder):
            for each in services.ledger.objects.listed(folder, start=name):
                if each.name > name:
                    yield each


def _piece(
    listed: ListedObject, indexed: set[tuple[Kind, str] | None], now: datetime, services: Services
) -> Piece | None:
    """Return what there is to do about an object of the ledger; None if there is nothing."""
    settings = services.settings
    expired = listed.written < now - timedelta(days=settings.ledger_retention_days)
    remove = Piece(partial(services.ledger.objects.remove, listed.name, listed.generation), {"key": listed.name})
    if listed.name.startswith(REJECTED):
        return remove if expired else None
    work = work_of(listed.name)
    if work is None:
        return None if listed.reported else Piece(partial(_report_strange, listed, services), {"key": listed.name})
    kind, key = work
    if work in indexed:
        return None
    if listed.metadata.get(STATE) not in {ENDED, FINAL}:
        # A call may be finishing an item that was written within the last lease.
        if listed.written >= now - timedelta(seconds=settings.lease_seconds) or listed.reported:
            return None
        return Piece(partial(_restore_index, StoredItem(listed, work), services), {"key": listed.name})
    if expired and kind is not Kind.DROP:
        # Watches stay: without its watch, a drop that is still in the bucket would be imported again.
        return remove
    if kind is Kind.IMPORT and listed.metadata.get(PROBLEM) == NO_DATASET:
        return Piece(partial(import_into_new_dataset, key, services), {"key": key, "kind": kind.value})
    return None


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
