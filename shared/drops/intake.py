"""The one door for drops: events, the poller, the reconciliation and requested imports all call this module.

Files arrive in any order, one event each, some twice, some again. A drop is imported when it is complete and has settled;
until then it is watched.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from shared import trace
from shared.drops import manifest, watches
from shared.drops.contents.files import drop_files
from shared.drops.contents.refusals import found_files
from shared.drops.drop import (
    NO_MODEL_FILE,
    Drop,
    DropPath,
    NotReady,
    Ready,
)
from shared.drops.imports import planning
from shared.drops.imports.importing import Imports
from shared.drops.imports.turns import ModelRecords
from shared.drops.remote import REMOTE
from shared.drops.watches import Sender
from shared.engine.claims import claim_once, claim_request, next_attempt
from shared.engine.ledger.ledger import Claimed
from shared.engine.running.steps import advance
from shared.engine.services import Services
from shared.errors import Problem, Rejected, Unreadable
from shared.events.incoming import StoredObject
from shared.work import Item, Kind, Outcome
from shared.work_facts import ImportRequest

# A file that is older when its event arrives was probably delivered before, to a process that did not survive the drop.
LATE = timedelta(seconds=60)


def notice_file(path: DropPath, file: StoredObject, services: Services) -> datetime | None:
    """Examine the drop of a new file, unless its watch covers the file.

    `modeldrop.yaml` is always a reason to examine the drop: it may say that there is no need to wait. An event that arrives
    late leaves the drop to the poller, which counts its looks at a drop.

    Returns:
        When to examine the drop again, if this call has begun to watch it.
    """
    watch = watches.read_watch(path, services)
    is_manifest = file.name.removeprefix(path.prefix) in manifest.NAMES
    if watch is not None and not is_manifest and watches.covers(watch, file.created):
        return None
    if file.created is not None and services.now() - file.created > LATE:
        watches.open_watch(path, watch, services)
        return None
    try:
        due = examine_drop(path, watch, services)
    except Unreadable:
        # The poller meets the same object and reports it.
        watches.open_watch(path, watches.read_watch(path, services), services)
        return None
    return due if watch is None or watch.final else None


def notice_deletion(path: DropPath, services: Services) -> datetime | None:
    """Watch a drop again after one of its files was deleted, if it has failed.

    A model that was imported stays when its files are deleted, and an open watch is examined anyway. More files may be about
    to be deleted, so the drop must settle.

    Returns:
        When to examine the drop again, if this call has begun to watch it.
    """
    watch = watches.read_watch(path, services)
    if watch is None or not watch.final:
        return None
    fingerprint = watches.facts_of(watch).fingerprint
    item = services.ledger.find(Kind.IMPORT, planning.import_key(path, fingerprint)) if fingerprint else None
    if item is None or item.outcome is None or item.outcome.is_success:
        return None
    settle = services.settings.settle_seconds
    watches.open_watch(path, watch, services, wait_seconds=settle)
    return services.now() + timedelta(seconds=settle)


def examine_drop(path: DropPath, watch: Item | None, services: Services) -> datetime | None:
    """List the drop, then import it or watch it further.

    Args:
        path: The drop.
        watch: Its watch as the ledger has it.
        services: The services of this process.

    Returns:
        When to examine the drop again; None if it is not watched any further.
    """
    # The files of a drop come in several requests; the import belongs to the trace of the first.
    with trace.within(trace.parse(watch.traceparent) if watch is not None and not watch.final else None):
        return _examine(path, watch, services)


def _examine(path: DropPath, watch: Item | None, services: Services) -> datetime | None:
    drop, problem = drop_files(services).read_or_list(path)
    if drop.is_empty:
        if watch is not None and not watch.final:
            watches.end_watch(watch, Outcome.GONE, None, services)
        return None
    if watch is not None and watches.facts_of(watch).fingerprint == drop.fingerprint:
        if not watch.final:
            watches.end_watch(watch, Outcome.SETTLED, drop, services)
        return None
    return _import_or_watch(drop, problem, watch, services)


def import_again(path: DropPath, sender: Sender, services: Services) -> datetime | None:
    """Import a drop because a message asks for it, even if its import has failed before.

    A drop that is not complete or has not settled is watched.

    Returns:
        When to examine the drop again; None if it is not watched.

    Raises:
        Rejected: There is no such drop.
    """
    drop, problem = drop_files(services).read_or_list(path)
    if drop.is_empty:
        raise Rejected(f"there is no drop in {path.prefix}", field="path", code="not_found")
    return _import_or_watch(drop, problem, watches.read_watch(path, services), services, sender)


def import_into_new_dataset(key: str, services: Services) -> bool:
    """Watch a drop again whose dataset did not exist when it was imported, if the dataset exists now.

    Args:
        key: The key of an import that has failed with ``NO_DATASET``.
        services: The services of this process.

    Returns:
        Whether the dataset exists, and the drop was not examined again since the import failed.
    """
    item = services.ledger.read(Kind.IMPORT, key)
    # An import that has a location found its dataset.
    if item is None or not item.final or item.location is not None or not isinstance(item.request, ImportRequest):
        return False
    path = DropPath.of_request(item.request)
    watch = watches.read_watch(path, services)
    if watch is None or not watch.final or watches.facts_of(watch).fingerprint != item.request.fingerprint:
        return False
    try:
        services.bigquery.location_of(planning.target_of(item, services).dataset_name)
    except Rejected:
        return False
    sender = Sender(f"dataset-{item.run}", item.message_id, item.request_id, item.labels)
    watches.watch_for(path, watch, sender, services)
    return True


def _import_or_watch(
    drop: Drop, problem: Problem | None, watch: Item | None, services: Services, sender: Sender | None = None
) -> datetime | None:
    sender = sender or Sender.of_watch(watch)
    settle = timedelta(seconds=services.settings.settle_seconds)
    match _decide(drop, problem, services.now(), settle):
        case NotReady() as decision:
            watches.open_or_update(drop, decision, watch, services, sender)
            if drop.manifest.files is not None and (watch is None or watches.facts_of(watch).files is None):
                # The file count is now known; check again, since earlier events were skipped.
                return examine_drop(drop.path, watches.read_watch(drop.path, services), services)
            return decision.due
        case Ready() as ready:
            item = _plan(drop, ready, services)
        case Problem() as refusal:
            item = _refused(drop, refusal, services)
    claim = _claim_for(sender, item, services) if sender else claim_once(item, services)
    if claim.mine:
        services.waker.wake_for(advance(claim.item, Imports(), services))
    target = drop.target(services.settings.google_cloud_project)
    watches.end_watch(watch or watches.new_watch(drop.path, target, services), Outcome.SETTLED, drop, services)
    return None


def _claim_for(sender: Sender, item: Item, services: Services) -> Claimed:
    """Claim an import that a message asks for; one that has succeeded runs again if its model was replaced or deleted."""
    item = sender.mark(item)
    stored = services.ledger.find(Kind.IMPORT, item.key)
    if (
        stored is not None
        and stored.final
        and stored.outcome is Outcome.SUCCEEDED
        and sender.source not in stored.sources
        and _is_replaced(item, services)
    ):
        return next_attempt(stored, item, services)
    return claim_request(item, services)


def _is_replaced(item: Item, services: Services) -> bool:
    """Return whether a message has deleted the model since, or it came from other files after an import that succeeded."""
    current = ModelRecords(services).read(planning.target_of(item, services)).current
    return current is None or current.fingerprint != planning.request_of(item).fingerprint


def _plan(drop: Drop, ready: Ready, services: Services) -> Item:
    """Return the import of a drop that is ready, or its refusal if BigQuery would refuse the model."""
    if ready.model_type == REMOTE:
        return planning.plan(drop, ready, services)
    try:
        facts = drop_files(services).read_model(drop, ready)
    except Rejected as error:
        return _refused(drop, error.problem, services)
    return planning.plan(drop, ready, services, facts)


def _refused(drop: Drop, problem: Problem, services: Services) -> Item:
    """Return the work of a drop that cannot be imported, with what its files are and what to do about them."""
    found = found_files(drop.payload) if problem.code == NO_MODEL_FILE else ()
    explained = drop_files(services).explain(drop, problem)
    return planning.plan_refused(drop.path, drop.fingerprint, explained, services, found)


def _decide(drop: Drop, problem: Problem | None, now: datetime, settle: timedelta) -> Ready | NotReady | Problem:
    if problem is None:
        try:
            return drop.readiness(now, settle)
        except Rejected as error:
            problem = error.problem
    # A file that is still being uploaded may solve the problem: only a settled drop is refused.
    settled = (drop.newest or now) + settle
    return problem if settled <= now else NotReady((), settled)
