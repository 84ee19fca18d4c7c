"""Takes note of a drop's files, and imports the drop when it is complete and has settled.

Files come in any order, one event each, some twice, some again.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from shared.drops import importing, manifest, watches
from shared.drops.drop import (
    Drop,
    DropPath,
    NotReady,
    Ready,
)
from shared.drops.importing import Imports
from shared.engine.claims import claim_once, claim_request
from shared.engine.services import Services
from shared.engine.steps import record, submit
from shared.errors import Problem, Rejected
from shared.events.incoming import FinalizedObject
from shared.work import Item, Kind


def notice(path: DropPath, file: FinalizedObject, services: Services) -> None:
    """Take note of a new file of the drop: import the drop if it is ready, watch it if it is not.

    A drop that is watched already is left to the poller; but `modeldrop.yaml` may say that nothing has to be waited for.
    A file whose event comes after the drop was imported with it is no reason to look again.
    """
    watch = services.ledger.read(Kind.DROP, path.key)
    if watch is None or file.name == path.prefix + manifest.NAME or not watches.is_enough(watch, file.created):
        look(path, watch, services)


def look(path: DropPath, watch: Item | None, services: Services) -> None:
    """List the drop and decide: import it, or watch it further. ``watch`` is its watch as the ledger has it."""
    drop, problem = services.drop_files.read_or_list(path)
    if not drop.files:
        if watch is not None and not watch.final:
            watches.end(watch, "gone", None, services)
        return
    if watch is not None and watch.final and watch.facts.get("fingerprint") == drop.fingerprint:
        return
    _import_or_watch(drop, problem, watch, services)


def import_again(path: DropPath, source: str, services: Services) -> None:
    """Import a drop because somebody asks for it in the message ``source``, even if its import has failed before.

    A drop that is not complete or has not settled is watched. Raises ``Rejected`` if there is no such drop.
    """
    drop, problem = services.drop_files.read_or_list(path)
    if not drop.files:
        raise Rejected(f"there is no drop in {path.prefix}", field="path", code="not_found")
    _import_or_watch(drop, problem, services.ledger.read(Kind.DROP, path.key), services, source=source)


def _import_or_watch(
    drop: Drop, problem: Problem | None, watch: Item | None, services: Services, *, source: str | None = None
) -> None:
    settle = timedelta(seconds=services.settings.settle_seconds)
    match _decide(drop, problem, services.now(), settle):
        case NotReady() as decision:
            watches.open_or_update(drop.path, drop, decision, watch, services)
            if drop.manifest.files is not None and (watch is None or watch.facts.get("files") is None):
                # Nobody knew before that files are counted: one that came meanwhile was left to the poller.
                look(drop.path, services.ledger.read(Kind.DROP, drop.path.key), services)
            return
        case Ready() as ready:
            item = importing.plan(drop, ready, services)
        case Problem() as refusal:
            item = importing.refuse(drop.path, drop.fingerprint, refusal, services)
    claim = claim_request(replace(item, sources=(source,)), services) if source else claim_once(item, services)
    if claim.mine:
        record(submit(claim.item, Imports(), services), Imports(), services)
    target = drop.target(services.settings.google_cloud_project)
    watches.end(watch or watches.new(drop.path, target, services), "settled", drop, services)


def _decide(drop: Drop, problem: Problem | None, now: datetime, settle: timedelta) -> Ready | NotReady | Problem:
    if problem is None:
        try:
            return drop.look(now, settle)
        except Rejected as error:
            problem = error.problem
    # What is wrong may be put right by the file that is just being uploaded: only a settled drop is refused.
    settled = (drop.newest or now) + settle
    return problem if settled <= now else NotReady((), settled)
