"""Watches: items of the ledger that keep an eye on a drop until it has settled.

While a watch is young, an event of the drop costs the one call that reads it; the poller looks when the watch is due.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from shared.drops import Drop, DropPath, NotReady
from shared.errors import LostRace, Problem, Rejected
from shared.identifiers import ModelName
from shared.keys import hash_of
from shared.services import Services
from shared.work import Item, Kind

# A drop that says how many files it has, and has no more than one page of them, is looked at with every event, so that it
# is imported with its last file instead of when it has settled.
COUNTED_FILES = 1000


def is_young(watch: Item, now: datetime) -> bool:
    """Return whether a new file of the drop needs no look: the poller looks in time."""
    if watch.final or watch.not_before is None or watch.not_before <= now:
        return False
    files = watch.facts.get("files")
    return files is None or files > COUNTED_FILES


def begin_or_go_on(path: DropPath, drop: Drop, decision: NotReady, watch: Item | None, services: Services) -> None:
    """Write that the drop is watched, and when to look again. Somebody else's write at the same time is as good."""
    found = {"missing": list(decision.missing), "files": drop.manifest.files}
    begins = watch is None or watch.final
    item = (
        new(path, drop.target(services.settings.google_cloud_project), services) if begins or watch is None else watch
    )
    item = replace(item, not_before=decision.due, waits_for="settling").with_facts(**found)
    if watch is None:
        services.ledger.create(item)
        return
    try:
        item = replace(item, generation=watch.generation)
        services.ledger.index(item)
        services.ledger.write(item)
    except LostRace:
        return


def end(watch: Item, outcome: str, fingerprint: str, services: Services) -> None:
    """End a watch: the drop is imported (`settled`), or `gone`."""
    ended = replace(
        watch.with_facts(fingerprint=fingerprint),
        outcome=outcome,
        finished=services.now(),
        waits_for=None,
        not_before=None,
    )
    try:
        services.ledger.write(ended)
    except LostRace:
        return
    services.ledger.unindex(ended)


def begin_again(path: DropPath, services: Services) -> None:
    """Watch a drop whose files were found changed after it had settled, even if no event of theirs should come."""
    watch = services.ledger.read(Kind.DROP, path.key)
    if watch is None or not watch.final:
        return
    try:
        drop = services.drop_files.read(path)
    except Rejected:
        drop = services.drop_files.list(path)
    if drop.files:
        due = (drop.newest or services.now()) + timedelta(seconds=services.settings.settle_seconds)
        begin_or_go_on(path, drop, NotReady((), due), watch, services)


def stuck_problem(watch: Item, services: Services) -> tuple[Problem, str] | None:
    """Return what to report of a drop that has lacked files for longer than ``DROP_STUCK_SECONDS``, and about what."""
    missing = list(watch.facts.get("missing") or [])
    waited = (services.now() - datetime.fromisoformat(watch.facts["since"])).total_seconds()
    if not missing or waited < services.settings.drop_stuck_seconds:
        return None
    shown = ", ".join(missing[:20]) + (f" and {len(missing) - 20} more" if len(missing) > 20 else "")
    problem = Problem("drop_incomplete", f"the drop {watch.request['path']} still lacks {shown}")
    return problem, f"settling-{watch.facts['since']}"


def new(path: DropPath, target: ModelName, services: Services) -> Item:
    """Return the watch of a drop that is not watched yet."""
    now = services.now()
    uri = f"gs://{services.settings.model_bucket}/{path.prefix}"
    return Item(
        kind=Kind.DROP,
        key=path.key,
        payload=hash_of(path.prefix),
        request={
            "model": str(target),
            "path": uri,
            "dataset": path.dataset,
            "folder": path.model,
            "version": path.version,
        },
        created=now,
        facts={"since": now.isoformat(), "model": str(target), "path": uri},
    )
